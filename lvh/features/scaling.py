"""Scaling of waveforms, each record and lead on its own."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from lvh.data.lazy_array import Inputs, LazyArray, Positions
from lvh.errors import InputError

Floats = npt.NDArray[np.float32]
Scaling = Literal["minmax", "none"]


def scale(signals: Inputs, scaling: Scaling, records: Sequence[str]) -> Inputs:
    """Scale signals of shape (n_records, n_samples, n_leads) along their samples.

    Args:
        signals: In mV; lazy ones are scaled when they are read.
        scaling: `minmax` maps each lead of each record to [0, 1], as the 2021 study does, and
            loses its amplitude; `none` keeps mV and removes the baseline (the median).
        records: Names, for the message.

    Raises:
        InputError: A lead is flat and so has no range.
    """
    if not isinstance(signals, LazyArray):
        return _scale_array(signals, scaling, records)

    def scale_some(values: Floats, positions: Positions) -> Floats:
        return _scale_array(values, scaling, [records[i] for i in positions])

    return signals.map(scale_some)


def _scale_array(signals: Floats, scaling: Scaling, records: Sequence[str]) -> Floats:
    if scaling == "none":
        return signals - np.median(signals, axis=1, keepdims=True)
    low = signals.min(axis=1, keepdims=True)
    span = signals.max(axis=1, keepdims=True) - low
    if not (span > 0).all():
        flat = [records[i] for i in np.unique(np.nonzero(~(span > 0))[0])]
        raise InputError(
            f"features.scaling: minmax needs a range in every lead. "
            f"Received: a flat lead in record {', '.join(flat[:5])}"
        )
    return np.asarray((signals - low) / span)
