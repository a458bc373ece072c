"""A sweep's leaderboard: complete configurations, best first, each compared with the best."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lvh.evaluation.results import Plain
from lvh.search.results import FoldScore, Objective, StudyResult, Trial
from lvh.validation.comparison import (
    ROPE,
    corrected_interval,
    corrected_t,
    correlated_bayes,
    holm,
)
from lvh.validation.metrics import NAMES, Interval

Verdict = Literal["best", "worse", "not told apart", "not comparable"]

ALPHA = 0.05
_UNRANKED = ("leaking", "stopped", "failed", "open")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One configuration against the best on the folds that both have.

    Attributes:
        number: Of the trial.
        difference: Its mean minus that of the best, in units of the objective.
        low: Lower end of the corrected 95 % interval of the difference.
        high: Upper end.
        n_folds: In which both have a score.
        t: Corrected; NaN for the best itself and where fewer than two folds are shared.
        p: Two-sided.
        p_holm: The same, corrected for the number of pairs among all complete trials.
        worse: Probability that it is worse than the best by more than the region of
            practical equivalence.
        equivalent: Probability that the two differ by less.
        better: Probability that it is better by more.
        verdict: `worse` where `p_holm` is below .05.
    """

    number: int
    difference: float
    low: float
    high: float
    n_folds: int
    t: float
    p: float
    p_holm: float
    worse: float
    equivalent: float
    better: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Row:
    """One complete configuration.

    Attributes:
        rank: From 1, by the first objective.
        trial: The configuration and its folds.
        mean: Of the first objective over folds; its value where folds have none.
        std: Sample standard deviation over folds, NaN for fewer than two.
        interval: Corrected 95 % interval of the mean, cut at the ends of the scale.
        n_folds: In which the first objective is defined.
        accuracy: Mean over folds.
        seconds: Of all folds.
        comparison: With the best, or None.
    """

    rank: int
    trial: Trial
    mean: float
    std: float
    interval: Interval
    n_folds: int
    accuracy: float
    seconds: float
    comparison: Comparison | None

    @property
    def verdict(self) -> Verdict:
        """Result of the comparison."""
        return "not comparable" if self.comparison is None else self.comparison.verdict


def ranked_rows(study: StudyResult) -> tuple[Row, ...]:
    """Return a row for each complete trial, best first."""
    comparisons = {one.number: one for one in compare_with_best(study)}
    return tuple(
        _row(rank, trial, study.objectives[0], comparisons.get(trial.number))
        for rank, trial in enumerate(study.complete, start=1)
    )


def unranked_trials(study: StudyResult) -> tuple[Trial, ...]:
    """Return trials without a rank: leaking ones, then stopped, then failed, then open ones."""
    return tuple(trial for state in _UNRANKED for trial in study.trials if trial.state == state)


def compare_with_best(study: StudyResult) -> tuple[Comparison, ...]:
    """Compare each complete trial with the best one, fold by fold.

    Returns:
        One comparison for each complete trial, in their order, the best with itself first;
        none if the objective has no value in each fold or the best value is undefined.
    """
    objective, complete = study.objectives[0], study.complete
    if not complete or not has_folds(objective) or math.isnan(complete[0].values[0]):
        return ()
    best, nan = complete[0], math.nan
    n_folds = sum(not math.isnan(value) for value in fold_values(best, objective).values())
    first = Comparison(best.number, 0.0, nan, nan, n_folds, nan, nan, nan, nan, nan, nan, "best")
    others = [_compare(trial, best, objective) for trial in complete[1:]]
    # the best was chosen among all by these folds, so every pair counts, not only those with it
    pairs_each = len(complete) / 2
    corrected = holm([float(np.minimum(1.0, one.p * pairs_each)) for one in others])
    return first, *(
        _judge(one, p_holm, objective) for one, p_holm in zip(others, corrected, strict=True)
    )


def pareto(study: StudyResult) -> tuple[int, ...]:
    """Return the numbers of complete trials that no other beats in all objectives.

    A trial is beaten by one that is as good in every objective and better in some. Undefined
    values are never on the front.
    """
    signs = np.array([-1.0 if one.maximize else 1.0 for one in study.objectives])
    defined = [trial for trial in study.complete if not np.isnan(trial.values).any()]
    costs = np.array([signs * trial.values for trial in defined]).reshape(-1, len(signs))
    return tuple(
        trial.number
        for trial, cost in zip(defined, costs, strict=True)
        if not ((costs <= cost).all(axis=1) & (costs < cost).any(axis=1)).any()
    )


def has_folds(objective: Objective) -> bool:
    """Return whether each fold has a value of the objective."""
    return objective.name in NAMES or objective.name == "seconds"


def fold_values(trial: Trial, objective: Objective) -> dict[tuple[int, int], float]:
    """Return a trial's value in each fold, by repeat and fold; NaN where it is undefined."""
    return {
        (fold.repeat, fold.fold): fold.seconds
        if objective.name == "seconds"
        else fold.metrics.get(objective.name, math.nan)
        for fold in trial.folds
    }


def short_names(dimensions: Sequence[str]) -> dict[str, str]:
    """Return the last part of each name; the full name where two would be the same."""
    last = {name: name.rpartition(".")[2] for name in dimensions}
    count = Counter(last.values())
    return {name: short if count[short] == 1 else name for name, short in last.items()}


def value_text(value: Plain, digits: int = 6) -> str:
    """Return a value as a user types it in an override, a float rounded to some digits."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def configuration_names(study: StudyResult) -> dict[int, str]:
    """Return what tells each trial from the others, such as `units=8, rate=0.01`, by number.

    A dimension that has one value in all of several trials is left out.
    """
    names = short_names(study.dimensions)
    varying = [
        key
        for key in study.dimensions
        if len(study.trials) == 1
        or len({value_text(trial.params.get(key)) for trial in study.trials}) > 1
    ]
    return {
        trial.number: ", ".join(
            f"{names[key]}={value_text(trial.params.get(key), 4)}" for key in varying
        )
        or f"trial {trial.number}"
        for trial in study.trials
    }


def _row(rank: int, trial: Trial, objective: Objective, comparison: Comparison | None) -> Row:
    values = np.array(list(fold_values(trial, objective).values()), dtype=np.float64)
    defined = values[~np.isnan(values)]
    interval = corrected_interval(defined, _share_scored(trial.folds))
    if objective.name in NAMES and objective.name != "loss":  # no score is beyond its scale
        low, high = np.clip([interval.low, interval.high], 0.0, 1.0).tolist()
        interval = Interval(interval.estimate, low, high)
    accuracy = np.array([fold.metrics.get("accuracy", math.nan) for fold in trial.folds])
    accuracy = accuracy[~np.isnan(accuracy)]
    return Row(
        rank=rank,
        trial=trial,
        mean=interval.estimate if has_folds(objective) else trial.values[0],
        std=float(defined.std(ddof=1)) if defined.size > 1 else math.nan,
        interval=interval,
        n_folds=defined.size,
        accuracy=float(accuracy.mean()) if accuracy.size else math.nan,
        seconds=sum(fold.seconds for fold in trial.folds),
        comparison=comparison,
    )


def _compare(trial: Trial, best: Trial, objective: Objective) -> Comparison:
    """Compare a trial with the best, before the number of comparisons is allowed for."""
    values, best_values = fold_values(trial, objective), fold_values(best, objective)
    scored = {(fold.repeat, fold.fold): fold.scored for fold in trial.folds}
    shared = [fold for fold in best.folds if scored.get((fold.repeat, fold.fold)) == fold.scored]
    keys = [(fold.repeat, fold.fold) for fold in shared]
    differences = np.array([values[key] - best_values[key] for key in keys], dtype=np.float64)
    differences = differences[~np.isnan(differences)]
    share = _share_scored(shared)
    rope = ROPE
    if objective.name == "seconds":  # seconds have no scale: a share of what the best takes
        rope *= float(np.mean(list(best_values.values())))
    interval = corrected_interval(differences, share)
    t, p = corrected_t(differences, share)
    gains = differences if objective.maximize else -differences
    worse, equivalent, better = correlated_bayes(gains, share, rope)
    return Comparison(
        number=trial.number,
        difference=interval.estimate,
        low=interval.low,
        high=interval.high,
        n_folds=len(differences),
        t=t,
        p=p,
        p_holm=math.nan,
        worse=worse,
        equivalent=equivalent,
        better=better,
        verdict="not comparable",
    )


def _judge(comparison: Comparison, p_holm: float, objective: Objective) -> Comparison:
    if math.isnan(p_holm):
        return comparison
    behind = (comparison.difference < 0) == objective.maximize and comparison.difference != 0
    verdict: Verdict = "worse" if p_holm < ALPHA and behind else "not told apart"
    return replace(comparison, p_holm=p_holm, verdict=verdict)


def _share_scored(folds: Sequence[FoldScore]) -> float:
    """Return the mean over folds of scored records per training record; NaN without folds."""
    if not folds:
        return math.nan
    return float(np.mean([fold.n_scored / fold.n_train for fold in folds]))
