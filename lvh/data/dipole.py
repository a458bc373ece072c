"""Twelve-lead ECG generated from a model of the heart's dipole.

Each beat is a sum of Gaussians of the cardiac dipole over time (McSharry et al. 2003,
doi:10.1109/TBME.2003.808805; in three dimensions Sameni et al. 2007,
doi:10.1155/2007/43407), seen by the leads through the matrix of Dower et al. 1980
(doi:10.1002/clc.1980.3.2.87). The dipole's axes are X left, Y foot, Z back. Amplitudes and
spreads are our own choice of plausible values.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

FS = 500.0
"""Sampling frequency in Hz."""
N_SAMPLES = 5000

_DOWER = np.array(
    [
        [0.632, -0.235, 0.059],  # i
        [0.235, 1.066, -0.132],  # ii
        [-0.515, 0.157, -0.917],  # v1
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],  # v6
    ]
)

_QRS = np.array(  # time from R (s), width (s), X, Y, Z (mV): septum, apex, free wall, base
    [
        [-0.026, 0.009, -0.14, -0.04, -0.32],
        [-0.003, 0.011, 1.02, 0.68, 0.02],
        [0.014, 0.012, 0.30, 0.30, 0.80],
        [0.032, 0.009, -0.18, -0.12, 0.25],
    ]
)
_QRS_LVH = np.array(  # what one unit of severity adds to X, Y, Z of _QRS: left and back
    [[0.0, 0.0, 0.0], [0.48, 0.06, 0.05], [0.26, 0.02, 0.26], [0.04, 0.0, 0.05]]
)
_P = np.array([[-0.012, 0.015, 0.05, 0.09, -0.05], [0.012, 0.016, 0.06, 0.05, 0.04]])
_T = np.array([[-0.030, 0.045, 0.13, 0.06, -0.05], [0.0, 0.032, 0.22, 0.10, -0.09]])
_ST_STRAIN = np.array([-0.055, -0.015, -0.04])  # mV: away from the free wall
_T_STRAIN = np.array([[-0.16, -0.05, -0.06], [-0.24, -0.07, -0.08]])
_F_WAVE = (0.0, 0.03, -0.04)  # the atria fibrillate; largest in v1 and ii

_REACH = 2.5  # a wave ends where its outermost Gaussian has fallen to 4 % of its height
_BEFORE, _AFTER = 200, 350  # samples of a beat's support around R

_Float = npt.NDArray[np.float64]
_Int = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Heart:
    """What shapes a subject's recording, apart from chance."""

    male: bool  # men's voltages are higher
    severity: float  # of hypertrophy; 0 is none, 1 is average
    fibrillating: bool  # no p, irregular beats, fibrillatory waves


@dataclass(frozen=True, slots=True)
class Waves:
    """Waves in order of time, as sample indices; shape (n_waves,), peaks (n_waves, n_leads)."""

    kinds: _Int  # 0 for p, 1 for N, 2 for t
    onsets: _Int
    peaks: _Int  # of the largest noise-free deflection
    offsets: _Int


def draw_recording(
    rng: np.random.Generator, heart: Heart, noise: float
) -> tuple[npt.NDArray[np.float32], Waves]:
    """Draw a recording of a subject at rest.

    Args:
        rng: The record's stream.
        heart: The subject's.
        noise: Median over subjects of white and muscle noise's standard deviation, in mV.

    Returns:
        The signal, shape (N_SAMPLES, 12), mV; and its waves, also those that lie outside.
    """
    rr_mean = 60 / np.clip(rng.normal(71, 11), 52, 98)
    beat, waves = _draw_beat(rng, heart, rr_mean)
    r = _draw_rhythm(rng, heart, rr_mean, waves)
    signal = _twelve(_render(beat, r) + _background(rng, heart, noise))
    return signal, Waves(
        kinds=np.tile(waves.kinds, len(r)),
        onsets=(r[:, None] + waves.onsets).ravel(),
        peaks=(r[:, None, None] + waves.peaks).reshape(-1, signal.shape[1]),
        offsets=(r[:, None] + waves.offsets).ravel(),
    )


def _draw_beat(rng: np.random.Generator, heart: Heart, rr_mean: float) -> tuple[_Float, Waves]:
    """Draw a beat: noise-free, shape (_BEFORE + _AFTER, 8), mV; and its waves, counted from R."""
    severity = heart.severity
    bounded = min(severity, 2.5)  # voltage may grow with any effect; times and angles may not
    strain = min(bounded * rng.gamma(1.5, 0.5), 2.0)
    # Women's voltages are lower; this has nothing to do with the label.
    voltage = rng.lognormal(0.04 if heart.male else -0.08, 0.28)
    body = _rotation(rng, 22.0, -4.0 * bounded)
    # Torsos differ and electrodes are never quite where Dower had them.
    torso = _DOWER + rng.normal(0, 0.14, _DOWER.shape)
    width = min(rng.normal(0.90, 0.08) + 0.07 * bounded, 1.3)
    jt = np.clip(rng.normal(0.315, 0.018), 0.27, 0.36)
    t_size, p_size = rng.lognormal(0, 0.3), rng.lognormal(0, 0.2)
    # Cube root: Fridericia 1920, so that repolarisation ends before the next beat.
    stretch = np.cbrt(rr_mean)

    qrs = _QRS * [width, width, voltage, voltage, voltage]
    qrs[:, 2:] += voltage * severity * _QRS_LVH
    qrs[1:3, 0] += 0.003 * bounded  # the wall is thick: R comes late
    n_on, n_off = _extent(qrs)

    t = _T * [stretch, stretch, t_size, t_size, t_size]
    t[:, 2:] = t[:, 2:] @ _rotation(rng, 12.0)
    t[:, 2:] += strain * _T_STRAIN
    t[:, 0] += n_off + jt * stretch - _REACH * t[-1, 1]

    middle = (n_off + t[-1, 0]) / 2
    st = np.array([[middle, 0.3 * (middle - n_off) + 0.01, *(strain * _ST_STRAIN)]])
    p = _P * [1, 1, p_size, p_size, p_size]
    p[:, 0] += n_on - np.clip(rng.normal(0.075, 0.012), 0.06, 0.11)
    if heart.fibrillating:
        p[:, 2:] = 0

    parts = np.concatenate([p, qrs, st, t])
    time = np.arange(-_BEFORE, _AFTER) / FS
    heights = np.exp(-(((time[:, None] - parts[:, 0]) / parts[:, 1]) ** 2) / 2)
    signal = heights @ (parts[:, 2:] @ body @ torso.T)
    kinds = np.arange(1 if heart.fibrillating else 0, 3)
    extents = np.array([_extent(p), (n_on, n_off), _extent(t)])[kinds]
    onsets, offsets = np.rint(extents * FS).astype(np.int64).T
    size_12 = np.abs(_twelve(signal))
    peaks = np.array(
        [
            start + 1 + size_12[start + 1 + _BEFORE : end + _BEFORE].argmax(axis=0)
            for start, end in zip(onsets, offsets, strict=True)
        ]
    )
    return signal, Waves(kinds, onsets, peaks, offsets)


def _rotation(rng: np.random.Generator, scale: float, turn: float = 0.0) -> _Float:
    """Draw a turn of row vectors X, Y, Z; `scale` is its standard deviation, in degrees.

    In the horizontal plane it is half of that. A negative `turn` is towards the left arm.
    """
    a, b = np.radians([rng.normal(turn, scale), rng.normal(0, scale / 2)])
    frontal = np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])
    horizontal = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    return np.asarray(frontal @ horizontal)


def _extent(waves: _Float) -> tuple[float, float]:
    """Return onset and offset, in s from R, of a wave made of rows time, width, X, Y, Z."""
    reach = _REACH * waves[:, 1]
    return float((waves[:, 0] - reach).min()), float((waves[:, 0] + reach).max())


def _draw_rhythm(rng: np.random.Generator, heart: Heart, rr_mean: float, waves: Waves) -> _Int:
    """Draw the samples of R, from the beat under way at the start to the recording's end."""
    n = 30  # more than fit into 10 s
    spread, breath = (0.18, 0.0) if heart.fibrillating else (0.025, 0.03)
    phase = 2 * np.pi * (0.25 * rr_mean * np.arange(n) + rng.random())
    rr = rr_mean * (1 + spread * rng.standard_normal(n) + breath * np.sin(phase))
    # The heart is refractory: no wave begins before the last one has ended.
    rr = np.maximum(rr, (waves.offsets[-1] - waves.onsets[0] + 1) / FS)
    seconds = np.cumsum(rr) - rr[0] * (1 + rng.random())
    r: _Int = np.rint(seconds * FS).astype(np.int64)
    return r[(r > -_AFTER) & (r < N_SAMPLES + _BEFORE)]


def _render(beat: _Float, r: _Int) -> _Float:
    """Lay the beat down at every R; shape (N_SAMPLES, 8), mV."""
    margin = _BEFORE + _AFTER  # holds what lies outside the recording
    signal = np.zeros((N_SAMPLES + 2 * margin, len(_DOWER)))
    for start in r + margin - _BEFORE:
        signal[start : start + _BEFORE + _AFTER] += beat
    return signal[margin:-margin]


def _background(rng: np.random.Generator, heart: Heart, noise: float) -> _Float:
    """Draw what is no beat; shape (N_SAMPLES, 8), mV."""
    shape = (N_SAMPLES, len(_DOWER))
    time = np.arange(N_SAMPLES)[:, None] / FS
    # White and muscle noise have equal power; muscle noise is high-pass and comes in bursts.
    white = rng.standard_normal(shape, dtype=np.float32)
    muscle = np.diff(rng.standard_normal((N_SAMPLES + 1, shape[1]), dtype=np.float32), axis=0)
    phases = 2 * np.pi * rng.random(4)
    burst = 1 + np.sin(2 * np.pi * rng.uniform(0.2, 0.6) * time + phases[0])
    # Powers: differenced noise 2, burst 1.5.
    level = noise * rng.lognormal(0, 0.3)
    signal = level / sqrt(2) * (white + muscle * burst / sqrt(2 * 1.5))

    # Baseline wander: breathing, and electrodes that drift.
    for lowest, highest, phase in ((0.15, 0.35, phases[1]), (0.03, 0.10, phases[2])):
        size = rng.lognormal(-3.5, 0.4) * rng.standard_normal(shape[1])
        signal += size * np.sin(2 * np.pi * rng.uniform(lowest, highest) * time + phase)

    rate = rng.uniform(5.0, 8.0)
    if heart.fibrillating:
        wave = np.sin(2 * np.pi * rate * time + 2 * np.sin(2 * np.pi * 0.7 * time) + phases[3])
        signal += wave * (_DOWER @ _F_WAVE)
    return np.asarray(signal, dtype=np.float64)


def _twelve(eight: _Float) -> npt.NDArray[np.float32]:
    """Complete i, ii, v1..v6 by the limb leads that follow from i and ii."""
    # In the final precision, so that the laws hold to the last bit.
    i, ii, *chest = eight.astype(np.float32).T
    iii = ii - i
    limb = (i, ii, iii, -(i + ii) / 2, (i - iii) / 2, (ii + iii) / 2)
    return np.stack([*limb, *chest], axis=1)
