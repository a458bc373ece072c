"""Where the waves of a record stand in the signal that a model reads, by its fiducials."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.explanations.occlusion import Part
from lvh.features.wave_patterns import find_pattern

WAVES = ("P", "PR", "QRS", "ST", "T")
"""The parts of a beat; `PR` and `ST` are the segments between two waves."""

BEFORE, AFTER = 0.3, 0.5
"""Seconds of a beat that are shown, in front of its QRS peak and from it on."""

_QRS = "(N)"


class Wave(NamedTuple):
    """A wave of one beat of one lead: its name, and its samples from `start` to `stop`."""

    name: str
    start: int
    stop: int


class View(NamedTuple):
    """A signal as a form lays it out.

    Attributes:
        leads: Names along its last axis.
        n_samples: Of it.
        before: Samples of an average beat in front of its QRS peak; None for a recording.
    """

    leads: tuple[str, ...]
    n_samples: int
    before: int | None


def view_of(settings: Any, shape: Sequence[int], fs: float) -> View:
    """Return how a form lays a signal out.

    Args:
        settings: Of `raw`, `beat` or `fusion`.
        shape: Of one record's signal: n_samples, n_leads.
        fs: Of the records, Hz.
    """
    leads = tuple(lead.lower() for lead in settings.leads)
    before = round(settings.before * fs) if hasattr(settings, "before") else None
    return View(leads, shape[0], before)


def waves_of(symbols: str, samples: npt.NDArray[np.int32]) -> list[tuple[int, list[Wave]]]:
    """Return the complete beats of one lead: the sample of the QRS peak, and the waves.

    A beat is an unbroken `(N)`; a `(p)` right before and a `(t)` right after it belong to it.
    """
    found = []
    for at in find_pattern(symbols, _QRS):
        onset, peak, offset = (int(one) for one in samples[at : at + 3])
        waves = [Wave("QRS", onset, offset + 1)]
        if at >= 3 and symbols[at - 3 : at] == "(p)":
            p_onset, p_offset = int(samples[at - 3]), int(samples[at - 1])
            waves += [Wave("P", p_onset, p_offset + 1), Wave("PR", p_offset + 1, onset)]
        if symbols[at + 3 : at + 6] == "(t)":
            t_onset, t_offset = int(samples[at + 3]), int(samples[at + 5])
            waves += [Wave("ST", offset + 1, t_onset), Wave("T", t_onset, t_offset + 1)]
        found.append((peak, [one for one in waves if one.stop > one.start]))
    return found


def parts_of(cohort: Cohort, record: int, view: View) -> dict[str, list[Part]]:
    """Return the parts of a record's signal in which each wave stands.

    In an average beat a wave stands where it does in the median of the beats, counted from their
    QRS peaks.

    Args:
        cohort: Of the record.
        record: Its position.
        view: Of the signal.
    """
    found: dict[str, list[Part]] = {name: [] for name in WAVES}
    for column, lead in enumerate(view.leads):
        beats = waves_of(*cohort.delineation.lead(record, cohort.leads.index(lead)))
        for name in WAVES:
            spans = [
                (wave.start, wave.stop, peak)
                for peak, waves in beats
                for wave in waves
                if wave.name == name
            ]
            for start, stop in _laid_out(spans, view):
                if stop > start:
                    found[name].append(Part(column, start, stop))
    return found


def around_beats(
    cohort: Cohort, record: int, view: View, values: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """Average what belongs to a record's samples over its beats, aligned at their QRS peaks.

    Args:
        cohort: Of the record.
        record: Its position.
        view: Of the signal.
        values: Of its samples, shape (n_samples, n_leads).

    Returns:
        Shape (len(times(view, fs)), n_leads); an average beat is aligned already. NaN in a lead
        without a beat that lies wholly inside the recording.
    """
    if view.before is not None:
        return np.asarray(values, dtype=np.float64)
    window = _around(cohort.fs)
    found = np.full((len(window), len(view.leads)), np.nan)
    for column, lead in enumerate(view.leads):
        peaks = peaks_of(cohort, record, lead)
        inside = peaks[(peaks + window[0] >= 0) & (peaks + window[-1] < view.n_samples)]
        if len(inside):
            found[:, column] = values[inside[:, None] + window, column].mean(axis=0)
    return found


def peaks_of(cohort: Cohort, record: int, lead: str) -> npt.NDArray[np.int64]:
    """Return the samples of the QRS peaks of a lead's complete beats."""
    beats = waves_of(*cohort.delineation.lead(record, cohort.leads.index(lead)))
    return np.array([peak for peak, _ in beats], dtype=np.int64)


def times(view: View, fs: float) -> npt.NDArray[np.float64]:
    """Return seconds from the QRS peak along the first axis of `around_beats`."""
    if view.before is None:
        return _around(fs) / fs
    return np.asarray((np.arange(view.n_samples) - view.before) / fs)


def _around(fs: float) -> npt.NDArray[np.int64]:
    return np.arange(-round(BEFORE * fs), round(AFTER * fs))


def _laid_out(spans: list[tuple[int, int, int]], view: View) -> list[tuple[int, int]]:
    """Return where spans of a recording, each with the QRS peak of its beat, stand in a signal."""
    if view.before is None:
        return [(max(start, 0), min(stop, view.n_samples)) for start, stop, _ in spans]
    if not spans:
        return []
    middle = np.median([(start - peak, stop - peak) for start, stop, peak in spans], axis=0)
    start, stop = (round(float(one)) + view.before for one in middle)
    return [(max(start, 0), min(stop, view.n_samples))]
