"""A seeded cohort of generated 12-lead ECG, so that everything runs without a download.

The ages follow real ones (LUDB 1.0.1), and so do the shares of men and of labels.
"""

from dataclasses import dataclass
from math import erf, hypot, sqrt
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, Strict

from lvh.cohort import LEADS, Cohort, Delineation, Origin, fingerprint
from lvh.sources.dipole import FS, N_SAMPLES, Heart, Waves, draw_recording
from lvh.sources.found import with_found

_PREVALENCE = 0.54
_MALE = 0.57
_FIBRILLATING = 0.12
_FIRST_P = 0.1  # how often a p before the first N is annotated; in LUDB rarely
_AGE_SHIFT = 1.2  # between the two labels at effect 1, in standard deviations
# LUDB 1.0.1: how many of its 200 subjects are younger than each age (its oldest is 90)
_AGES = ((11, 20, 30, 40, 50, 60, 70, 80, 90), (0, 14, 39, 56, 75, 117, 165, 192, 200))
_SYMBOLS = np.frombuffer(b"(p)(N)(t)", dtype=np.uint8).reshape(3, 3)

_Annotations = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]


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
        delineation: The true fiducials, or those that `lvh.delineation` finds.
    """

    name: Literal["synthetic"]
    records: Annotated[int, Strict(), Field(ge=2, le=100_000)]
    effect: Annotated[float, Strict(), Field(ge=0, le=1000, allow_inf_nan=False)]
    noise: Annotated[float, Strict(), Field(ge=0, le=1000, allow_inf_nan=False)]
    seed: Annotated[int, Strict(), Field(ge=0)]
    delineation: Origin = "annotated"


def load(settings: SyntheticSettings) -> Cohort:
    """Generate the cohort; on one machine, equal settings give equal bits."""
    n = settings.records
    # Children of a seed sequence do not depend on their number, so neither do records.
    label_seed, *record_seeds = np.random.SeedSequence(settings.seed).spawn(n + 1)
    label = _draw_labels(np.random.default_rng(label_seed), n)
    signals = np.empty((n, N_SAMPLES, len(LEADS)), dtype=np.float32)
    male, age = np.empty(n, dtype=np.bool_), np.empty(n)
    annotations: list[_Annotations] = []
    for record, seed in enumerate(record_seeds):
        rng = np.random.default_rng(seed)
        age[record], heart = _draw_subject(rng, int(label[record]), settings.effect)
        male[record] = heart.male
        signals[record], waves = draw_recording(rng, heart, settings.noise)
        annotations.append(_annotate(waves, first_p=rng.random() < _FIRST_P))

    names = tuple(str(record + 1) for record in range(n))
    delineation = _flatten(annotations)
    content = (delineation.symbols, delineation.samples, delineation.offsets)
    null = "; a null cohort: the labels carry no information" if settings.effect == 0 else ""
    cohort = Cohort(
        name=f"synthetic ({n} records, effect {settings.effect:g}, seed {settings.seed})",
        records=names,
        subjects=np.array(names),
        leads=LEADS,
        fs=FS,
        signals=signals,
        delineation=delineation,
        male=male,
        age=age,
        label=label,
        fingerprint=fingerprint(names, LEADS, FS, signals, *content, male, age, label),
        note=f"synthetic cohort: generated signals, no patients{null}",
    )
    return with_found(cohort) if settings.delineation == "found" else cohort


def _draw_labels(rng: np.random.Generator, n: int) -> npt.NDArray[np.int64]:
    """Draw the labels from a stream that nothing else reads, so that a null cohort is null."""
    label = (rng.random(n) < _PREVALENCE).astype(np.int64)
    # Even the smallest cohort has both classes, and a longer one still begins with it.
    label[1] = 1 - label[0]
    return label


def _draw_subject(rng: np.random.Generator, label: int, effect: float) -> tuple[float, Heart]:
    """Draw a subject's age and heart.

    Age is a quantile of LUDB's. The label moves the quantile, and the division keeps the
    spread of the mixture, so that the cohort's ages look the same at every effect.
    """
    shift = _AGE_SHIFT * effect
    z = rng.standard_normal() + shift * (label - _PREVALENCE)
    spread = hypot(1, shift * sqrt(_PREVALENCE * (1 - _PREVALENCE)))
    quantile = (1 + erf(z / spread / sqrt(2))) / 2
    years, younger = _AGES
    heart = Heart(
        male=bool(rng.random() < _MALE),
        severity=effect * label * float(rng.gamma(1.5, 1 / 1.5)),
        fibrillating=bool(rng.random() < _FIBRILLATING),
    )
    return float(np.floor(np.interp(quantile * younger[-1], younger, years))), heart


def _annotate(waves: Waves, *, first_p: bool) -> _Annotations:
    """Annotate the waves that lie wholly inside the recording.

    Args:
        waves: All of them.
        first_p: Whether to begin with a p, if one precedes the first N.

    Returns:
        Symbols, shape (n_annotations,), and samples, shape (n_leads, n_annotations).
    """
    inside = np.flatnonzero((waves.onsets >= 0) & (waves.offsets < N_SAMPLES))
    start = int(np.argmax(waves.kinds[inside] == 1))
    if first_p and start > 0 and waves.kinds[inside[start - 1]] == 0:
        start -= 1
    kept = inside[start:]
    peaks = waves.peaks[kept].T
    samples = np.empty((*peaks.shape, 3), dtype=np.int32)
    samples[..., 0] = waves.onsets[kept]
    samples[..., 1] = peaks
    samples[..., 2] = waves.offsets[kept]
    return _SYMBOLS[waves.kinds[kept]].ravel(), samples.reshape(len(LEADS), -1)


def _flatten(annotations: list[_Annotations]) -> Delineation:
    """Join the records' annotations into the flat form."""
    lengths = [len(symbols) for symbols, _ in annotations]
    return Delineation(
        symbols=np.concatenate([np.tile(symbols, len(LEADS)) for symbols, _ in annotations]),
        samples=np.concatenate([samples.ravel() for _, samples in annotations]),
        offsets=np.cumsum([0, *np.repeat(lengths, len(LEADS))], dtype=np.int64),
        n_leads=len(LEADS),
    )
