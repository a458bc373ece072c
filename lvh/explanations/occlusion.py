"""Occlusion: how a score changes when a part of a signal, such as a wave, says nothing any more.

A part is bridged by a straight line from the sample before it to the sample after it, which follows
a wandering baseline and makes no step. A whole lead becomes its median. Source of the method:
Zeiler and Fergus, ECCV 2014.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort, find_pattern
from lvh.validation.calibration import logit

Floats = npt.NDArray[np.float64]
Signals = npt.NDArray[np.float32]
Score = Callable[[Signals], Floats]
"""From inputs, shape (n, ...), to P(label = 1), shape (n,)."""
Part = tuple[int, int, int]
"""The column of a lead, the first sample, and the first sample after the part."""

WAVES = ("P", "PR", "QRS", "ST", "T")
"""The parts of a beat; `PR` and `ST` are the segments between two waves."""
_WINDOW = 0.08  # s, about as long as a QRS
_BEFORE, _AFTER = 0.3, 0.5  # s of a beat that are shown, around its QRS peak
_BATCH_BYTES = 64 * 1024 * 1024


class Windows(NamedTuple):
    """First samples of windows that cover a signal of `n_samples`, and first samples after them."""

    starts: npt.NDArray[np.int64]
    stops: npt.NDArray[np.int64]
    n_samples: int

    def spread(self, values: Floats) -> Floats:
        """Give each sample the mean of its windows: from (n_records, n_windows, n_leads) values."""
        samples = np.arange(self.n_samples)[:, None]
        covers = ((self.starts <= samples) & (samples < self.stops)).astype(np.float64)
        covers /= covers.sum(axis=1, keepdims=True)
        return np.asarray(np.einsum("sw,rwl->rsl", covers, values, optimize=True))


def windows(n_samples: int, length: int, stride: int) -> Windows:
    """Cover a signal; the first and the last window reach over its ends and are cut there."""
    starts = np.arange(stride - length, n_samples, stride)
    return Windows(np.maximum(starts, 0), np.minimum(starts + length, n_samples), n_samples)


class SignalLayout(NamedTuple):
    """A signal as a form lays it out; `before` is that of an average beat's QRS peak, or None."""

    leads: tuple[str, ...]
    n_samples: int
    before: int | None
    fs: float

    @property
    def windows(self) -> Windows:
        """Windows of 80 ms, every 20 ms of an average beat, every 40 ms of a recording."""
        length = max(1, round(_WINDOW * self.fs))
        return windows(self.n_samples, length, length // (2 if self.before is None else 4) or 1)

    @property
    def beat(self) -> npt.NDArray[np.int64]:
        """Samples of a beat that are shown, from its QRS peak."""
        if self.before is None:
            return np.arange(-round(_BEFORE * self.fs), round(_AFTER * self.fs))
        return np.arange(self.n_samples) - self.before

    def wave_parts(self, cohort: Cohort, record: int) -> dict[tuple[str, str], list[Part]]:
        """Return the parts of a record's signal in which each wave of each lead lies."""
        parts: dict[tuple[str, str], list[Part]] = {}
        for column, lead in enumerate(self.leads):
            beats = beats_of(cohort, record, lead)
            for name in WAVES:
                own = [(peak, waves[name]) for peak, waves in beats if name in waves]
                spans = np.array([[wave.start, wave.stop] for _, wave in own])
                if self.before is not None and own:
                    spans += self.before - np.array([peak for peak, _ in own])[:, None]
                    spans = np.median(spans, axis=0, keepdims=True)
                spans = spans.round().astype(int).clip(0, self.n_samples).tolist()
                parts[lead, name] = [(column, start, stop) for start, stop in spans if stop > start]
        return parts

    def around_beats(self, cohort: Cohort, record: int, values: npt.NDArray[np.floating]) -> Floats:
        """Average a record's values, shape (n_samples, n_leads), over its beats, peak on peak.

        A lead without a beat wholly inside the recording has NaN.
        """
        if self.before is not None:  # an average beat is aligned already
            return np.asarray(values, dtype=np.float64)
        beat = self.beat
        means = np.full((len(beat), len(self.leads)), np.nan)
        for column, lead in enumerate(self.leads):
            peaks = np.array([peak for peak, _ in beats_of(cohort, record, lead)], dtype=np.int64)
            inside = peaks[(peaks + beat[0] >= 0) & (peaks + beat[-1] < self.n_samples)]
            if len(inside):
                means[:, column] = values[inside[:, None] + beat, column].mean(axis=0)
        return means


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


def occluded(score: Score, signals: Signals, cover: Windows) -> Floats:
    """Return by how much every window of every lead raises the log-odds of the label.

    From signals of shape (n_records, n_samples, n_leads) to log-odds of shape (n_records,
    n_windows, n_leads): those of the records as they are, less those with the window bridged.
    """
    original, n_leads = logit(score(signals)), signals.shape[2]
    spans = list(zip(cover.starts.tolist(), cover.stops.tolist(), strict=True))
    parts = [(column, start, stop) for column in range(n_leads) for start, stop in spans]
    importance: list[Floats] = []  # of a part, shape (n_records,)
    batch_size = max(1, _BATCH_BYTES // signals.nbytes)
    for first in range(0, len(parts), batch_size):
        batch = parts[first : first + batch_size]
        changed = np.concatenate([bridged(signals, [part]) for part in batch])
        importance.extend(original - logit(score(changed)).reshape(len(batch), -1))
    by_lead = np.reshape(importance, (n_leads, len(spans), len(signals)))
    return np.ascontiguousarray(by_lead.transpose(2, 1, 0))


def beats_of(cohort: Cohort, record: int, lead: str) -> list[tuple[int, dict[str, slice]]]:
    """Return the sample of the QRS peak and the waves of each complete beat of a lead.

    A beat is an unbroken `(N)`; a `(p)` right before and a `(t)` right after it belong to it.
    """
    symbols, samples = cohort.delineation.lead(record, cohort.leads.index(lead))
    places, beats = samples.tolist(), []
    for n in find_pattern(symbols, "(N)").tolist():
        onset, peak, offset = places[n : n + 3]
        waves = {"QRS": slice(onset, offset + 1)}
        if n >= 3 and symbols[n - 3 : n] == "(p)":
            p_onset, _, p_offset = places[n - 3 : n]
            waves |= {"P": slice(p_onset, p_offset + 1), "PR": slice(p_offset + 1, onset)}
        if symbols[n + 3 : n + 6] == "(t)":
            t_onset, _, t_offset = places[n + 3 : n + 6]
            waves |= {"ST": slice(offset + 1, t_onset), "T": slice(t_onset, t_offset + 1)}
        waves = {name: wave for name, wave in waves.items() if wave.stop > wave.start}
        beats.append((peak, waves))
    return beats
