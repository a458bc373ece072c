"""What the best of several configurations would score on new subjects.

Bootstrap bias corrected cross-validation: subjects are resampled, a configuration is chosen by the
pooled out-of-fold predictions in the bag and scored by those out of the bag. Nothing is trained
again. Source: Tsamardinos, Greasidou and Borboudakis, Bootstrapping the out-of-sample predictions
for efficient and accurate cross-validation, Machine Learning 107 (2018).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lvh.validation.metrics import NAMES, Floats, Interval, resampled, weighted_scores


@dataclass(frozen=True, slots=True)
class Predictions:
    """Out-of-fold predictions of several configurations for the same rows.

    Attributes:
        y_true: Labels 0 and 1, shape (n_rows,).
        y_score: P(label = 1), shape (n_configurations, n_rows).
        threshold: A score above it is predicted positive, shape (n_configurations, n_rows).
        subject: Subject of each row, shape (n_rows,).
    """

    y_true: npt.NDArray[np.int64]
    y_score: Floats
    threshold: Floats
    subject: npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class BiasCorrected:
    """The score of the best configuration, with and without the bias of its choice.

    Attributes:
        estimate: Mean score out of the bag of what was chosen in the bag, with the 2.5 and 97.5 %
            quantiles over resamples; NaN if it was never defined.
        naive: Best pooled score of any configuration: choice and score on the same predictions.
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
    """Estimate the score of the best configuration without the bias of choosing it.

    Args:
        predictions: Of at least two subjects.
        metric: One of `lvh.validation.metrics.NAMES`.
        maximize: Whether a higher score is better.
        resamples: Of the subjects.
        seed: Of the resampling.
    """
    scores = np.concatenate(
        [
            _out_of_bag(predictions, metric, maximize, counts)
            for counts in resampled(predictions.subject, resamples, seed)
        ]
    )
    defined = scores[~np.isnan(scores)]
    estimate = Interval(np.nan, np.nan, np.nan)
    if defined.size:
        low, high = np.quantile(defined, [0.025, 0.975])
        estimate = Interval(float(defined.mean()), float(low), float(high))
    pooled = _scores(predictions, metric, np.ones((1, len(predictions.y_true))))[:, 0]
    return BiasCorrected(estimate, float(pooled[np.argmax(_ranking(pooled, maximize))]))


def _out_of_bag(predictions: Predictions, metric: str, maximize: bool, counts: Floats) -> Floats:
    """Choose a configuration in each bag and score it out of the bag, shape (n_bags,).

    Counts are how often each row is in each bag, shape (n_bags, n_rows).
    """
    in_bag = _ranking(_scores(predictions, metric, counts), maximize)
    chosen = np.where(np.isfinite(in_bag).any(axis=0), in_bag.argmax(axis=0), -1)
    out_of_bag = (counts == 0).astype(np.float64)
    scores = np.full(len(counts), np.nan)
    for position in np.unique(chosen[chosen >= 0]):
        bags = chosen == position
        scores[bags] = _score(predictions, position, metric, out_of_bag[bags])
    return scores


def _scores(predictions: Predictions, metric: str, weights: Floats) -> Floats:
    """Score every configuration under every weighting, shape (n_configurations, n_weightings)."""
    positions = range(len(predictions.y_score))
    return np.array([_score(predictions, position, metric, weights) for position in positions])


def _score(predictions: Predictions, position: int, metric: str, weights: Floats) -> Floats:
    y_score, threshold = predictions.y_score[position], predictions.threshold[position]
    return weighted_scores(predictions.y_true, y_score, weights, threshold)[NAMES.index(metric)]


def _ranking(scores: Floats, maximize: bool) -> Floats:
    """Turn scores so that more is better and an undefined one is never chosen."""
    return np.where(np.isnan(scores), -np.inf, scores if maximize else -scores)
