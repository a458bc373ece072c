"""Shares and means with their intervals, in which a subject counts once."""

import numpy as np
import numpy.typing as npt

from lvh.validation.calibration import wilson_interval
from lvh.validation.metrics import Interval

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Subjects = npt.NDArray[np.str_]

_LEVEL = 0.95


def share_of(positive: Bools, subjects: Subjects) -> Interval:
    """Return the share of records that are positive, with Wilson's interval.

    The interval is as wide as if every subject had one record: several records of one subject
    tell little more than one. With one record each it is Wilson's own.

    Args:
        positive: Shape (n,).
        subjects: Subject of each record, shape (n,).

    Returns:
        NaN for all three where there is no record.
    """
    if not positive.size:
        return Interval(np.nan, np.nan, np.nan)
    n_subjects = len(np.unique(subjects))
    return wilson_interval(float(positive.mean()) * n_subjects, n_subjects, level=_LEVEL)


def mean_of(values: Floats, subjects: Subjects) -> Interval:
    """Return the mean over subjects of their own means, with Student's interval.

    Args:
        values: Shape (n,), NaN where there is none.
        subjects: Subject of each value, shape (n,).

    Returns:
        NaN where it is not defined: the interval of fewer than two subjects, all three of none.
    """
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    known = ~np.isnan(values)
    if not known.any():
        return Interval(np.nan, np.nan, np.nan)
    distinct, member, counts = np.unique(subjects[known], return_inverse=True, return_counts=True)
    means = np.bincount(member, values[known]) / counts
    n, mean = len(distinct), float(means.mean())
    if n < 2:
        return Interval(mean, np.nan, np.nan)
    half = float(stdtrit(n - 1, (1 + _LEVEL) / 2) * means.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half)
