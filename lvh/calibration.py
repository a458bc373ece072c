"""Whether scores mean what they say: of the records scored .7, do seven in ten have the label?

Every prediction counts as independent. The intervals of a repeated cross-validation, which scores
a record more than once, are therefore too narrow.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from lvh.metrics import EPSILON, Floats, Interval, Labels

_STEPS = 100  # of Newton's method; some ten are enough
_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True)
class Bin:
    """Records of about the same score.

    Attributes:
        n_records: How many there are.
        score: Their mean score.
        observed: Share of them with the label, with its Wilson interval.
    """

    n_records: int
    score: float
    observed: Interval


@dataclass(frozen=True, slots=True)
class Recalibration:
    """What a logistic recalibration would change; NaN where it is not defined.

    Attributes:
        intercept: What must be added to the logit of every score so that their mean is the
            prevalence, the slope held at 1; above 0 the scores are too low. 0 is right.
        slope: Factor of the logit in the logistic regression of the label on it, with an
            intercept of its own; below 1 the scores are too extreme. 1 is right.
    """

    intercept: float
    slope: float


def calibration_curve(
    y_true: Labels, y_score: Floats, n_bins: int = 10, *, level: float = 0.95
) -> tuple[Bin, ...]:
    """Return the share of positives by score, in bins of about equal count.

    Args:
        y_true: Labels 0 and 1, shape (n,).
        y_score: Scores, shape (n,).
        n_bins: At most so many. Equal scores stay together, in the bin of the first of them, so
            that the order of the records decides nothing; a bin that this empties is left out.
        level: Coverage of the intervals.

    Returns:
        Bins in order of their scores.
    """
    order = np.argsort(y_score, kind="stable")
    labels, scores = y_true[order], y_score[order]
    first_equal = np.searchsorted(scores, scores, side="left")
    member = first_equal * n_bins // max(len(scores), 1)
    return tuple(
        Bin(
            n_records=int(here.sum()),
            score=float(scores[here].mean()),
            observed=wilson_interval(int(labels[here].sum()), int(here.sum()), level=level),
        )
        for here in (member == one for one in np.unique(member))
    )


def wilson_interval(positives: float, n: int, *, level: float = 0.95) -> Interval:
    """Return a share and its score interval, which stays inside [0, 1] and holds for small n.

    Source: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.

    Args:
        positives: Of them; a part of one where it is a share that was averaged.
        n: How many were counted, at least 1.
        level: Coverage.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = positives / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    # rounding must not put the share of none, or of all, outside
    return Interval(share, float(min(middle - half, share)), float(max(middle + half, share)))


def recalibration(y_true: Labels, y_score: Floats) -> Recalibration:
    """Return calibration intercept and slope.

    Sources: Cox, "Two Further Applications of a Model for Binary Regression", 1958; which of the
    two intercepts is meant, Van Calster et al., "Calibration: the Achilles heel of predictive
    analytics", 2019. Scores are clipped as in the cross-entropy, so that 0 and 1 have a logit.

    Args:
        y_true: Labels 0 and 1, shape (n,).
        y_score: Probabilities of 1, shape (n,).

    Returns:
        NaN for both where the labels are all the same, and for the slope where the scores of the
        two labels do not overlap: the best slope would be infinite.
    """
    positive, negative = y_score[y_true == 1], y_score[y_true == 0]
    if not (positive.size and negative.size):
        return Recalibration(np.nan, np.nan)
    clipped = np.clip(y_score, EPSILON, 1 - EPSILON)
    logit = np.log(clipped) - np.log1p(-clipped)
    ones = np.ones((len(logit), 1))
    intercept = _logistic(ones, y_true, offset=logit)[0]
    if not (negative.max() > positive.min() and positive.max() > negative.min()):
        return Recalibration(float(intercept), np.nan)
    slope = _logistic(np.column_stack([ones, logit]), y_true, offset=np.zeros(len(logit)))[1]
    return Recalibration(float(intercept), float(slope))


def _logistic(X: Floats, y: Labels, offset: Floats) -> Floats:
    """Fit a logistic regression without penalty, by Newton's method with halved steps.

    Args:
        X: Shape (n, n_columns); an optimum must exist.
        y: Labels, shape (n,).
        offset: Added to every logit, shape (n,).
    """
    weights = np.zeros(X.shape[1])
    loss = _negative_log_likelihood(X @ weights + offset, y)
    for _ in range(_STEPS):
        p = _sigmoid(X @ weights + offset)
        gradient = X.T @ (p - y)
        # where all scores are certain the curvature is nearly nothing, and a step far too long
        curvature = X.T @ (X * (p * (1 - p))[:, None]) + 1e-12 * np.eye(X.shape[1])
        step = np.linalg.solve(curvature, gradient)
        for _ in range(_STEPS):
            new_loss = _negative_log_likelihood(X @ (weights - step) + offset, y)
            if new_loss <= loss:
                break
            step /= 2
        weights, loss = weights - step, new_loss
        if np.abs(step).max() < _TOLERANCE:
            break
    return weights


def _negative_log_likelihood(logit: Floats, y: Labels) -> float:
    return float((np.logaddexp(0, logit) - y * logit).sum())


def _sigmoid(logit: Floats) -> Floats:
    return np.exp(-np.logaddexp(0, -logit))
