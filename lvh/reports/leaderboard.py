"""A sweep's leaderboard: complete configurations, best first, each compared with the best."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lvh.search.results import FoldScore, Objective, StudyResult, Trial
from lvh.tracking.run_names import short_names, value_text
from lvh.validation import comparison as statistics
from lvh.validation.metrics import NAMES, SCALES, Interval

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Comparison:
    """One configuration against the best on the folds that both have.

    `p_holm` is min(1, p n / 2), for n complete trials of which any could be the best, corrected by
    Holm; `worse`, `equivalent` and `better` are probabilities. What cannot be compared has NaN.
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
    verdict: str = "not comparable"  # or best, worse, not told apart


@dataclass(frozen=True, slots=True)
class Row:
    """One complete configuration.

    `mean`, `std` and the corrected 95 % `interval`, cut at the ends of the scale, are of the first
    objective over the `n_folds` that define it; where folds have none, `mean` is the trial's value.
    """

    trial: Trial
    mean: float
    std: float
    interval: Interval
    n_folds: int
    comparison: Comparison


def ranked_rows(study: StudyResult) -> tuple[Row, ...]:
    """Return a row for each complete trial, best first."""
    pairs = compare_with_best(study) or [Comparison(one.number) for one in study.complete]
    return tuple(
        _row(trial, study.objectives[0], pair)
        for trial, pair in zip(study.complete, pairs, strict=True)
    )


def unranked_trials(study: StudyResult) -> tuple[Trial, ...]:
    """Return leaking, then stopped, then failed, then open trials."""
    states = ("leaking", "stopped", "failed", "open")
    return tuple(trial for state in states for trial in study.trials if trial.state == state)


def compare_with_best(study: StudyResult) -> tuple[Comparison, ...]:
    """Compare each complete trial with the best, which comes first; () if it has no such value."""
    objective, complete = study.objectives[0], study.complete
    if not complete or not has_folds(objective) or math.isnan(complete[0].values[0]):
        return ()
    best, *others = complete
    n_folds = int(np.isfinite(fold_values(best.folds, objective)).sum())
    pairs = [compare_trials(trial, best, objective) for trial in others]
    # the best was chosen among all by these folds, so every pair counts, not only those with it
    p = np.minimum(1.0, np.array([pair.p for pair in pairs]) * len(complete) / 2)
    corrected = statistics.holm(p.tolist())
    compared = [Comparison(best.number, 0.0, n_folds=n_folds, verdict="best")]
    for pair, p_holm in zip(pairs, corrected, strict=True):
        is_behind = pair.difference != 0 and (pair.difference < 0) == objective.maximize
        verdict = "worse" if p_holm < ALPHA and is_behind else "not told apart"
        verdict = pair.verdict if math.isnan(p_holm) else verdict
        compared.append(replace(pair, p_holm=p_holm, verdict=verdict))
    return tuple(compared)


def compare_trials(trial: Trial, best: Trial, objective: Objective) -> Comparison:
    """Compare a trial with the best, or with any other one, on the folds that both have."""
    own = {(fold.repeat, fold.fold, fold.test): fold for fold in trial.folds}
    shared = [fold for fold in best.folds if (fold.repeat, fold.fold, fold.test) in own]
    tried = [own[fold.repeat, fold.fold, fold.test] for fold in shared]
    differences = np.array(fold_values(tried, objective)) - fold_values(shared, objective)
    differences = differences[~np.isnan(differences)]
    share, rope = _test_share(shared), statistics.ROPE
    if objective.name == "seconds":  # seconds have no scale: a share of what the best takes
        rope *= float(np.mean(fold_values(best.folds, objective)))
    interval = statistics.corrected_interval(differences, share)
    t, p = statistics.corrected_t(differences, share)
    gains = differences if objective.maximize else -differences
    worse, equivalent, better = statistics.correlated_bayes(gains, share, rope)
    n, mean = len(differences), interval.estimate
    pair = Comparison(trial.number, mean, interval.low, interval.high, n)
    return replace(pair, t=t, p=p, worse=worse, equivalent=equivalent, better=better)


def has_folds(objective: Objective) -> bool:
    """Return whether each fold has a value of the objective."""
    return objective.name in NAMES or objective.name == "seconds"


def fold_values(folds: Sequence[FoldScore], objective: Objective) -> list[float]:
    """Return the value in each fold; NaN where it is undefined."""
    scores = [{**fold.metrics, "seconds": fold.seconds} for fold in folds]
    return [of_fold.get(objective.name, math.nan) for of_fold in scores]


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


def _row(trial: Trial, objective: Objective, pair: Comparison) -> Row:
    values = np.array(fold_values(trial.folds, objective), dtype=np.float64)
    defined = values[~np.isnan(values)]
    interval = statistics.corrected_interval(defined, _test_share(trial.folds))
    if scale := SCALES.get(objective.name):  # no score is beyond it
        low, high = np.clip([interval.low, interval.high], scale.low, scale.high).tolist()
        interval = Interval(interval.estimate, low, high)
    mean = interval.estimate if has_folds(objective) else trial.values[0]
    std = float(defined.std(ddof=1)) if defined.size > 1 else math.nan
    return Row(trial, mean, std, interval, defined.size, pair)


def _test_share(folds: Sequence[FoldScore]) -> float:
    """Return the mean over folds of test records per training record; NaN without folds."""
    return float(np.mean([fold.n_test / fold.n_train for fold in folds])) if folds else math.nan
