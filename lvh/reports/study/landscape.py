"""Pictures of the objective over the swept dimensions: a heat map of two, or a scatter each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lvh.evaluation.results import Plain
from lvh.reports.study.axes import levels, numeric
from lvh.reports.study.leaderboard import Row, between, rows
from lvh.reports.study.naming import short_names, shown
from lvh.search.results import StudyResult, Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MODEL, BASELINE, POINT, QUIET = "#1f4e79", "#b5651d", "#9db7d1", "#8a8a8a"
DPI = 110
_MOST_LEVELS = 20
_MOST_SCATTERS = 4
_MOST_TICKS = 12
_LOG_FROM = 50  # times the smallest value is the largest: a linear axis would hide the small ones


@dataclass(frozen=True, slots=True)
class _Cell:
    """One place of a heat map: what is written in it, and its colour value or NaN."""

    text: str
    value: float
    best: bool


def clipped(text: str, length: int) -> str:
    """Return text that fits, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 3] + "..."


def short_number(value: float) -> str:
    """Return three decimals, or fewer for what is not of order 1."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}"


def is_grid(study: StudyResult) -> bool:
    """Return whether a heat map shows the sweep: two dimensions, few values, most pairs tried."""
    if len(study.dimensions) != 2:
        return False
    sizes = [len(levels(study, name)) for name in study.dimensions]
    tried = {tuple(one.params.get(name) for name in study.dimensions) for one in study.trials}
    return 0 < max(sizes) <= _MOST_LEVELS and 2 * len(tried) >= sizes[0] * sizes[1]


def heatmap(study: StudyResult) -> "Figure":
    """Draw the mean and its 95 % interval at every pair of values.

    A pair that was tried more than once shows its best complete trial.
    """
    from matplotlib.figure import Figure

    down, across = study.dimensions
    ys, xs = levels(study, down), levels(study, across)
    names = short_names(study.dimensions)
    width = len(xs) * min(1.15, max(0.76, 5.4 / len(xs)))
    height = len(ys) * min(0.75, max(0.44, 3.6 / len(ys)))
    y_texts = [clipped(shown(value), 22) for value in ys]
    x_texts = [clipped(shown(value), 22) for value in xs]
    turned = max(map(len, x_texts)) * 0.085 > width / len(xs)
    left = 0.6 + 0.085 * max(map(len, y_texts))
    below = 0.65 + (0.08 * max(map(len, x_texts)) if turned else 0.1)
    total = (max(left + width + 0.3, 5.2), below + height + 0.75)
    figure = Figure(figsize=total, dpi=DPI)
    ax = figure.add_axes((left / total[0], below / total[1], width / total[0], height / total[1]))
    _fill(ax, _cells(study, ys, xs))
    rotation = 90 if turned else 0
    ax.set_xticks(range(len(xs)), x_texts, fontsize=9, rotation=rotation)
    ax.set_yticks(range(len(ys)), y_texts, fontsize=9)
    ax.tick_params(length=0)
    ax.set(xlabel=clipped(names[across], 40), ylabel=clipped(names[down], 40))
    heading(figure, f"Mean {study.objectives[0].name} and its 95 % interval")
    return figure


def scatters(study: StudyResult, names: Sequence[str]) -> "Figure":
    """Draw the objective against each of the first few dimensions named."""
    from matplotlib.figure import Figure

    ranked = [row for row in rows(study) if not math.isnan(row.mean)]
    names = names[:_MOST_SCATTERS]
    n_rows = math.ceil(len(names) / 2)
    total = (8.0, 0.6 + 2.9 * n_rows)
    figure = Figure(figsize=total, dpi=DPI)
    share = 1 - 0.5 / total[1]
    for at, name in enumerate(names):
        row, column = divmod(at, 2)
        bottom = share * (n_rows - 1 - row) / n_rows
        wide = 1.0 if len(names) == 1 else 0.5
        inside = (0.5 * column + 0.09, bottom + 0.75 / total[1], wide - 0.12, 2.0 / total[1])
        _scatter(figure.add_axes(inside), study, ranked, name)
    heading(figure, f"Mean {study.objectives[0].name} by dimension")
    return figure


def heading(figure: "Figure", text: str) -> None:
    """Write the title of a panel at its upper left."""
    top = 1 - 0.1 / figure.get_figheight()
    figure.text(
        0.12 / figure.get_figwidth(), top, text, fontsize=11, fontweight="bold", va="top", ha="left"
    )


def _cells(study: StudyResult, ys: Sequence[Plain], xs: Sequence[Plain]) -> list[list[_Cell]]:
    complete = {row.number: row for row in rows(study)}
    order = {"leaking": 1, "stopped": 2, "failed": 3, "open": 4}
    places: dict[tuple[str, str], Trial] = {}

    def rank(trial: Trial) -> tuple[int, int]:
        row = complete.get(trial.number)
        return order.get(trial.state, 0), trial.number if row is None else row.rank

    for trial in sorted(study.trials, key=rank):
        down, across = (shown(trial.params.get(name)) for name in study.dimensions)
        places.setdefault((down, across), trial)
    return [[_cell(study, places.get((shown(y), shown(x))), complete) for x in xs] for y in ys]


def _cell(study: StudyResult, trial: Trial | None, complete: dict[int, Row]) -> _Cell:
    if trial is None:
        return _Cell("", math.nan, False)
    if trial.state == "stopped":
        return _Cell(f"stopped\n{len(trial.folds)}/{study.n_folds}", math.nan, False)
    row = complete.get(trial.number)
    if row is None:
        return _Cell(trial.state, math.nan, False)
    if math.isnan(row.mean):
        return _Cell("undefined", math.nan, False)
    text = short_number(row.mean)
    if not math.isnan(row.interval.low):
        text += f"\n{between(row.interval)}"
    return _Cell(text, row.mean, row.rank == 1)


def _fill(ax: "Axes", cells: list[list[_Cell]]) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    values = np.array([[cell.value for cell in line] for line in cells])
    known = values[~np.isnan(values)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    colors = colormaps["Blues"]
    ax.set(xlim=(-0.5, values.shape[1] - 0.5), ylim=(values.shape[0] - 0.5, -0.5))
    for (y, x), value in np.ndenumerate(values):
        cell = cells[y][x]
        if not cell.text:
            continue
        look: dict[str, Any] = {"facecolor": "#f1f1f1", "edgecolor": "#c9c9c9", "hatch": "////"}
        ink = "#333333"
        if not math.isnan(value):
            share = (value - low) / (high - low) if high > low else 0.5
            # the light part of the map, on which black can be read everywhere
            look = {"facecolor": colors(0.04 + 0.52 * share), "edgecolor": "white"}
            ink = "black"
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, linewidth=0.6, **look))
        box = None if not math.isnan(value) else {"facecolor": "#f1f1f1", "pad": 1.2, "lw": 0}
        ax.text(x, y, cell.text, ha="center", va="center", color=ink, fontsize=7, bbox=box)
        if cell.best:
            edge: dict[str, Any] = {"fill": False, "edgecolor": BASELINE, "linewidth": 2.4}
            ax.add_patch(Rectangle((x - 0.47, y - 0.47), 0.94, 0.94, zorder=3, **edge))


def _scatter(ax: "Axes", study: StudyResult, ranked: Sequence[Row], name: str) -> None:
    values = [row.params.get(name) for row in ranked]
    ticks: list[str] = []
    if numeric(values):
        xs = [float(value) for value in values if isinstance(value, (int, float))]
        if xs and min(xs) > 0 and max(xs) >= _LOG_FROM * min(xs):
            ax.set_xscale("log")
        plain_ticks(ax)
    else:
        ticks = list(dict.fromkeys(map(shown, values)))
        xs = [float(ticks.index(shown(value))) for value in values]
    ax.scatter(xs[1:], [row.mean for row in ranked[1:]], s=22, color=MODEL, alpha=0.55, lw=0)
    ax.scatter(xs[:1], [row.mean for row in ranked[:1]], s=46, color=BASELINE, marker="D")
    if ticks:  # after the points, which would bring automatic ticks back
        step = math.ceil(len(ticks) / _MOST_TICKS)
        turned = sum(len(clipped(text, 12)) for text in ticks[::step]) > 40
        ax.set_xticks(
            range(0, len(ticks), step),
            [clipped(text, 12) for text in ticks[::step]],
            rotation=30 if turned else 0,
            ha="right" if turned else "center",
        )
        ax.set_xlim(-0.6, len(ticks) - 0.4)
    ax.tick_params(labelsize=8)
    ax.set_xlabel(clipped(short_names(study.dimensions)[name], 40), fontsize=9)
    ax.grid(axis="y", color="#e6e6e6", linewidth=0.6)
    ax.set_axisbelow(True)


def plain_ticks(ax: "Axes") -> None:
    """Write the numbers of the x axis as plain text, also of a logarithmic one."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
