"""The answer of a sweep as a picture."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lvh.files import written_whole
from lvh.reports.study.axes import importances, pareto
from lvh.reports.study.landscape import (
    BASELINE,
    DPI,
    MODEL,
    POINT,
    QUIET,
    clipped,
    heading,
    heatmap,
    is_grid,
    scatters,
)
from lvh.reports.study.leaderboard import Row, rows
from lvh.reports.study.naming import configuration, per_fold, short_names
from lvh.reports.study.statistics import fold_values, has_folds
from lvh.search.results import Objective, StudyResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Pixels = npt.NDArray[np.uint8]

_MOST_ROWS = 15  # configurations whose folds are drawn
_MOST_NAMED = 12  # points of a Pareto front that carry a number
_GAP = 22  # pixels between panels


@dataclass(frozen=True, slots=True)
class Picture:
    """A panel in a file of its own.

    Attributes:
        path: The PNG file.
        alt: What it shows, for who cannot see it.
    """

    path: Path
    alt: str


def draw_all(study: StudyResult, folder: Path) -> list[Picture]:
    """Draw every panel that the sweep has something for, and all of them in `report.png`.

    Args:
        study: What is shown.
        folder: Where the files go.

    Returns:
        The panels, in the order of reading.
    """
    with _plain_text():
        panels = [(name, alt, _pixels(figure)) for name, alt, figure in _panels(study)]
        whole = _mosaic(_pixels(_strip(study)), [pixels for _, _, pixels in panels])
    for name, _, pixels in panels:
        _save(pixels, folder / f"{name}.png")
    _save(whole, folder / "report.png")
    return [Picture(folder / f"{name}.png", alt) for name, alt, _ in panels]


def _panels(study: StudyResult) -> Iterator[tuple[str, str, "Figure"]]:
    first = study.objectives[0].name
    ranked = [row for row in rows(study) if not math.isnan(row.mean)]
    names, shares = short_names(study.dimensions), importances(study)
    if is_grid(study):
        down, across = (names[one] for one in study.dimensions)
        yield "heatmap", f"Heat map of mean {first} over {down} and {across}", heatmap(study)
    elif ranked and study.dimensions:
        alt = f"Mean {first} against the most important dimensions"
        yield "scatter", alt, scatters(study, list(shares) or study.dimensions)
    if ranked and has_folds(study.objectives[0]):
        alt = f"{first} of every fold of the best configurations, with mean and 95 % interval"
        yield "folds", alt, _folds(study, ranked[:_MOST_ROWS])
    if shares:
        alt = f"Share of the variance of {first} that each dimension explains"
        yield "importance", alt, _importance(shares, names, first)
    if len(study.objectives) > 1 and pareto(study):
        alt = "Pareto front of " + " and ".join(one.name for one in study.objectives)
        yield "pareto", alt, _pareto(study)


def _folds(study: StudyResult, ranked: Sequence[Row]) -> "Figure":
    from matplotlib.figure import Figure

    objective = study.objectives[0]
    trials = {trial.number: trial for trial in study.trials}
    names = [clipped(configuration(study, trials[row.number]), 56) for row in ranked]
    left, height = 0.35 + 0.078 * max(map(len, names)), 0.34 * len(ranked) + 0.3
    total = (left + 5.2, height + 1.75)
    figure = Figure(figsize=total, dpi=DPI)
    ax = figure.add_axes((left / total[0], 1.15 / total[1], 5.0 / total[0], height / total[1]))
    for at, row in enumerate(ranked):
        values = np.array(list(fold_values(trials[row.number], objective).values()))
        spread = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(1)
        ax.scatter(values, at + spread, s=13, color=POINT, zorder=2)
        ax.hlines(at, row.interval.low, row.interval.high, color=MODEL, linewidth=2.2, zorder=3)
        ax.plot(row.mean, at, "D", color=MODEL, markersize=5.5, zorder=4)
    _lines(ax, study, objective)
    ax.scatter([], [], s=13, color=POINT, label="fold")
    ax.plot([], [], "D-", color=MODEL, label="mean, corrected 95 % interval")
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set(ylim=(len(names) - 0.4, -0.6), xlabel=per_fold(objective))
    ax.tick_params(axis="x", labelsize=8)
    ax.grid(axis="x", color="#e6e6e6", linewidth=0.6)
    ax.set_axisbelow(True)
    below = -0.62 / height
    ax.legend(fontsize=8, ncols=4, frameon=False, loc="upper right", bbox_to_anchor=(1.01, below))
    hidden = len(study.complete) - len(names)
    more = f" (best {len(names)} of {len(study.complete)})" if hidden > 0 else ""
    heading(figure, f"Folds of each configuration{more}")
    return figure


def _lines(ax: "Axes", study: StudyResult, objective: Objective) -> None:
    """Draw what the baselines of the best trial score."""
    for style, (name, scores) in zip(
        (":", "--"), study.complete[0].baselines.items(), strict=False
    ):
        value = scores.get(objective.name, math.nan)
        if not math.isnan(value):
            ax.axvline(value, color=BASELINE, linestyle=style, linewidth=1.4, label=name, zorder=1)


def _importance(shares: dict[str, float], names: dict[str, str], first: str) -> "Figure":
    from matplotlib.figure import Figure

    labels = [clipped(names[name], 30) for name in shares]
    left, height = 0.4 + 0.08 * max(map(len, labels)), 0.36 * len(labels) + 0.1
    total = (max(left + 4.2, 5.2), height + 1.2)
    figure = Figure(figsize=total, dpi=DPI)
    ax = figure.add_axes((left / total[0], 0.65 / total[1], 3.4 / total[0], height / total[1]))
    ax.barh(range(len(labels)), list(shares.values()), color=MODEL, height=0.62)
    for at, share in enumerate(shares.values()):
        ax.text(share + 0.015, at, f"{100 * share:.0f} %", va="center", fontsize=8)
    ax.set_yticks(range(len(labels)), labels, fontsize=9)
    ax.set(ylim=(len(labels) - 0.5, -0.5), xlim=(0, 1.0), xlabel="share of variance")
    ax.tick_params(axis="x", labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    heading(figure, f"What moves {first}")
    return figure


def _pareto(study: StudyResult) -> "Figure":
    """Draw the first objective over the second; the front is that of all objectives."""
    from matplotlib.figure import Figure

    up, across = study.objectives[:2]
    front = set(pareto(study))
    points = np.array([trial.values[:2] for trial in study.complete])
    inside = np.array([trial.number in front for trial in study.complete])
    figure = Figure(figsize=(6.2, 4.4), dpi=DPI)
    ax = figure.add_axes((0.12, 0.13, 0.84, 0.74))
    ax.scatter(points[~inside, 1], points[~inside, 0], s=22, color=QUIET, alpha=0.6, label="beaten")
    ax.scatter(points[inside, 1], points[inside, 0], s=42, color=BASELINE, label="on the front")
    for trial in [one for one in study.complete if one.number in front][:_MOST_NAMED]:
        at = (trial.values[1], trial.values[0])
        ax.annotate(str(trial.number), at, (5, 5), textcoords="offset points", fontsize=8)
    low_high = {True: "more is better", False: "less is better"}
    ax.set_xlabel(f"{across.name} ({low_high[across.maximize]})", fontsize=9)
    ax.set_ylabel(f"{up.name} ({low_high[up.maximize]})", fontsize=9)
    ax.tick_params(labelsize=8)
    ax.grid(color="#e6e6e6", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.legend(fontsize=8)
    heading(figure, "Trade-off of the objectives, with trial numbers")
    return figure


def _strip(study: StudyResult) -> "Figure":
    """Draw the title of the whole picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 0.72), dpi=DPI)
    left = 0.12 / 9
    figure.text(left, 0.8, clipped(study.title, 90), fontsize=13, fontweight="bold", va="top")
    count = f"{len(study.complete)} of {len(study.trials)} configurations complete"
    told = clipped("; ".join(filter(None, (count, study.note))), 130)
    figure.text(left, 0.34, told, fontsize=9, va="top", color="#555555")
    return figure


def _mosaic(title: Pixels, panels: Sequence[Pixels]) -> Pixels:
    """Set panels in two columns below the title."""
    sides = [_column(list(panels[side::2])) for side in (0, 1) if panels[side:]]
    heights = [side.shape[0] for side in sides]
    body = [_padded(side, max(heights), side.shape[1] + _GAP) for side in sides]
    return _column([title, np.concatenate(body, axis=1)] if body else [title])


def _column(panels: list[Pixels]) -> Pixels:
    width = max(one.shape[1] for one in panels)
    return np.concatenate([_padded(one, one.shape[0] + _GAP, width) for one in panels])


def _padded(pixels: Pixels, height: int, width: int) -> Pixels:
    """Add white below and to the right."""
    space = (0, height - pixels.shape[0]), (0, width - pixels.shape[1]), (0, 0)
    return np.pad(pixels, space, constant_values=255)


def _pixels(figure: "Figure") -> Pixels:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]


def _save(pixels: Pixels, path: Path) -> None:
    from matplotlib.image import imsave

    with written_whole(path) as temporary:
        imsave(temporary, np.ascontiguousarray(pixels), format="png")


@contextmanager
def _plain_text() -> Iterator[None]:
    """Take values of a sweep as they are: a dollar sign begins no formula.

    A letter that the font lacks is drawn as a box; that is seen and needs no warning.
    """
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+")
        yield
