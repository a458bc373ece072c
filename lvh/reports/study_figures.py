"""The figures of the page of a sweep, a run or a comparison, by plotly and Optuna."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna import visualization
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator
from plotly.graph_objects import Figure, Heatmap, Parcoords
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from lvh.evaluation.results import OutOfFold, Plain
from lvh.reports.leaderboard import (
    comparisons,
    configuration_names,
    decimals,
    fold_values,
    interval_texts,
    leaderboard,
    parameter_columns,
)
from lvh.reports.page import COLOURS, GREY, ORANGE, clipped
from lvh.search.results import StudyResult
from lvh.tracking.run_names import short_names, value_text

_MOST_LEVELS = 20  # of a dimension of a heat map, or of names in a random forest
_MOST_ROWS = 40  # configurations that the leaderboard can choose
_SHOWN_ROWS = 5  # that are chosen at first
_MOST_POINTS = 150  # of a curve
_FEWEST = 4  # different scores from which a share of variance says anything at all
_LOG_FROM = 50  # times the smallest value is the largest: a linear axis would hide the small ones
_DOTS: dict[str, Any] = {"line_color": GREY, "line_dash": "dot"}

Trace = tuple[str, dict[str, Any]]
"""The name of a figure, and what is drawn in it."""


def draw_all(study: StudyResult, commands: Mapping[int, str] | None = None) -> dict[str, Figure]:
    """Draw every figure for which the sweep has data, by name; `commands` train a trial again."""
    pairs = comparisons(study)
    board, grid = leaderboard(study, pairs), is_grid(study)
    figures = {"heatmap": _draw_heatmap(study, board, commands or {})} if grid else {}
    drawn = _draw_rows(study, board.head(_MOST_ROWS), pairs) if study.complete else {}
    return figures | drawn | _draw_search(study)


def is_grid(study: StudyResult) -> bool:
    """Return whether a heat map shows the sweep: two dimensions, few values, most pairs tried."""
    if len(study.dimensions) != 2 or any(len(trial.params) < 2 for trial in study.trials):
        return False
    sizes = [len(_levels(study, name)) for name in study.dimensions]
    tried = {tuple(trial.params.get(name) for name in study.dimensions) for trial in study.trials}
    return 0 < max(sizes) <= _MOST_LEVELS and 2 * len(tried) >= sizes[0] * sizes[1]


def _draw_heatmap(study: StudyResult, board: pd.DataFrame, commands: Mapping[int, str]) -> Figure:
    """Draw the mean and its 95 % interval at every pair of values, of the best trial there."""
    names, text = configuration_names(study), decimals(board["mean"]).replace("", "undefined")
    text = (text + "<br>" + interval_texts(board)).str.removesuffix("<br>")
    text = text.where(board["rank"].notna(), board.state)
    folds = {one.number: f"{len(one.folds)} of {study.n_folds} folds" for one in study.trials}
    hover = zip(board.trial.map(names), text, board.trial.map(folds), strict=True)
    cells = board[["mean", "trial"]].assign(text=text, hover=list(map("<br>".join, hover)))
    cells["hover"] += [f"<br>{commands.get(number, '')}" for number in board.trial]
    columns = parameter_columns(study).values()
    cells["y"], cells["x"] = (board[column].map(value_text) for column in columns)
    ys, xs = ([value_text(level) for level in _levels(study, name)] for name in study.dimensions)
    wide = cells.drop_duplicates(["y", "x"]).set_index(["y", "x"]).unstack()
    parts = {name: wide[name].reindex(index=ys, columns=xs) for name in cells.columns[:-2]}
    heatmap = Heatmap(
        z=parts["mean"].to_numpy(float),
        text=parts["text"].fillna("").to_numpy(),
        hovertext=parts["hover"].fillna("not tried").to_numpy(),
        customdata=parts["trial"].astype(object).fillna("").to_numpy(),
        texttemplate="%{text}",
        hovertemplate="%{hovertext}<extra></extra>",
        colorscale="Blues" if study.objectives[0].maximize else "Blues_r",  # the better, the darker
        xgap=2,
        ygap=2,
    )
    figure = Figure(heatmap)
    figure.update_xaxes(tickvals=list(range(len(xs))), ticktext=[clipped(x, 20) for x in xs])
    figure.update_yaxes(tickvals=list(range(len(ys))), ticktext=[clipped(y, 20) for y in ys])
    down, across = (clipped(name, 40) for name in short_names(study.dimensions).values())
    figure.update_layout(xaxis_title=across, yaxis_title=down, height=170 + 60 * len(ys))
    if study.complete:
        y, x = ys.index(cells.y[0]), xs.index(cells.x[0])
        edge = {"color": ORANGE, "width": 3}
        figure.add_shape(x0=x - 0.5, x1=x + 0.5, y0=y - 0.5, y1=y + 0.5, line=edge)
    return figure


def _draw_rows(study: StudyResult, rows: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, Figure]:
    """Draw folds, differences and curves of the best; the `meta` of a trace is its trial."""
    objective, label, names = study.objectives[0].name, study.label_name, configuration_names(study)
    titles = {
        "folds": ("seconds a fold" if objective == "seconds" else objective, None),
        "differences": (f"difference in {objective}", None),
        "roc": ("1 - specificity", "recall"),
        "precision_recall": ("recall", "precision"),
        "calibration": (f"P({label})", f"share with {label}"),
        "learning": ("epoch", "loss"),
    }
    figures = {name: Figure() for name in titles}
    for at, (trial, row) in enumerate(zip(study.complete, rows.itertuples(), strict=False)):
        name = clipped(names[trial.number], 30) + f" #{trial.number}" * bool(study.dimensions)
        look = {"meta": trial.number, "name": name, "visible": at < _SHOWN_ROWS}
        look |= dict.fromkeys(("marker_color", "line_color"), COLOURS[at % len(COLOURS)])
        values = fold_values(trial.folds, objective) if row.folds else []
        of = study.predictions.get(trial.number)
        intervals = _intervals(row, values, pairs.loc[trial.number], name)
        for key, trace in chain(intervals, _curves(of) if of else ()):
            figures[key].add_scatter(**look, **trace)
    figures = {name: figure for name, figure in figures.items() if figure.data}
    for key, figure in figures.items():
        x, y = titles[key]
        figure.update_layout(xaxis_title=x, yaxis_title=y, height=420, showlegend=y is not None)
        if y is None:
            figure.update_yaxes(autorange="reversed", type="category")
        if key in ("roc", "calibration"):
            figure.add_shape(type="line", x0=0, x1=1, y0=0, y1=1, **_DOTS)
        if key == "differences":
            figure.add_vline(0, **_DOTS)
    baselines = study.complete[0].baselines.items() if "folds" in figures else ()
    for side, (name, scores) in zip(("left", "right"), baselines, strict=False):
        if not math.isnan(value := scores.get(objective, math.nan)):
            place = {"annotation_position": f"top {side}", "annotation_yanchor": "bottom"}
            figures["folds"].add_vline(value, **_DOTS, annotation_text=name, **place)
    return figures


def _intervals(row: Any, values: list[float], pair: Any, name: str) -> Iterator[Trace]:
    """Yield a row's score in each fold, its mean, and its difference to the best."""
    if values:
        yield "folds", {"x": values, "y": [name] * len(values), "mode": "markers", "opacity": 0.5}
        yield "folds", _point(row.mean, row, name) | {"marker_symbol": "diamond", "marker_size": 10}
    if not math.isnan(pair.low):
        text = f"{pair.verdict}, p (Holm) {pair.p_holm:.3g}, P(worse) {pair.worse:.2f}"
        yield "differences", _point(pair.difference, pair, name) | {"text": text, "marker_size": 9}


def _point(middle: float, ends: Any, name: str) -> dict[str, Any]:
    bounds = {"array": [ends.high - middle], "arrayminus": [middle - ends.low], "thickness": 2}
    return {"x": [middle], "y": [name], "mode": "markers", "error_x": bounds}


def _curves(of: OutOfFold) -> Iterator[Trace]:
    """Yield each curve of a trial: the figure that it belongs to, and its points."""
    if len(np.unique(of.y_true)) == 2:
        fpr, tpr, _ = roc_curve(of.y_true, of.ranking)
        precision, recall, _ = precision_recall_curve(of.y_true, of.ranking)
        at = np.linspace(0, len(fpr) - 1, min(len(fpr), _MOST_POINTS)).astype(int)
        yield "roc", {"x": fpr[at], "y": tpr[at], "mode": "lines"}
        at = np.linspace(0, len(recall) - 1, min(len(recall), _MOST_POINTS)).astype(int)
        curve = {"x": recall[at], "y": precision[at], "mode": "lines"}
        yield "precision_recall", {**curve, "line_shape": "hv"}
    shares, means = calibration_curve(of.y_true, of.y_score, n_bins=10, strategy="quantile")
    yield "calibration", {"x": means, "y": shares}
    for dash, losses in zip(("dot", "solid"), zip(*of.losses, strict=True), strict=False):
        means = pd.DataFrame(losses).mean()
        if len(means) > 1:
            yield "learning", {"x": means.index + 1, "y": means, "mode": "lines", "line_dash": dash}


def _draw_search(study: StudyResult) -> dict[str, Figure]:
    """Draw how the search went and what the score depends on, as Optuna draws it."""
    names = [objective.name for objective in study.objectives]
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it logs each new study
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        copy = _as_optuna(study)
        if len(copy.trials) < 2 or not study.dimensions:
            return {}
        options, figures = dict[str, Any](target_name=names[0]), dict[str, Figure]()
        if len(names) > 1:
            options["target"] = lambda one: one.values[0]
            figures["pareto"] = visualization.plot_pareto_front(copy, target_names=names)
        figures["history"] = visualization.plot_optimization_history(copy, **options)
        levels = [_levels(study, name) for name in study.dimensions]
        is_small = all(len(own) <= _MOST_LEVELS or _is_numeric(own) for own in levels)
        if is_small and len({trial.values[0] for trial in copy.trials}) >= _FEWEST:
            # a tree costs the square of its leaves
            options["evaluator"] = FanovaImportanceEvaluator(n_trees=32, max_depth=8, seed=0)
            figures["importance"] = visualization.plot_param_importances(copy, **options)
            titles = {"xaxis_title": "share of the variance", "yaxis_title": None}
            figures["importance"].update_layout(**titles)
    for figure in figures.values():
        figure.update_layout(title=None, width=None)
    return {**figures, "parallel": _draw_parallel(study)}


def _draw_parallel(study: StudyResult) -> Figure:
    """Draw a line a trial; not by Optuna, whose figure leaves out conditional parameters."""
    trials = [trial for trial in study.complete if math.isfinite(trial.values[0])]
    scores = [trial.values[0] for trial in trials]
    axes: list[dict[str, Any]] = [{"label": study.objectives[0].name, "values": scores}]
    for name, short in short_names(study.dimensions).items():
        column = [trial.params.get(name) for trial in trials]
        axis: dict[str, Any] = {"label": clipped(short, 24), "values": column}
        if not _is_numeric(column):
            axis["values"], texts = pd.factorize(np.array([value_text(one) for one in column]))
            axis["tickvals"] = list(range(len(texts)))
            axis["ticktext"] = [clipped(text, 20) for text in texts]
        axes.append(axis)
    line = {"color": scores, "colorscale": "Viridis", "showscale": True}
    numbers = [trial.number for trial in trials]
    return Figure(Parcoords(dimensions=axes, line=line, customdata=numbers))


def _as_optuna(study: StudyResult) -> optuna.Study:
    """Copy the complete trials that have all their values into a study in memory."""
    copy = optuna.create_study(
        directions=["maximize" if one.maximize else "minimize" for one in study.objectives]
    )
    kinds = {name: _distribution(_levels(study, name)) for name in study.dimensions}
    for trial in study.trials:
        if trial.state == "complete" and np.isfinite(trial.values).all():
            params = {name: value for name, value in trial.params.items() if name in kinds}
            known, values = {name: kinds[name] for name in params}, list(trial.values)
            made = optuna.trial.create_trial(params=params, distributions=known, values=values)
            copy.add_trial(made)
    return copy


def _distribution(levels: list[Any]) -> BaseDistribution:
    if not levels or not _is_numeric(levels):
        return CategoricalDistribution(levels or [None])
    low, high = levels[0], levels[-1]
    return FloatDistribution(low, high, log=low > 0 and high >= _LOG_FROM * low)


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
