"""A sweep's leaderboard: complete configurations, best first, each compared with the best."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lvh.search.results import FoldScore, Objective, StudyResult, Trial
from lvh.tracking.run_names import short_names, value_text
from lvh.validation import comparison as statistics
from lvh.validation.metrics import NAMES, SCALES, Interval

Verdict = Literal["best", "worse", "not told apart", "not comparable"]

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Comparison:
    """One configuration against the best on the folds that both have.

    `t` and `p` are corrected for shared training records, `p_holm` is min(1, p n / 2), for n
    complete trials of which any could be the best, then corrected by Holm over the n - 1 others;
    `worse`, `equivalent` and `better` are probabilities, for a region of practical equivalence.
    `verdict` is `worse` where `p_holm` is below .05. The best itself, and a
    trial that shares fewer than two folds with it, has NaN.
    """

    number: int
    difference: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n_folds: int = 0
    t: float = math.nan
    p: float = math.nan
    p_holm: float = math.nan
    worse: float = math.nan
    equivalent: float = math.nan
    better: float = math.nan
    verdict: Verdict = "not comparable"


@dataclass(frozen=True, slots=True)
class Row:
    """One complete configuration.

    `mean`, `std` and the corrected 95 % `interval`, cut at the ends of the scale, are of the first
    objective over the `n_folds` that define it; where folds have none, `mean` is the trial's value.
    `seconds` is the sum over folds.
    """

    rank: int
    trial: Trial
    mean: float
    std: float
    interval: Interval
    n_folds: int
    accuracy: float
    seconds: float
    comparison: Comparison
    verdict: str


def ranked_rows(study: StudyResult) -> tuple[Row, ...]:
    """Return a row for each complete trial, best first."""
    pairs = compare_with_best(study) or [Comparison(one.number) for one in study.complete]
    return tuple(
        _row(rank, trial, study.objectives[0], pair)
        for rank, (trial, pair) in enumerate(zip(study.complete, pairs, strict=True), start=1)
    )


def unranked_trials(study: StudyResult) -> tuple[Trial, ...]:
    """Return trials without a rank: leaking ones, then stopped, then failed, then open ones."""
    states = ("leaking", "stopped", "failed", "open")
    return tuple(trial for state in states for trial in study.trials if trial.state == state)


def compare_with_best(study: StudyResult) -> tuple[Comparison, ...]:
    """Compare each complete trial with the best one, which comes first, fold by fold.

    There is none if the objective has no value in each fold or the best value is undefined.
    """
    objective, complete = study.objectives[0], study.complete
    if not complete or not has_folds(objective) or math.isnan(complete[0].values[0]):
        return ()
    best, *others = complete
    n_folds = int(np.isfinite(list(fold_values(best, objective).values())).sum())
    pairs = [compare_trials(trial, best, objective) for trial in others]
    # the best was chosen among all by these folds, so every pair counts, not only those with it
    n_pairs_each = len(complete) / 2
    corrected = statistics.holm([float(np.minimum(1.0, pair.p * n_pairs_each)) for pair in pairs])
    compared = [Comparison(best.number, 0.0, n_folds=n_folds, verdict="best")]
    for pair, p_holm in zip(pairs, corrected, strict=True):
        is_behind = pair.difference != 0 and (pair.difference < 0) == objective.maximize
        verdict: Verdict = "worse" if p_holm < ALPHA and is_behind else "not told apart"
        if math.isnan(p_holm):
            verdict = "not comparable"
        compared.append(replace(pair, p_holm=p_holm, verdict=verdict))
    return tuple(compared)


def compare_trials(trial: Trial, best: Trial, objective: Objective) -> Comparison:
    """Compare a trial with the best, or with any other one, on the folds that both have."""
    values, best_values = fold_values(trial, objective), fold_values(best, objective)
    tested = {(fold.repeat, fold.fold): fold.test for fold in trial.folds}
    shared = [fold for fold in best.folds if tested.get((fold.repeat, fold.fold)) == fold.test]
    keys = [(fold.repeat, fold.fold) for fold in shared]
    differences = np.array([values[key] - best_values[key] for key in keys], dtype=np.float64)
    differences = differences[~np.isnan(differences)]
    share, rope = _test_share(shared), statistics.ROPE
    if objective.name == "seconds":  # seconds have no scale: a share of what the best takes
        rope *= float(np.mean(list(best_values.values())))
    interval = statistics.corrected_interval(differences, share)
    t, p = statistics.corrected_t(differences, share)
    gains = differences if objective.maximize else -differences
    worse, equivalent, better = statistics.correlated_bayes(gains, share, rope)
    pair = Comparison(
        trial.number, interval.estimate, interval.low, interval.high, len(differences)
    )
    return replace(pair, t=t, p=p, worse=worse, equivalent=equivalent, better=better)


def has_folds(objective: Objective) -> bool:
    """Return whether each fold has a value of the objective."""
    return objective.name in NAMES or objective.name == "seconds"


def fold_values(trial: Trial, objective: Objective) -> dict[tuple[int, int], float]:
    """Return a trial's value in each fold, by repeat and fold; NaN where it is undefined."""
    return {
        (fold.repeat, fold.fold): {**fold.metrics, "seconds": fold.seconds}.get(
            objective.name, math.nan
        )
        for fold in trial.folds
    }


def configuration_names(study: StudyResult) -> dict[int, str]:
    """Return the values that only one trial has, such as `units=8, rate=0.01`, by number."""
    names = short_names(study.dimensions)
    return {
        trial.number: ", ".join(
            f"{names[key]}={value_text(trial.params[key], 4)}"
            for key in study.dimensions
            if key in trial.params
        )
        or (study.title if len(study.trials) == 1 else f"trial {trial.number}")
        for trial in study.trials
    }


def _row(rank: int, trial: Trial, objective: Objective, pair: Comparison) -> Row:
    values = np.array(list(fold_values(trial, objective).values()), dtype=np.float64)
    defined = values[~np.isnan(values)]
    interval = statistics.corrected_interval(defined, _test_share(trial.folds))
    if scale := SCALES.get(objective.name):  # no score is beyond it
        low, high = np.clip([interval.low, interval.high], scale.low, scale.high).tolist()
        interval = Interval(interval.estimate, low, high)
    accuracy = [fold.metrics.get("accuracy", math.nan) for fold in trial.folds]
    return Row(
        rank=rank,
        trial=trial,
        mean=interval.estimate if has_folds(objective) else trial.values[0],
        std=float(defined.std(ddof=1)) if defined.size > 1 else math.nan,
        interval=interval,
        n_folds=defined.size,
        accuracy=float(np.mean(accuracy)) if accuracy else math.nan,
        seconds=sum(fold.seconds for fold in trial.folds),
        comparison=pair,
        verdict=pair.verdict,
    )


def _test_share(folds: Sequence[FoldScore]) -> float:
    """Return the mean over folds of test records per training record; NaN without folds."""
    return float(np.mean([fold.n_test / fold.n_train for fold in folds])) if folds else math.nan
