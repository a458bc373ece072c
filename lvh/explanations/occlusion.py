"""Occlusion: how a score changes when a part of a signal no longer carries information.

A window is bridged by a straight line from the sample before it to the sample after it. This
needs no isoelectric level, follows a wandering baseline, and makes no step, which a model has never
seen; what it cannot remove is the height of a wave at the edge of a window. A whole lead becomes
its median. Source of the method: Zeiler and Fergus, ECCV 2014.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.errors import InputError
from lvh.validation.calibration import logit

Floats = npt.NDArray[np.float64]
Signals = npt.NDArray[np.float32]
Score = Callable[[Signals], Floats]
"""From inputs, shape (n, ...), to P(label = 1), shape (n,)."""
Progress = Callable[[int, int], None]
"""Called with the number of windows done, and the number of all."""

_BATCH_BYTES = 64 * 1024 * 1024


class Part(NamedTuple):
    """Samples `start` to `stop` (exclusive) of the lead in a column of a signal."""

    column: int
    start: int
    stop: int


class Windows(NamedTuple):
    """Windows that cover a signal: first samples, and first samples after them."""

    starts: npt.NDArray[np.int64]
    stops: npt.NDArray[np.int64]


def windows(n_samples: int, length: int, stride: int) -> Windows:
    """Cover a signal with windows; the first and the last reach over its ends and are cut there.

    Raises:
        InputError: Samples would be uncovered, or one window would cover the signal.
    """
    if not 1 <= stride <= length < n_samples:
        raise InputError(
            f"--window and --stride: expected 1 <= stride <= window < {n_samples} samples. "
            f"Received: window={length}, stride={stride} samples"
        )
    starts = np.arange(stride - length, n_samples, stride)
    return Windows(np.maximum(starts, 0), np.minimum(starts + length, n_samples))


def bridged(signals: Signals, parts: Iterable[Part]) -> Signals:
    """Return copies of signals, shape (..., n_samples, n_leads), whose parts are straight lines.

    At an end of the signal the line is level, at the height of its only neighbour.
    """
    copies, n_samples = signals.copy(), signals.shape[-2]
    for column, start, stop in parts:
        if start == 0 and stop == n_samples:
            copies[..., column] = np.median(signals[..., column], axis=-1, keepdims=True)
            continue
        left = signals[..., start - 1 if start > 0 else stop, column]
        right = signals[..., stop if stop < n_samples else start - 1, column]
        way = np.arange(1, stop - start + 1, dtype=np.float32) / (stop - start + 1)
        copies[..., start:stop, column] = left[..., None] + way * (right - left)[..., None]
    return copies


def occluded(
    score: Score,
    signals: Signals,
    cover: Windows,
    progress: Progress = lambda done, total: None,
) -> Floats:
    """Return by how much every window of every lead raises the log-odds of the label.

    From signals of shape (n_records, n_samples, n_leads) to log-odds of shape (n_records,
    n_windows, n_leads): those of the records as they are, less those with the window bridged.
    """
    n_records, _, n_leads = signals.shape
    original = logit(score(signals))
    parts = [
        Part(column, int(start), int(stop))
        for column in range(n_leads)
        for start, stop in zip(*cover, strict=True)
    ]
    importance: list[Floats] = []  # of a part, shape (n_records,)
    batch_size = max(1, _BATCH_BYTES // signals.nbytes)
    for first in range(0, len(parts), batch_size):
        batch = parts[first : first + batch_size]
        changed = np.concatenate([bridged(signals, [part]) for part in batch])
        importance.extend(original - logit(score(changed)).reshape(len(batch), -1))
        progress(len(importance), len(parts))
    by_lead = np.reshape(importance, (n_leads, len(cover.starts), n_records))
    return np.ascontiguousarray(by_lead.transpose(2, 1, 0))


def spread(values: Floats, cover: Windows, n_samples: int) -> Floats:
    """Give each sample the mean of its windows: from (n_records, n_windows, n_leads) values."""
    samples = np.arange(n_samples)[:, None]
    covers = ((cover.starts <= samples) & (samples < cover.stops)).astype(np.float64)
    covers /= covers.sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("sw,rwl->rsl", covers, values, optimize=True))
