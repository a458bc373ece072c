"""A data set in numbers: each function returns a table as a pandas DataFrame.

A subject counts once: intervals are as wide as if every subject had one record.
"""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lvh.data.cohort import Cohort
from lvh.evaluation.cv_result import baseline_summaries
from lvh.features.base import feature_set
from lvh.features.criteria import CRITERIA
from lvh.features.ntp import FIDUCIALS
from lvh.models.classifiers import BASELINES
from lvh.reports.dataset.survey import Bools, Floats, SignalStatistics, WaveStatistics
from lvh.validation.calibration import wilson_interval
from lvh.validation.comparison import corrected_interval
from lvh.validation.metrics import Interval, bootstrap_intervals
from lvh.validation.splits import CvSettings, splits

SEXES = ("men", "women")
LABELS = ("LVH", "not LVH")
SCORES = ("accuracy", "ap", "roc_auc")
"""Of a baseline, that are shown."""
WAVES = {"R": "mV", "S": "mV", "T": "mV", "QRS": "ms"}
"""What is shown by label and lead, with its unit."""
_QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
_DECADE = 10


def share_of(positive: Bools, subjects: npt.NDArray[np.str_]) -> Interval:
    """Return the share of records that are positive, with Wilson's interval; NaN without any.

    Args:
        positive: Shape (n,).
        subjects: Subject of each record, shape (n,).
    """
    if not positive.size:
        return Interval(np.nan, np.nan, np.nan)
    n_subjects = len(np.unique(subjects))
    return wilson_interval(float(positive.mean()) * n_subjects, n_subjects)


def mean_of(values: Floats, subjects: npt.NDArray[np.str_]) -> Interval:
    """Return the mean over subjects of their own means, with Student's interval; NaN if undefined.

    Args:
        values: Shape (n,), NaN where there is none.
        subjects: Subject of each value, shape (n,).
    """
    known = ~np.isnan(values)
    _, member, counts = np.unique(subjects[known], return_inverse=True, return_counts=True)
    return corrected_interval(np.bincount(member, values[known]) / counts, test_share=0.0)


def sex_of(cohort: Cohort) -> npt.NDArray[np.str_]:
    """Return one of `SEXES` for each record."""
    return np.where(cohort.male, *SEXES)


def label_of(cohort: Cohort) -> npt.NDArray[np.str_]:
    """Return one of `LABELS` for each record."""
    return np.where(cohort.label == 1, *LABELS)


def class_balance(cohort: Cohort) -> pd.DataFrame:
    """Count the label in all records, by sex, by decade of age, and by both."""
    sex, decade = sex_of(cohort), _decade_of(cohort)
    decades = np.unique(decade).tolist()
    groups = [("all", "all", np.ones(len(sex), dtype=np.bool_))]
    groups += [("sex", one, sex == one) for one in SEXES]
    groups += [("decade", str(one), decade == one) for one in decades]
    groups += [(a, str(one), (decade == one) & (sex == a)) for a in SEXES for one in decades]
    return pd.DataFrame(
        {
            "group": group,
            "value": value,
            "records": int(inside.sum()),
            "subjects": len(np.unique(cohort.subjects[inside])),
            "lvh": int(cohort.label[inside].sum()),
            **_bounds("share", share_of(cohort.label[inside] == 1, cohort.subjects[inside])),
        }
        for group, value, inside in groups
    )


def ages(cohort: Cohort) -> pd.DataFrame:
    """Count records by sex, label and decade of age, from the first decade to the last."""
    decade = _decade_of(cohort)
    decades = range(int(decade.min()), int(decade.max()) + 1, _DECADE)
    records = pd.DataFrame({"sex": sex_of(cohort), "label": label_of(cohort), "decade": decade})
    groups = pd.MultiIndex.from_product([SEXES, LABELS, decades], names=records.columns)
    counts = records.value_counts(sort=False).reindex(groups, fill_value=0)
    return counts.rename("records").reset_index()


def age_and_sex_alone(cohort: Cohort, cv: CvSettings) -> pd.DataFrame:
    """Cross-validate the baselines, which know nothing or age and sex, on all records.

    Raises:
        InputError: There are too few records, or labels, for these folds.
    """
    nothing = np.zeros((len(cohort.records), 0), dtype=np.float32)
    features = feature_set(cohort, "tabular", nothing, ())
    folds = splits(features.y, features.subjects, cv)
    summaries = baseline_summaries(features, folds, BASELINES, cv.threshold)
    return pd.DataFrame(
        {
            "baseline": name,
            "score": score,
            "mean": getattr(summary.mean, score),
            "std": getattr(summary.std, score),
            **_bounds("pooled", summary.pooled[score]),
        }
        for name, summary in summaries.items()
        for score in SCORES
    )


def recording(cohort: Cohort, signals: SignalStatistics) -> pd.DataFrame:
    """Rank the records by the median noise, and wander, of their leads; nothing is learned.

    An area above .5 says that records with LVH have more of it, below .5 less: a shortcut that a
    model could take.
    """
    rows = []
    for name, values in (("noise", signals.noise), ("wander", signals.wander)):
        _, rank = np.unique(np.median(values, axis=1), return_inverse=True)
        scores = rank / max(int(rank.max()), 1)
        intervals = bootstrap_intervals(cohort.label, scores, cohort.subjects)
        rows.append({"measure": name, **_bounds("roc_auc", intervals["roc_auc"])})
    return pd.DataFrame(rows)


def quantiles(cohort: Cohort, measures: Mapping[str, Floats]) -> pd.DataFrame:
    """Return quantiles of measures of shape (n_records, n_leads) by lead and label."""
    label, rows = label_of(cohort), []
    for name, (at, lead), one in product(measures, enumerate(cohort.leads), LABELS):
        known = pd.Series(measures[name][label == one, at]).dropna()
        row = {"measure": name, "lead": lead, "label": one, "records": len(known)}
        rows.append(row | {key: known.quantile(share) for key, share in _QUANTILES.items()})
    return pd.DataFrame(rows)


def voltages(cohort: Cohort, waves: WaveStatistics) -> pd.DataFrame:
    """Return quantiles of `WAVES` by lead and label."""
    of_leads = waves.waves
    parts = (of_leads.r, of_leads.s, of_leads.t, of_leads.qrs * 1000)
    return quantiles(cohort, dict(zip(WAVES, parts, strict=True)))


def scaled_fiducials(signals: SignalStatistics, waves: WaveStatistics) -> Floats:
    """Scale the means at fiducials as `ntp` does: each lead from its minimum 0 to its maximum 1.

    Scaling is linear, so means may be scaled instead of signals. Flat leads have none.

    Returns:
        Shape (n_records, n_leads, 9).
    """
    low, span = signals.low[:, :, None], (signals.high - signals.low)[:, :, None]
    scaled = np.full(waves.fiducials.shape, np.nan)
    np.divide(waves.fiducials - low, span, out=scaled, where=span > 0)
    return scaled


def ntp_by_label(cohort: Cohort, signals: SignalStatistics, waves: WaveStatistics) -> pd.DataFrame:
    """Average the scaled signal at each fiducial of each lead over the subjects of a label."""
    scaled, label, rows = scaled_fiducials(signals, waves), label_of(cohort), []
    places = product(enumerate(cohort.leads), enumerate(FIDUCIALS), LABELS)
    for (at, lead), (column, fiducial), one in places:
        values = scaled[label == one, at, column]
        mean, n_records = mean_of(values, cohort.subjects[label == one]), sum(~np.isnan(values))
        row = {"lead": lead, "fiducial": fiducial, "label": one, "records": n_records}
        rows.append(row | _bounds("mean", mean))
    return pd.DataFrame(rows)


def criteria_values(waves: WaveStatistics) -> dict[str, Floats]:
    """Return the value of each criterion, shape (n_records,)."""
    return {name: one.value(waves.waves) for name, one in CRITERIA.items()}


def criteria_scores(cohort: Cohort, waves: WaveStatistics) -> pd.DataFrame:
    """Score each criterion, in all and in either sex; a record without its value is negative."""
    sex, has_label, rows = sex_of(cohort), cohort.label == 1, []
    for name, values in criteria_values(waves).items():
        criterion = CRITERIA[name]
        # in the type of the inputs, so that a value at the threshold is what it is for a model
        positive = criterion.positive(values.astype(np.float32), cohort.male)
        of_sex = dict(zip(SEXES, (criterion.men, criterion.women), strict=True))
        for group in ("all", *SEXES):
            inside = (sex == group) | (group == "all")
            bounds = dict.fromkeys(of_sex.values() if group == "all" else [of_sex[group]])
            threshold = " / ".join(f"{one:g}" for one in bounds)
            sick, healthy = inside & has_label, inside & ~has_label
            sensitivity = share_of(positive[sick], cohort.subjects[sick])
            specificity = share_of(~positive[healthy], cohort.subjects[healthy])
            rows.append(
                {
                    "criterion": name,
                    "sex": group,
                    "threshold": f"{'at least' if criterion.reached else 'above'} {threshold} "
                    f"{criterion.unit}",
                    "missing": int(np.isnan(values[inside]).sum()),
                    "positive": int(positive[inside].sum()),
                    **_bounds("sensitivity", sensitivity, "sensitivity_"),
                    **_bounds("specificity", specificity, "specificity_"),
                }
            )
    return pd.DataFrame(rows)


def missing_waves(cohort: Cohort, waves: WaveStatistics) -> pd.DataFrame:
    """Count records in which a lead, any lead, or all leads lack a wave or are irregular."""
    parts = {"without_p": waves.without_p, **waves.missing, "irregular": waves.irregular}
    counts = {
        name: [*part.sum(axis=0), part.any(axis=1).sum(), part.all(axis=1).sum()]
        for name, part in parts.items()
    }
    return pd.DataFrame({"lead": [*cohort.leads, "any lead", "all leads"], **counts})


def _decade_of(cohort: Cohort) -> npt.NDArray[np.int64]:
    """Return the decade of age of each record: 50 from 50 to below 60."""
    return (cohort.age // _DECADE * _DECADE).astype(np.int64)


def _bounds(name: str, interval: Interval, prefix: str = "") -> dict[str, Any]:
    """Return an interval as columns."""
    return {name: interval.estimate, f"{prefix}low": interval.low, f"{prefix}high": interval.high}
