"""Whether scores mean what they say: of the records scored .7, do seven in ten have the label?

Every prediction counts as independent. The intervals of a repeated cross-validation, which scores
a record more than once, are therefore too narrow.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.validation.metrics import EPSILON, Floats, Interval, Labels

_STEPS = 100  # of Newton's method; some ten are enough
_TOLERANCE = 1e-10
_LONGEST = 5.0  # of a step, in standard deviations of the logit
_LEAST_SPREAD = 1e-6


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


class Line(NamedTuple):
    """A recalibration: the logit of what is meant is `intercept` + `slope` x that of the score."""

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
    x = logit(y_score)
    ones = np.ones((len(x), 1))
    intercept = _logistic(ones, y_true, offset=x)[0]
    if not (negative.max() > positive.min() and positive.max() > negative.min()):
        return Recalibration(float(intercept), np.nan)
    slope = _logistic(np.column_stack([ones, x]), y_true, offset=np.zeros(len(x)))[1]
    return Recalibration(float(intercept), float(slope))


def line(y_true: Labels, y_score: Floats, weights: Floats | None = None) -> Line:
    """Return the logistic regression of the label on the score's logit, with Firth's penalty.

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
        return Line(float(logit(share) - center), 1.0)
    X = np.column_stack([np.ones(len(x)), (x - center) / spread])  # changes nothing but rounding
    beta = np.zeros(2)
    value, step = _penalized(X, y, counted, beta)
    for _ in range(_STEPS):
        step *= min(1.0, _LONGEST / max(np.abs(step).max(), _TOLERANCE))
        for _ in range(_STEPS):
            new_value, new_step = _penalized(X, y, counted, beta + step)
            if new_value >= value:
                break
            step = step / 2
        beta, value, last, step = beta + step, new_value, step, new_step
        if np.abs(last).max() < _TOLERANCE:
            break
    slope = beta[1] / spread
    return Line(float(beta[0] - slope * center), float(slope))


def bootstrap_lines(
    y_true: Labels,
    y_score: Floats,
    subjects: npt.NDArray[np.str_],
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[Line, ...]:
    """Return the line of each of many resamples of subjects, whose records stay together.

    Percentiles of what they say are its interval, which of few subjects is too narrow: how often
    it holds the truth, a slow test of this module prints.

    Args:
        y_true: Labels 0 and 1, shape (n,).
        y_score: One score a record, shape (n,).
        subjects: Shape (n,).
        resamples: How many.
        seed: Of the resampling.
    """
    distinct, member = np.unique(subjects, return_inverse=True)
    share = np.full(len(distinct), 1 / len(distinct))
    draws = np.random.default_rng(seed).multinomial(len(distinct), share, size=resamples)
    return tuple(line(y_true, y_score, draw[member].astype(np.float64)) for draw in draws)


def logit(probability: Floats) -> Floats:
    """Return log odds, of probabilities that are clipped as in the cross-entropy."""
    clipped = np.clip(probability, EPSILON, 1 - EPSILON)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _penalized(X: Floats, y: Labels, weights: Floats, beta: Floats) -> tuple[float, Floats]:
    """Return the penalized log likelihood, and the step by which Fisher's scoring goes on."""
    p = sigmoid(X @ beta)
    curvature = weights * p * (1 - p)
    information = X.T @ (X * curvature[:, None])
    sign, log_determinant = np.linalg.slogdet(information)
    if sign <= 0:  # too far out: all is certain there
        return -np.inf, np.zeros(2)
    leverage = curvature * np.einsum("ij,jk,ik->i", X, np.linalg.inv(information), X)
    gradient = X.T @ (weights * (y - p) + leverage * (0.5 - p))
    value = float((weights * (y * (X @ beta) - np.logaddexp(0, X @ beta))).sum())
    return value + log_determinant / 2, np.linalg.solve(information, gradient)


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
        p = sigmoid(X @ weights + offset)
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


def _negative_log_likelihood(log_odds: Floats, y: Labels) -> float:
    return float((np.logaddexp(0, log_odds) - y * log_odds).sum())


def sigmoid(log_odds: Floats) -> Floats:
    """Return probabilities."""
    return np.exp(-np.logaddexp(0, -log_odds))
