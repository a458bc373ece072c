"""What the best of several configurations would score on new subjects.

Bootstrap bias corrected cross-validation: a configuration is chosen by the predictions of resampled
subjects, and scored by those of the others. Source: Tsamardinos, Greasidou and Borboudakis,
Bootstrapping the out-of-sample predictions ..., Machine Learning 107 (2018).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lvh.validation.metrics import NAMES, Floats, Interval, resampled, weighted_scores


@dataclass(frozen=True, slots=True)
class Predictions:
    """Out-of-fold predictions of several configurations for the same rows.

    Labels and subjects have the shape (n_rows,), scores and thresholds (n_configurations, n_rows).
    """

    y_true: npt.NDArray[np.int64]
    y_score: Floats
    threshold: Floats
    subject: npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class BiasCorrected:
    """The score of the best configuration, with and without (`naive`) the correction.

    The estimate is the mean out of the bag of what was chosen in the bag, with the 2.5 and 97.5 %
    quantiles over resamples; NaN if it was never defined.
    """

    estimate: Interval
    naive: float


def bias_corrected(
    predictions: Predictions,
    metric: str,
    *,
    maximize: bool,
    resamples: int = 1000,
    seed: int = 0,
) -> BiasCorrected:
    """Estimate a score in `NAMES` of the best configuration, of at least two subjects."""

    def score(position: int, weights: Floats) -> Floats:
        y_score, threshold = predictions.y_score[position], predictions.threshold[position]
        return weighted_scores(predictions.y_true, y_score, weights, threshold)[NAMES.index(metric)]

    def ranking(weights: Floats) -> Floats:
        """Score all, shape (n_configurations, n_weightings), so that more is better."""
        scores = np.array(
            [score(position, weights) for position in range(len(predictions.y_score))]
        )
        return np.where(np.isnan(scores), -np.inf, scores if maximize else -scores)

    parts = []
    for counts in resampled(predictions.subject, resamples, seed):
        in_bag, scores = ranking(counts), np.full(len(counts), np.nan)
        chosen = np.where(np.isfinite(in_bag).any(axis=0), in_bag.argmax(axis=0), -1)
        for position in np.unique(chosen[chosen >= 0]):
            bags = chosen == position
            scores[bags] = score(position, (counts[bags] == 0).astype(np.float64))
        parts.append(scores[~np.isnan(scores)])
    defined = np.concatenate(parts)
    estimate = Interval(np.nan, np.nan, np.nan)
    if defined.size:
        low, high = np.quantile(defined, [0.025, 0.975])
        estimate = Interval(float(defined.mean()), float(low), float(high))
    once = np.ones((1, len(predictions.y_true)))
    return BiasCorrected(estimate, float(score(int(ranking(once)[:, 0].argmax()), once)[0]))
