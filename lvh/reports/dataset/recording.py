"""What the way of recording gives away of the label: a shortcut that a model could take."""

from typing import NamedTuple

import numpy as np

from lvh.data.cohort import Cohort
from lvh.reports.dataset.signals import Floats, SignalFacts
from lvh.validation.metrics import bootstrap_intervals


class GivenAway(NamedTuple):
    """How a measure of recording ranks the records, with its 95 % interval."""

    measure: str
    roc_auc: float
    low: float
    high: float


def given_away(cohort: Cohort, facts: SignalFacts) -> list[GivenAway]:
    """Rank the records by the median noise, and wander, of their leads; nothing is learned.

    Above .5 records with LVH have more of it, below .5 less.
    """
    return [
        _given_away(cohort, name, np.median(values, axis=1))
        for name, values in (("noise", facts.noise), ("wander", facts.wander))
    ]


def _given_away(cohort: Cohort, name: str, values: Floats) -> GivenAway:
    _, rank = np.unique(values, return_inverse=True)
    scores = rank / max(int(rank.max()), 1)
    found = bootstrap_intervals(cohort.label, scores, cohort.subjects)["roc_auc"]
    return GivenAway(name, found.estimate, found.low, found.high)
