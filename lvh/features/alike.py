"""Records that are alike: the same subject twice, under two names?"""

from dataclasses import dataclass

import numpy as np

from lvh.data.cohort import Cohort
from lvh.features.beat import BeatSettings, extract

SUSPICIOUS = 0.25
"""Distance below which two records very likely show one subject (experiments/duplicates)."""
_MOST = 5000  # records, of which all pairs are compared


@dataclass(frozen=True, slots=True)
class Pair:
    """Two records and their distance, see `closest_pairs`."""

    record: str
    other: str
    distance: float
    same_subject: bool


def closest_pairs(cohort: Cohort, n: int = 10) -> list[Pair]:
    """Return the pairs of records with the most similar median beats, the closest first.

    The distance is the root mean square difference of both beats over all samples and leads, in
    shares of the geometric mean of both root mean squares. Without fiducials, or of more than
    5,000 records, there are none.
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
