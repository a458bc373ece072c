"""The figures of a sweep's page, a run's and a comparison's: as plotly draws them."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from lvh.evaluation.results import OutOfFold, Plain
from lvh.reports.leaderboard import (
    Row,
    configuration_names,
    fold_values,
    has_folds,
    pareto,
    short_names,
    unranked_trials,
    value_text,
)
from lvh.reports.page import BLUE, COLOURS, GREY, ORANGE, clipped
from lvh.search.results import StudyResult, Trial
from lvh.validation.calibration import calibration_curve

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from plotly.graph_objects import Figure

_MOST_LEVELS = 20  # of a dimension of a heat map
_MOST_ROWS = 15  # configurations whose folds are drawn
_MOST_CURVES = len(COLOURS)  # configurations that have curves, of which the best are shown at first
_SHOWN_CURVES = 3
_MOST_POINTS = 250  # of a curve
_MOST_SLICES = 4
_FEWEST = 4  # trials from which a share of variance says anything at all
_LOG_FROM = 50  # times the smallest value is the largest: a linear axis would hide the small ones


def draw_all(
    study: StudyResult, rows: Sequence[Row], commands: Mapping[int, str]
) -> "dict[str, Figure]":
    """Draw every figure that the sweep has something for, by name.

    Args:
        study: Finished or not.
        rows: From `lvh.reports.leaderboard.ranked_rows`.
        commands: That train a trial again, by its number.
    """
    defined = [row for row in rows if not math.isnan(row.mean)]
    figures = {}
    if is_grid(study):
        figures["heatmap"] = draw_heatmap(study, rows, commands)
    if defined and has_folds(study.objectives[0]):
        figures["folds"] = _draw_folds(study, defined[:_MOST_ROWS])
    if any(not math.isnan(row.comparison.low) for row in rows):
        figures["differences"] = _draw_differences(study, rows[1 : _MOST_ROWS + 1])
    figures |= draw_curves(study, rows)
    if len(defined) > 1 and study.dimensions:
        figures |= _draw_search(study, [row.trial for row in defined])
    if len(study.objectives) > 1 and pareto(study):
        figures["pareto"] = _draw_pareto(study)
    return figures


def is_grid(study: StudyResult) -> bool:
    """Return whether a heat map shows the sweep: two dimensions, few values, most pairs tried."""
    if len(study.dimensions) != 2:
        return False
    sizes = [len(_levels(study, name)) for name in study.dimensions]
    tried = {tuple(one.params.get(name) for name in study.dimensions) for one in study.trials}
    return 0 < max(sizes) <= _MOST_LEVELS and 2 * len(tried) >= sizes[0] * sizes[1]


def draw_heatmap(
    study: StudyResult, rows: Sequence[Row], commands: Mapping[int, str]
) -> "Figure":
    """Draw the mean and its 95 % interval at every pair of values.

    A pair that was tried more than once shows its best complete trial.
    """
    from plotly.graph_objects import Figure, Heatmap

    down, across = study.dimensions
    ys, xs = ([value_text(one) for one in _levels(study, name)] for name in (down, across))
    means = np.full((len(ys), len(xs)), np.nan)
    texts, hovers = (np.full(means.shape, "", dtype=object) for _ in range(2))
    ranked = {row.trial.number: row for row in rows}
    names, best = configuration_names(study), None
    for trial in (*(row.trial for row in rows), *unranked_trials(study)):
        place = tuple(
            levels.index(value_text(trial.params.get(name)))
            for levels, name in ((ys, down), (xs, across))
        )
        if texts[place]:
            continue
        row = ranked.get(trial.number)
        if row is None:
            texts[place] = trial.state
        else:
            means[place] = row.mean
            texts[place] = "undefined" if math.isnan(row.mean) else f"{row.mean:.3f}"
            if not math.isnan(row.interval.low):
                texts[place] += f"<br>{row.interval.low:.2f} to {row.interval.high:.2f}"
        if row is not None and row.rank == 1:
            best = place
        lines = [names[trial.number], texts[place], f"{len(trial.folds)} of {study.n_folds} folds"]
        hovers[place] = "<br>".join(filter(None, [*lines, commands.get(trial.number)]))
    figure = Figure(
        Heatmap(
            z=means, text=texts, customdata=hovers, texttemplate="%{text}", colorscale="Blues"
        )
    )
    figure.update_traces(hovertemplate="%{customdata}<extra></extra>", xgap=2, ygap=2)
    short = short_names(study.dimensions)
    for axis, name, ticks in (("xaxis", across, xs), ("yaxis", down, ys)):
        labels = {"tickvals": list(range(len(ticks))), "ticktext": [clipped(t, 20) for t in ticks]}
        figure.update_layout({axis: {"title": clipped(short[name], 40), **labels}})
    figure.update_layout(height=160 + 60 * len(ys))
    if best is not None:
        y, x = best
        edge = {"color": ORANGE, "width": 3}
        figure.add_shape(x0=x - 0.5, x1=x + 0.5, y0=y - 0.5, y1=y + 0.5, line=edge)
    return figure


def _draw_folds(study: StudyResult, rows: Sequence[Row]) -> "Figure":
    from plotly.graph_objects import Figure, Scatter

    objective, names = study.objectives[0], _labels(study, rows)
    values = [list(fold_values(row.trial, objective).values()) for row in rows]
    means = [row.mean for row in rows]
    figure = Figure(
        [
            Scatter(
                x=[value for own in values for value in own],
                y=[name for name, own in zip(names, values, strict=True) for _ in own],
                mode="markers",
                marker={"color": BLUE, "opacity": 0.4},
                name="fold",
            ),
            Scatter(
                x=means,
                y=names,
                mode="markers",
                marker={"color": BLUE, "symbol": "diamond", "size": 10},
                name="mean, 95 % interval",
                error_x=_errors(means, [(row.interval.low, row.interval.high) for row in rows]),
            ),
        ]
    )
    for at, (name, scores) in enumerate(rows[0].trial.baselines.items()):
        value = scores.get(objective.name, math.nan)
        if not math.isnan(value):
            side = ("top left", "top right")[at % 2]
            look = {"color": ORANGE, "dash": "dot"}
            figure.add_vline(value, line=look, annotation_text=name, annotation_position=side)
    title = "seconds a fold" if objective.name == "seconds" else objective.name
    return _by_row(figure, title, len(rows))


def _draw_differences(study: StudyResult, rows: Sequence[Row]) -> "Figure":
    from plotly.graph_objects import Figure, Scatter

    figure, names = Figure(), _labels(study, rows)
    for verdict, colour in (("worse", ORANGE), ("not told apart", BLUE)):
        own = [
            (row.comparison, name)
            for row, name in zip(rows, names, strict=True)
            if row.verdict == verdict
        ]
        differences = [one.difference for one, _ in own]
        figure.add_scatter(
            x=differences,
            y=[name for _, name in own],
            mode="markers",
            marker={"color": colour, "size": 9},
            name=verdict,
            error_x=_errors(differences, [(one.low, one.high) for one, _ in own]),
            text=[f"p (Holm) {one.p_holm:.3g}, P(worse) {one.worse:.2f}" for one, _ in own],
        )
    figure.add_vline(0, line={"color": GREY, "dash": "dot"})
    figure.update_yaxes(categoryorder="array", categoryarray=names)
    return _by_row(figure, f"difference in {study.objectives[0].name} to the best", len(rows))


def _errors(middle: Sequence[float], bounds: Sequence[tuple[float, float]]) -> dict[str, Any]:
    low, high = np.array(bounds).reshape(-1, 2).T
    return {"array": high - middle, "arrayminus": middle - low, "thickness": 2}


def _labels(study: StudyResult, rows: Sequence[Row]) -> list[str]:
    return [_label(study, row.trial.number, 26) for row in rows]


def _label(study: StudyResult, number: int, length: int) -> str:
    name = clipped(configuration_names(study)[number], length)
    return f"{name} #{number}" if study.dimensions else name


def _by_row(figure: "Figure", title: str, n_rows: int) -> "Figure":
    """Give a figure one line a configuration, the best at the top."""
    figure.update_layout(height=150 + 26 * n_rows, xaxis_title=title)
    return figure.update_yaxes(autorange="reversed", type="category")


def draw_curves(study: StudyResult, rows: Sequence[Row]) -> "dict[str, Figure]":
    """Draw curves of the best configurations over all their folds; `meta` is the trial's number."""
    from plotly.graph_objects import Figure

    shown = [row.trial.number for row in rows if row.trial.number in study.predictions]
    figures: dict[str, Figure] = {}
    for at, number in enumerate(shown[:_MOST_CURVES]):
        for key, curve in _curves(study.predictions[number]):
            look = {"color": COLOURS[at], **curve.pop("line", {})}
            figures.setdefault(key, Figure()).add_scatter(
                line=look,
                name=_label(study, number, 40),
                meta=number,
                visible=at < _SHOWN_CURVES,
                **curve,
            )
    titles = {
        "roc": ("1 - specificity", "recall"),
        "precision_recall": ("recall", "precision"),
        "calibration": ("P(LVH)", "share with LVH"),
        "learning": ("epoch", "loss"),
    }
    for key, figure in figures.items():
        x, y = titles[key]
        figure.update_layout(xaxis_title=x, yaxis_title=y, height=420, showlegend=True)
        if key in ("roc", "calibration"):
            figure.add_shape(type="line", x0=0, x1=1, y0=0, y1=1, line_color=GREY, line_dash="dot")
        if key != "learning":
            figure.update_layout(xaxis_range=[-0.02, 1.02], yaxis_range=[-0.02, 1.02])
    return figures


def _curves(of: OutOfFold) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each curve of a trial: the figure that it belongs to, and its points."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    if len(np.unique(of.y_true)) == 2:
        x, y, _ = roc_curve(of.y_true, of.y_score)
        yield "roc", {"x": _thinned(x), "y": _thinned(y), "mode": "lines"}
        precision, recall, _ = precision_recall_curve(of.y_true, of.y_score)
        points = {"x": _thinned(recall), "y": _thinned(precision), "mode": "lines"}
        yield "precision_recall", {**points, "line": {"shape": "hv"}}
    bins = calibration_curve(of.y_true, of.y_score)
    shares = [one.observed.estimate for one in bins]
    errors = _errors(shares, [(one.observed.low, one.observed.high) for one in bins])
    yield "calibration", {"x": [one.score for one in bins], "y": shares, "error_y": errors}
    for words, dash, losses in zip(
        ("training", "validation"), ("dot", "solid"), zip(*of.losses, strict=True), strict=False
    ):
        if max(map(len, losses), default=0) > 1:
            epochs = range(1, max(map(len, losses)) + 1)
            means = [np.mean([own[at - 1] for own in losses if len(own) >= at]) for at in epochs]
            line = {"line": {"dash": dash}, "text": words, "hovertemplate": "%{text} %{y:.3f}"}
            yield "learning", {"x": list(epochs), "y": means, "mode": "lines", **line}


def _thinned(values: Any) -> Any:
    step = np.linspace(0, len(values) - 1, min(len(values), _MOST_POINTS))
    return values[step.astype(int)]


def _draw_pareto(study: StudyResult) -> "Figure":
    """Draw the first objective over the second; the front is that of all objectives."""
    from plotly.graph_objects import Figure, Scatter

    front, figure = set(pareto(study)), Figure()
    up, across = study.objectives[:2]
    for is_front, name, colour in ((False, "beaten", GREY), (True, "on the front", ORANGE)):
        own = [trial for trial in study.complete if (trial.number in front) == is_front]
        figure.add_trace(
            Scatter(
                x=[trial.values[1] for trial in own],
                y=[trial.values[0] for trial in own],
                text=[_label(study, trial.number, 40) for trial in own],
                mode="markers",
                marker={"color": colour, "size": 9},
                name=name,
            )
        )
    words = {True: "more is better", False: "less is better"}
    x, y = (f"{one.name} ({words[one.maximize]})" for one in (across, up))
    return figure.update_layout(xaxis_title=x, yaxis_title=y, height=420)


def _draw_search(study: StudyResult, trials: Sequence[Trial]) -> "dict[str, Figure]":
    """Draw how the search went and what the score depends on, as Optuna draws it."""
    from optuna import visualization
    from plotly.graph_objects import Bar, Figure

    given = {"target_name": study.objectives[0].name}
    shares, figures = importances(study), {}
    with _quiet():
        copy = _as_optuna(study, trials)
        figures["history"] = visualization.plot_optimization_history(copy, **given)
        figures["parallel"] = visualization.plot_parallel_coordinate(copy, **given)
        for at, dimension in enumerate((list(shares) or study.dimensions)[:_MOST_SLICES]):
            drawn = visualization.plot_slice(copy, [dimension], **given)
            figures[f"slice_{at}"] = drawn.update_traces(marker_showscale=False)
    for figure in figures.values():
        figure.update_layout(title=None, width=None)
    if shares:
        names = [short_names(study.dimensions)[name] for name in shares]
        bars = Bar(x=list(shares.values()), y=names, orientation="h", marker_color=BLUE)
        figures["importance"] = _by_row(Figure(bars), "share of variance", len(shares))
    return figures


def importances(study: StudyResult) -> dict[str, float]:
    """Return the share of the first objective's variance that each dimension explains.

    By functional analysis of variance over a random forest: Hutter, Hoos and Leyton-Brown, An
    efficient approach for assessing hyperparameter importance, ICML (2014).

    Returns:
        Shares with sum 1, most important first. Empty with fewer than four complete trials, or
        if nothing varies.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    trials = [trial for trial in study.complete if math.isfinite(trial.values[0])]
    if len(trials) < _FEWEST or len({trial.values[0] for trial in trials}) < 2:
        return {}
    # a tree costs the square of its leaves; many trials need fewer trees for the same noise
    evaluator = FanovaImportanceEvaluator(n_trees=64 if len(trials) <= 100 else 16, seed=0)
    with _quiet():
        return dict(get_param_importances(_as_optuna(study, trials), evaluator=evaluator))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Optuna, which logs each new study and warns of its experimental parts."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _as_optuna(study: StudyResult, trials: Sequence[Trial]) -> "Study":
    """Copy complete trials and their first objective into a study in memory."""
    import optuna

    copy = optuna.create_study(direction="maximize" if study.objectives[0].maximize else "minimize")
    distributions = {name: _distribution(_levels(study, name)) for name in study.dimensions}
    for trial in sorted(trials, key=lambda one: one.number):
        params = {name: one for name, one in trial.params.items() if name in distributions}
        own = {name: distributions[name] for name in params}
        created = optuna.trial.create_trial(params=params, distributions=own, value=trial.values[0])
        copy.add_trial(created)
    return copy


def _distribution(levels: list[Any]) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not _is_numeric(levels):
        return CategoricalDistribution(levels)
    low, high = levels[0], levels[-1]
    is_whole = all(isinstance(one, int) for one in levels)
    return (IntDistribution if is_whole else FloatDistribution)(
        low, high, log=low > 0 and high >= _LOG_FROM * low
    )


def _levels(study: StudyResult, dimension: str) -> list[Plain]:
    """Return the distinct values of a dimension: numbers in order, others as they were tried."""
    values = [trial.params[dimension] for trial in study.trials if dimension in trial.params]
    distinct = list({value_text(value): value for value in values}.values())
    return sorted(distinct, key=lambda one: float(str(one))) if _is_numeric(distinct) else distinct


def _is_numeric(values: Sequence[Plain]) -> bool:
    """Return whether all values are finite numbers; true and false are not."""
    return all(
        isinstance(one, (int, float)) and not isinstance(one, bool) and math.isfinite(one)
        for one in values
    )
