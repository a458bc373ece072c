"""What fold scores can and cannot tell: intervals, tests, and comparisons with the best.

Folds share most of their training records, so that their scores are not independent and a
plain t-test finds differences that are not there. Everything here widens the variance of a
mean over folds from s^2 / n to (1 / n + n_test / n_train) s^2: Nadeau and Bengio, Inference
for the generalization error, Machine Learning 52 (2003).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from lvh.search.results import FoldScore, Objective, StudyResult, Trial
from lvh.validation.metrics import NAMES, Interval

Floats = npt.NDArray[np.float64]
Verdict = Literal["best", "worse", "cannot be told apart", "not comparable"]

ROPE = 0.01
"""Half-width of the region in which two scores are equal for every practical purpose."""
ALPHA = 0.05
_ROUNDING = 1e-12  # differences of scores of order 1 that are smaller are rounding


@dataclass(frozen=True, slots=True)
class Comparison:
    """One configuration against the best on the folds that both have.

    Attributes:
        number: Of the trial.
        difference: Its mean less that of the best, in units of the objective.
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


def share_scored(folds: Sequence[FoldScore]) -> float:
    """Return the mean over folds of records scored per record learned from; NaN without folds."""
    if not folds:
        return math.nan
    return float(np.mean([fold.n_scored / fold.n_train for fold in folds]))


def corrected_interval(
    values: Sequence[float] | Floats, test_share: float, level: float = 0.95
) -> Interval:
    """Return the mean over folds with a Student interval for dependent folds.

    Args:
        values: One a fold; undefined ones (NaN) do not count.
        test_share: Records scored per record learned from, n_test / n_train.
        level: Coverage.

    Returns:
        The mean and its bounds, which are NaN for fewer than two values.
    """
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    defined = np.asarray(values, dtype=np.float64)
    defined = defined[~np.isnan(defined)]
    if not defined.size:
        return Interval(math.nan, math.nan, math.nan)
    mean = float(defined.mean())
    if defined.size < 2:
        return Interval(mean, math.nan, math.nan)
    half = float(stdtrit(defined.size - 1, (1 + level) / 2)) * _standard_error(defined, test_share)
    return Interval(mean, mean - half, mean + half)


def corrected_t(differences: Sequence[float] | Floats, test_share: float) -> tuple[float, float]:
    """Test whether paired differences have mean 0, allowing for dependent folds.

    Without any spread there is no t. If all differences are 0 nothing speaks against equality
    (p = 1). If all are the same and not 0, t grows without bound as the spread goes to 0, and
    p is its limit, 0: that happens where a rule moves every fold by the same amount, and then
    the difference is indeed certain on these folds.

    Args:
        differences: One for each fold that both have; NaN does not count.
        test_share: Records scored per record learned from.

    Returns:
        The statistic and its two-sided p value; NaN for fewer than two differences.
    """
    from scipy.special import stdtr

    values = np.asarray(differences, dtype=np.float64)
    values = values[~np.isnan(values)]
    if values.size < 2:
        return math.nan, math.nan
    mean = float(values.mean())
    if np.ptp(values) <= _ROUNDING:
        return (0.0, 1.0) if abs(mean) <= _ROUNDING else (math.copysign(math.inf, mean), 0.0)
    t = mean / _standard_error(values, test_share)
    return t, float(2 * stdtr(values.size - 1, -abs(t)))


def correlated_bayes(
    gains: Sequence[float] | Floats, test_share: float, rope: float = ROPE
) -> tuple[float, float, float]:
    """Return the probabilities that a configuration is worse, equivalent and better.

    The posterior of the mean gain is Student's t with n - 1 degrees of freedom around the mean,
    scaled as in `corrected_t`. Sources: Corani and Benavoli, A Bayesian approach for comparing
    cross-validated algorithms on multiple data sets, Machine Learning 100 (2015); Benavoli,
    Corani, Demsar and Zaffalon, Time for a change, JMLR 18 (2017).

    Args:
        gains: Paired differences, positive where it is better; NaN does not count.
        test_share: Records scored per record learned from.
        rope: Half-width of the region of practical equivalence, in units of the gains.

    Returns:
        Three probabilities with sum 1; NaN for fewer than two gains.
    """
    from scipy.special import stdtr

    values = np.asarray(gains, dtype=np.float64)
    values = values[~np.isnan(values)]
    if values.size < 2:
        return math.nan, math.nan, math.nan
    mean = float(values.mean())
    if np.ptp(values) <= _ROUNDING:  # all of the posterior is at the mean
        return float(mean < -rope), float(abs(mean) <= rope), float(mean > rope)
    scale = _standard_error(values, test_share)
    worse = float(stdtr(values.size - 1, (-rope - mean) / scale))
    better = float(stdtr(values.size - 1, (mean - rope) / scale))
    return worse, max(0.0, 1 - worse - better), better


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for their number; NaN stays NaN and does not count.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal
    of Statistics 6 (1979).
    """
    p = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(p.shape, np.nan)
    order = np.argsort(p, kind="stable")[: np.count_nonzero(~np.isnan(p))]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * factors))
    return [float(value) for value in corrected]


def compare_with_best(study: StudyResult) -> tuple[Comparison, ...]:
    """Compare each complete trial with the best one, fold by fold.

    Returns:
        One comparison a complete trial, in their order, that of the best with itself first;
        none if the objective has no value in each fold or the best value is undefined.
    """
    objective, complete = study.objectives[0], study.complete
    if not complete or not has_folds(objective) or math.isnan(complete[0].values[0]):
        return ()
    best = complete[0]
    pairs = [_against(trial, best, objective) for trial in complete[1:]]
    # the best was chosen among all by these folds, so every pair counts, not only those with it
    pairs_each = len(complete) / 2
    corrected = holm([float(np.minimum(1.0, one.p * pairs_each)) for one in pairs])
    return _itself(best, objective), *(
        _judged(*one, objective) for one in zip(pairs, corrected, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    """A comparison before the number of comparisons is allowed for."""

    number: int
    interval: Interval
    n_folds: int
    t: float
    p: float
    probabilities: tuple[float, float, float]


def _against(trial: Trial, best: Trial, objective: Objective) -> _Pair:
    mine, of_best = fold_values(trial, objective), fold_values(best, objective)
    scored = {(fold.repeat, fold.fold): fold.scored for fold in trial.folds}
    shared = [fold for fold in best.folds if scored.get((fold.repeat, fold.fold)) == fold.scored]
    keys = [(fold.repeat, fold.fold) for fold in shared]
    differences = np.array([mine[key] - of_best[key] for key in keys], dtype=np.float64)
    differences = differences[~np.isnan(differences)]
    share = share_scored(shared)
    rope = ROPE
    if objective.name == "seconds":  # no scale of its own: a share of what the best takes
        rope *= float(np.mean(list(of_best.values())))
    sign = 1 if objective.maximize else -1
    return _Pair(
        trial.number,
        corrected_interval(differences, share),
        len(differences),
        *corrected_t(differences, share),
        correlated_bayes(sign * differences, share, rope),
    )


def _judged(pair: _Pair, p_holm: float, objective: Objective) -> Comparison:
    difference = pair.interval.estimate
    behind = difference < 0 if objective.maximize else difference > 0
    verdict: Verdict = "cannot be told apart"
    if math.isnan(p_holm):
        verdict = "not comparable"
    elif p_holm < ALPHA and behind:
        verdict = "worse"
    return Comparison(
        pair.number,
        *(difference, pair.interval.low, pair.interval.high),
        pair.n_folds,
        *(pair.t, pair.p, p_holm),
        *pair.probabilities,
        verdict=verdict,
    )


def _itself(best: Trial, objective: Objective) -> Comparison:
    n_folds = sum(not math.isnan(value) for value in fold_values(best, objective).values())
    nan = math.nan
    return Comparison(best.number, 0.0, nan, nan, n_folds, nan, nan, nan, nan, nan, nan, "best")


def _standard_error(values: Floats, test_share: float) -> float:
    return math.sqrt((1 / values.size + test_share) * float(values.var(ddof=1)))
