"""What scores that rank records have when the order of the records is random: no skill."""

import numpy as np
import numpy.typing as npt

from lvh.validation.metrics import SPECIFICITY, Floats, Interval, Labels, ranking_scores

NO_SKILL = "no skill"
"""Name of the baseline that knows the prevalence of the training records, and nothing else."""

_ORDERS = 2000


def expected_at_random(y_true: Labels) -> dict[str, float]:
    """Return the expectations of `ap`, `roc_auc` and `recall_at_90` over all orders of records.

    With p positives among n, and H = 1 + 1/2 + ... + 1/n, `ap` is

        (H + (n - H) (p - 1) / (n - 1)) / n

    Bestgen, Exact Expected Average Precision of the Random Baseline for System Evaluation, Prague
    Bulletin of Mathematical Linguistics 103, 2015. With k negatives allowed in front, recall_at_90
    is (k + 1) / (negatives + 1). NaN with one class only.

    >>> import numpy as np
    >>> round(expected_at_random(np.array([1] * 15 + [0] * 13))["ap"], 3)
    0.586
    """
    n, p = len(y_true), int(y_true.sum())
    if p in (0, n):
        return dict.fromkeys(("ap", "roc_auc", "recall_at_90"), np.nan)
    harmonic = float((1 / np.arange(1, n + 1)).sum())
    allowed = int((n - p) * (1 - SPECIFICITY) + 1e-6)
    return {
        "ap": (harmonic + (n - harmonic) * (p - 1) / (n - 1)) / n,
        "roc_auc": 0.5,
        "recall_at_90": (allowed + 1) / (n - p + 1),
    }


def intervals_at_random(
    y_true: Labels, records: npt.NDArray[np.generic], seed: int = 0
) -> dict[str, Interval]:
    """Return the same of predictions of several folds, with the middle 95 % of random orders.

    A record has one random score in all its predictions, since models of different repeats agree.
    The ends are of 2000 orders. `y_true` and `records` have the shape (n_predictions,).
    """
    _, first, counts = np.unique(records, return_index=True, return_counts=True)
    y, n = y_true[first], len(first)
    exact = expected_at_random(y)
    if np.isnan(exact["ap"]):
        return {name: Interval(value, np.nan, np.nan) for name, value in exact.items()}
    generator, parts = np.random.default_rng(seed), []
    at_once = max(1, 2_000_000 // n)
    for start in range(0, _ORDERS, at_once):
        rows = np.tile(np.arange(n), (min(at_once, _ORDERS - start), 1))
        orders = generator.permuted(rows, axis=1)
        weights: Floats = counts[orders].astype(np.float64)
        parts.append(np.array(ranking_scores(weights * y[orders], weights, np.arange(float(n)))))
    values = dict(zip(exact, np.concatenate(parts, axis=1), strict=True))
    if np.ptp(counts):
        exact = {name: float(own.mean()) for name, own in values.items()}
    ends = {name: np.quantile(own, [0.025, 0.975]).tolist() for name, own in values.items()}
    return {name: Interval(exact[name], *ends[name]) for name in exact}
