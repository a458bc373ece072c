"""Fiducials found in signals that nobody has annotated, by NeuroKit2 (Makowski et al. 2021).

The library finds heartbeats and, in one lead, the waves that stand up in it. Two things are added:
heartbeats and the bounds of QRS are sought in the magnitude of all leads together, where they are
seen best; and each lead is read both ways up, for its p and t may point down. Why this method of
the library and these lengths, and how well it agrees with cardiologists: experiments/delineation.
"""

import hashlib
import importlib.metadata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Delineation
from lvh.errors import InputError

METHOD = "prominence"
"""Of `neurokit2.ecg_delineate`: Emrich et al. 2024, doi:10.23919/EUSIPCO63174.2024.10715353."""
QRS_REACH_MS = 130
"""How long a QRS may be at most; the library's own 100 ms is too short for a thick heart."""
MOST_SAMPLES = 100_000
"""Of a record, 200 s at 500 Hz: some seconds of work."""
FS_RANGE = (100.0, 1000.0)
"""Sampling frequencies that are read, Hz."""

_DETECTOR = "rodrigues2021"
_HALF_QRS_S = 0.06  # the detector's sample is this near to the highest one, or nearer
_REFRACTORY_S = 0.2
_LOUD = 3.0  # times the median magnitude that a heartbeat has at least; noise has less
_SMALLEST_MV = 0.1  # of the magnitude; less is the grain of an ADC
_FEWEST_BEATS = 2
_SLOWEST_S = 3.0  # a heartbeat: what has fewer is a drift that rings in the library's filter
_PR_SPREAD_S = 0.02  # a p keeps its distance from QRS; in atrial fibrillation nothing does
_MARGIN_S = 4.0  # added at both ends, for the library loses its place where a wave is at sample 0

_LIBRARIES = ("neurokit2", "numpy", "scipy", "pandas")

_Float = npt.NDArray[np.float64]
_Int = npt.NDArray[np.int64]
Lead = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]
"""Symbols and sample indices of one lead, in order of time."""


def delineated(signals: npt.NDArray[np.float32], fs: float) -> Delineation:
    """Find the waves of each lead of each record; what is not found is not there.

    Args:
        signals: Shape (n_records, n_samples, n_leads), mV. A lead that is flat, or has samples
            that are not finite, gets no waves.
        fs: Hz.

    Raises:
        InputError: The sampling frequency is not of `FS_RANGE`, or records exceed `MOST_SAMPLES`.
    """
    return joined([leads_of(one, fs) for one in signals])


def leads_of(signal: npt.NDArray[np.float32], fs: float) -> list[Lead]:
    """Find the waves of each lead of one record, shape (n_samples, n_leads).

    Raises:
        InputError: As of `delineated`.
    """
    if not FS_RANGE[0] <= fs <= FS_RANGE[1]:
        low, high = FS_RANGE
        raise InputError(f"fiducials are found at {low:g} to {high:g} Hz. Received: {fs:g} Hz")
    if len(signal) > MOST_SAMPLES:
        raise InputError(
            f"fiducials are found in records of at most {MOST_SAMPLES} samples. "
            f"Received: {len(signal)}"
        )
    raw = signal.astype(np.float64)
    if not len(raw):
        return [_NOTHING] * raw.shape[1]
    usable = np.isfinite(raw).all(axis=0) & (np.ptp(raw, axis=0) > 0)
    clean = np.zeros_like(raw)
    with _quiet():
        for lead in np.flatnonzero(usable):
            clean[:, lead] = _cleaned(raw[:, lead], fs)
        magnitude = np.sqrt(np.square(clean).sum(axis=1))
        beats = _heartbeats(magnitude, fs)
        qrs = _waves(magnitude, beats, fs)["R"]
        p, t = _p_and_t(clean, beats, qrs, fs)
    return [
        _lead(raw[:, at], qrs, p[at], t[at]) if usable[at] else _NOTHING
        for at in range(raw.shape[1])
    ]


def joined(records: Iterable[list[Lead]]) -> Delineation:
    """Store the leads of records flat."""
    found = [list(leads) for leads in records]
    leads = [lead for of_record in found for lead in of_record]
    return Delineation(
        np.concatenate([symbols for symbols, _ in leads]),
        np.concatenate([samples for _, samples in leads]),
        np.cumsum([0, *(len(symbols) for symbols, _ in leads)], dtype=np.int64),
        len(found[0]),
        "found",
    )


def library() -> str:
    """Return name and version of what finds the waves."""
    return f"neurokit2 {importlib.metadata.version('neurokit2')}"


def version() -> str:
    """Hash all that fiducials depend on beside the signals: this code and what it calls."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    digest.update(repr([importlib.metadata.version(name) for name in _LIBRARIES]).encode())
    return digest.hexdigest()


_NOTHING: Lead = (np.zeros(0, dtype=np.uint8), np.zeros(0, dtype=np.int32))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's many warnings, of what is told by a missing wave, from the reader."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _cleaned(lead: _Float, fs: float) -> _Float:
    import neurokit2  # type: ignore[import-untyped]  # takes seconds

    try:
        found = np.asarray(neurokit2.ecg_clean(lead, sampling_rate=fs), dtype=np.float64)
    except Exception:  # whatever it makes of a lead that is too short for its filters
        return np.zeros_like(lead)
    return np.nan_to_num(found)


def _heartbeats(magnitude: _Float, fs: float) -> _Int:
    """Return the samples at which the magnitude of all leads is highest, one a heartbeat."""
    import neurokit2

    try:
        found = neurokit2.ecg_findpeaks(magnitude, sampling_rate=fs, method=_DETECTOR)
    except Exception:  # of a magnitude that is too short
        return np.zeros(0, dtype=np.int64)
    reach, apart = round(_HALF_QRS_S * fs), round(_REFRACTORY_S * fs)
    loud = max(_LOUD * np.median(magnitude), _SMALLEST_MV)
    kept: list[int] = []
    for near in np.asarray(found["ECG_R_Peaks"], dtype=np.int64).tolist():
        start = max(near - reach, 0)
        peak = start + int(magnitude[start : near + reach + 1].argmax())
        if magnitude[peak] < loud:
            continue
        if not kept or peak - kept[-1] >= apart:
            kept.append(peak)
        elif magnitude[peak] > magnitude[kept[-1]]:
            kept[-1] = peak
    if len(kept) < _FEWEST_BEATS or len(kept) * _SLOWEST_S * fs < len(magnitude):
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
        _, found = neurokit2.ecg_delineate(
            padded, beats + margin, sampling_rate=fs, method=METHOD, **limits
        )
        columns = {
            wave: np.array([found[f"ECG_{wave}_{of}"] for of in ("Onsets", "Peaks", "Offsets")])
            for wave in "PT"
        }
        bounds = [np.array(found[f"ECG_R_{of}"]) for of in ("Onsets", "Offsets")]
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
    found: dict[str, list[_Float]] = {"P": [], "T": []}
    for signal in clean.T:
        both = [_waves(side, beats, fs) for side in (signal, -signal)]
        for one in both:
            p, t = one["P"], one["T"]
            p[~((p[:, 0] > preceding) & (p[:, 2] < begin))] = np.nan
            # a t that begins in the QRS begins with its end
            t[:, 0] = np.maximum(t[:, 0], end + 1)
            t[~((t[:, 0] < t[:, 1]) & (t[:, 2] < following))] = np.nan
        for wave, leads in found.items():
            up, down = (one[wave] for one in both)
            leads.append(down if _size(signal, down) > _size(signal, up) else up)
    distance = [begin - p[:, 1] for p in found["P"]]
    if np.nanmedian([_spread(one) for one in distance]) > _PR_SPREAD_S * fs:
        found["P"] = [np.full_like(p, np.nan) for p in found["P"]]
    return found["P"], found["T"]


def _size(signal: _Float, waves: _Float) -> float:
    """Return how far waves stand out from their lower side, as a median over heartbeats."""
    is_there = np.isfinite(waves).all(axis=1)
    sizes = np.zeros(len(waves))
    onset, peak, offset = signal[waves[is_there].astype(np.int64)].T
    sizes[is_there] = np.minimum(np.abs(peak - onset), np.abs(peak - offset))
    return float(np.median(sizes)) if len(sizes) else 0.0


def _spread(values: _Float) -> float:
    return float(np.nanmedian(np.abs(values - np.nanmedian(values))))


def _lead(signal: _Float, qrs: _Float, p: _Float, t: _Float) -> Lead:
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
