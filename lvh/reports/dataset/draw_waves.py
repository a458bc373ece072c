"""Pictures of what the delineated waves tell."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lvh.features.criteria import CRITERIA
from lvh.features.ntp import FIDUCIALS
from lvh.reports.dataset.canvas import COLOURS, INK, label_key, named, panels
from lvh.reports.dataset.draw_signals import quantile_bars
from lvh.reports.dataset.people import LABELS, SEXES
from lvh.reports.dataset.waves import WAVES, Fiducial, Lacking, Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

_GROUPS = [(sex, label) for sex in SEXES for label in LABELS]
_JITTER = 0.28
_LACKING = {
    "without_p": "no p peak",
    "no_p": "no (p)",
    "no_qrs": "no (N)",
    "no_t": "no (t)",
    "no_qrs_t": "no (N)(t)",
    "no_beat": "no (N)(t)(p)",
    "irregular": "irregular",
}


def ntp(rows: Sequence[Fiducial]) -> "Figure":
    """Draw the mean scaled signal at the fiducials of each lead, by label, with intervals."""
    figure, axes = panels("Mean scaled signal at the fiducials, by label", 4, 3, 1.25)
    leads = list(dict.fromkeys(row.lead for row in rows))
    ticks = [f"{name[0]} {name[2:]}" if name.endswith("peak") else "" for name in FIDUCIALS]
    for ax, lead in zip(axes, leads, strict=True):
        for shift, label in zip((-0.1, 0.1), LABELS, strict=True):
            own = [row for row in rows if (row.lead, row.label) == (lead, label)]
            x = np.arange(len(own)) + shift
            ax.vlines(x, [one.low for one in own], [one.high for one in own], COLOURS[label])
            ax.plot(x, [one.mean for one in own], "o", color=COLOURS[label], markersize=3)
            for wave in range(0, len(own), 3):
                part = slice(wave, wave + 3)
                y = [one.mean for one in own[part]]
                ax.plot(x[part], y, color=COLOURS[label], linewidth=0.8)
        ax.set_xticks(range(len(FIDUCIALS)), ticks)
        ax.set(ylim=(0, 1))
        named(ax, lead)
    label_key(figure)
    return figure


def voltages(rows: Sequence[Spread]) -> "Figure":
    """Draw R, S, T and the duration of QRS by lead and label."""
    figure, axes = panels("Waves by lead and label", len(WAVES), 1, 1.5)
    names = {"R": "height of R", "S": "depth of S", "T": "T", "QRS": "duration of QRS"}
    for ax, (wave, unit) in zip(axes, WAVES.items(), strict=True):
        quantile_bars(ax, [row for row in rows if row.measure == wave])
        named(ax, f"{names[wave]}, {unit}")
    axes[list(WAVES).index("T")].axhline(0, color=INK, linewidth=0.6)
    label_key(figure)
    return figure


def criteria(
    values: Mapping[str, Floats], sex: npt.NDArray[np.str_], label: npt.NDArray[np.str_]
) -> "Figure":
    """Draw the values of every record by criterion, sex and label, with the thresholds."""
    figure, axes = panels("Criteria, with their thresholds for men and women", 4, 2, 1.1, left=1.15)
    for at, (ax, (name, of_records)) in enumerate(zip(axes, values.items(), strict=True)):
        for row, group in enumerate(_GROUPS):
            inside = (sex == group[0]) & (label == group[1]) & ~np.isnan(of_records)
            _strip(ax, row, of_records[inside], COLOURS[group[1]])
        criterion = CRITERIA[name]
        for n, threshold in enumerate((criterion.men, criterion.women)):
            ax.vlines(
                threshold, 2 * n - 0.45, 2 * n + 1.45, color="#c0392b", linewidth=1.5, zorder=4
            )
        rows = [" ".join(group) for group in _GROUPS] if at % 2 == 0 else [""] * len(_GROUPS)
        ax.set_yticks(range(len(_GROUPS)), rows)
        ax.set_ylim(len(_GROUPS) - 0.5, -0.5)
        ax.grid(visible=False, axis="y")
        named(ax, f"{name}, {criterion.unit}")
    return figure


def _strip(ax: "Axes", row: int, values: Floats, colour: str) -> None:
    """Draw each value as a point, beside the others by a fixed pattern, and their median."""
    spread = (np.arange(len(values)) * 0.6180339887) % 1 * 2 - 1
    alpha = float(np.clip(20 / max(len(values), 1), 0.05, 0.5))
    ax.plot(values, row + _JITTER * spread, ".", color=colour, alpha=alpha, markersize=4)
    if values.size:
        ax.plot(
            np.median(values), row, "|", color="k", markersize=11, markeredgewidth=1.6, zorder=5
        )


def missing(rows: Sequence[Lacking]) -> "Figure":
    """Write in how many records each lead lacks what, the more the darker."""
    figure, (ax,) = panels("Records in which a lead lacks something", 1, 1, 3.6, left=0.95)
    counts = np.array([[getattr(row, name) for name in _LACKING] for row in rows])
    ax.imshow(counts, cmap="Blues", aspect="auto", vmin=0, vmax=max(1, counts.max() * 1.2))
    for (down, across), count in np.ndenumerate(counts):
        dark = count > counts.max() * 0.65
        ax.text(
            across,
            down,
            str(count),
            ha="center",
            va="center",
            fontsize=8,
            color="w" if dark else INK,
        )
    ax.set_xticks(range(len(_LACKING)), list(_LACKING.values()))
    ax.set_yticks(range(len(rows)), [row.lead for row in rows])
    ax.axhline(len(rows) - 2.5, color=INK, linewidth=0.8)
    ax.grid(visible=False)
    return figure
