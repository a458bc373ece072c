"""Occlusion: how a score changes when a part of a signal, such as a wave, says nothing any more.

A window is bridged by a straight line from the sample before it to the sample after it. This
needs no isoelectric level, follows a wandering baseline, and makes no step, which a model has never
seen; what it cannot remove is the height of a wave at the edge of a window. A whole lead becomes
its median. Source of the method: Zeiler and Fergus, ECCV 2014.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.errors import InputError
from lvh.features.base import find_pattern
from lvh.validation.calibration import logit

Floats = npt.NDArray[np.float64]
Signals = npt.NDArray[np.float32]
Score = Callable[[Signals], Floats]
"""From inputs, shape (n, ...), to P(label = 1), shape (n,)."""
Progress = Callable[[int, int], None]
"""Called with the number of windows done, and the number of all."""

WAVES = ("P", "PR", "QRS", "ST", "T")
"""The parts of a beat; `PR` and `ST` are the segments between two waves."""

_BEFORE, _AFTER = 0.3, 0.5  # s of a beat that are shown, around its QRS peak
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


class Wave(NamedTuple):
    """A wave of one beat of one lead: its name, and its samples from `start` to `stop`."""

    name: str
    start: int
    stop: int


class SignalLayout(NamedTuple):
    """A signal as a form lays it out; `before` is that of an average beat's QRS peak, or None."""

    leads: tuple[str, ...]
    n_samples: int
    before: int | None


def signal_layout(
    settings: Any, leads: Sequence[str], shape: Sequence[int], fs: float
) -> SignalLayout:
    """Return how `raw`, `beat` or `fusion` lays out a signal of shape (n_samples, n_leads).

    Raises:
        InputError: A plugin made the signal, from anything.
    """
    if settings.name not in ("raw", "beat", "fusion"):
        raise InputError(
            f"features={settings.name}: expected signals of leads, by features=raw, beat or "
            "fusion. Received: signals of a plugin, which cannot be explained"
        )
    before = round(settings.before * fs) if hasattr(settings, "before") else None
    return SignalLayout(tuple(leads), shape[0], before)


def beats_of(cohort: Cohort, record: int, lead: str) -> list[tuple[int, list[Wave]]]:
    """Return the complete beats of a lead of a record: the sample of the QRS peak, and the waves.

    A beat is an unbroken `(N)`; a `(p)` right before and a `(t)` right after it belong to it.
    """
    symbols, samples = cohort.delineation.lead(record, cohort.leads.index(lead))
    beats = []
    for at in find_pattern(symbols, "(N)"):
        onset, peak, offset = (int(sample) for sample in samples[at : at + 3])
        waves = [Wave("QRS", onset, offset + 1)]
        if at >= 3 and symbols[at - 3 : at] == "(p)":
            p_onset, p_offset = int(samples[at - 3]), int(samples[at - 1])
            waves += [Wave("P", p_onset, p_offset + 1), Wave("PR", p_offset + 1, onset)]
        if symbols[at + 3 : at + 6] == "(t)":
            t_onset, t_offset = int(samples[at + 3]), int(samples[at + 5])
            waves += [Wave("ST", offset + 1, t_onset), Wave("T", t_onset, t_offset + 1)]
        beats.append((peak, [wave for wave in waves if wave.stop > wave.start]))
    return beats


def wave_parts(
    cohort: Cohort, record: int, layout: SignalLayout
) -> dict[tuple[str, str], list[Part]]:
    """Return the parts of a record's signal in which each wave of each lead lies.

    In an average beat a wave lies where it does in the median of the beats, counted from their
    QRS peaks.
    """
    parts = {}
    for column, lead in enumerate(layout.leads):
        spans: dict[str, list[tuple[int, int]]] = {name: [] for name in WAVES}
        for peak, waves in beats_of(cohort, record, lead):
            shift = 0 if layout.before is None else layout.before - peak
            for wave in waves:
                spans[wave.name].append((wave.start + shift, wave.stop + shift))
        for name, own in spans.items():
            if layout.before is not None and own:
                first, end = np.median(own, axis=0).round().astype(int).tolist()
                own = [(first, end)]
            clipped = [(max(start, 0), min(stop, layout.n_samples)) for start, stop in own]
            parts[lead, name] = [
                Part(column, start, stop) for start, stop in clipped if stop > start
            ]
    return parts


def around_beats(
    cohort: Cohort, record: int, layout: SignalLayout, values: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """Average a record's values, shape (n_samples, n_leads), over its beats, peak on peak.

    Returns:
        Shape (len(beat_times(layout, fs)), n_leads); an average beat is aligned already. NaN in a
        lead without a beat that lies wholly inside the recording.
    """
    if layout.before is not None:
        return np.asarray(values, dtype=np.float64)
    window = _window(cohort.fs)
    means = np.full((len(window), len(layout.leads)), np.nan)
    for column, lead in enumerate(layout.leads):
        peaks = np.array([peak for peak, _ in beats_of(cohort, record, lead)], dtype=np.int64)
        inside = peaks[(peaks + window[0] >= 0) & (peaks + window[-1] < layout.n_samples)]
        if len(inside):
            means[:, column] = values[inside[:, None] + window, column].mean(axis=0)
    return means


def beat_times(layout: SignalLayout, fs: float) -> npt.NDArray[np.float64]:
    """Return seconds from the QRS peak along the first axis of `around_beats`."""
    if layout.before is None:
        return _window(fs) / fs
    return np.asarray((np.arange(layout.n_samples) - layout.before) / fs)


def _window(fs: float) -> npt.NDArray[np.int64]:
    return np.arange(-round(_BEFORE * fs), round(_AFTER * fs))
