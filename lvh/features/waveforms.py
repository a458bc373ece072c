"""`raw`, `ntp`, `beat` and `fusion`: signals, their means at fiducials, their average heartbeat."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, Strict

from lvh.data.cohort import LEADS, Cohort, find_waves
from lvh.data.lazy_array import Inputs, LazyArray, read
from lvh.errors import InputError
from lvh.features import voltage
from lvh.features.feature_set import FeatureSet, feature_set
from lvh.features.missing_values import Fill, Malformed, incomplete_records

Floats = npt.NDArray[np.float32]
Scaling = Literal["minmax", "none"]
Average = Literal["mean", "median"]
Seconds = Annotated[float, Strict(), Field(gt=0, le=3600, allow_inf_nan=False)]


def _listed(value: Any) -> Any:
    return LEADS if value == "all" else [value] if isinstance(value, str) else value


Leads = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_listed)]
"""Names of leads, in the order of the inputs; `all`, or the twelve in their order, means all."""
FIDUCIALS = tuple(f"{wave}_{point}" for wave in "Ntp" for point in ("onset", "peak", "offset"))
SUSPICIOUS = 0.25
"""Distance below which two records very likely show one subject (experiments/duplicates)."""

_DECADES = np.arange(10, 90, 10)
_DEFAULT = ("avl", "v1", "v5", "v6")  # of the original study
_ISOELECTRIC = 0.02  # s in front of the QRS onset: the end of the PR segment, where there is one
_MOST = 5000  # records, of which all pairs are compared


@dataclass(frozen=True, slots=True)
class RawSettings:
    """Settings of the waveform input.

    Attributes:
        leads: Which leads, in this order; `all` for all. Of records that lack some of the default
            ones, all.
        scaling: Each record and lead on its own, see `scale`.
    """

    name: Literal["raw"] = "raw"
    leads: Leads = _DEFAULT
    scaling: Scaling = "minmax"


@dataclass(frozen=True, slots=True)
class NtpSettings:
    """Settings of the delineated input.

    Attributes:
        missing_p: Records without p waves get, in the three p inputs of each lead, the mean
            over the training fold or zero.
        malformed: Records with a lead that has no complete `(N)(t)` are dropped, or fail
            the run.
        scaling: See `scale`.
    """

    name: Literal["ntp"] = "ntp"
    missing_p: Fill = "mean"
    malformed: Malformed = "drop"
    scaling: Scaling = "minmax"


@dataclass(frozen=True, slots=True)
class BeatSettings:
    """Settings of the average beat.

    Attributes:
        leads: Which leads, in this order; `all` for all.
        before: Seconds of a beat in front of its QRS peak.
        after: Seconds of it from its QRS peak on.
        average: Over the beats, sample by sample; the median forgets an extrasystole.
        scaling: `none` keeps mV above the isoelectric level; `minmax` maps each average beat
            to [0, 1].
        malformed: Records with a lead that has no complete beat are dropped, or fail the run.
    """

    name: Literal["beat"] = "beat"
    leads: Leads = LEADS
    before: Seconds = 0.25
    after: Seconds = 0.45
    average: Average = "median"
    scaling: Scaling = "none"
    malformed: Malformed = "drop"


@dataclass(frozen=True, slots=True)
class FusionSettings(BeatSettings):
    """Settings of both halves: those of `BeatSettings`, and of the measured input.

    Attributes:
        missing: See `lvh.features.voltage.VoltageSettings`, which measures all leads.
    """

    name: Literal["fusion"] = "fusion"  # type: ignore[assignment]
    missing: Fill = "mean"


def extract_raw(cohort: Cohort, settings: RawSettings) -> FeatureSet:
    """Return the chosen leads of every record, shape (n_records, n_samples, n_leads).

    An unknown or repeated lead is an InputError, as is a flat one under minmax.
    """
    leads = positions(cohort, settings.leads)
    columns, signals = list(leads.values()), cohort.signals
    if isinstance(signals, LazyArray):
        shape = (signals.shape[1], len(columns))
        signals = signals.map(lambda values, _: values[:, :, columns], shape)
    else:
        signals = signals[:, :, columns]
    X = scale(signals, settings.scaling, cohort.records)
    return feature_set(cohort, "signal", X, tuple(leads))


def positions(cohort: Cohort, leads: tuple[str, ...]) -> dict[str, int]:
    """Return the position in the cohort of each lead, by its lower-case name, in their order.

    All leads of the cohort stand for the twelve, and for the default ones where it lacks some.
    """
    names = tuple(lead.lower() for lead in leads)
    own = set(cohort.leads)
    if (names == LEADS and own != {*LEADS}) or (names == _DEFAULT and not own.issuperset(names)):
        names = cohort.leads
    if len(own.intersection(names)) != len(names):
        raise InputError(
            f"features.leads: expected some of {', '.join(cohort.leads)}, each once. "
            f"Received: {', '.join(names)}"
        )
    return {name: cohort.leads.index(name) for name in names}


def scale(signals: Inputs, scaling: Scaling, records: Sequence[str]) -> Inputs:
    """Scale signals in mV, shape (n_records, n_samples, n_leads), along their samples.

    `minmax` maps each lead of each record to [0, 1], as the original study does, and loses its
    amplitude; a flat lead is an InputError. `none` keeps mV and removes the baseline (the median).
    """
    if isinstance(signals, LazyArray):
        return signals.map(lambda own, at: read(scale(own, scaling, [records[i] for i in at])))
    if scaling == "none":
        return signals - np.median(signals, axis=1, keepdims=True)
    low = signals.min(axis=1, keepdims=True)
    span = signals.max(axis=1, keepdims=True) - low
    if not (span > 0).all():
        flat = [records[i] for i in np.unique(np.nonzero(~(span > 0))[0])]
        raise InputError(
            f"features.scaling=minmax: expected no flat lead. Received: a flat lead in record "
            f"{', '.join(flat[:5])}"
        )
    return np.asarray((signals - low) / span)


def extract_ntp(cohort: Cohort, settings: NtpSettings) -> FeatureSet:
    """Return sex, `age_decades` and, lead by lead, the means at `FIDUCIALS`: (n_records, 117).

    Each lead is scaled on its own first. p inputs of a lead without p waves are NaN. A malformed
    record, where the settings say fail, or a flat lead under minmax is an InputError.
    """
    means = fiducial_means(cohort, scale(cohort.signals, settings.scaling, cohort.records))
    lacking = np.asarray(np.isnan(means[:, :, :6]).any(axis=2))
    dropped = incomplete_records(cohort, cohort.leads, lacking, "(N)(t)", settings.malformed)
    columns = [cohort.male, age_decades(cohort.age), means.reshape(len(means), -1)]
    X = np.column_stack(columns).astype(np.float32)
    names = ["male", *(f"age_{decade}s" for decade in _DECADES)]
    names += [f"{lead}_{fiducial}" for lead in cohort.leads for fiducial in FIDUCIALS]
    return feature_set(cohort, "tabular", X, (*names,), fill=settings.missing_p, dropped=dropped)


def age_decades(age: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Encode ages in years one-hot by decade, from below 20 to 80 and over: (n_records, 8)."""
    decade = np.clip(age // 10 * 10, _DECADES[0], _DECADES[-1])
    return np.equal(decade[:, None], _DECADES).astype(np.float64)


def fiducial_means(cohort: Cohort, signals: Inputs) -> npt.NDArray[np.float64]:
    """Average signals at the `FIDUCIALS` of each lead's beats: shape (n_records, n_leads, 9).

    A beat is `(N)(t)(p)`; in a lead that has none, `(N)(t)`, and NaN for p; without both NaN.
    """
    means = np.full((len(cohort.records), len(cohort.leads), len(FIDUCIALS)), np.nan)
    for record in range(len(cohort.records)):
        signal = signals[record]
        for lead in range(len(cohort.leads)):
            waves = cohort.delineation.lead(record, lead)
            for pattern in ("(N)(t)", "(N)(t)(p)"):  # the longer one last, in place of the other
                beats = find_waves(*waves, pattern)
                if len(beats):
                    values = signal[beats, lead].mean(axis=0, dtype=np.float64)
                    means[record, lead, : len(pattern)] = values
    return means


def extract_beat(cohort: Cohort, settings: BeatSettings) -> FeatureSet:
    """Return one beat of every record, shape (n_records, n_samples, n_leads).

    Beats are aligned at the QRS peak of their own lead, so that the average keeps the voltages; the
    delay between leads is lost. An InputError names an unknown lead, a window that no record holds,
    a malformed record where the settings say fail, and a flat lead under minmax.
    """
    leads = positions(cohort, settings.leads)
    names, n_samples = tuple(leads), cohort.signals.shape[1]
    n_before, n_after = round(settings.before * cohort.fs), round(settings.after * cohort.fs)
    if not 1 <= n_before + n_after <= n_samples:
        raise InputError(
            f"features.before and features.after: expected a window of 1 to {n_samples} samples "
            f"at {cohort.fs:g} Hz. Received: before={settings.before:g}, after={settings.after:g}"
        )
    window = np.arange(-n_before, n_after)
    average = np.median if settings.average == "median" else np.mean
    X = np.full((len(cohort.records), len(window), len(leads)), np.nan, dtype=np.float32)
    for record in range(len(X)):
        signal = cohort.signals[record]
        for column, lead in enumerate(leads.values()):
            qrs = find_waves(*cohort.delineation.lead(record, lead), "(N)")
            beats = _complete_beats(signal[:, lead], qrs, window, cohort.fs)
            if len(beats):
                X[record, :, column] = average(beats, axis=0)
    dropped = incomplete_records(cohort, names, np.isnan(X[:, 0]), "beat", settings.malformed)
    features = feature_set(cohort, "signal", X, names, dropped=dropped)
    if settings.scaling == "minmax":
        return replace(features, X=scale(features.X, "minmax", features.records))
    return features  # their zero is the isoelectric level already


def extract_fusion(cohort: Cohort, settings: FusionSettings) -> FeatureSet:
    """Return the measured inputs, then the beat, in one row a record: (n_records, n_inputs).

    The beat goes sample by sample, each of them lead by lead. The records are those of `beat`.
    """
    beats = extract_beat(cohort, settings)
    measured = voltage.extract(cohort, voltage.VoltageSettings(missing=settings.missing))
    # a complete beat has a complete (N): `measured` has every record of `beats`
    used = np.isin(measured.records, beats.records)
    n_records, n_samples, _ = beats.X.shape
    samples = [f"{lead}_{sample}" for sample in range(n_samples) for lead in beats.names]
    return replace(
        beats,
        kind="mixed",
        X=np.concatenate([read(measured.X)[used], read(beats.X).reshape(n_records, -1)], axis=1),
        names=(*measured.names, *samples),
        fill=measured.fill,
        signal_shape=beats.input_shape,
    )


def _complete_beats(
    signal: Floats, qrs: npt.NDArray[np.int32], window: npt.NDArray[np.int64], fs: float
) -> Floats:
    """Cut out the beats of a lead inside the recording, each less its isoelectric level, in mV."""
    onsets, peaks, _ = qrs.T
    segment = np.arange(-max(1, round(_ISOELECTRIC * fs)), 0)
    inside = (peaks + window[0] >= 0) & (peaks + window[-1] < len(signal))
    inside &= onsets + segment[0] >= 0
    level = np.median(signal[onsets[inside, None] + segment], axis=1, keepdims=True)
    return np.asarray(signal[peaks[inside, None] + window] - level)


class Pair(NamedTuple):
    """Two records and their distance, see `closest_pairs`."""

    record: str
    other: str
    distance: float
    same_subject: bool


def closest_pairs(cohort: Cohort, n: int = 10) -> list[Pair]:
    """Return the pairs of records with the most similar median beats, the closest first.

    The distance is the root mean square difference of both beats in shares of the geometric mean of
    their root mean squares. Without fiducials, or of more than 5,000 records, there are none.
    """
    if not (1 < len(cohort.records) <= _MOST and len(cohort.delineation.samples)):
        return []
    features = extract_beat(cohort, BeatSettings(leads=tuple(cohort.leads)))
    X = np.asarray(features.X, np.float64).reshape(len(features.records), -1)
    squares = (X**2).mean(axis=1)
    means = squares[:, None] + squares - 2 * X @ X.T / X.shape[1]
    distances = np.sqrt(np.maximum(means, 0) / np.sqrt(squares[:, None] * squares))
    first, second = np.triu_indices(len(X), 1)
    order = np.argsort(distances[first, second], kind="stable")[:n]
    names, subjects = features.records, features.subjects
    return [
        Pair(names[a], names[b], float(distances[a, b]), bool(subjects[a] == subjects[b]))
        for a, b in zip(first[order].tolist(), second[order].tolist(), strict=True)
    ]
