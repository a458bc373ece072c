"""Who the subjects are: how many have the label, of which sex and age, and what that gives away."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.evaluation.cv_result import Summary, baseline_summaries
from lvh.features.base import feature_set
from lvh.models.baselines import BASELINES
from lvh.reports.dataset.intervals import share_of
from lvh.validation.splits import CvSettings, splits

SCORES = ("accuracy", "ap", "roc_auc")
"""Of a baseline, that are shown."""
_DECADE = 10


class Balance(NamedTuple):
    """How many records of a group have the label."""

    group: str
    value: str
    records: int
    subjects: int
    lvh: int
    share: float
    low: float
    high: float


class Ages(NamedTuple):
    """How many records of one sex and label are of one decade of age."""

    sex: str
    label: str
    decade: int
    records: int


class BaselineScore(NamedTuple):
    """What a baseline scores: over folds, and pooled with its 95 % interval."""

    baseline: str
    score: str
    mean: float
    std: float
    pooled: float
    low: float
    high: float


SEXES = ("men", "women")
LABELS = ("LVH", "not LVH")


def sex_of(cohort: Cohort) -> npt.NDArray[np.str_]:
    """Return one of `SEXES` for each record."""
    return np.where(cohort.male, *SEXES)


def label_of(cohort: Cohort) -> npt.NDArray[np.str_]:
    """Return one of `LABELS` for each record."""
    return np.where(cohort.label == 1, *LABELS)


def decade_of(cohort: Cohort) -> npt.NDArray[np.int64]:
    """Return the decade of age of each record: 50 from 50 to below 60."""
    return (cohort.age // _DECADE * _DECADE).astype(np.int64)


def class_balance(cohort: Cohort) -> list[Balance]:
    """Count the label in all records, by sex, by decade of age, and by both."""
    sex, decade = sex_of(cohort), decade_of(cohort)
    groups = [("all", "all", np.ones(len(sex), dtype=np.bool_))]
    groups += [("sex", one, sex == one) for one in SEXES]
    decades = np.unique(decade).tolist()
    groups += [("decade", str(one), decade == one) for one in decades]
    for name in SEXES:
        groups += [(name, str(one), (decade == one) & (sex == name)) for one in decades]
    return [_balance(cohort, group, value, inside) for group, value, inside in groups]


def _balance(cohort: Cohort, group: str, value: str, inside: npt.NDArray[np.bool_]) -> Balance:
    subjects, positive = cohort.subjects[inside], cohort.label[inside] == 1
    share = share_of(positive, subjects)
    counts = (int(inside.sum()), len(np.unique(subjects)), int(positive.sum()))
    return Balance(group, value, *counts, share.estimate, share.low, share.high)


def ages(cohort: Cohort) -> list[Ages]:
    """Count records by sex, label and decade of age, from the first decade to the last."""
    sex, label, decade = sex_of(cohort), label_of(cohort), decade_of(cohort)
    decades = range(int(decade.min()), int(decade.max()) + 1, _DECADE)
    return [
        Ages(a, b, one, int(((sex == a) & (label == b) & (decade == one)).sum()))
        for a in SEXES
        for b in LABELS
        for one in decades
    ]


def records_per_subject(cohort: Cohort) -> dict[int, int]:
    """Return how many subjects have one record, two, and so on."""
    _, counts = np.unique(cohort.subjects, return_counts=True)
    values, subjects = np.unique(counts, return_counts=True)
    return dict(zip(values.tolist(), subjects.tolist(), strict=True))


def age_and_sex_alone(cohort: Cohort, cv: CvSettings) -> list[BaselineScore]:
    """Cross-validate the baselines, which know nothing or age and sex, on all records.

    Raises:
        InputError: There are too few records, or labels, for these folds.
    """
    nothing = np.zeros((len(cohort.records), 0), dtype=np.float32)
    features = feature_set(cohort, "tabular", nothing, ())
    folds = splits(features.y, features.subjects, cv)
    found = baseline_summaries(features, folds, BASELINES, cv.threshold)
    return [_worth(name, score, one) for name, one in found.items() for score in SCORES]


def _worth(name: str, score: str, found: Summary) -> BaselineScore:
    mean, std = getattr(found.mean, score), getattr(found.std, score)
    pooled = found.pooled[score]
    return BaselineScore(name, score, mean, std, pooled.estimate, pooled.low, pooled.high)
