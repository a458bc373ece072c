"""Occlusion: how a score changes when a part of a signal carries no information any more.

A window is bridged by a straight line from the sample before it to the one behind it. That asks
for no isoelectric level, follows a wandering baseline, and makes no step, which no model has ever
seen; what it cannot take away is the height that a wave has at the edge of a window. A whole lead
becomes its own median.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.errors import InputError
from lvh.validation.metrics import EPSILON

Floats = npt.NDArray[np.float64]
Signals = npt.NDArray[np.float32]
Score = Callable[[Signals], Floats]
"""From inputs, shape (n, ...), to P(label = 1), shape (n,)."""
Watch = Callable[[int, int], None]
"""Takes how many windows are done, and of how many."""

_BATCH_BYTES = 64 * 1024 * 1024


class Part(NamedTuple):
    """A part of a signal: samples `start` to `stop`, without it, of the lead in one column."""

    column: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of equal length that cover a signal.

    Attributes:
        starts: First samples, shape (n_windows,).
        stops: First samples behind them, shape (n_windows,).
    """

    starts: npt.NDArray[np.int64]
    stops: npt.NDArray[np.int64]


def windows(n_samples: int, length: int, stride: int) -> Windows:
    """Lay windows over a signal, so that its ends are under as many of them as its middle.

    The first and the last ones reach over the ends and are cut there.

    Args:
        n_samples: Of the signal.
        length: Of a window, in samples.
        stride: From the start of one to that of the next, at most `length`.

    Raises:
        InputError: A length or stride that leaves samples uncovered, or a single window.
    """
    if not 1 <= stride <= length < n_samples:
        raise InputError(
            f"--window and --stride: expected 1 <= stride <= window < {n_samples} samples. "
            f"Received: window={length}, stride={stride} samples"
        )
    starts = np.arange(stride - length, n_samples, stride)
    return Windows(np.maximum(starts, 0), np.minimum(starts + length, n_samples))


def log_odds(p: Floats) -> Floats:
    """Return ln(p / (1 - p)), of probabilities as far from 0 and 1 as Keras clips them."""
    clipped = np.clip(p, EPSILON, 1 - EPSILON)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def bridged(signals: Signals, parts: Iterable[Part]) -> Signals:
    """Return copies of signals in which some parts are straight lines.

    At an end of the signal the line is level, at the height of its only neighbour.

    Args:
        signals: Shape (..., n_samples, n_leads).
        parts: Of the same place in each of them.
    """
    found = signals.copy()
    for part in parts:
        _bridge(found, signals, part)
    return found


def without_leads(signals: Signals, columns: Iterable[int]) -> Signals:
    """Return copies of signals, shape (..., n_samples, n_leads), with leads at their median."""
    found = signals.copy()
    for column in columns:
        found[..., column] = np.median(signals[..., column], axis=-1, keepdims=True)
    return found


def unwatched(done: int, total: int) -> None:
    """Do nothing."""


def occluded(score: Score, signals: Signals, over: Windows, watch: Watch = unwatched) -> Floats:
    """Return how much every window of every lead raises the log-odds of the label.

    Args:
        score: Takes signals, window after window: of each, those of all records.
        signals: Shape (n_records, n_samples, n_leads).
        over: Windows of their samples.
        watch: Follows it.

    Returns:
        Log-odds as the records are, less those with the window bridged, shape
        (n_records, n_windows, n_leads). Positive where a window speaks for the label.
    """
    n_records, _, n_leads = signals.shape
    whole = log_odds(score(signals))
    at_once = max(1, _BATCH_BYTES // signals.nbytes)
    places = [
        (window, Part(column, int(start), int(stop)))
        for column in range(n_leads)
        for window, (start, stop) in enumerate(zip(over.starts, over.stops, strict=True))
    ]
    found = np.empty((n_records, len(over.starts), n_leads))
    for first in range(0, len(places), at_once):
        some = places[first : first + at_once]
        changed = np.repeat(signals[None], len(some), axis=0)
        for one, (_, part) in zip(changed, some, strict=True):
            _bridge(one, signals, part)
        scores = log_odds(score(changed.reshape(-1, *signals.shape[1:])))
        for of_part, (window, part) in zip(scores.reshape(len(some), -1), some, strict=True):
            found[:, window, part.column] = whole - of_part
        watch(first + len(some), len(places))
    return found


def spread(values: Floats, over: Windows, n_samples: int) -> Floats:
    """Give each sample the mean of the windows that cover it.

    Args:
        values: Of each window, shape (n_records, n_windows, n_leads).
        over: The windows.
        n_samples: Of the signal.

    Returns:
        Shape (n_records, n_samples, n_leads).
    """
    covers = np.zeros((n_samples, len(over.starts)))
    for window, (start, stop) in enumerate(zip(over.starts, over.stops, strict=True)):
        covers[start:stop, window] = 1
    covers /= covers.sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("sw,rwl->rsl", covers, values, optimize=True))


def _bridge(into: Signals, of: Signals, part: Part) -> None:
    column, start, stop = part
    n_samples = of.shape[-2]
    if start == 0 and stop == n_samples:
        into[..., column] = np.median(of[..., column], axis=-1, keepdims=True)
        return
    left = start - 1 if start > 0 else stop
    right = stop if stop < n_samples else start - 1
    along = np.arange(1, stop - start + 1, dtype=np.float32) / (stop - start + 1)
    height, rise = of[..., left, column], of[..., right, column] - of[..., left, column]
    into[..., start:stop, column] = height[..., None] + along * rise[..., None]
