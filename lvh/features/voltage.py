"""`voltage`: amplitudes in mV, durations in s, and the clinical criteria."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lvh.data.cohort import Cohort
from lvh.features.amplitudes import Floats, measure
from lvh.features.base import FeatureSet, Fill, feature_set
from lvh.features.criteria import CRITERIA, Measurements

WAVES = ("Q", "R", "S", "T", "QRS")


@dataclass(frozen=True, slots=True)
class VoltageSettings:
    """Settings of the measured input.

    Attributes:
        missing: An input that needs a wave which the delineation lacks gets the mean over
            the training fold or zero.
    """

    name: Literal["voltage"] = "voltage"
    missing: Fill = "mean"


def extract(cohort: Cohort, settings: VoltageSettings) -> FeatureSet:
    """Return sex, age, measured waves and criteria: 71 inputs for 12 leads.

    The columns are 1 for male, age in centuries (so that it is about as large as the others),
    lead by lead `WAVES` (depth of Q, height of R, depth of S, signed T, all in mV, and the
    duration of QRS in s), the duration of QRS in the widest lead, and the values of
    `lvh.features.criteria.CRITERIA` under their names. A value that needs a missing wave is NaN.
    A record without any complete QRS is dropped.

    Raises:
        InputError: No record is left.
    """
    waves = measure(cohort)
    names, X = voltage_inputs(cohort, waves)
    return feature_set(
        cohort,
        "tabular",
        X.astype(np.float32),
        names,
        fill=settings.missing,
        dropped=records_without_qrs(waves),
    )


def voltage_inputs(cohort: Cohort, waves: Measurements) -> tuple[tuple[str, ...], Floats]:
    """Return the names of the inputs, and all of them, shape (n_records, n_inputs)."""
    amplitudes = np.stack([waves.q, waves.r, waves.s, waves.t, waves.qrs], axis=2)
    X = np.column_stack(
        [
            cohort.male,
            cohort.age / 100,
            amplitudes.reshape(len(amplitudes), -1),
            waves.qrs_duration,
            *(criterion.value(waves) for criterion in CRITERIA.values()),
        ]
    )
    names = (
        "male",
        "age",
        *(f"{lead}_{wave}" for lead in cohort.leads for wave in WAVES),
        "qrs_duration",
        *CRITERIA,
    )
    return names, X


def records_without_qrs(waves: Measurements) -> dict[int, str]:
    """Return the positions of records that cannot be used, each with the reason."""
    without = np.flatnonzero(np.isnan(waves.qrs).all(axis=1))
    return {int(record): "no complete (N) in any lead" for record in without}
