"""The result of a sweep as pictures."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lvh.evaluation.results import Plain
from lvh.reports.figures import (
    BLUE,
    DPI,
    GREY,
    ORANGE,
    PALE,
    Picture,
    clipped,
    new_axes,
)
from lvh.reports.study.importance import importances, is_numeric, levels
from lvh.reports.study.leaderboard import (
    Row,
    configuration_names,
    fold_values,
    has_folds,
    pareto,
    ranked_rows,
    short_names,
    unranked_trials,
    value_text,
)
from lvh.search.results import StudyResult, Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_LEVELS = 20  # of a dimension of a heat map
_MOST_SCATTERS = 4
_MOST_TICKS = 12
_MOST_ROWS = 15  # configurations whose folds are drawn
_MOST_NUMBERED = 12  # points of a Pareto front
_LOG_FROM = 50  # times the smallest value is the largest: a linear axis would hide the small ones


def is_grid(study: StudyResult) -> bool:
    """Return whether a heat map shows the sweep: two dimensions, few values, most pairs tried."""
    if len(study.dimensions) != 2:
        return False
    sizes = [len(levels(study, name)) for name in study.dimensions]
    tried = {tuple(one.params.get(name) for name in study.dimensions) for one in study.trials}
    return 0 < max(sizes) <= _MOST_LEVELS and 2 * len(tried) >= sizes[0] * sizes[1]


def pictures(study: StudyResult) -> Iterator[Picture]:
    """Yield every picture that the sweep has something for, in the order of reading."""
    first = study.objectives[0].name
    rows = [row for row in ranked_rows(study) if not math.isnan(row.mean)]
    names, shares = short_names(study.dimensions), importances(study)
    if is_grid(study):
        down, across = (names[one] for one in study.dimensions)
        alt = f"Heat map of mean {first} over {down} and {across}"
        yield Picture("heatmap", alt, partial(draw_heatmap, study))
    elif rows and study.dimensions:
        alt = f"Mean {first} against the most important dimensions"
        dimensions = (list(shares) or list(study.dimensions))[:_MOST_SCATTERS]
        yield Picture("scatter", alt, partial(_draw_scatters, study, rows, dimensions))
    if rows and has_folds(study.objectives[0]):
        alt = f"{first} of every fold of the best configurations, with mean and 95 % interval"
        yield Picture("folds", alt, partial(_draw_folds, study, rows[:_MOST_ROWS]))
    if shares:
        alt = f"Share of the variance of {first} that each dimension explains"
        by_name = {names[dimension]: share for dimension, share in shares.items()}
        yield Picture("importance", alt, partial(_draw_importances, by_name, first))
    if len(study.objectives) > 1 and pareto(study):
        alt = "Pareto front of " + " and ".join(one.name for one in study.objectives)
        yield Picture("pareto", alt, partial(_draw_pareto, study))


def draw_heatmap(study: StudyResult) -> "Figure":
    """Draw the mean and its 95 % interval at every pair of values.

    A pair that was tried more than once shows its best complete trial.
    """
    from matplotlib.patches import Rectangle

    down, across = study.dimensions
    ys, xs = (list(map(value_text, levels(study, name))) for name in (down, across))
    width = len(xs) * min(1.15, max(0.76, 5.4 / len(xs)))
    height = len(ys) * min(0.75, max(0.44, 3.6 / len(ys)))
    figure, ax = new_axes(f"Mean {study.objectives[0].name} and its 95 % interval", width, height)
    ranked, values = ranked_rows(study), np.full((len(ys), len(xs)), math.nan)
    shown: set[tuple[int, int]] = set()
    rows = {row.trial.number: row for row in ranked}
    for trial in (*(row.trial for row in ranked), *unranked_trials(study)):
        y = ys.index(value_text(trial.params.get(down)))
        x = xs.index(value_text(trial.params.get(across)))
        if (y, x) in shown:
            continue
        shown.add((y, x))
        row = rows.get(trial.number)
        ax.text(x, y, _cell_text(study, trial, row), ha="center", va="center", fontsize=7)
        if row is not None:
            values[y, x] = row.mean
            if row.rank == 1:
                edge = Rectangle((x - 0.47, y - 0.47), 0.94, 0.94, fill=False, lw=2.4, ec=ORANGE)
                ax.add_patch(edge)
    defined = values[~np.isnan(values)]
    low, high = (defined.min(), defined.max()) if defined.size else (0.0, 1.0)
    span = high - low if high > low else 1.0
    # the light part of the colours, on which black is readable everywhere
    ax.imshow(values, cmap="Blues", vmin=low - 0.05 * span, vmax=high + 0.8 * span, aspect="auto")
    ax.set_facecolor("#f1f1f1")  # of a pair without a mean
    texts = [clipped(text, 22) for text in xs]
    is_wide = max(map(len, texts)) * 0.085 > width / len(xs)
    ax.set_xticks(range(len(xs)), texts, fontsize=9, rotation=90 if is_wide else 0)
    ax.set_yticks(range(len(ys)), [clipped(text, 22) for text in ys], fontsize=9)
    ax.tick_params(length=0)
    names = short_names(study.dimensions)
    ax.set(xlabel=clipped(names[across], 40), ylabel=clipped(names[down], 40))
    return figure


def _cell_text(study: StudyResult, trial: Trial, row: Row | None) -> str:
    if row is None:
        done = f"\n{len(trial.folds)}/{study.n_folds}" if trial.state == "stopped" else ""
        return trial.state + done
    if math.isnan(row.mean):
        return "undefined"
    mean = f"{row.mean:.3f}" if abs(row.mean) < 10 else f"{row.mean:.4g}"
    if math.isnan(row.interval.low):
        return mean
    return f"{mean}\n{row.interval.low:.2f} to {row.interval.high:.2f}"


def _draw_scatters(study: StudyResult, rows: Sequence[Row], dimensions: Sequence[str]) -> "Figure":
    from matplotlib.figure import Figure

    n_rows = math.ceil(len(dimensions) / 2)
    figure = Figure(figsize=(8.0, 2.7 * n_rows), dpi=DPI)
    columns = min(2, len(dimensions))
    axes = figure.subplots(n_rows, columns, squeeze=False, gridspec_kw={"hspace": 0.55})
    for ax in axes.flat[len(dimensions) :]:
        ax.set_axis_off()
    for ax, name in zip(axes.flat, dimensions, strict=False):
        xs = _scatter_axis(ax, [row.trial.params.get(name) for row in rows])
        means = [row.mean for row in rows]
        ax.scatter(xs[1:], means[1:], s=22, color=BLUE, alpha=0.55, lw=0)
        ax.scatter(xs[:1], means[:1], s=46, color=ORANGE, marker="D")
        ax.tick_params(labelsize=8)
        ax.set_xlabel(clipped(short_names(study.dimensions)[name], 40), fontsize=9)
        ax.grid(axis="y", color="#e6e6e6", linewidth=0.6)
        ax.set_axisbelow(True)
    title = f"Mean {study.objectives[0].name} by dimension, the best in orange"
    axes.flat[0].set_title(title, loc="left", fontsize=11, fontweight="bold", pad=10)
    return figure


def _scatter_axis(ax: "Axes", values: Sequence[Plain]) -> list[float]:
    """Prepare the axis of a dimension; return where its values lie."""
    if is_numeric(values):
        xs = [float(str(value)) for value in values]
        if min(xs) > 0 and max(xs) >= _LOG_FROM * min(xs):
            ax.set_xscale("log")
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")  # no powers: no formulas
        ax.xaxis.set_minor_formatter(lambda value, _: "")
        return xs
    names = list(dict.fromkeys(map(value_text, values)))
    step = math.ceil(len(names) / _MOST_TICKS)
    texts = [clipped(name, 12) for name in names[::step]]
    is_wide = sum(map(len, texts)) > 40
    ax.set_xticks(range(0, len(names), step), texts, rotation=30 if is_wide else 0)
    ax.set_xlim(-0.6, len(names) - 0.4)
    return [float(names.index(value_text(value))) for value in values]


def _draw_folds(study: StudyResult, rows: Sequence[Row]) -> "Figure":
    objective, names = study.objectives[0], configuration_names(study)
    n_complete = len(study.complete)
    more = f" (best {len(rows)} of {n_complete})" if n_complete > len(rows) else ""
    title = f"Folds of each configuration{more}"
    figure, ax = new_axes(title, 5.0, 0.34 * len(rows) + 0.3)
    for at, row in enumerate(rows):
        values = list(fold_values(row.trial, objective).values())
        spread = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(1)
        ax.scatter(values, at + spread, s=13, color=PALE, zorder=2, label="" if at else "fold")
        ax.hlines(at, row.interval.low, row.interval.high, color=BLUE, linewidth=2.2, zorder=3)
        ax.plot(row.mean, at, "D", color=BLUE, markersize=5.5, zorder=4)
    ax.plot([], [], "D-", color=BLUE, label="mean, corrected 95 % interval")
    for style, (name, scores) in zip((":", "--"), rows[0].trial.baselines.items(), strict=False):
        value = scores.get(objective.name, math.nan)
        if not math.isnan(value):
            ax.axvline(value, color=ORANGE, linestyle=style, linewidth=1.4, label=name, zorder=1)
    labels = [clipped(names[row.trial.number], 56) for row in rows]
    ax.set_yticks(range(len(rows)), labels, fontsize=8)
    ax.set(ylim=(len(rows) - 0.4, -0.6))
    ax.set_xlabel("seconds a fold" if objective.name == "seconds" else objective.name)
    ax.grid(axis="x", color="#e6e6e6", linewidth=0.6)
    below = -0.5 / figure.get_figheight()
    ax.legend(fontsize=8, ncols=4, frameon=False, loc="upper right", bbox_to_anchor=(1.01, below))
    return figure


def _draw_importances(shares: Mapping[str, float], objective: str) -> "Figure":
    figure, ax = new_axes(f"What moves {objective}", 3.4, 0.36 * len(shares) + 0.1)
    bars = ax.barh([clipped(name, 30) for name in shares], list(shares.values()), color=BLUE)
    ax.bar_label(bars, [f"{100 * share:.0f} %" for share in shares.values()], padding=3, fontsize=8)
    ax.set(ylim=(len(shares) - 0.5, -0.5), xlim=(0, 1.0), xlabel="share of variance")
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_pareto(study: StudyResult) -> "Figure":
    """Draw the first objective over the second; the front is that of all objectives."""
    up, across = study.objectives[:2]
    front = set(pareto(study))
    points = np.array([trial.values[:2] for trial in study.complete])
    inside = np.array([trial.number in front for trial in study.complete])
    figure, ax = new_axes("Trade-off of the objectives, with trial numbers", 5.2, 3.3)
    ax.scatter(points[~inside, 1], points[~inside, 0], s=22, color=GREY, alpha=0.6, label="beaten")
    ax.scatter(points[inside, 1], points[inside, 0], s=42, color=ORANGE, label="on the front")
    for trial in [one for one in study.complete if one.number in front][:_MOST_NUMBERED]:
        at = (trial.values[1], trial.values[0])
        ax.annotate(str(trial.number), at, (5, 5), textcoords="offset points", fontsize=8)
    sides = {True: "more is better", False: "less is better"}
    ax.set_xlabel(f"{across.name} ({sides[across.maximize]})", fontsize=9)
    ax.set_ylabel(f"{up.name} ({sides[up.maximize]})", fontsize=9)
    ax.grid(color="#e6e6e6", linewidth=0.6)
    ax.legend(fontsize=8)
    return figure
