"""The figures of the page of a sweep, a run or a comparison, by plotly."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lvh.evaluation.results import OutOfFold, Plain
from lvh.reports.leaderboard import (
    Row,
    configuration_names,
    fold_values,
    has_folds,
    unranked_trials,
)
from lvh.reports.page import COLOURS, GREY, ORANGE, clipped
from lvh.search.results import StudyResult
from lvh.tracking.run_names import short_names, value_text

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from plotly.graph_objects import Figure

_MOST_LEVELS = 20  # of a dimension of a heat map, or of names in a random forest
_MOST_ROWS = 40  # configurations that the leaderboard can choose
_SHOWN_ROWS = 5  # that are chosen at first
_MOST_POINTS = 150  # of a curve
_FEWEST = 4  # different scores from which a share of variance says anything at all
_LOG_FROM = 50  # times the smallest value is the largest: a linear axis would hide the small ones


def draw_all(
    study: StudyResult, rows: Sequence[Row], commands: Mapping[int, str]
) -> "dict[str, Figure]":
    """Draw every figure for which the sweep has data, by name; `commands` train a trial again."""
    figures = {"heatmap": draw_heatmap(study, rows, commands)} if is_grid(study) else {}
    return figures | _draw_rows(study, rows) | _draw_search(study)


def is_grid(study: StudyResult) -> bool:
    """Return whether a heat map shows the sweep: two dimensions, few values, most pairs tried."""
    if len(study.dimensions) != 2 or any(len(trial.params) < 2 for trial in study.trials):
        return False
    sizes = [len(_levels(study, name)) for name in study.dimensions]
    tried = {tuple(trial.params.get(name) for name in study.dimensions) for trial in study.trials}
    return 0 < max(sizes) <= _MOST_LEVELS and 2 * len(tried) >= sizes[0] * sizes[1]


def draw_heatmap(study: StudyResult, rows: Sequence[Row], commands: Mapping[int, str]) -> "Figure":
    """Draw the mean and its 95 % interval at every pair of values, of the best trial there."""
    from plotly.graph_objects import Figure, Heatmap

    names, cells = configuration_names(study), []
    ranked = {row.trial.number: row for row in rows}
    for trial in (*(row.trial for row in rows), *unranked_trials(study)):
        row, mean, text = ranked.get(trial.number), math.nan, str(trial.state)
        if row:
            mean, text = row.mean, f"{row.mean:.3f}".replace("nan", "undefined")
            if not math.isnan(row.interval.low):
                text += f"<br>{row.interval.low:.2f} to {row.interval.high:.2f}"
        place = [value_text(trial.params.get(name)) for name in study.dimensions]
        hover = [names[trial.number], text, f"{len(trial.folds)} of {study.n_folds} folds"]
        hover.append(commands.get(trial.number, ""))
        cells.append([*place, mean, text, "<br>".join(hover), trial.number])
    frame = pd.DataFrame(cells, columns=["y", "x", "mean", "text", "hover", "trial"])
    ys, xs = ([value_text(level) for level in _levels(study, name)] for name in study.dimensions)
    wide = frame.drop_duplicates(["y", "x"]).set_index(["y", "x"]).unstack()
    parts = {name: wide[name].reindex(index=ys, columns=xs) for name in frame.columns[2:]}
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
    if rows:
        y, x = ys.index(str(frame.y[0])), xs.index(str(frame.x[0]))
        edge = {"color": ORANGE, "width": 3}
        figure.add_shape(x0=x - 0.5, x1=x + 0.5, y0=y - 0.5, y1=y + 0.5, line=edge)
    return figure


def _draw_rows(study: StudyResult, rows: Sequence[Row]) -> "dict[str, Figure]":
    """Draw folds, differences and curves of the best; the `meta` of a trace is its trial."""
    from plotly.graph_objects import Figure

    objective, label = study.objectives[0].name, study.label_name
    titles = {
        "folds": ("seconds a fold" if objective == "seconds" else objective, None),
        "differences": (f"difference in {objective}", None),
        "roc": ("1 - specificity", "recall"),
        "precision_recall": ("recall", "precision"),
        "calibration": (f"P({label})", f"share with {label}"),
        "learning": ("epoch", "loss"),
    }
    figures, names = {name: Figure() for name in titles}, configuration_names(study)
    for at, row in enumerate(rows[:_MOST_ROWS]):
        number = row.trial.number
        name = clipped(names[number], 30) + (f" #{number}" if study.dimensions else "")
        look = {"meta": number, "name": name, "visible": at < _SHOWN_ROWS}
        look |= dict.fromkeys(("marker_color", "line_color"), COLOURS[at % len(COLOURS)])
        curves = _curves(study.predictions[number]) if number in study.predictions else ()
        for key, trace in (*_by_fold(study, row, name), *curves):
            figures[key].add_scatter(**look, **trace)
    figures = {name: figure for name, figure in figures.items() if figure.data}
    dots: dict[str, Any] = {"line_color": GREY, "line_dash": "dot"}
    for key, figure in figures.items():
        x, y = titles[key]
        figure.update_layout(xaxis_title=x, yaxis_title=y, height=420, showlegend=y is not None)
        if y is None:
            figure.update_yaxes(autorange="reversed", type="category")
        if key in ("roc", "calibration"):
            figure.add_shape(type="line", x0=0, x1=1, y0=0, y1=1, **dots)
        if key == "differences":
            figure.add_vline(0, **dots)
    baselines = rows[0].trial.baselines.items() if "folds" in figures else ()
    for side, (name, scores) in zip(("left", "right"), baselines, strict=False):
        if not math.isnan(value := scores.get(objective, math.nan)):
            place = {"annotation_position": f"top {side}", "annotation_yanchor": "bottom"}
            figures["folds"].add_vline(value, **dots, annotation_text=name, **place)
    return figures


def _by_fold(study: StudyResult, row: Row, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a row's score in each fold, its mean, and its difference to the best."""
    objective, pair = study.objectives[0], row.comparison
    if has_folds(objective) and not math.isnan(row.mean):
        folds = fold_values(row.trial.folds, objective)
        yield "folds", {"x": folds, "y": [name] * len(folds), "mode": "markers", "opacity": 0.5}
        bounds = _errors([row.mean], [(row.interval.low, row.interval.high)])
        mean = {"mode": "markers", "marker_symbol": "diamond", "marker_size": 10}
        yield "folds", {"x": [row.mean], "y": [name], "error_x": bounds, **mean}
    if not math.isnan(pair.low):
        bounds = _errors([pair.difference], [(pair.low, pair.high)])
        text = f"{pair.verdict}, p (Holm) {pair.p_holm:.3g}, P(worse) {pair.worse:.2f}"
        point = {"x": [pair.difference], "y": [name], "text": text, "mode": "markers"}
        yield "differences", {**point, "marker_size": 9, "error_x": bounds}


def _errors(middle: Sequence[float], bounds: Sequence[tuple[float, float]]) -> dict[str, Any]:
    low, high = np.array(bounds).T
    return {"array": high - middle, "arrayminus": middle - low, "thickness": 2}


def _curves(of: OutOfFold) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each curve of a trial: the figure that it belongs to, and its points."""
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import precision_recall_curve, roc_curve

    if len(np.unique(of.y_true)) == 2:
        fpr, tpr, _ = roc_curve(of.y_true, of.y_score)
        precision, recall, _ = precision_recall_curve(of.y_true, of.y_score)
        for key, x, y, shape in (
            ("roc", fpr, tpr, "linear"),
            ("precision_recall", recall, precision, "hv"),
        ):
            at = np.linspace(0, len(x) - 1, min(len(x), _MOST_POINTS)).astype(int)
            yield key, {"x": x[at], "y": y[at], "mode": "lines", "line_shape": shape}
    shares, means = calibration_curve(of.y_true, of.y_score, n_bins=10, strategy="quantile")
    yield "calibration", {"x": means, "y": shares}
    for dash, losses in zip(("dot", "solid"), zip(*of.losses, strict=True), strict=False):
        means = pd.DataFrame(losses).mean()
        if len(means) > 1:
            yield "learning", {"x": means.index + 1, "y": means, "mode": "lines", "line_dash": dash}


def _draw_search(study: StudyResult) -> "dict[str, Figure]":
    """Draw how the search went and what the score depends on, as Optuna draws it."""
    import optuna
    from optuna import visualization
    from optuna.importance import FanovaImportanceEvaluator

    names = [objective.name for objective in study.objectives]
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it logs each new study
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        copy = _as_optuna(study)
        if len(copy.trials) < 2 or not study.dimensions:
            return {}
        options, figures = dict[str, Any](target_name=names[0]), dict[str, Any]()
        if len(names) > 1:
            options["target"] = lambda one: one.values[0]
            figures["pareto"] = visualization.plot_pareto_front(copy, target_names=names)
        figures["history"] = visualization.plot_optimization_history(copy, **options)
        levels = [_levels(study, name) for name in study.dimensions]
        is_small = all(len(own) <= _MOST_LEVELS or _is_numeric(own) for own in levels)
        if is_small and len({trial.values[0] for trial in copy.trials}) >= _FEWEST:
            # a tree costs the square of its leaves
            options["evaluator"] = FanovaImportanceEvaluator(n_trees=32, max_depth=8, seed=0)
            bars = visualization.plot_param_importances(copy, **options)
            bars.update_layout(xaxis_title="share of the variance", yaxis_title=None)
            figures["importance"] = bars
    for figure in figures.values():
        figure.update_layout(title=None, width=None)
    return {**figures, "parallel": _draw_parallel(study)}


def _draw_parallel(study: StudyResult) -> "Figure":
    """Draw a line a trial; not by Optuna, whose figure has a trace for each."""
    from plotly.graph_objects import Figure, Parcoords

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


def _as_optuna(study: StudyResult) -> "Study":
    """Copy the complete trials that have all their values into a study in memory."""
    import optuna

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


def _distribution(levels: list[Any]) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution

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
