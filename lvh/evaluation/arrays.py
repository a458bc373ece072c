"""Scores of predictions that a user has in any form: checked, then those of a run."""

from typing import Any

import numpy as np

from lvh.data.array_checks import checked_labels, checked_values, refusal
from lvh.validation import metrics
from lvh.validation.bounds import checked_seed
from lvh.validation.metrics import THRESHOLD, Floats, Interval, Labels, Metrics


def score(y_true: Any, y_score: Any, threshold: float | Floats = THRESHOLD) -> Metrics:
    """Score predictions by labels 0 and 1 and probabilities of 1, shape (n,); each counts once.

    Scores above `threshold` are predicted positive: one for all, or of each, shape (n,). Raises
    InputError for other labels, scores that are not finite, or different numbers of them.

    >>> import numpy as np
    >>> metrics = lvh.score(np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9]))
    >>> round(metrics.ap, 3), metrics.recall
    (0.833, 0.5)
    """
    labels, scores = _checked(y_true, y_score)
    return metrics.score(labels, scores, threshold)


def bootstrap_intervals(
    y_true: Any,
    y_score: Any,
    subjects: Any,
    threshold: float | Floats = THRESHOLD,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return percentile bootstrap intervals of every score in `NAMES`, resampling subjects.

    Labels, scores and the subject of each prediction have the shape (n,). `threshold` is as in
    `score`; it is not chosen again in a resample. `level` is the coverage. Resamples in which a
    score is not defined do not count in it. Raises InputError as `score` does.

    >>> import numpy as np
    >>> y_true, y_score = np.tile([0, 1], 50), np.linspace(0, 1, 100)
    >>> subjects = np.arange(100).astype(str)
    >>> roc_auc = lvh.bootstrap_intervals(y_true, y_score, subjects)["roc_auc"]
    >>> roc_auc.low < roc_auc.estimate < roc_auc.high
    True
    """
    labels, scores = _checked(y_true, y_score)
    of = checked_values("subjects", subjects, len(labels))
    if (of != of).any() or not (0 < level < 1 and resamples > 0):
        expected = "none missing, a share between 0 and 1, and 1 or more"
        raise refusal("subjects, level and resamples", expected, (of, level, resamples))
    blocks = metrics.resampled(of, resamples, checked_seed(seed))
    return metrics.intervals(labels, scores, threshold, blocks, level)


def _checked(y_true: Any, y_score: Any) -> tuple[Labels, Floats]:
    labels = checked_labels(y_true, np.size(y_true), "y_true")
    scores = checked_values("y_score", y_score, len(labels), np.float64)
    if not (len(labels) and np.isfinite(scores).all()):
        raise refusal("y_score", "finite scores, one or more", scores)
    return labels, scores
