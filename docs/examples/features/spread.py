"""`spread`: how far the voltage of each lead spreads, with age and sex."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lvh.data.cohort import Cohort
from lvh.features.base import FeatureSet, feature_set

_RANGE = (1, 99)  # percentiles; a single spike decides neither


@dataclass(frozen=True, slots=True)
class SpreadSettings:
    """Settings of the spread.

    Attributes:
        measure: `deviation`, the standard deviation of the signal, or `range`, from its 1st to
            its 99th percentile.
    """

    name: Literal["spread"]
    measure: Literal["deviation", "range"] = "deviation"


def extract(cohort: Cohort, settings: SpreadSettings) -> FeatureSet:
    """Return 1 for male, age in centuries, and the spread of each lead in mV."""
    signals = cohort.signals
    if settings.measure == "deviation":
        spread = signals.std(axis=1, dtype=np.float64)
    else:
        low, high = np.percentile(signals, _RANGE, axis=1)
        spread = high - low
    X = np.column_stack([cohort.male, cohort.age / 100, spread])
    names = ("male", "age", *(f"{lead}_spread" for lead in cohort.leads))
    return feature_set(cohort, "tabular", X.astype(np.float32), names)
