"""Pictures of the signals themselves."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.features.delineated import starts
from lvh.reports.dataset.canvas import COLOURS, GRID, INK, QUIET, key, label_key, named, panels
from lvh.reports.dataset.examples import Example
from lvh.reports.dataset.people import LABELS
from lvh.reports.dataset.signals import SignalFacts
from lvh.reports.dataset.waves import Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Labels = npt.NDArray[np.int64]

_MOST_LINES = 400  # in a panel; of more records some share a line
_LEAD: dict[str, Any] = {
    **{"fontsize": 9, "fontweight": "bold", "va": "top", "zorder": 6},
    "bbox": {"facecolor": "w", "edgecolor": "none", "pad": 1.0, "alpha": 0.8},
}
WAVE_COLOURS = {"p": "#4c9a5b", "N": "#1f4e79", "t": "#b5651d"}
WAVE_NAMES = {"p": "P", "N": "QRS", "t": "T"}


def ranges(facts: SignalFacts, leads: Sequence[str], label: Labels) -> "Figure":
    """Draw minimum, mean and maximum of every lead of every record, one label after the other."""
    from matplotlib.lines import Line2D

    figure, axes = panels("Minimum, mean and maximum of each record, mV", 4, 3, 1.25)
    step = -(-len(label) // _MOST_LINES)
    groups, x, colours = [], [], []
    for value, name in zip((0, 1), reversed(LABELS), strict=True):
        own = np.flatnonzero(label == value)
        for start in range(0, len(own), step):
            x.append(start + value * int(np.count_nonzero(label == 0)))
            groups.append(own[start : start + step])
            colours.append(COLOURS[name])
    for at, (ax, lead) in enumerate(zip(axes, leads, strict=True)):
        low = [facts.low[one, at].min() for one in groups]
        high = [facts.high[one, at].max() for one in groups]
        ax.vlines(x, low, high, colors=colours, linewidth=0.7)
        ax.plot(x, [facts.mean[one, at].mean() for one in groups], ".", color="k", markersize=1.6)
        ax.set(xlim=(-len(label) / 60, len(label) * 61 / 60), xticks=[0, len(label) - 1])
        ax.set_xticklabels(["1", str(len(label))])
        named(ax, lead)
    label_key(figure, mean=Line2D([], [], marker=".", color="k", linestyle="", markersize=4))
    return figure


def example(one: Example) -> "Figure":
    """Draw a part of a record, lead by lead, with its fiducials."""
    title = f"Record {_clipped(one.record)}: {one.about}; mV"
    figure, axes = panels(title, 6, 2, 1.05, gap=0.24, below=0.5)
    seconds = (one.start + np.arange(len(one.signals))) / one.fs
    for at, (ax, lead) in enumerate(zip(axes, one.leads, strict=True)):
        ax.plot(seconds, one.signals[:, at], color=INK, linewidth=0.8, zorder=3)
        _fiducials(ax, one, at)
        ax.set(xlim=(seconds[0], seconds[-1]))
        ax.grid(axis="x", color=GRID, linewidth=0.6)
        ax.margins(y=0.12)
        if at < len(one.leads) - 2:
            ax.set_xticklabels([])
        ax.text(0.01, 0.96, lead, transform=ax.transAxes, **_LEAD)
    for ax in axes[-2:]:
        ax.set_xlabel("s", fontsize=8)
    _wave_key(figure, one)
    return figure


def _fiducials(ax: "Axes", one: Example, lead: int) -> None:
    symbols, samples = one.fiducials[lead]
    values = one.signals[samples - one.start, lead]
    for wave, colour in WAVE_COLOURS.items():
        for start in starts(symbols, f"({wave})"):
            own = samples[[start, start + 2]] / one.fs
            ax.axvspan(*own.tolist(), color=colour, alpha=0.16, linewidth=0)
        peaks = [at for at, symbol in enumerate(symbols) if symbol == wave]
        ax.plot(samples[peaks] / one.fs, values[peaks], ".", color=colour, markersize=5, zorder=4)
    ends = [at for at, symbol in enumerate(symbols) if symbol in "()"]
    ax.plot(samples[ends] / one.fs, values[ends], "|", color=QUIET, markersize=5, zorder=2)


def _clipped(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 40 else f"{text[:37]}..."


def quality(spreads: Sequence[Spread], facts: SignalFacts) -> "Figure":
    """Draw noise and wander by lead and label, and whether the limb leads fit one another."""
    figure, axes = panels("Noise, wander, and whether leads fit one another", 3, 1, 1.5, below=0.5)
    for ax, measure in zip(axes, ("noise", "wander"), strict=False):
        quantile_bars(ax, [one for one in spreads if one.measure == measure])
        ax.set_ylim(bottom=0)
    named(axes[0], "noise, µV")
    named(axes[1], "wander, µV")
    share = np.arange(1, len(facts.einthoven) + 1) / len(facts.einthoven)
    pairs = (("i + iii - ii", facts.einthoven), ("avr + (i + ii) / 2", facts.goldberger))
    for (name, values), style in zip(pairs, ("-", "--"), strict=True):
        axes[2].plot(share, np.sort(values) * 1000, style, color=INK, label=name, linewidth=1.3)
    axes[2].set_yscale("symlog", linthresh=10)
    axes[2].yaxis.set_major_formatter(lambda value, _: f"{value:g}")  # no powers: no formulas
    axes[2].set(xlim=(0, 1), ylim=(0, max(20, 1200 * facts.einthoven.max())))
    axes[2].set_xlabel("share of records", fontsize=8)
    axes[2].legend(fontsize=8, frameon=False, loc="upper left")
    named(axes[2], "largest difference from 0 in a record, µV")
    label_key(figure)
    return figure


def quantile_bars(ax: "Axes", rows: Sequence[Spread]) -> None:
    """Draw median, quartiles and the middle 90 % of each lead and label, side by side."""
    leads = list(dict.fromkeys(row.lead for row in rows))
    for row in rows:
        at = leads.index(row.lead) + (-0.16 if row.label == LABELS[0] else 0.16)
        colour = COLOURS[row.label]
        ax.vlines(at, row.q05, row.q95, color=colour, linewidth=0.9)
        ax.vlines(at, row.q25, row.q75, color=colour, linewidth=4.5)
        ax.plot(at, row.median, "_", color="w", markersize=5, markeredgewidth=1.4)
    ax.set_xticks(range(len(leads)), leads)
    ax.set_xlim(-0.6, len(leads) - 0.4)


def _wave_key(figure: "Figure", one: Example) -> None:
    from matplotlib.patches import Patch

    if any(symbols for symbols, _ in one.fiducials):
        marks = [
            (WAVE_NAMES[wave], Patch(color=colour, alpha=0.4))
            for wave, colour in WAVE_COLOURS.items()
        ]
        key(figure, marks)
