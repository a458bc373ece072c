"""Missing waves: inputs that need one are filled in each fold, or their records are left out.

An input of a p wave that a record does not have is NaN until `fill_missing`.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.data.lazy_array import Inputs, LazyArray, read
from lvh.errors import InputError

Malformed = Literal["drop", "fail"]
Fill = Literal["mean", "zero"]


def fill_missing(
    fill: Fill | Literal["keep"], train: Inputs, *others: Inputs
) -> tuple[Inputs, ...]:
    """Replace missing values of training and other records, from the training records alone.

    By `mean`, the input's mean over the training records that have it (zero where none has it); by
    `zero`; or `keep` them. Signals, which alone may be lazy, miss nothing.
    """
    if fill == "keep" or isinstance(train, LazyArray):
        return (train, *others)
    parts = (train, *(read(inputs) for inputs in others))
    if not any(np.isnan(part).any() for part in parts):
        return parts
    values = np.zeros(train.shape[1:], train.dtype)
    if fill == "mean":
        present = ~np.isnan(train)
        totals = np.where(present, train, 0).sum(axis=0, dtype=np.float64)
        values = (totals / np.maximum(present.sum(axis=0), 1)).astype(train.dtype)
    return tuple(np.where(np.isnan(part), values, part) for part in parts)


def incomplete_records(
    cohort: Cohort,
    leads: tuple[str, ...],
    lacking: npt.NDArray[np.bool_],
    pattern: str,
    malformed: Malformed,
) -> dict[int, str]:
    """Return the positions of the records that lack a pattern in some lead, each with the reason.

    `lacking` is of shape (n_records, n_leads). If they fail the run, raise InputError.
    """
    reasons = {
        record: f"no complete {pattern} in {' '.join(np.array(leads)[lacking[record]])}"
        for record in np.flatnonzero(lacking.any(axis=1)).tolist()
    }
    if reasons and malformed == "fail":
        listed = "; ".join(f"{cohort.records[at]}: {reason}" for at, reason in reasons.items())
        raise InputError(f"features.malformed=fail: expected none. Received: {listed}")
    return reasons
