"""`fusion`: the measured inputs of `voltage` and, behind them, the average beat of `beat`."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lvh.data.cohort import Cohort
from lvh.data.lazy_array import read
from lvh.features import beat, voltage
from lvh.features.base import FeatureSet
from lvh.features.beat import BeatSettings
from lvh.features.imputation import Fill
from lvh.features.voltage import VoltageSettings


@dataclass(frozen=True, slots=True)
class FusionSettings(BeatSettings):
    """Settings of both halves: those of `BeatSettings`, and of the measured input.

    Attributes:
        missing: See `lvh.features.voltage.VoltageSettings`, which measures all leads.
    """

    name: Literal["fusion"] = "fusion"  # type: ignore[assignment]
    missing: Fill = "mean"


def extract(cohort: Cohort, settings: FusionSettings) -> FeatureSet:
    """Return the measured inputs, then the beat, in one row a record: (n_records, n_inputs).

    The beat goes sample by sample, each of them lead by lead. The records are those of `beat`.

    Raises:
        InputError: As of `beat`.
    """
    beats = beat.extract(cohort, settings)
    measured = voltage.extract(cohort, VoltageSettings(missing=settings.missing))
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
