"""`beat`: the waveform of one average heartbeat, lead by lead; `fusion`: `voltage`, then `beat`."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, Strict

from lvh.data.cohort import LEADS, Cohort
from lvh.data.lazy_array import read
from lvh.errors import InputError
from lvh.features import base, voltage
from lvh.features.base import FeatureSet, Fill, Malformed
from lvh.features.raw import Leads, Scaling, positions, scale

Average = Literal["mean", "median"]
Seconds = Annotated[float, Strict(), Field(gt=0, le=3600, allow_inf_nan=False)]

_ISOELECTRIC = 0.02  # s in front of the QRS onset: the end of the PR segment, where there is one
SUSPICIOUS = 0.25
"""Distance below which two records very likely show one subject (experiments/duplicates)."""
_MOST = 5000  # records, of which all pairs are compared


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


def extract(cohort: Cohort, settings: BeatSettings) -> FeatureSet:
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
    reduce = np.median if settings.average == "median" else np.mean
    X = np.full((len(cohort.records), len(window), len(leads)), np.nan, dtype=np.float32)
    for record in range(len(X)):
        for column, lead in enumerate(leads.values()):
            beats = _complete_beats(cohort, record, lead, window)
            if len(beats):
                X[record, :, column] = reduce(beats, axis=0)
    dropped = base.incomplete_records(cohort, names, np.isnan(X[:, 0]), "beat", settings.malformed)
    features = base.feature_set(cohort, "signal", X, names, dropped=dropped)
    if settings.scaling == "minmax":
        return replace(features, X=scale(features.X, "minmax", features.records))
    return features  # their zero is the isoelectric level already


def extract_fusion(cohort: Cohort, settings: FusionSettings) -> FeatureSet:
    """Return the measured inputs, then the beat, in one row a record: (n_records, n_inputs).

    The beat goes sample by sample, each of them lead by lead. The records are those of `beat`.
    """
    beats = extract(cohort, settings)
    measured = voltage.extract(cohort, voltage.VoltageSettings(missing=settings.missing))
    # a complete beat has a complete (N): `measured` has every record of `beats`
    used = np.isin(measured.records, beats.records)
    n_records, n_samples, _ = beats.X.shape
    return replace(
        beats,
        kind="mixed",
        X=np.concatenate([read(measured.X)[used], read(beats.X).reshape(n_records, -1)], axis=1),
        names=(
            *measured.names,
            *(f"{lead}_{sample}" for sample in range(n_samples) for lead in beats.names),
        ),
        fill=measured.fill,
        signal_shape=beats.input_shape,
    )


def _complete_beats(
    cohort: Cohort, record: int, lead: int, window: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Cut out the beats of a lead inside the recording, each less its isoelectric level, in mV."""
    signal = cohort.signals[record][:, lead]
    symbols, samples = cohort.delineation.lead(record, lead)
    starts = base.find_pattern(symbols, "(N)")
    onsets, peaks = samples[starts], samples[starts + 1]
    segment = np.arange(-max(1, round(_ISOELECTRIC * cohort.fs)), 0)
    inside = (peaks + window[0] >= 0) & (peaks + window[-1] < len(signal))
    inside &= onsets + segment[0] >= 0
    level = np.median(signal[onsets[inside, None] + segment], axis=1, keepdims=True)
    return np.asarray(signal[peaks[inside, None] + window] - level)


@dataclass(frozen=True, slots=True)
class Pair:
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
    features = extract(cohort, BeatSettings(leads=tuple(cohort.leads)))
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
