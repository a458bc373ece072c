from dataclasses import dataclass
from typing import Literal

import numpy as np

import lvh


@dataclass(frozen=True)
class Spread:
    measure: Literal["deviation", "range"] = "deviation"


@lvh.register_features("spread", settings=Spread)
def spread(cohort, settings):
    measured = np.std if settings.measure == "deviation" else np.ptp
    names = [f"{lead}_spread" for lead in cohort.leads]
    return measured(cohort.signals, axis=1), names
