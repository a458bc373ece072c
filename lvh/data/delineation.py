"""Automatic delineation of signals without annotations, by NeuroKit2 (Makowski et al. 2021).

The library finds heartbeats and, in one lead, the upright waves. Two things are added: heartbeats
and the bounds of QRS are found in the magnitude of all leads together, where they are clearest; and
each lead is read upright and inverted, for its p and t may point down. The reasons for this method
and these durations, and its agreement with cardiologists: experiments/delineation.
"""

import importlib.metadata
import os
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from itertools import repeat
from multiprocessing import current_process, get_context, parent_process
from signal import SIG_IGN, SIGINT
from signal import signal as set_handler

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from lvh.data.cache import Arrays, cache_dir, load_or_build
from lvh.data.cohort import Cohort, Delineation, LeadWaves, fingerprint
from lvh.data.lazy_array import read
from lvh.errors import EnvironmentFault, InputError

VERSION = 1
"""Of this method; raise it when a change of code changes fiducials."""
METHOD = "prominence"
"""Of `neurokit2.ecg_delineate`: Emrich et al. 2024, doi:10.23919/EUSIPCO63174.2024.10715353."""
QRS_REACH_MS = 130
"""The longest QRS; the library's own 100 ms is too short for a hypertrophied heart."""
MAX_SAMPLES = 100_000
"""Of a record, 200 s at 500 Hz: some seconds of work."""
FS_RANGE = (100.0, 1000.0)
"""Sampling frequencies that can be delineated, Hz."""

_DETECTOR = "rodrigues2021"
_HALF_QRS_S = 0.06  # from the detector's sample to the highest one, at most
_REFRACTORY_S = 0.2
_MIN_CONTRAST = 3.0  # of a heartbeat to the median magnitude; noise has less
_MIN_MV = 0.1  # of the magnitude; less is the resolution of an ADC
_MIN_BEATS = 2
_MAX_RR_S = 3.0  # on average; slower is a drift that rings in the library's filter
_MAX_PR_SPREAD_S = 0.02  # of true p waves; in atrial fibrillation it is larger
_MARGIN_S = 4.0  # added at both ends, for the library fails where a wave is at sample 0

_CONTENT = ("symbols", "samples", "offsets")
_BLOCK = 64  # records that are read at once
_MIN_PARALLEL = 8  # records; fewer are done before another process has started

_Float = npt.NDArray[np.float64]
_Int = npt.NDArray[np.int64]


def with_fiducials(cohort: Cohort) -> Cohort:
    """Return a cohort whose delineation is the one that `delineate` finds.

    It is cached under a name that changes with the records, with the version of the method and
    with its library. All cores take part; a terminal shows the progress.

    Raises:
        InputError: The records are too long, or of a sampling frequency that is not read.
        EnvironmentFault: A process that took part was killed.
    """
    key = fingerprint(cohort.fingerprint, VERSION, library())[:16]
    path = cache_dir() / "delineations" / f"{key}.npz"
    arrays = load_or_build(path, lambda: _delineate(cohort))
    symbols, samples, offsets = content = [arrays[name] for name in _CONTENT]
    delineation = Delineation(symbols, samples, offsets, len(cohort.leads), "found")
    return replace(
        cohort,
        delineation=delineation,
        fingerprint=fingerprint(cohort.fingerprint, delineation.origin, *content),
        note="; ".join(filter(None, [cohort.note, f"fiducials found by {library()}"])),
    )


def delineate(signals: npt.NDArray[np.float32], fs: float) -> Delineation:
    """Find the waves of each lead of each record.

    Args:
        signals: Shape (n_records, n_samples, n_leads), mV. A lead that is flat, or has samples
            that are not finite, gets no waves.
        fs: Hz.

    Raises:
        InputError: The sampling frequency is not of `FS_RANGE`, or records exceed `MAX_SAMPLES`.
    """
    leads = [lead for signal in signals for lead in delineate_record(signal, fs)]
    return Delineation.from_leads(leads, signals.shape[2], "found")


def delineate_record(signal: npt.NDArray[np.float32], fs: float) -> list[LeadWaves]:
    """Find the waves of each lead of one record, shape (n_samples, n_leads).

    Raises:
        InputError: As of `delineate`.
    """
    if not FS_RANGE[0] <= fs <= FS_RANGE[1]:
        low, high = FS_RANGE
        raise InputError(f"fiducials are found at {low:g} to {high:g} Hz. Received: {fs:g} Hz")
    if len(signal) > MAX_SAMPLES:
        raise InputError(
            f"fiducials are found in records of at most {MAX_SAMPLES} samples. "
            f"Received: {len(signal)}"
        )
    raw = signal.astype(np.float64)
    if not len(raw):
        return [_NOTHING] * raw.shape[1]
    usable = np.isfinite(raw).all(axis=0) & (np.ptp(raw, axis=0) > 0)
    clean = np.zeros_like(raw)
    # a missing wave says what the library's many warnings say
    with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
        for lead in np.flatnonzero(usable):
            clean[:, lead] = _clean(raw[:, lead], fs)
        magnitude = np.sqrt(np.square(clean).sum(axis=1))
        beats = _detect_beats(magnitude, fs)
        qrs = _waves(magnitude, beats, fs)["R"]
        p, t = _p_and_t(clean, beats, qrs, fs)
    return [
        _lead(raw[:, at], qrs, p[at], t[at]) if usable[at] else _NOTHING
        for at in range(raw.shape[1])
    ]


def library() -> str:
    """Return name and version of what finds the waves."""
    return f"neurokit2 {importlib.metadata.version('neurokit2')}"


_NOTHING: LeadWaves = (np.zeros(0, dtype=np.uint8), np.zeros(0, dtype=np.int32))


def _clean(lead: _Float, fs: float) -> _Float:
    import neurokit2  # type: ignore[import-untyped]  # takes seconds

    try:
        clean = np.asarray(neurokit2.ecg_clean(lead, sampling_rate=fs), dtype=np.float64)
    except Exception:  # whatever it makes of a lead that is too short for its filters
        return np.zeros_like(lead)
    return np.nan_to_num(clean)


def _detect_beats(magnitude: _Float, fs: float) -> _Int:
    """Return the samples at which the magnitude of all leads is highest, one a heartbeat."""
    import neurokit2

    try:
        peaks = neurokit2.ecg_findpeaks(magnitude, sampling_rate=fs, method=_DETECTOR)
    except Exception:  # of a magnitude that is too short
        return np.zeros(0, dtype=np.int64)
    reach, apart = round(_HALF_QRS_S * fs), round(_REFRACTORY_S * fs)
    loud = max(_MIN_CONTRAST * np.median(magnitude), _MIN_MV)
    kept: list[int] = []
    for near in np.asarray(peaks["ECG_R_Peaks"], dtype=np.int64).tolist():
        start = max(near - reach, 0)
        peak = start + int(magnitude[start : near + reach + 1].argmax())
        if magnitude[peak] < loud:
            continue
        if not kept or peak - kept[-1] >= apart:
            kept.append(peak)
        elif magnitude[peak] > magnitude[kept[-1]]:
            kept[-1] = peak
    if len(kept) < _MIN_BEATS or len(kept) * _MAX_RR_S * fs < len(magnitude):
        return np.zeros(0, dtype=np.int64)
    return np.array(kept, dtype=np.int64)


def _waves(signal: _Float, beats: _Int, fs: float) -> dict[str, _Float]:
    """Return onset, peak and offset of each heartbeat's P, R and T, each of shape (n_beats, 3).

    A wave of which one of the three was not found, or lies outside, is NaN.
    """
    import neurokit2

    nothing = np.full((len(beats), 3), np.nan)
    if not len(beats):
        return dict.fromkeys("PRT", nothing)
    margin = round(_MARGIN_S * fs)
    padded = np.pad(signal, margin, mode="edge")
    limits = {"max_r_basepoint_interval": QRS_REACH_MS}
    try:
        _, points = neurokit2.ecg_delineate(
            padded, beats + margin, sampling_rate=fs, method=METHOD, **limits
        )
        columns = {
            wave: np.array([points[f"ECG_{wave}_{of}"] for of in ("Onsets", "Peaks", "Offsets")])
            for wave in "PT"
        }
        bounds = [np.array(points[f"ECG_R_{of}"]) for of in ("Onsets", "Offsets")]
        columns["R"] = np.array([bounds[0], beats + margin, bounds[1]])
    except Exception:  # the library raises a dozen kinds where it finds its way no more
        return dict.fromkeys("PRT", nothing)
    waves = {wave: one.astype(np.float64).T - margin for wave, one in columns.items()}
    for one in waves.values():
        onset, peak, offset = one.T
        inside = (onset >= 0) & (onset < peak) & (peak < offset) & (offset < len(signal))
        one[~inside] = np.nan
    return waves


def _p_and_t(clean: _Float, beats: _Int, qrs: _Float, fs: float) -> tuple[list[_Float], ...]:
    """Return p and t of each lead, each of shape (n_beats, 3), between the QRS complexes."""
    begin, end = qrs[:, 0], qrs[:, 2]
    following = np.append(begin[1:], np.inf)
    preceding = np.append(-np.inf, end[:-1])
    chosen: dict[str, list[_Float]] = {"P": [], "T": []}
    for signal in clean.T:
        both = [_waves(side, beats, fs) for side in (signal, -signal)]
        for one in both:
            p, t = one["P"], one["T"]
            p[~((p[:, 0] > preceding) & (p[:, 2] < begin))] = np.nan
            # a t that begins in the QRS begins with its end
            t[:, 0] = np.maximum(t[:, 0], end + 1)
            t[~((t[:, 0] < t[:, 1]) & (t[:, 2] < following))] = np.nan
        for wave, leads in chosen.items():
            up, down = (one[wave] for one in both)
            leads.append(down if _size(signal, down) > _size(signal, up) else up)
    distance = [begin - p[:, 1] for p in chosen["P"]]
    if np.nanmedian([_spread(one) for one in distance]) > _MAX_PR_SPREAD_S * fs:
        chosen["P"] = [np.full_like(p, np.nan) for p in chosen["P"]]
    return chosen["P"], chosen["T"]


def _size(signal: _Float, waves: _Float) -> float:
    """Return how far waves stand out from their lower side, as a median over heartbeats."""
    is_there = np.isfinite(waves).all(axis=1)
    sizes = np.zeros(len(waves))
    onset, peak, offset = signal[waves[is_there].astype(np.int64)].T
    sizes[is_there] = np.minimum(np.abs(peak - onset), np.abs(peak - offset))
    return float(np.median(sizes)) if len(sizes) else 0.0


def _spread(values: _Float) -> float:
    return float(np.nanmedian(np.abs(values - np.nanmedian(values))))


def _lead(signal: _Float, qrs: _Float, p: _Float, t: _Float) -> LeadWaves:
    """Put the waves of one lead in order.

    The peak of N is the highest sample between onset and offset, which is the one that the
    annotators of LUDB chose, in leads that look down too.
    """
    waves = []
    for beat in range(len(qrs)):
        if np.isfinite(p[beat]).all():
            waves.append((*p[beat].astype(int), "p"))
        if np.isfinite(qrs[beat]).all():
            onset, _, offset = qrs[beat].astype(int)
            peak = onset + 1 + int(signal[onset + 1 : offset].argmax())
            waves.append((onset, peak, offset, "N"))
        if np.isfinite(t[beat]).all():
            waves.append((*t[beat].astype(int), "t"))
    text, samples, last = "", [], -1
    for onset, peak, offset, symbol in sorted(waves, key=lambda wave: wave[0]):
        if onset > last:  # else it overlaps with the one before, a p with the t under it
            text += f"({symbol})"
            samples += [onset, peak, offset]
            last = offset
    return np.frombuffer(text.encode(), dtype=np.uint8), np.array(samples, dtype=np.int32)


def _delineate(cohort: Cohort) -> Arrays:
    n_records = len(cohort.records)
    try:
        records = track(
            _each_record(cohort),
            f"fiducials of {cohort.name}",
            total=n_records,
            console=Console(stderr=True),
            transient=True,
        )
        leads = [lead for record in records for lead in record]
    except BrokenProcessPool:
        raise EnvironmentFault(
            f"{cohort.name}: a process that was finding fiducials ended: killed for memory, "
            "perhaps; or it could not start, as below a script without __name__ == '__main__'"
        ) from None
    delineation = Delineation.from_leads(leads, len(cohort.leads), "found")
    return {name: getattr(delineation, name) for name in _CONTENT}


def _each_record(cohort: Cohort) -> Iterator[list[LeadWaves]]:
    """Yield the waves of each record's leads, in order."""
    n_records, n_processes = len(cohort.records), len(os.sched_getaffinity(0))
    # a process of a sweep starts no others: its cores are in use
    if n_records < _MIN_PARALLEL or n_processes < 2 or current_process().name != "MainProcess":
        for at in range(n_records):
            yield delineate_record(cohort.signals[at], cohort.fs)
        return
    # spawned: a fork of TensorFlow's threads may hang
    pool = ProcessPoolExecutor(n_processes, get_context("spawn"), _end_with_parent)
    try:
        for start in range(0, n_records, _BLOCK):
            signals = read(cohort.signals[start : start + _BLOCK])
            yield from pool.map(delineate_record, signals, repeat(cohort.fs))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _end_with_parent() -> None:
    """Make a worker ignore Ctrl-C, which its parent handles, and exit when the parent is gone."""
    set_handler(SIGINT, SIG_IGN)
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
