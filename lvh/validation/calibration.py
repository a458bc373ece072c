"""Whether scores mean what they say: of the records scored .7, do seven in ten have the label?

Every prediction counts as independent. The intervals of a repeated cross-validation, which scores
a record more than once, are therefore too narrow.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.validation.metrics import EPSILON, Floats, Interval, Labels, resampled

_STEPS = 100  # of Newton's method; some ten are enough
_TOLERANCE = 1e-10
_LONGEST = 5.0  # of a step, in standard deviations of the logit
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True, slots=True)
class Bin:
    """Records of about the same score: their mean, and the share with the label."""

    n_records: int
    score: float
    observed: Interval


class Recalibration(NamedTuple):
    """What makes scores probabilities: see `recalibration` and `line`."""

    intercept: float
    slope: float


def calibration_curve(
    y_true: Labels, y_score: Floats, n_bins: int = 10, *, level: float = 0.95
) -> tuple[Bin, ...]:
    """Return the share of positives by score, in bins of about equal count, in order of scores.

    Equal scores stay together, in the bin of the first of them, so that the order of the records
    decides nothing; a bin that this empties is left out.

    Args:
        y_true: Labels 0 and 1, shape (n,).
        y_score: Scores, shape (n,).
        n_bins: Largest number of bins.
        level: Coverage of the intervals.
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
        for here in (member == number for number in np.unique(member))
    )


def wilson_interval(positives: float, n: int, *, level: float = 0.95) -> Interval:
    """Return a share and its score interval, which stays inside [0, 1] and holds for small n.

    Source: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.
    `positives` need not be whole: a share may be a mean.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = positives / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    # rounding must not put the share of none, or of all, outside
    return Interval(share, float(min(middle - half, share)), float(max(middle + half, share)))


def recalibration(y_true: Labels, y_score: Floats, weights: Floats | None = None) -> Recalibration:
    """Return calibration intercept and slope, each as if the other were right; 0 and 1 are right.

    The intercept must be added to the logit of every score so that their mean is the prevalence;
    above 0 the scores are too low. The slope is the factor of the logit in the logistic regression
    of the label on it, with an intercept of its own; below 1 the scores are too extreme.

    Sources: Cox, "Two Further Applications of a Model for Binary Regression", 1958; which of the
    two intercepts is meant, Van Calster et al., "Calibration: the Achilles heel of predictive
    analytics", 2019. `weights` say how often each record counts; None for once.

    Returns:
        NaN for both where the labels are all the same, and for the slope where the scores of the
        two labels do not overlap: the best slope would be infinite.
    """
    counted = np.ones(len(y_score)) if weights is None else weights
    y_true, y_score, counted = y_true[counted > 0], y_score[counted > 0], counted[counted > 0]
    positive, negative = y_score[y_true == 1], y_score[y_true == 0]
    if not (positive.size and negative.size):
        return Recalibration(np.nan, np.nan)
    x, once = logit(y_score), np.ones(len(y_score))
    intercept = _logistic(once[:, None], y_true, counted, offset=x)[0]
    if not (negative.max() > positive.min() and positive.max() > negative.min()):
        return Recalibration(float(intercept), np.nan)
    slope = _logistic(np.column_stack([once, x]), y_true, counted)[1]
    return Recalibration(float(intercept), float(slope))


def line(y_true: Labels, y_score: Floats, weights: Floats | None = None) -> Recalibration:
    """Return the logistic regression of the label on the score's logit, with Firth's penalty.

    The logit of what is meant is `intercept` + `slope` x that of the score.

    The penalty, half the log determinant of the information, takes away the bias of few records,
    and leaves an optimum where the scores part the labels, as resamples of few records often do.
    Sources: Firth, "Bias reduction of maximum likelihood estimates", 1993; for separated data,
    Heinze and Schemper, "A solution to the problem of separation in logistic regression", 2002.

    Args:
        y_true: Labels 0 and 1, shape (n,).
        y_score: Scores from 0 to 1, clipped as in the cross-entropy, shape (n,).
        weights: How often each counts, shape (n,); None for once.
    """
    counted = np.ones(len(y_score)) if weights is None else weights
    y, x, counted = y_true[counted > 0], logit(y_score)[counted > 0], counted[counted > 0]
    n, center = counted.sum(), np.average(x, weights=counted)
    spread = np.sqrt(np.average((x - center) ** 2, weights=counted))
    if spread < _LEAST_SPREAD:  # of scores that are all the same no slope can be known
        share = (counted @ y + 0.5) / (n + 1)  # what the penalty comes to without one
        return Recalibration(float(logit(share) - center), 1.0)
    X = np.column_stack([np.ones(len(x)), (x - center) / spread])  # changes nothing but rounding
    beta = _logistic(X, y, counted, firth=True)
    slope = beta[1] / spread
    return Recalibration(float(beta[0] - slope * center), float(slope))


def bootstrap_lines(
    y_true: Labels,
    y_score: Floats,
    subjects: npt.NDArray[np.str_],
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[Recalibration, ...]:
    """Return the line of each of many resamples of subjects, whose records stay together.

    Percentiles of their probabilities are an interval, which is too narrow for few subjects.
    """
    return tuple(
        line(y_true, y_score, weights)
        for block in resampled(subjects, resamples, seed)
        for weights in block
    )


def logit(probability: Floats) -> Floats:
    """Return log odds, of probabilities that are clipped as in the cross-entropy."""
    clipped = np.clip(probability, EPSILON, 1 - EPSILON)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def sigmoid(log_odds: Floats) -> Floats:
    """Return probabilities."""
    return np.exp(-np.logaddexp(0, -log_odds))


def _logistic(
    X: Floats, y: Labels, weights: Floats, *, offset: Floats | float = 0.0, firth: bool = False
) -> Floats:
    """Fit a logistic regression by Fisher's scoring with halved steps; an optimum must exist.

    Args:
        X: Shape (n, n_columns).
        y: Labels, shape (n,).
        weights: How often each record counts, shape (n,).
        offset: Added to every logit, shape (n,).
        firth: With Firth's penalty.
    """

    def at(beta: Floats) -> tuple[float, Floats]:
        """Return the log likelihood, and the step from here."""
        log_odds = X @ beta + offset
        p = sigmoid(log_odds)
        curvature = weights * p * (1 - p)
        information = X.T @ (X * curvature[:, None])
        sign, log_determinant = np.linalg.slogdet(information)
        if sign <= 0:  # too far out: all is certain there
            return -np.inf, np.zeros(len(beta))
        value = float((weights * (y * log_odds - np.logaddexp(0, log_odds))).sum())
        slope = weights * (y - p)
        if firth:
            leverage = curvature * np.einsum("ij,jk,ik->i", X, np.linalg.inv(information), X)
            value, slope = value + log_determinant / 2, slope + leverage * (0.5 - p)
        return value, np.asarray(np.linalg.solve(information, X.T @ slope), np.float64)

    beta = np.zeros(X.shape[1])
    value, step = at(beta)
    for _ in range(_STEPS):
        step *= min(1.0, _LONGEST / max(np.abs(step).max(), _TOLERANCE))
        for _ in range(_STEPS):
            new_value, new_step = at(beta + step)
            if new_value >= value:
                break
            step = step / 2
        beta, value, last, step = beta + step, new_value, step, new_step
        if np.abs(last).max() < _TOLERANCE:
            break
    return beta
