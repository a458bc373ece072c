"""Automatic delineation of signals without annotations.

Heartbeats and the bounds of QRS are found once for all leads, in their velocity together; P and T
lead by lead by NeuroKit2 (Makowski et al. 2021), upright and inverted. The reasons for the numbers
below, and the agreement with cardiologists: experiments/delineation.
"""

import importlib.metadata
import os
import warnings
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from multiprocessing import current_process
from textwrap import shorten

import numpy as np
import numpy.typing as npt
import scipy  # type: ignore[import-untyped] # its parts, at their first use: they take a second

from lvh.data.cache import Arrays, cache_dir, load_or_build, lock_of, shown
from lvh.data.cohort import Cohort, Delineation, LeadWaves, fingerprint
from lvh.data.lazy_array import Inputs, read
from lvh.errors import EnvironmentFault, InputError

VERSION = 2
"""Version of this method; raise it when a change of code changes fiducials."""
MAX_SAMPLES = 100_000
"""Length of the longest record: 200 s at 500 Hz, which take some seconds."""
FS_RANGE = (100.0, 1000.0)
"""Sampling frequencies that can be delineated, Hz."""
BLOCK = 64
"""Records whose fiducials are stored in one file as soon as they are found."""

_SPIKE_S, _SPIKE_MV = 0.014, 0.5  # a pacemaker's spike lasts less than half of it
_SMOOTH_S = 0.03  # of the slope of a lead
_BEAT_S = 0.08  # over which the velocity of a heartbeat is averaged
_BEAT_SHARE = 0.4  # of the velocity of a usual heartbeat; a T wave has less
_MIN_RR_S, _FAST_RR_S = 0.2, 0.3  # the second one where the mean is above 0.4 s
_BOUND_SHARE = 0.08  # of the highest velocity of a QRS; less is outside of it
_QUIET_S = 0.02  # for this long
_REACH_S = (0.16, 0.22)  # from the peak to the bounds, at most
_QRS_S = (0.06, 0.3)  # of an adult
_DOUBT_S = 0.04  # between QRS durations by half and by twice `_BOUND_SHARE`
_HALF_QRS_S = 0.06  # from the fastest sample to the highest one, at most
_MIN_CONTRAST = 3.0  # of a heartbeat to the median; noise has less
_MIN_MV = 0.1  # of the magnitude; less is the resolution of an ADC
_MIN_BEATS = 2
_MAX_RR_S = 3.0  # on average; slower is a drift that rings in the filter
_MAX_PR_SPREAD_S = 0.02  # of true p waves; in atrial fibrillation it is larger
_MARGIN_S = 4.0  # added at both ends, for the library fails where a wave is at sample 0
_MIN_PARALLEL = 8  # records; fewer are done before another process has started
_CONTENT = ("symbols", "samples", "offsets")

_Float = npt.NDArray[np.float64]
_Int = npt.NDArray[np.int64]
_NOTHING: LeadWaves = (np.zeros(0, dtype=np.uint8), np.zeros(0, dtype=np.int32))


def with_fiducials(cohort: Cohort) -> Cohort:
    """Return a cohort whose delineation is the one that `delineate` finds, and its note says so.

    Each block of records is cached when it is done, so that a stopped run continues.
    """
    key = fingerprint(cohort.fingerprint, VERSION, library())[:16]
    folder = cache_dir() / "delineations" / key
    parts = []

    def build(block: Inputs) -> Arrays:
        own = delineate(block, cohort.fs)
        doubtful = np.isin(np.arange(len(block)), own.doubtful)
        return {name: getattr(own, name) for name in _CONTENT} | {"doubtful": doubtful}

    with lock_of(folder):
        for start in shown(range(0, len(cohort.records), BLOCK), f"fiducials of {cohort.name}"):
            block = cohort.signals[start : start + BLOCK]
            arrays = load_or_build(folder / f"{start:06}.npz", partial(build, block))
            symbols, samples, offsets = (arrays[name] for name in _CONTENT)
            doubtful = tuple(np.flatnonzero(arrays["doubtful"]).tolist())
            part = Delineation(symbols, samples, offsets, len(cohort.leads), "found", doubtful)
            parts.append(part)
    delineation = Delineation.join(parts)
    note = f"fiducials found by {library()}"
    if records := [cohort.records[at] for at in delineation.doubtful]:
        names = shorten(", ".join(records), 200, placeholder=" ...")
        note += f", QRS in doubt in {len(records)} of {len(cohort.records)}: {names}"
    content = [getattr(delineation, name) for name in _CONTENT]
    return replace(
        cohort,
        delineation=delineation,
        fingerprint=fingerprint(cohort.fingerprint, delineation.origin, *content),
        note="; ".join(filter(None, [cohort.note, note])),
    )


def delineate(signals: Inputs, fs: float) -> Delineation:
    """Find the waves of each lead of each record, shape (n_records, n_samples, n_leads), mV.

    A lead that is flat, or has samples that are not finite, gets no waves.
    """
    from sklearn.utils.parallel import Parallel, delayed  # takes a second

    library()
    signals = read(signals)
    # in a process of a sweep the other cores are in use
    is_alone = len(signals) < _MIN_PARALLEL or current_process().name != "MainProcess"
    n_jobs = 1 if is_alone else len(os.sched_getaffinity(0))
    try:
        records = Parallel(n_jobs)(delayed(delineate_record)(one, fs) for one in signals)
    except BrokenProcessPool:
        raise EnvironmentFault(
            "a process that was finding fiducials ended: killed for memory, perhaps"
        ) from None
    leads = [lead for leads, _ in records for lead in leads]
    doubtful = tuple(at for at, (_, is_doubtful) in enumerate(records) if is_doubtful)
    return Delineation.from_leads(leads, signals.shape[2], "found", doubtful)


def delineate_record(signal: npt.NDArray[np.float32], fs: float) -> tuple[list[LeadWaves], bool]:
    """Return the waves of each lead of a record, (n_samples, n_leads), and if QRS is in doubt."""
    low, high = FS_RANGE
    if not low <= fs <= high or len(signal) > MAX_SAMPLES:
        raise InputError(
            f"fiducials are found at {low:g} to {high:g} Hz, in at most {MAX_SAMPLES} samples. "
            f"Received: {fs:g} Hz, {len(signal)} samples"
        )
    if len(signal) < fs:
        return [_NOTHING] * signal.shape[1], True
    raw = signal.astype(np.float64)
    usable = np.isfinite(raw).all(axis=0) & (np.ptp(raw, axis=0) > 0)
    size = (round(_SPIKE_S * fs) | 1, 1)
    raw = scipy.ndimage.median_filter(np.where(usable, raw, 0), size)  # without spikes
    drift = scipy.signal.butter(5, 0.5, "highpass", fs=fs, output="sos")
    clean = scipy.signal.sosfiltfilt(drift, raw, axis=0)
    clean = scipy.ndimage.uniform_filter1d(clean, round(fs / 50), axis=0)  # without mains of 50 Hz
    n_samples = round(_SMOOTH_S * fs) | 1
    slopes = scipy.signal.savgol_filter(raw, n_samples, 2, deriv=1, delta=1 / fs, axis=0)
    velocity = np.linalg.norm(slopes, axis=1)  # of all leads, mV/s; a baseline hardly moves
    beats = _detect_beats(velocity, np.linalg.norm(clean, axis=1), fs)
    qrs = _qrs(velocity, beats, fs)
    # a missing wave says what the library's many warnings say
    with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
        p, t = _p_and_t(clean, beats, qrs, fs)
    leads = [
        _lead(signal[:, at], qrs, p[at], t[at]) if usable[at] else _NOTHING
        for at in range(signal.shape[1])
    ]
    spikes = np.abs(signal[:, usable] - raw[:, usable]).max(axis=1, initial=0)
    return leads, _is_doubtful(velocity, beats, spikes, fs)


def _is_doubtful(velocity: _Float, beats: _Int, spikes: _Float, fs: float) -> bool:
    """Return whether other thresholds give another QRS, few are bounded, or spikes are in them."""
    before, after = (round(reach * fs) for reach in _REACH_S)
    highest = [spikes[max(at - before, 0) : at + after].max() for at in beats.tolist()]
    durations = []
    for share in (_BOUND_SHARE / 2, _BOUND_SHARE * 2):
        bounds = _qrs(velocity, beats, fs, share)
        bounded = bounds[np.isfinite(bounds).all(axis=1)]
        if len(bounded) <= len(beats) / 2:
            return True
        durations.append(np.median(bounded[:, 2] - bounded[:, 0]) / fs)
    return bool(durations[0] - durations[1] > _DOUBT_S or np.median(highest) > _SPIKE_MV)


def library() -> str:
    """Return name and version of what finds the waves."""
    try:
        return f"neurokit2 {importlib.metadata.version('neurokit2')}"
    except importlib.metadata.PackageNotFoundError:
        raise EnvironmentFault(
            "fiducials: expected NeuroKit2, which detects them. Received: none. "
            "pip install 'lvh[ecg]'"
        ) from None


def _detect_beats(velocity: _Float, magnitude: _Float, fs: float) -> _Int:
    """Return the samples at which the magnitude of all leads is highest, one a heartbeat.

    Where beats are 400 ms apart on average, of two within 300 ms the slower one is a T wave.
    """
    mean = scipy.ndimage.uniform_filter1d(velocity, round(_BEAT_S * fs))
    seconds = np.array_split(mean, len(mean) // round(fs))
    usual, rest = np.median([part.max() for part in seconds]), np.median(mean)
    if usual <= _MIN_CONTRAST * rest:
        return np.zeros(0, dtype=np.int64)
    height = rest + _BEAT_SHARE * (usual - rest)
    near, _ = scipy.signal.find_peaks(mean, height=height, distance=round(_MIN_RR_S * fs))
    if len(mean) > 2 * _MIN_RR_S * fs * len(near):
        near, _ = scipy.signal.find_peaks(mean, height=height, distance=round(_FAST_RR_S * fs))
    reach = round(_HALF_QRS_S * fs)
    starts = np.maximum(near - reach, 0)
    peaks = [start + magnitude[start : start + 2 * reach + 1].argmax() for start in starts.tolist()]
    beats = np.array(sorted({at for at in peaks if magnitude[at] >= _MIN_MV}), dtype=np.int64)
    if len(beats) < _MIN_BEATS or len(beats) * _MAX_RR_S * fs < len(velocity):
        return np.zeros(0, dtype=np.int64)
    return beats


def _qrs(velocity: _Float, beats: _Int, fs: float, share: float = _BOUND_SHARE) -> _Float:
    """Return onset, peak and offset of each heartbeat's QRS, shape (n_beats, 3).

    QRS ends on both sides of its peak where the velocity stays below a share of its highest for
    20 ms. A QRS without such a bound, or of a duration that no adult heart makes, is NaN.
    """
    quiet = round(_QUIET_S * fs)
    before, after = (round(reach * fs) for reach in _REACH_S)
    bounds = np.full((len(beats), 3), np.nan)
    for row, peak in zip(bounds, beats, strict=True):
        near = velocity[max(peak - before, 0) : peak + after]
        noise = np.percentile(velocity[max(peak - 2 * before, 0) : peak + 2 * after], 10)
        fastest = velocity[max(peak - round(_HALF_QRS_S * fs), 0) : peak + round(_HALF_QRS_S * fs)]
        slow = near < noise + share * (fastest.max() - noise)
        runs = np.flatnonzero(np.convolve(slow, np.ones(quiet), "valid") == quiet)
        runs += max(peak - before, 0)
        earlier, later = runs[runs + quiet <= peak], runs[runs > peak]
        if not len(earlier) or not len(later):
            continue
        onset, offset = earlier[-1] + quiet - 1, later[0]
        if _QRS_S[0] <= (offset - onset) / fs <= _QRS_S[1]:
            row[:] = onset, peak, offset
    return bounds


def _waves(lead: _Float, beats: _Int, fs: float) -> tuple[_Float, _Float]:
    """Return onset, peak and offset of each heartbeat's P and T, (n_beats, 3); NaN if not found."""
    import neurokit2  # type: ignore[import-untyped]  # takes seconds

    margin = round(_MARGIN_S * fs)
    waves = np.full((2, len(beats), 3), np.nan)
    try:
        _, points = neurokit2.ecg_delineate(
            np.pad(lead, margin, mode="edge"),
            beats + margin,
            sampling_rate=fs,
            method="prominence",  # Emrich et al. 2024, doi:10.23919/EUSIPCO63174.2024.10715353
            max_r_basepoint_interval=130,
        )
        for row, wave in enumerate("PT"):
            for column, point in enumerate(("Onsets", "Peaks", "Offsets")):
                waves[row, :, column] = np.array(points[f"ECG_{wave}_{point}"]) - margin
    except Exception:  # the library raises many kinds of errors where it fails
        waves[:] = np.nan
    onset, peak, offset = np.moveaxis(waves, 2, 0)
    waves[~((onset >= 0) & (onset < peak) & (peak < offset) & (offset < len(lead)))] = np.nan
    return waves[0], waves[1]


def _p_and_t(
    clean: _Float, beats: _Int, qrs: _Float, fs: float
) -> tuple[list[_Float], list[_Float]]:
    """Return p and t of each lead, each of shape (n_beats, 3), between the QRS complexes."""
    begin, end = qrs[:, 0], qrs[:, 2]
    following = np.append(begin[1:], np.inf)
    preceding = np.append(-np.inf, end[:-1])
    chosen: tuple[list[_Float], list[_Float]] = ([], [])
    for signal in clean.T:
        both = [_waves(side, beats, fs) for side in (signal, -signal)]
        for p, t in both:
            p[~((p[:, 0] > preceding) & (p[:, 2] < begin))] = np.nan
            # a t that begins in the QRS begins with its end
            t[:, 0] = np.maximum(t[:, 0], end + 1)
            t[~((t[:, 0] < t[:, 1]) & (t[:, 2] < following))] = np.nan
        for leads, up, down in zip(chosen, *both, strict=True):
            leads.append(down if _size(signal, down) > _size(signal, up) else up)
    distance = np.array([begin - p[:, 1] for p in chosen[0]])
    spread = np.abs(distance - np.nanmedian(distance, axis=1, keepdims=True))
    if np.nanmedian(np.nanmedian(spread, axis=1)) > _MAX_PR_SPREAD_S * fs:
        return [np.full_like(p, np.nan) for p in chosen[0]], chosen[1]
    return chosen


def _size(signal: _Float, waves: _Float) -> float:
    """Return how far waves stand out from their lower side, as a median over heartbeats."""
    onset, peak, offset = signal[np.nan_to_num(waves).astype(np.int64)].T
    sizes = np.minimum(np.abs(peak - onset), np.abs(peak - offset))  # 0 of a missing wave
    return float(np.median(sizes)) if len(sizes) else 0.0


def _lead(signal: npt.NDArray[np.float32], qrs: _Float, p: _Float, t: _Float) -> LeadWaves:
    """Put the waves of one lead in order; the peak of N is its highest sample, as in LUDB."""
    waves = [
        (*wave.astype(int).tolist(), symbol)
        for of_beat in zip(p, qrs, t, strict=True)
        for wave, symbol in zip(of_beat, "pNt", strict=True)
        if np.isfinite(wave).all()
    ]
    text, samples, last = "", [], -1
    for onset, peak, offset, symbol in sorted(waves, key=lambda wave: wave[0]):
        if onset > last:  # else it overlaps with the one before, a p with the t under it
            if symbol == "N":
                peak = onset + 1 + int(signal[onset + 1 : offset].argmax())
            text += f"({symbol})"
            samples += [onset, peak, offset]
            last = offset
    return np.frombuffer(text.encode(), dtype=np.uint8), np.array(samples, dtype=np.int32)
