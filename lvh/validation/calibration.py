"""Whether scores mean what they say: of the records scored .7, do seven in ten have the label?"""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from lvh.validation.metrics import EPSILON, Floats, Interval, Labels

_LEAST_SPREAD = 1e-6


class Recalibration(NamedTuple):
    """Intercept and slope that make scores probabilities: see `recalibration` and `line`."""

    intercept: float
    slope: float


def wilson_interval(positives: float, n: int, *, level: float = 0.95) -> Interval:
    """Return a share and its score interval; `positives` may be a mean, so not whole.

    Source: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.
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
    of the label on it, with an intercept of its own; below 1 the scores are too extreme. Sources:
    Cox, "Two Further Applications of a Model for Binary Regression", 1958; Van Calster et al.,
    "Calibration: the Achilles heel of predictive analytics", 2019.

    Labels, scores from 0 to 1 and weights, how often each counts, have the shape (n,). NaN for both
    where the labels are all the same, and for the slope where the scores of the two labels do not
    overlap: the best slope would be infinite.
    """
    y, x, counted = _counted(y_true, y_score, weights)
    positive, negative = x[y == 1], x[y == 0]
    if not (positive.size and negative.size):
        return Recalibration(np.nan, np.nan)
    once = np.ones(len(x))
    intercept = float(_logistic(once[:, None], y, counted, offset=x)[0])
    if not (negative.max() > positive.min() and positive.max() > negative.min()):
        return Recalibration(intercept, np.nan)
    return Recalibration(intercept, float(_logistic(np.column_stack([once, x]), y, counted)[1]))


def line(y_true: Labels, y_score: Floats, weights: Floats | None = None) -> Recalibration:
    """Return the logistic regression of the label on the score's logit, with Firth's penalty.

    The penalty, half the log determinant of the information, leaves an optimum where the scores
    part the labels, as resamples of few records often do. Sources: Firth, "Bias reduction of
    maximum likelihood estimates", 1993; Heinze and Schemper, "A solution to the problem of
    separation in logistic regression", 2002. Arguments are those of `recalibration`.
    """
    y, x, counted = _counted(y_true, y_score, weights)
    n, center = counted.sum(), np.average(x, weights=counted)
    spread = np.sqrt(np.average((x - center) ** 2, weights=counted))
    if spread < _LEAST_SPREAD:  # of scores that are all the same no slope can be known
        share = (counted @ y + 0.5) / (n + 1)  # what the penalty comes to without one
        return Recalibration(float(logit(share) - center), 1.0)
    X = np.column_stack([np.ones(len(x)), (x - center) / spread])  # changes nothing but rounding
    beta = _logistic(X, y, counted, firth=True)
    slope = beta[1] / spread
    return Recalibration(float(beta[0] - slope * center), float(slope))


def logit(probability: Floats) -> Floats:
    """Return log odds, of probabilities that are clipped as in the cross-entropy."""
    clipped = np.clip(probability, EPSILON, 1 - EPSILON)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def sigmoid(log_odds: Floats) -> Floats:
    """Return probabilities."""
    return np.exp(-np.logaddexp(0, -log_odds))


def _counted(y: Labels, y_score: Floats, weights: Floats | None) -> tuple[Labels, Floats, Floats]:
    """Return labels, logits and weights of the records that count."""
    counted = np.ones(len(y_score)) if weights is None else weights
    return y[counted > 0], logit(y_score)[counted > 0], counted[counted > 0]


def _logistic(
    X: Floats, y: Labels, weights: Floats, *, offset: Floats | float = 0.0, firth: bool = False
) -> Floats:
    """Fit a logistic regression whose optimum exists; `offset` is added to every logit."""
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    def loss(beta: Floats) -> tuple[float, Floats]:
        log_odds = X @ beta + offset
        p = sigmoid(log_odds)
        value = (weights * (y * log_odds - np.logaddexp(0, log_odds))).sum()
        slope = weights * (y - p)
        if firth:
            curvature = weights * p * (1 - p)
            information = X.T @ (X * curvature[:, None])
            sign, log_determinant = np.linalg.slogdet(information)
            if sign <= 0:  # too far out: all is certain there
                return np.inf, np.zeros(len(beta))
            leverage = curvature * np.einsum("ij,jk,ik->i", X, np.linalg.inv(information), X)
            value, slope = value + log_determinant / 2, slope + leverage * (0.5 - p)
        return -value, -X.T @ slope

    fit = minimize(loss, np.zeros(X.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-9})
    return np.asarray(fit.x)
