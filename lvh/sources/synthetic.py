"""A seeded cohort of generated 12-lead ECG, so that everything runs without a download.

Each beat is a sum of Gaussians of the cardiac dipole over time (McSharry et al. 2003,
doi:10.1109/TBME.2003.808805; in three dimensions Sameni et al. 2007,
doi:10.1155/2007/43407), seen by the leads through the matrix of Dower et al. 1980
(doi:10.1002/clc.1980.3.2.87). The dipole's axes are X left, Y foot, Z back. Amplitudes and
spreads are our own choice of plausible values; only the ages follow real ones (LUDB 1.0.1).
"""

from dataclasses import dataclass
from math import erf, hypot, sqrt
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, Strict

from lvh.cohort import LEADS, Cohort, Delineation, fingerprint

FS = 500
N_SAMPLES = 5000
PREVALENCE = 0.54
MALE = 0.57
FIBRILLATING = 0.12
AGE_SHIFT = 1.2
"""How far apart the two labels' ages are at effect 1, in standard deviations."""

_AGES = ((11, 20, 30, 40, 50, 60, 70, 80, 90), (0, 14, 39, 56, 75, 117, 165, 192, 200))
"""LUDB 1.0.1: how many of its 200 subjects are younger than each age (its oldest is 90)."""

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


@dataclass(frozen=True, slots=True)
class SyntheticSettings:
    """What to generate.

    Attributes:
        name: Chooses this source.
        records: Number of records, one a subject.
        effect: How much hypertrophy changes signal and age: 1 is plausible, 0 is a null
            cohort whose labels carry no information.
        noise: Standard deviation of white and muscle noise together in mV; the median over
            subjects. Baseline wander and fibrillatory waves come on top.
        seed: Chooses the cohort. Of one seed, a shorter cohort is the head of a longer one.
    """

    name: Literal["synthetic"]
    records: Annotated[int, Strict(), Field(ge=2)]
    effect: Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]
    noise: Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]
    seed: Annotated[int, Strict(), Field(ge=0)]


@dataclass(frozen=True, slots=True)
class _Subject:
    """One subject; severity of hypertrophy is 0 without the label, and at effect 0."""

    male: bool
    age: float
    severity: float
    fibrillating: bool


@dataclass(frozen=True, slots=True)
class _Beat:
    """One noise-free beat; sample indices count from R.

    Attributes:
        signal: Shape (_BEFORE + _AFTER, 8), mV.
        onsets: Of p, N and t, shape (3,).
        peaks: Shape (3, n_leads).
        offsets: Shape (3,).
    """

    signal: _Float
    onsets: npt.NDArray[np.int64]
    peaks: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]


def load(settings: SyntheticSettings) -> Cohort:
    """Generate the cohort; on one machine, equal settings give equal bits."""
    n = settings.records
    # Children of a seed sequence do not depend on their number, so neither do records.
    label_seed, *record_seeds = np.random.SeedSequence(settings.seed).spawn(n + 1)
    label = _draw_labels(np.random.default_rng(label_seed), n)
    signals = np.empty((n, N_SAMPLES, len(LEADS)), dtype=np.float32)
    subjects: list[_Subject] = []
    annotations: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]] = []
    for record, seed in enumerate(record_seeds):
        rng = np.random.default_rng(seed)
        subject = _draw_subject(rng, int(label[record]), settings.effect)
        rr_mean = 60 / np.clip(rng.normal(71, 11), 52, 98)
        beat = _draw_beat(rng, subject, rr_mean)
        r = _draw_rhythm(rng, subject, rr_mean, beat)
        signals[record] = _twelve(_render(beat, r) + _background(rng, subject, settings.noise))
        annotations.append(_delineate(beat, r, subject, first_p=rng.random() < 0.1))
        subjects.append(subject)

    names = tuple(str(record + 1) for record in range(n))
    male = np.array([subject.male for subject in subjects])
    age = np.array([subject.age for subject in subjects])
    delineation = _flatten(annotations)
    content = (delineation.symbols, delineation.samples, delineation.offsets)
    null = "; a null cohort: the labels carry no information" if settings.effect == 0 else ""
    return Cohort(
        name=f"synthetic ({n} records, effect {settings.effect:g}, seed {settings.seed})",
        records=names,
        subjects=np.array(names),
        leads=LEADS,
        fs=float(FS),
        signals=signals,
        delineation=delineation,
        male=male,
        age=age,
        label=label,
        fingerprint=fingerprint(names, LEADS, float(FS), signals, *content, male, age, label),
        note=f"synthetic cohort: generated signals, no patients{null}",
    )


def _draw_labels(rng: np.random.Generator, n: int) -> npt.NDArray[np.int64]:
    """Draw the labels from a stream that nothing else reads, so that a null cohort is null."""
    label = (rng.random(n) < PREVALENCE).astype(np.int64)
    # Even the smallest cohort has both classes, and a longer one still begins with it.
    label[1] = 1 - label[0]
    return label


def _draw_subject(rng: np.random.Generator, label: int, effect: float) -> _Subject:
    """Draw what is known of a subject.

    Age is a quantile of LUDB's. The label moves the quantile, and the division keeps the
    spread of the mixture, so that the cohort's ages look the same at every effect.
    """
    shift = AGE_SHIFT * effect
    z = rng.standard_normal() + shift * (label - PREVALENCE)
    spread = hypot(1, shift * sqrt(PREVALENCE * (1 - PREVALENCE)))
    quantile = (1 + erf(z / spread / sqrt(2))) / 2
    years, younger = _AGES
    return _Subject(
        male=bool(rng.random() < MALE),
        age=float(np.floor(np.interp(quantile * younger[-1], younger, years))),
        severity=effect * label * float(rng.gamma(1.5, 1 / 1.5)),
        fibrillating=bool(rng.random() < FIBRILLATING),
    )


def _rotation(rng: np.random.Generator, scale: float, turn: float = 0.0) -> _Float:
    """Draw a turn of row vectors X, Y, Z: frontal plane first, then horizontal plane.

    Args:
        rng: The record's stream.
        scale: Standard deviation in degrees; in the horizontal plane half of it.
        turn: Added to the frontal angle, in degrees; negative is towards the left arm.
    """
    a, b = np.radians([rng.normal(turn, scale), rng.normal(0, scale / 2)])
    frontal = np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])
    horizontal = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    both: _Float = frontal @ horizontal
    return both


def _draw_beat(rng: np.random.Generator, subject: _Subject, rr_mean: float) -> _Beat:
    """Draw a subject's beat: voltage, axis and intervals, then its five groups of Gaussians."""
    severity = subject.severity
    bounded = min(severity, 2.5)  # voltage may grow with any effect; times and angles may not
    strain = min(bounded * rng.gamma(1.5, 0.5), 2.0)
    # Women's voltages are lower; this has nothing to do with the label.
    voltage = rng.lognormal(0.04 if subject.male else -0.08, 0.28)
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
    if subject.fibrillating:
        p[:, 2:] = 0

    waves = np.concatenate([p, qrs, st, t])
    time = np.arange(-_BEFORE, _AFTER) / FS
    heights = np.exp(-(((time[:, None] - waves[:, 0]) / waves[:, 1]) ** 2) / 2)
    signal = heights @ (waves[:, 2:] @ body @ torso.T)
    extents = np.array([_extent(p), (n_on, n_off), _extent(t)])
    onsets, offsets = np.rint(extents * FS).astype(np.int64).T
    size_12 = np.abs(_twelve(signal))
    peaks = np.array(
        [
            start + 1 + size_12[start + 1 + _BEFORE : end + _BEFORE].argmax(axis=0)
            for start, end in zip(onsets, offsets, strict=True)
        ]
    )
    return _Beat(signal, onsets, peaks, offsets)


def _extent(waves: _Float) -> tuple[float, float]:
    """Return onset and offset, in s from R, of a wave made of rows time, width, X, Y, Z."""
    return (
        float((waves[:, 0] - _REACH * waves[:, 1]).min()),
        float((waves[:, 0] + _REACH * waves[:, 1]).max()),
    )


def _draw_rhythm(
    rng: np.random.Generator, subject: _Subject, rr_mean: float, beat: _Beat
) -> npt.NDArray[np.int64]:
    """Draw the samples of R, from the beat under way at the start to the recording's end."""
    n = 30  # more than fit into 10 s
    spread, breath = (0.18, 0.0) if subject.fibrillating else (0.025, 0.03)
    phase = 2 * np.pi * (0.25 * rr_mean * np.arange(n) + rng.random())
    rr = rr_mean * (1 + spread * rng.standard_normal(n) + breath * np.sin(phase))
    # The heart is refractory: no wave begins before the last one has ended.
    first = beat.onsets[1 if subject.fibrillating else 0]
    rr = np.maximum(rr, (beat.offsets[2] - first + 1) / FS)
    seconds = np.cumsum(rr) - rr[0] * (1 + rng.random())
    r: npt.NDArray[np.int64] = np.rint(seconds * FS).astype(np.int64)
    return r[(r > -_AFTER) & (r < N_SAMPLES + _BEFORE)]


def _render(beat: _Beat, r: npt.NDArray[np.int64]) -> _Float:
    """Lay the beat down at every R; shape (N_SAMPLES, 8), mV."""
    margin = _BEFORE + _AFTER  # holds what lies outside the recording
    signal = np.zeros((N_SAMPLES + 2 * margin, len(_DOWER)))
    for start in r + margin - _BEFORE:
        signal[start : start + _BEFORE + _AFTER] += beat.signal
    return signal[margin:-margin]


def _background(rng: np.random.Generator, subject: _Subject, noise: float) -> _Float:
    """Draw what is no beat; shape (N_SAMPLES, 8), mV.

    White and muscle noise have equal power; muscle noise is high-pass and comes in bursts.
    """
    shape = (N_SAMPLES, len(_DOWER))
    time = np.arange(N_SAMPLES)[:, None] / FS
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
    if subject.fibrillating:
        wave = np.sin(2 * np.pi * rate * time + 2 * np.sin(2 * np.pi * 0.7 * time) + phases[3])
        signal += wave * (_DOWER @ _F_WAVE)
    return np.asarray(signal, dtype=np.float64)


def _twelve(eight: _Float) -> npt.NDArray[np.float32]:
    """Complete i, ii, v1..v6 by the limb leads that follow from i and ii.

    Einthoven: iii = ii - i. Goldberger: avr = -(i + ii) / 2, avl = (i - iii) / 2,
    avf = (ii + iii) / 2.
    """
    # In the final precision, so that the identities hold to the last bit.
    i, ii, *chest = eight.astype(np.float32).T
    iii = ii - i
    limb = (i, ii, iii, -(i + ii) / 2, (i - iii) / 2, (ii + iii) / 2)
    return np.stack([*limb, *chest], axis=1)


def _delineate(
    beat: _Beat, r: npt.NDArray[np.int64], subject: _Subject, *, first_p: bool
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Annotate the waves that lie wholly inside the recording.

    Args:
        beat: The subject's beat.
        r: Samples of R.
        subject: Without p if fibrillating.
        first_p: Whether a p before the first N is annotated. In LUDB few are.

    Returns:
        Symbols and samples of each lead, shape (n_leads, n_annotations).
    """
    kinds = np.arange(1 if subject.fibrillating else 0, 3)
    kind = np.tile(kinds, len(r))
    onset = (r[:, None] + beat.onsets[kinds]).ravel()
    peak = (r[:, None, None] + beat.peaks[kinds]).reshape(-1, len(LEADS))
    offset = (r[:, None] + beat.offsets[kinds]).ravel()

    inside = np.flatnonzero((onset >= 0) & (offset < N_SAMPLES))
    start = int(np.argmax(kind[inside] == 1))
    if first_p and start > 0 and kind[inside[start - 1]] == 0:
        start -= 1
    kept = inside[start:]
    edges = np.broadcast_to([onset[kept], offset[kept]], (len(LEADS), 2, len(kept)))
    samples = np.stack([edges[:, 0], peak[kept].T, edges[:, 1]], axis=2).astype(np.int32)
    symbols = np.frombuffer(b"(p)(N)(t)", dtype=np.uint8).reshape(3, 3)[kind[kept]].ravel()
    return np.tile(symbols, (len(LEADS), 1)), samples.reshape(len(LEADS), -1)


def _flatten(
    annotations: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]],
) -> Delineation:
    """Join the records' annotations into the flat form."""
    lengths = [symbols.shape[1] for symbols, _ in annotations]
    offsets = np.cumsum([0, *np.repeat(lengths, len(LEADS))], dtype=np.int64)
    return Delineation(
        symbols=np.concatenate([symbols.ravel() for symbols, _ in annotations]),
        samples=np.concatenate([samples.ravel() for _, samples in annotations]),
        offsets=offsets,
        n_leads=len(LEADS),
    )
