"""Missing inputs, such as those of p waves that a record does not have, and how they are filled."""

from typing import Literal

import numpy as np

from lvh.data.lazy_array import Inputs, LazyArray, read

Fill = Literal["mean", "zero"]


def fill_missing(
    fill: Fill | Literal["keep"], train: Inputs, *others: Inputs
) -> tuple[Inputs, ...]:
    """Replace missing values, from the training records alone.

    Args:
        fill: `mean`, the input's mean over the training records that have it (zero where
            none has it); `zero`; or `keep`, for a model that takes missing values.
        train: Inputs of the training records.
        *others: Inputs of records that must not influence the filling.

    Returns:
        `train` and `others` without NaN, unless these are kept; signals, which alone may be lazy,
        miss nothing.
    """
    if fill == "keep" or isinstance(train, LazyArray):
        return (train, *others)
    parts = (train, *(read(inputs) for inputs in others))
    if not any(np.isnan(part).any() for part in parts):
        return parts
    present = ~np.isnan(train)
    totals = np.where(present, train, 0).sum(axis=0, dtype=np.float64)
    means = totals / np.maximum(present.sum(axis=0), 1)
    values = (means if fill == "mean" else np.zeros_like(means)).astype(np.float32)
    return tuple(np.where(np.isnan(part), values, part) for part in parts)
