"""A sweep's table: complete configurations, best first, and below them what has no rank."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from lvh.evaluation.results import Plain
from lvh.reports.study.naming import configuration, per_fold, short_names, shown
from lvh.reports.study.statistics import (
    Comparison,
    Verdict,
    compare_with_best,
    corrected_interval,
    fold_values,
    has_folds,
    share_scored,
)
from lvh.search.results import Objective, StudyResult, Trial
from lvh.validation.metrics import NAMES, Interval

_ROOM = 22  # columns that a terminal of 80 leaves for the dimensions
_TOGETHER = "configuration"
_SHOWN = 50  # rows of the table on a terminal; the files have all
_UNFINISHED = ("leaking", "stopped", "failed", "open")
_SHORT = {"cannot be told apart": "= best", "not comparable": "?"}


@dataclass(frozen=True, slots=True)
class Row:
    """One complete configuration.

    Attributes:
        rank: From 1, by the first objective.
        number: Of the trial.
        params: Its place in the space.
        values: Of the objectives.
        mean: Of the first objective over folds; its value where folds have none.
        std: Sample standard deviation over folds, NaN for fewer than two.
        interval: Corrected 95 % interval of the mean, cut at the ends of the scale.
        n_folds: In which the first objective is defined.
        accuracy: Mean over folds.
        seconds: Of all folds.
        comparison: With the best, or None.
    """

    rank: int
    number: int
    params: Mapping[str, Plain]
    values: tuple[float, ...]
    mean: float
    std: float
    interval: Interval
    n_folds: int
    accuracy: float
    seconds: float
    comparison: Comparison | None

    @property
    def verdict(self) -> Verdict:
        """What the comparison comes to."""
        return "not comparable" if self.comparison is None else self.comparison.verdict

    @property
    def mark(self) -> str:
        """The verdict, short enough for a column."""
        return _SHORT.get(self.verdict, self.verdict)


def rows(study: StudyResult) -> tuple[Row, ...]:
    """Return a row for each complete trial, best first."""
    comparisons = {one.number: one for one in compare_with_best(study)}
    return tuple(
        _row(rank, trial, study.objectives[0], comparisons.get(trial.number))
        for rank, trial in enumerate(study.complete, start=1)
    )


def unfinished(study: StudyResult) -> tuple[Trial, ...]:
    """Return what has no rank: leaking trials, then stopped, then failed, then open ones."""
    return tuple(trial for state in _UNFINISHED for trial in study.trials if trial.state == state)


def table(study: StudyResult) -> Table:
    """Make the table of a sweep, best first; below it, those without a rank."""
    made = Table(
        title=escape(title(study)),
        title_justify="left",
        caption=escape(study.note),
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    made.add_column("trial", justify="right", no_wrap=True)
    for name in _places(study):
        made.add_column(escape(name), overflow="fold", no_wrap=name != _TOGETHER)
    for column in columns(study):
        made.add_column(column, justify="right", no_wrap=True)
    ranked, rest = rows(study), unfinished(study)
    for row in ranked[:_SHOWN]:
        style = {"best": "bold", "worse": "dim"}.get(row.verdict)
        made.add_row(str(row.number), *_params(study, row), *cells(study, row), style=style)
    _add_more(made, len(ranked))
    made.add_section()
    for trial in rest[:_SHOWN]:
        style = "red" if trial.state == "failed" else "dim"
        places = {"folds": f"{len(trial.folds)}/{study.n_folds}", "verdict": trial.state}
        told = [places.get(column, "") for column in columns(study)]
        made.add_row(str(trial.number), *_params(study, trial), *told, style=style)
    _add_more(made, len(rest))
    return made


def title(study: StudyResult) -> str:
    """Return what a table of the sweep is called."""
    objective = study.objectives[0]
    over = " over folds" if has_folds(objective) else ""
    return f"{len(study.complete)} configurations by mean {objective.name}{over}"


def columns(study: StudyResult) -> list[str]:
    """Return the names of the columns that follow the swept dimensions."""
    first = per_fold(study.objectives[0])
    others = [one.name for one in study.objectives[1:]]
    kept = [name for name in ("seconds",) if name not in (first, *others)]
    return [first, "std", "95 % interval", "folds", *others, *kept, "verdict"]


def cells(study: StudyResult, row: Row) -> list[str]:
    """Return what stands in those columns for a complete configuration."""
    others = zip(study.objectives[1:], row.values[1:], strict=True)
    values = {
        "seconds": f"{row.seconds:.1f}",
        **{one.name: number(value) for one, value in others},
        per_fold(study.objectives[0]): number(row.mean),
        "std": number(row.std),
        "95 % interval": between(row.interval),
        "folds": str(row.n_folds),
        "verdict": row.mark,
    }
    return [values[column] for column in columns(study)]


def _places(study: StudyResult) -> list[str]:
    """Return a column for each dimension; one for all where they are too wide for a terminal."""
    names = short_names(study.dimensions)
    widths = [
        max([len(names[key]), *(len(shown(one.params.get(key), 4)) for one in study.trials)])
        for key in study.dimensions
    ]
    wide = sum(widths) + 2 * (len(widths) - 1) > _ROOM
    return [_TOGETHER] if wide else list(names.values())


def _params(study: StudyResult, one: Row | Trial) -> list[str]:
    """Return what stands in those columns, safe in rich's markup."""
    if len(_places(study)) < len(study.dimensions):
        trial = next(trial for trial in study.trials if trial.number == one.number)
        return [escape(configuration(study, trial))]
    return [escape(shown(one.params.get(key), 4)) for key in study.dimensions]


def number(value: float) -> str:
    """Return a score with three decimals, nothing where it is undefined."""
    return "" if math.isnan(value) else f"{value:.3f}"


def between(interval: Interval) -> str:
    """Return both ends of an interval, nothing where they are undefined."""
    return "" if math.isnan(interval.low) else f"{interval.low:.2f} to {interval.high:.2f}"


def _row(rank: int, trial: Trial, objective: Objective, comparison: Comparison | None) -> Row:
    values = np.array(list(fold_values(trial, objective).values()), dtype=np.float64)
    defined = values[~np.isnan(values)]
    interval = corrected_interval(defined, share_scored(trial.folds))
    if objective.name in NAMES and objective.name != "loss":  # no score is beyond its scale
        ends = np.clip([interval.low, interval.high], 0.0, 1.0).tolist()
        interval = Interval(interval.estimate, *ends)
    accuracy = np.array([fold.metrics.get("accuracy", math.nan) for fold in trial.folds])
    accuracy = accuracy[~np.isnan(accuracy)]
    return Row(
        rank=rank,
        number=trial.number,
        params=trial.params,
        values=trial.values,
        mean=interval.estimate if has_folds(objective) else trial.values[0],
        std=float(defined.std(ddof=1)) if defined.size > 1 else math.nan,
        interval=interval,
        n_folds=defined.size,
        accuracy=float(accuracy.mean()) if accuracy.size else math.nan,
        seconds=sum(fold.seconds for fold in trial.folds),
        comparison=comparison,
    )


def _add_more(made: Table, n_rows: int) -> None:
    if n_rows > _SHOWN:
        made.add_row("...", f"and {n_rows - _SHOWN} more", style="dim")
