"""`fusion`: the measured inputs of `voltage` and, behind them, the average beat of `beat`."""

from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

from lvh.data.cohort import LEADS, Cohort
from lvh.data.lazy_array import read
from lvh.features import beat, voltage
from lvh.features.base import FeatureSet, Malformed
from lvh.features.beat import Average, BeatSettings, Seconds
from lvh.features.imputation import Fill
from lvh.features.raw import Leads, Scaling
from lvh.features.voltage import VoltageSettings


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """Settings of both halves: of the measured input, and of the average beat.

    Attributes:
        missing: See `lvh.features.voltage.VoltageSettings`, which measures all leads.
        leads: See, as all below, `lvh.features.beat.BeatSettings`.
        before: Seconds of a beat in front of its QRS peak.
        after: Seconds of it from its QRS peak on.
        average: Over the beats, sample by sample.
        scaling: Of the beats; what is measured stays in mV.
        malformed: Records with a lead that has no complete beat are dropped, or fail the run.
    """

    name: Literal["fusion"] = "fusion"
    missing: Fill = "mean"
    leads: Leads = LEADS
    before: Seconds = 0.25
    after: Seconds = 0.45
    average: Average = "median"
    scaling: Scaling = "none"
    malformed: Malformed = "drop"


def extract(cohort: Cohort, settings: FusionSettings) -> FeatureSet:
    """Return the measured inputs, then the beat, in one row a record: (n_records, n_inputs).

    The beat goes sample by sample, each of them lead by lead. The records are those of `beat`.

    Raises:
        InputError: As of `beat`.
    """
    beats = beat.extract(cohort, _beat_settings(settings))
    measured = voltage.extract(cohort, VoltageSettings("voltage", settings.missing))
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


def _beat_settings(settings: FusionSettings) -> BeatSettings:
    shared = {field.name: getattr(settings, field.name) for field in fields(BeatSettings)}
    return BeatSettings(**shared | {"name": "beat"})
