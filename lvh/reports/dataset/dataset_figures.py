"""Pictures of a data set."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.features.base import find_pattern
from lvh.features.criteria import CRITERIA
from lvh.features.ntp import FIDUCIALS
from lvh.reports.dataset.examples import Example
from lvh.reports.dataset.summaries import LABELS, SEXES, WAVES
from lvh.reports.dataset.survey import Floats, SignalStatistics
from lvh.reports.figures import BLUE, DPI, GREY, INK, ORANGE, clipped

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = dict(zip(LABELS, (BLUE, ORANGE), strict=True))
_WAVES = {"N": ("QRS", BLUE), "p": ("P", "#4c9a5b"), "t": ("T", ORANGE)}
_GRID = "#e6e6e6"
_WIDTH = 8.4  # inches
_MOST_LINES = 400  # in a panel; of more records some share a line
_JITTER = 0.28


def draw_balance(rows: "pd.DataFrame") -> "Figure":
    """Draw the share with the label, by sex and by decade, with intervals and counts."""
    figure, axes = _panels("Share of records with LVH", 1, 2, 2.5)
    parts = {"by sex": ("all", "sex"), "by age, in decades": ("decade",)}
    for ax, (title, groups) in zip(axes, parts.items(), strict=True):
        shown = rows[rows.group.isin(groups)].reset_index()
        ax.vlines(shown.index, shown.low, shown.high, color=BLUE, linewidth=2.2)
        ax.plot(shown.index, shown.share, "D", color=BLUE, markersize=5)
        for row in shown.itertuples():
            counts = f"{row.lvh}/{row.records}"
            ax.text(row.Index, 1.05, counts, ha="center", fontsize=7, color=INK)
        ax.set_xticks(shown.index, shown.value)
        ax.set(xlim=(-0.6, len(shown) - 0.4), ylim=(-0.02, 1.13), yticks=[0, 0.25, 0.5, 0.75, 1])
        _name(ax, title)
    axes[1].axhline(rows.share[0], color=GREY, linestyle=":", linewidth=1)
    return figure


def draw_ages(rows: "pd.DataFrame") -> "Figure":
    """Draw how many records of each sex and label are of which decade of age."""
    figure, axes = _panels("Age by label and sex", 1, 2, 2.5)
    for ax, sex in zip(axes, SEXES, strict=True):
        of_sex = rows[rows.sex == sex]
        for shift, label in zip((-0.2, 0.2), LABELS, strict=True):
            own = of_sex[of_sex.label == label]
            at = np.arange(len(own))
            bars = ax.bar(at + shift, own.records, width=0.38, color=COLOURS[label])
            ax.bar_label(bars, [str(one) if one else "" for one in own.records], fontsize=6.5)
            ax.set_xticks(at, own.decade)
        ax.set_ylim(0, rows.records.max() * 1.1)
        ax.set_xlabel("decade of age", fontsize=8)
        _name(ax, f"{sex} ({of_sex.records.sum()} records)")
    _label_legend(figure)
    return figure


def draw_ranges(
    signals: SignalStatistics, leads: Sequence[str], label: npt.NDArray[np.int64]
) -> "Figure":
    """Draw minimum, mean and maximum of every lead of every record, one label after the other."""
    from matplotlib.lines import Line2D

    figure, axes = _panels("Minimum, mean and maximum of each record, mV", 4, 3, 1.25)
    step = -(-len(label) // _MOST_LINES)
    groups, x, colours = [], [], []
    for value, name in zip((0, 1), reversed(LABELS), strict=True):
        own = np.flatnonzero(label == value)
        for start in range(0, len(own), step):
            x.append(start + value * int(np.count_nonzero(label == 0)))
            groups.append(own[start : start + step])
            colours.append(COLOURS[name])
    for at, (ax, lead) in enumerate(zip(axes, leads, strict=True)):
        low = [signals.low[one, at].min() for one in groups]
        high = [signals.high[one, at].max() for one in groups]
        ax.vlines(x, low, high, colors=colours, linewidth=0.7)
        ax.plot(x, [signals.mean[one, at].mean() for one in groups], ".", color="k", markersize=1.6)
        ax.set(xlim=(-len(label) / 60, len(label) * 61 / 60))
        ax.set_xticks([0, len(label) - 1], ["1", str(len(label))])
        _name(ax, lead)
    mean = Line2D([], [], marker=".", color="k", linestyle="", markersize=4, label="mean")
    _label_legend(figure, mean)
    return figure


def draw_example(example: Example) -> "Figure":
    """Draw a part of a record, lead by lead, with its fiducials."""
    from matplotlib.patches import Patch

    title = f"Record {clipped(example.record, 40)}: {example.about}; mV"
    figure, axes = _panels(title, 6, 2, 1.05, gap=0.24)
    seconds = (example.start + np.arange(len(example.signals))) / example.fs
    box = {"facecolor": "w", "edgecolor": "none", "pad": 1.0, "alpha": 0.8}
    look: dict[str, Any] = {"fontsize": 9, "fontweight": "bold", "va": "top", "bbox": box}
    for at, (ax, lead) in enumerate(zip(axes, example.leads, strict=True)):
        ax.plot(seconds, example.signals[:, at], color=INK, linewidth=0.8, zorder=3)
        _mark_fiducials(ax, example, at)
        ax.set(xlim=(seconds[0], seconds[-1]))
        ax.grid(axis="x", color=_GRID, linewidth=0.6)
        ax.margins(y=0.12)
        if at < len(example.leads) - 2:
            ax.set_xticklabels([])
        ax.text(0.01, 0.96, lead, transform=ax.transAxes, zorder=6, **look)
    for ax in axes[-2:]:
        ax.set_xlabel("s", fontsize=8)
    if any(symbols for symbols, _ in example.fiducials):
        waves = (_WAVES[wave] for wave in ("p", "N", "t"))
        _legend(figure, [Patch(color=colour, alpha=0.4, label=name) for name, colour in waves])
    return figure


def _mark_fiducials(ax: "Axes", example: Example, lead: int) -> None:
    symbols, samples = example.fiducials[lead]
    values = example.signals[samples - example.start, lead]
    for wave, (_, colour) in _WAVES.items():
        for start in find_pattern(symbols, f"({wave})"):
            onset, offset = samples[[start, start + 2]] / example.fs
            ax.axvspan(onset, offset, color=colour, alpha=0.16, linewidth=0)
        peaks = [at for at, symbol in enumerate(symbols) if symbol == wave]
        x = samples[peaks] / example.fs
        ax.plot(x, values[peaks], ".", color=colour, markersize=5, zorder=4)
    ends = [at for at, symbol in enumerate(symbols) if symbol in "()"]
    ax.plot(samples[ends] / example.fs, values[ends], "|", color=GREY, markersize=5, zorder=2)


def draw_quality(spreads: "pd.DataFrame", signals: SignalStatistics) -> "Figure":
    """Draw noise and wander by lead and label, and whether the limb leads fit one another."""
    figure, axes = _panels("Noise, wander, and whether leads fit one another", 3, 1, 1.5)
    for ax, measure in zip(axes, ("noise", "wander"), strict=False):
        _quantile_bars(ax, spreads[spreads.measure == measure])
        ax.set_ylim(bottom=0)
        _name(ax, f"{measure}, µV")
    ax = axes[2]
    share = np.arange(1, len(signals.einthoven) + 1) / len(signals.einthoven)
    pairs = (("i + iii - ii", signals.einthoven), ("avr + (i + ii) / 2", signals.goldberger))
    for (name, values), style in zip(pairs, ("-", "--"), strict=True):
        ax.plot(share, np.sort(values) * 1000, style, color=INK, label=name, linewidth=1.3)
    ax.set_yscale("symlog", linthresh=10)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")  # no powers: no formulas
    ax.set(xlim=(0, 1), ylim=(0, max(20, 1200 * signals.einthoven.max())))
    ax.set_xlabel("share of records", fontsize=8)
    ax.legend(fontsize=8, frameon=False, loc="upper left")
    _name(ax, "largest difference from 0 in a record, µV")
    _label_legend(figure)
    return figure


def draw_ntp(rows: "pd.DataFrame") -> "Figure":
    """Draw the mean scaled signal at the fiducials of each lead, by label, with intervals."""
    figure, axes = _panels("Mean scaled signal at the fiducials, by label", 4, 3, 1.25)
    ticks = [f"{name[0]} {name[2:]}" if name.endswith("peak") else "" for name in FIDUCIALS]
    for ax, lead in zip(axes, rows.lead.unique(), strict=True):
        for shift, label in zip((-0.1, 0.1), LABELS, strict=True):
            own = rows[(rows.lead == lead) & (rows.label == label)]
            x, mean = np.arange(len(own)) + shift, own["mean"].to_numpy()
            ax.vlines(x, own.low, own.high, COLOURS[label])
            ax.plot(x, mean, "o", color=COLOURS[label], markersize=3)
            for wave in range(0, len(own), 3):
                part = slice(wave, wave + 3)
                ax.plot(x[part], mean[part], color=COLOURS[label], linewidth=0.8)
        ax.set_xticks(range(len(FIDUCIALS)), ticks)
        ax.set(ylim=(0, 1))
        _name(ax, lead)
    _label_legend(figure)
    return figure


def draw_voltages(rows: "pd.DataFrame") -> "Figure":
    """Draw R, S, T and the duration of QRS by lead and label."""
    figure, axes = _panels("Waves by lead and label", len(WAVES), 1, 1.5)
    names = {"R": "height of R", "S": "depth of S", "T": "T", "QRS": "duration of QRS"}
    for ax, (wave, unit) in zip(axes, WAVES.items(), strict=True):
        _quantile_bars(ax, rows[rows.measure == wave])
        _name(ax, f"{names[wave]}, {unit}")
        if wave == "T":
            ax.axhline(0, color=INK, linewidth=0.6)
    _label_legend(figure)
    return figure


def draw_criteria(
    values: Mapping[str, Floats], sex: npt.NDArray[np.str_], label: npt.NDArray[np.str_]
) -> "Figure":
    """Draw the values of every record by criterion, sex and label, with the thresholds."""
    figure, axes = _panels("Criteria, with their thresholds for men and women", 4, 2, 1.1)
    groups = [(a, b) for a in SEXES for b in LABELS]
    for at, (ax, (name, of_records)) in enumerate(zip(axes, values.items(), strict=True)):
        criterion = CRITERIA[name]
        for row, (a, b) in enumerate(groups):
            own = of_records[(sex == a) & (label == b) & ~np.isnan(of_records)]
            spread = (np.arange(len(own)) * 0.6180339887) % 1 * 2 - 1  # the same in every drawing
            alpha = float(np.clip(20 / max(len(own), 1), 0.05, 0.5))
            y = row + _JITTER * spread
            ax.plot(own, y, ".", color=COLOURS[b], alpha=alpha, markersize=4)
            if own.size:
                ax.plot(np.median(own), row, "|", color="k", ms=11, markeredgewidth=1.6, zorder=5)
        for n, threshold in enumerate((criterion.men, criterion.women)):
            low, high = 2 * n - 0.45, 2 * n + 1.45
            ax.vlines(threshold, low, high, color="#c0392b", linewidth=1.5, zorder=4)
        names = [" ".join(group) if at % 2 == 0 else "" for group in groups]
        ax.set_yticks(range(len(groups)), names)
        ax.set_ylim(len(groups) - 0.5, -0.5)
        ax.grid(visible=False, axis="y")
        _name(ax, f"{name}, {criterion.unit}")
    return figure


def _quantile_bars(ax: "Axes", rows: "pd.DataFrame") -> None:
    """Draw median, quartiles and the middle 90 % of each lead and label, side by side."""
    leads = list(rows.lead.unique())
    for shift, label in zip((-0.16, 0.16), LABELS, strict=True):
        own = rows[rows.label == label]
        x = np.arange(len(leads)) + shift
        ax.vlines(x, own.q05, own.q95, color=COLOURS[label], linewidth=0.9)
        ax.vlines(x, own.q25, own.q75, color=COLOURS[label], linewidth=4.5)
        ax.plot(x, own["median"], "_", color="w", markersize=5, markeredgewidth=1.4)
    ax.set_xticks(range(len(leads)), leads)
    ax.set_xlim(-0.6, len(leads) - 0.4)


def _panels(
    title: str, rows: int, columns: int, height: float, *, gap: float = 0.42
) -> "tuple[Figure, list[Axes]]":
    """Make a figure with a title and a grid of panels, row by row; lengths in inches."""
    from matplotlib.figure import Figure

    total = 0.62 + rows * height + (rows - 1) * gap
    figure = Figure(figsize=(_WIDTH, total), dpi=DPI)
    grid = {"left": 0.0, "right": 1.0, "top": 1 - 0.62 / total, "bottom": 0.0}
    spaces = {"hspace": gap / height, "wspace": 0.24}
    axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=grid | spaces)
    for ax in axes.flat:
        ax.tick_params(labelsize=8, color=GREY, length=2.5)
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color(GREY)
        ax.grid(axis="y", color=_GRID, linewidth=0.6)
        ax.set_axisbelow(True)
    figure.text(0, 1 - 0.1 / total, title, fontsize=11, fontweight="bold", va="top")
    return figure, list(axes.flat)


def _name(ax: "Axes", name: str) -> None:
    ax.set_title(name, fontsize=9, loc="left", pad=3, fontweight="bold", color=INK)


def _label_legend(figure: "Figure", *others: Any) -> None:
    from matplotlib.patches import Patch

    _legend(figure, [*(Patch(color=one, label=name) for name, one in COLOURS.items()), *others])


def _legend(figure: "Figure", handles: Sequence[Any]) -> None:
    """Explain colours to the right of the title."""
    figure.legend(
        handles=handles,
        loc="upper right",
        bbox_to_anchor=(1, 1),
        ncols=len(handles),
        fontsize=8,
        frameon=False,
    )
