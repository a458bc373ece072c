"""What lies on the traces: bands of what spoke for a score and against it, and fiducials."""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Delineation
from lvh.reports.ecg_plot.ink import PT, inside, text
from lvh.reports.ecg_plot.layout import PAGE, Cell, Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection

_TOWARD, _AWAY = "#d55e00", "#0072b2"  # Okabe and Ito's vermilion and blue
_LEVELS = 5  # of a colour
_PEN = 2.4  # mm, of the coloured band


def relative(importance: npt.NDArray[np.floating]) -> Floats:
    """Return the share of the largest absolute value, NaN where nothing is known."""
    largest = np.nanmax(np.abs(importance), initial=0)
    found = np.asarray(importance, dtype=np.float64)
    return found / largest if largest > 0 else found


def band(ax: "Axes", x: Floats, y: Floats, share: Floats) -> "LineCollection":
    """Paint runs of samples of one level behind the trace."""
    from matplotlib.collections import LineCollection

    level = np.rint(np.nan_to_num(share) * _LEVELS).astype(int)
    edges = np.flatnonzero(np.diff(level)) + 1
    bounds = [0, *edges.tolist(), len(level)]
    runs = [(a, b) for a, b in pairwise(bounds) if level[a]]
    # a sample further, so that a run reaches the next one
    pieces = [np.column_stack([x[a : b + 1], y[a : b + 1]]) for a, b in runs]
    painted = LineCollection(
        pieces,
        colors=[_shade(int(level[a])) for a, _ in runs],
        linewidths=_PEN * PT,
        joinstyle="round",
        capstyle="butt",
        zorder=2,
    )
    ax.add_collection(painted, autolim=False)
    inside(ax, painted)
    return painted


def _shade(level: int) -> tuple[float, float, float]:
    """Mix the colour of a level with white."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(_TOWARD if level > 0 else _AWAY)
    part = abs(level) / _LEVELS * 0.85
    return 1 - part * (1 - red), 1 - part * (1 - green), 1 - part * (1 - blue)


def legend(ax: "Axes") -> None:
    """Show what the colours of bands mean, below the grid."""
    from matplotlib.patches import Rectangle

    middle, y, width = PAGE[0] / 2, 8.2, 4.0
    levels = [*range(-_LEVELS, 0), *range(1, _LEVELS + 1)]
    for at, level in enumerate(levels):
        x = middle + (at - _LEVELS) * width
        ax.add_patch(Rectangle((x, y), width, 2.2, color=_shade(level), linewidth=0))
    side = _LEVELS * width + 1.5
    text(ax, (middle - side, y + 0.4), "away from LVH", 7.5, ha="right")
    text(ax, (middle + side, y + 0.4), "toward LVH", 7.5)


def fiducials(ax: "Axes", cell: Cell, fs: float, y: Floats, of: Delineation) -> None:
    """Mark each peak by a dot, onset and offset by a tick."""
    symbols, samples = of.lead(0, cell.column)
    shown = (samples >= cell.first) & (samples < cell.end)
    kinds = np.array(list(symbols))[shown]
    x, height = cell.x(samples[shown], fs), y[samples[shown] - cell.first]
    for is_kind, marker in ((np.isin(kinds, ("(", ")")), "|"), (~np.isin(kinds, ("(", ")")), ".")):
        (marks,) = ax.plot(x[is_kind], height[is_kind], marker, color=_AWAY, markersize=4, zorder=3)
        inside(ax, marks)
