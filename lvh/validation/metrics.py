"""Scores of predictions, intervals on them, and what no skill scores."""

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Subjects = npt.NDArray[np.str_]

THRESHOLD = 0.5
SPECIFICITY = 0.9
EPSILON = 1e-7  # Keras clips probabilities so before it takes their logarithm
NO_SKILL = "no skill"
"""Name of the baseline that knows the prevalence of the training records, and nothing else."""
RANKED = ("ap", "roc_auc", "recall_at_90")
"""Scores that depend on the order of the predictions alone."""

_ORDERS = 2000  # random orders of the records


@dataclass(frozen=True, slots=True)
class Metrics:
    """Scores of one set of predictions; NaN where a score is not defined.

    Attributes:
        accuracy: Share of correct predictions; positive is a score above the threshold.
        precision: Positive predictive value; 0 where nothing is predicted positive.
        recall: Sensitivity.
        specificity: True negative rate.
        f1: Harmonic mean of precision and recall.
        ap: Average precision from the scores: sum over thresholds of (R_n - R_n-1) P_n.
        ap_thresholded: The same from the predictions 0 and 1, as the original study has it.
        roc_auc: Area under the receiver operating characteristic.
        recall_at_90: Highest sensitivity of the thresholds with a specificity of 90 % or more on
            these very records. `recall` by a threshold chosen beforehand is mostly lower.
        brier: Mean squared difference of score and label.
        loss: Mean binary cross-entropy, in nats.
    """

    accuracy: float
    precision: float
    recall: float
    specificity: float
    f1: float
    ap: float
    ap_thresholded: float
    roc_auc: float
    recall_at_90: float
    brier: float
    loss: float


NAMES = tuple(field.name for field in fields(Metrics))


@dataclass(frozen=True, slots=True)
class Scale:
    """The ends of a score's scale, whether more is better, and whether it needs probabilities."""

    low: float = 0.0
    high: float = 1.0
    maximize: bool = True
    needs_probabilities: bool = False


SCALES = dict.fromkeys(NAMES, Scale()) | {
    "brier": Scale(maximize=False, needs_probabilities=True),
    "loss": Scale(high=math.inf, maximize=False, needs_probabilities=True),
}
"""Of each score; one from -1 to 1, or one that is better when lower, says so here."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its interval."""

    estimate: float
    low: float
    high: float


def score(y_true: Labels, y_score: Floats, threshold: float | Floats = THRESHOLD) -> Metrics:
    """Score predictions by labels 0 and 1 and probabilities of 1, shape (n,); each counts once.

    Scores above `threshold` are predicted positive: one for all, or of each, shape (n,).
    """
    ones = np.ones((1, len(y_true)))
    values = weighted_scores(y_true, y_score, ones, threshold)
    return Metrics(*(float(value[0]) for value in values))


def mean_and_std(scores: list[Metrics]) -> tuple[Metrics, Metrics]:
    """Return mean and sample standard deviation of each score over the folds that define it."""
    table = np.array([astuple(fold) for fold in scores])
    with warnings.catch_warnings(action="ignore"):  # of a score that no fold defines
        mean, std = np.nanmean(table, axis=0), np.nanstd(table, axis=0, ddof=1)
    return Metrics(*mean.tolist()), Metrics(*std.tolist())


def intervals(
    y_true: Labels,
    y_score: Floats,
    threshold: float | Floats,
    resamples: Iterable[Floats],
    level: float = 0.95,
) -> dict[str, Interval]:
    """Return percentile bootstrap intervals of every score in `NAMES`, by blocks of `resampled`."""
    tables = [weighted_scores(y_true, y_score, weights, threshold) for weights in resamples]
    tail = (1 - level) / 2
    with warnings.catch_warnings(action="ignore"):  # of a score that no resample defines
        low, high = np.nanquantile(np.concatenate(tables, axis=1), [tail, 1 - tail], axis=1)
    estimates = astuple(score(y_true, y_score, threshold))
    ends = map(Interval, estimates, low.tolist(), high.tolist())
    return dict(zip(NAMES, ends, strict=True))


def ranking(y_score: Floats, sizes: Sequence[int]) -> Floats:
    """Return scores of folds, of these sizes, as they rank together; equal ones if they do not.

    A constant score in each fold ranks nothing. Together, the constants of different folds would
    rank, and wrongly: a fold with more positives leaves fewer to train on. Of a fold with one
    record nothing can be said.
    """
    folds = np.split(y_score, np.cumsum(sizes, dtype=np.int64)[:-1])
    ranks_nothing = max(map(len, folds)) > 1 and max(map(np.ptp, folds)) == 0
    return np.zeros(len(y_score)) if ranks_nothing else y_score


def pooled_intervals(
    y_true: Labels,
    y_score: Floats,
    subjects: Subjects,
    threshold: float | Floats,
    sizes: Sequence[int],
) -> dict[str, Interval]:
    """Return the intervals of the predictions of folds, of these sizes; see `ranking`."""
    pooled = intervals(y_true, y_score, threshold, resampled(subjects))
    ranked = ranking(y_score, sizes)
    if ranked is not y_score:
        constant = intervals(y_true, ranked, THRESHOLD, resampled(subjects))
        pooled |= {name: constant[name] for name in RANKED}
    return pooled


def resampled(subjects: Subjects, resamples: int = 2000, seed: int = 0) -> Iterator[Floats]:
    """Yield how often each record counts in resamples of subjects, in blocks (n_resamples, n)."""
    distinct, member = np.unique(subjects, return_inverse=True)
    generator = np.random.default_rng(seed)
    shares = np.full(len(distinct), 1 / len(distinct))
    for n_rows in _blocks(resamples, len(member)):
        draws = generator.multinomial(len(distinct), shares, size=n_rows)
        yield draws[:, member].astype(np.float64)


def _blocks(n_rows: int, n_columns: int) -> Iterator[int]:
    """Cut the rows of a large table into blocks; yield the number of rows of each."""
    at_once = max(1, 2_000_000 // n_columns)
    for start in range(0, n_rows, at_once):
        yield min(at_once, n_rows - start)


def weighted_scores(
    y_true: Labels, y_score: Floats, weights: Floats, threshold: float | Floats = THRESHOLD
) -> list[Floats]:
    """Return each score in `NAMES`, shape (n_weightings,), under weights of (n_weightings, n)."""
    positive = weights * y_true
    negative = weights - positive
    predicted = y_score > threshold
    total, p, n = weights.sum(axis=1), positive.sum(axis=1), negative.sum(axis=1)
    tp, fp = positive[:, predicted].sum(axis=1), negative[:, predicted].sum(axis=1)
    at_thresholds = _cumulated(positive, negative, y_score)
    ap, roc_auc = _ranking(*at_thresholds)
    ap_thresholded, _ = _ranking(*_cumulated(positive, negative, predicted.astype(np.float64)))
    # with positives alone it is 1 for any scores, which is no skill
    ap, ap_thresholded = (np.where(n > 0, one, np.nan) for one in (ap, ap_thresholded))
    scores = {
        "accuracy": _ratio(tp + n - fp, total),
        "precision": np.where(tp + fp > 0, _ratio(tp, tp + fp), 0.0),
        "recall": _ratio(tp, p),
        "specificity": _ratio(n - fp, n),
        "f1": _ratio(2 * tp, p + tp + fp),
        "ap": ap,
        "ap_thresholded": ap_thresholded,
        "roc_auc": roc_auc,
        "recall_at_90": _sensitivity(*at_thresholds),
        "brier": _ratio(weights @ (y_score - y_true) ** 2, total),
        "loss": _ratio(weights @ cross_entropies(y_true, y_score), total),
    }
    return [scores[name] for name in NAMES]


def chosen_threshold(y_true: Labels, y_score: Floats) -> float:
    """Return the lowest threshold with a specificity of `SPECIFICITY`; NaN without negatives."""
    negative = y_score[y_true == 0]
    if not negative.size:
        return np.nan
    return float(np.quantile(negative, SPECIFICITY, method="inverted_cdf"))


def cross_entropies(y_true: Labels, y_score: Floats) -> Floats:
    """Return the binary cross-entropy of each score in nats, clipped as in Keras."""
    clipped = np.clip(y_score, EPSILON, 1 - EPSILON)
    return -np.where(y_true == 1, np.log(clipped), np.log1p(-clipped))


def expected_at_random(y_true: Labels) -> dict[str, float]:
    """Return the expectations of `ap`, `roc_auc` and `recall_at_90` over all orders of records.

    `ap`: Bestgen, Exact Expected Average Precision of the Random Baseline for System Evaluation,
    Prague Bulletin of Mathematical Linguistics 103, 2015. NaN with one class only.

    >>> import numpy as np
    >>> round(expected_at_random(np.array([1] * 15 + [0] * 13))["ap"], 3)
    0.586
    """
    n, p = len(y_true), int(y_true.sum())
    if p in (0, n):
        return dict.fromkeys(RANKED, np.nan)
    harmonic = float((1 / np.arange(1, n + 1)).sum())
    allowed = int((n - p) * (1 - SPECIFICITY) + 1e-6)  # negatives in front
    return {
        "ap": (harmonic + (n - harmonic) * (p - 1) / (n - 1)) / n,
        "roc_auc": 0.5,
        "recall_at_90": (allowed + 1) / (n - p + 1),
    }


def intervals_at_random(y_true: Labels, records: npt.NDArray[Any]) -> dict[str, Interval]:
    """Return the same of predictions of several folds, with the middle 95 % of random orders.

    A record has one random score in all its predictions, since models of different repeats agree.
    The ends are of 2000 orders. `y_true` and `records` have the shape (n_predictions,).
    """
    _, first, counts = np.unique(records, return_index=True, return_counts=True)
    y, n = y_true[first], len(first)
    exact = expected_at_random(y)
    if np.isnan(exact["ap"]):
        return {name: Interval(value, np.nan, np.nan) for name, value in exact.items()}
    generator, parts = np.random.default_rng(0), []
    for n_rows in _blocks(_ORDERS, n):
        orders = generator.permuted(np.tile(np.arange(n), (n_rows, 1)), axis=1)
        weights: Floats = counts[orders].astype(np.float64)
        positive = weights * y[orders]
        at_thresholds = _cumulated(positive, weights - positive, np.arange(float(n)))
        parts.append([*_ranking(*at_thresholds), _sensitivity(*at_thresholds)])
    values = np.concatenate(parts, axis=1)
    if np.ptp(counts):
        exact = dict(zip(exact, values.mean(axis=1).tolist(), strict=True))
    low, high = np.quantile(values, [0.025, 0.975], axis=1).tolist()
    return dict(zip(exact, map(Interval, exact.values(), low, high), strict=True))


def _cumulated(positive: Floats, negative: Floats, y_score: Floats) -> tuple[Floats, Floats]:
    """Return true and false positives at each threshold, which equal scores share."""
    order = np.argsort(-y_score, kind="stable")
    last = np.append(np.diff(y_score[order]) != 0, True)  # of its group of equal scores
    return positive[:, order].cumsum(axis=1)[:, last], negative[:, order].cumsum(axis=1)[:, last]


def _ranking(tp: Floats, fp: Floats) -> tuple[Floats, Floats]:
    """Return average precision and ROC AUC."""
    p, n = tp[:, -1:], fp[:, -1:]
    steps = np.diff(tp, axis=1, prepend=0)
    precision = np.divide(tp, tp + fp, out=np.zeros_like(tp), where=tp + fp > 0)
    ap = _ratio((steps * precision).sum(axis=1), p[:, 0])
    height = tp - steps / 2  # trapezoids
    widths = np.diff(fp, axis=1, prepend=0)
    return ap, _ratio((widths * height).sum(axis=1), (p * n)[:, 0])


def _sensitivity(tp: Floats, fp: Floats) -> Floats:
    """Return the sensitivity at the lowest threshold that is specific enough."""
    p, n = tp[:, -1], fp[:, -1]
    # counts of whole records: a millionth is less than any, and more than a product is wrong by
    allowed = fp <= (n * (1 - SPECIFICITY))[:, None] + 1e-6
    highest = np.where(allowed, tp, 0).max(axis=1)
    return np.where(n > 0, _ratio(highest, p), np.nan)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide; NaN where there is nothing to divide by."""
    out = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out
