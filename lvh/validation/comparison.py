"""What scores of folds can and cannot show: intervals and tests for dependent folds.

Folds share most of their training records, so their scores are not independent and a plain t-test
finds differences that are not there. Intervals and tests widen the variance of a mean over folds
from s^2 / n to (1 / n + n_test / n_train) s^2: Nadeau and Bengio, Inference for the generalization
error, Machine Learning 52 (2003).

`bias_corrected` says what the best of several configurations would score on new subjects.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit  # type: ignore[import-untyped]

from lvh.validation import metrics as scoring
from lvh.validation.metrics import Floats, Interval, Labels, Subjects

ROPE = 0.01
"""Half-width of the region in which two scores are equal for every practical purpose."""
_ROUNDING = 1e-12  # differences of scores of order 1 that are smaller are rounding


def corrected_interval(
    values: Sequence[float] | Floats, test_share: float, level: float = 0.95
) -> Interval:
    """Return the mean over folds with Student's interval for dependent folds.

    `values` has one for each fold; NaN does not count, and fewer than two have NaN bounds.
    `test_share` is test records divided by training records, n_test / n_train.
    """
    defined = _defined(values)
    mean = float(defined.mean()) if defined.size else math.nan
    if defined.size < 2:
        return Interval(mean, math.nan, math.nan)
    half = float(stdtrit(defined.size - 1, (1 + level) / 2)) * _standard_error(defined, test_share)
    return Interval(mean, mean - half, mean + half)


def corrected_t(differences: Sequence[float] | Floats, test_share: float) -> tuple[float, float]:
    """Test whether paired differences have mean 0: return the statistic and its two-sided p value.

    Arguments are as in `corrected_interval`; both are NaN for fewer than two differences. If all
    differences are 0, p = 1. If all are the same and not 0, p is its limit, 0.
    """
    defined = _defined(differences)
    if defined.size < 2:
        return math.nan, math.nan
    mean = float(defined.mean())
    if np.ptp(defined) <= _ROUNDING:
        return (0.0, 1.0) if abs(mean) <= _ROUNDING else (math.copysign(math.inf, mean), 0.0)
    t = mean / _standard_error(defined, test_share)
    return t, float(2 * stdtr(defined.size - 1, -abs(t)))


def correlated_bayes(
    gains: Sequence[float] | Floats, test_share: float, rope: float = ROPE
) -> tuple[float, float, float]:
    """Return the probabilities that a configuration is worse, equivalent and better.

    `gains` are paired differences, positive where the configuration is better; `rope` is the
    half-width of the region of practical equivalence in their units. Sources: Corani and Benavoli,
    Machine Learning 100 (2015); Benavoli, Corani, Demsar and Zaffalon, JMLR 18 (2017).
    """
    defined = _defined(gains)
    if defined.size < 2:
        return math.nan, math.nan, math.nan
    mean = float(defined.mean())
    if np.ptp(defined) <= _ROUNDING:  # all of the posterior is at the mean
        return float(mean < -rope), float(abs(mean) <= rope), float(mean > rope)
    scale = _standard_error(defined, test_share)
    worse = float(stdtr(defined.size - 1, (-rope - mean) / scale))
    better = float(stdtr(defined.size - 1, (mean - rope) / scale))
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


@dataclass(frozen=True, slots=True)
class Predictions:
    """Out-of-fold predictions of several configurations for the same rows.

    Labels and subjects have the shape (n_rows,), scores and thresholds (n_configurations, n_rows).
    """

    y_true: Labels
    y_score: Floats
    threshold: Floats
    subject: Subjects


class BiasCorrected(NamedTuple):
    """The score of the best configuration, with and without (`naive`) the correction.

    The estimate is the mean out of the bag of what was chosen in the bag, with the 2.5 and 97.5 %
    quantiles over resamples; NaN if it was never defined.
    """

    estimate: Interval
    naive: float


def bias_corrected(
    predictions: Predictions, metric: str, *, maximize: bool, resamples: int = 1000, seed: int = 0
) -> BiasCorrected:
    """Estimate a score in `NAMES` of the best configuration, of at least two subjects.

    Bootstrap bias corrected cross-validation: a configuration is chosen by the predictions of
    resampled subjects, and scored by those of the others. Source: Tsamardinos, Greasidou and
    Borboudakis, Bootstrapping the out-of-sample predictions ..., Machine Learning 107 (2018).
    """
    y_true, positions = predictions.y_true, range(len(predictions.y_score))

    def score(position: int, weights: Floats) -> Floats:
        y_score, threshold = predictions.y_score[position], predictions.threshold[position]
        scores = scoring.weighted_scores(y_true, y_score, weights, threshold)
        return scores[scoring.NAMES.index(metric)]

    def ranking(weights: Floats) -> Floats:
        """Score all, shape (n_configurations, n_weightings), so that more is better."""
        scores = np.array([score(position, weights) for position in positions])
        return np.where(np.isnan(scores), -np.inf, scores if maximize else -scores)

    out_of_bag = []
    for counts in scoring.resampled(predictions.subject, resamples, seed):
        in_bag, scores = ranking(counts), np.full(len(counts), np.nan)
        chosen = np.where(np.isfinite(in_bag).any(axis=0), in_bag.argmax(axis=0), -1)
        for position in np.unique(chosen[chosen >= 0]):
            bags = chosen == position
            scores[bags] = score(position, (counts[bags] == 0).astype(np.float64))
        out_of_bag.append(scores)
    defined = _defined(np.concatenate(out_of_bag))
    values = defined if defined.size else np.array([np.nan])
    low, high = np.quantile(values, [0.025, 0.975]).tolist()
    once = np.ones((1, len(y_true)))
    (naive,) = score(int(ranking(once)[:, 0].argmax()), once).tolist()
    return BiasCorrected(Interval(float(values.mean()), low, high), naive)


def _defined(values: Sequence[float] | Floats) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    return array[~np.isnan(array)]


def _standard_error(values: Floats, test_share: float) -> float:
    return math.sqrt((1 / values.size + test_share) * float(values.var(ddof=1)))
