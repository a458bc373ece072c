"""What the delineated waves tell: by label, by lead, by criterion, and where there are none."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.features.criteria import CRITERIA
from lvh.features.ntp import FIDUCIALS
from lvh.reports.dataset.intervals import mean_of, share_of
from lvh.reports.dataset.people import LABELS, SEXES, label_of, sex_of
from lvh.reports.dataset.signals import SignalFacts
from lvh.reports.dataset.survey import LACKS, Beats

Floats = npt.NDArray[np.float64]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
WAVES = {"R": "mV", "S": "mV", "T": "mV", "QRS": "ms"}
"""What is shown by label and lead, with its unit."""


class Fiducial(NamedTuple):
    """Mean scaled signal at a fiducial of a lead, with its 95 % interval over subjects."""

    lead: str
    fiducial: str
    label: str
    records: int
    mean: float
    low: float
    high: float


class Spread(NamedTuple):
    """Quantiles of a measure in the records of one label."""

    measure: str
    lead: str
    label: str
    records: int
    q05: float
    q25: float
    median: float
    q75: float
    q95: float


class CriterionScore(NamedTuple):
    """What a criterion by its published threshold is worth against the label."""

    criterion: str
    sex: str
    threshold: str
    missing: int
    positive: int
    sensitivity: float
    sensitivity_low: float
    sensitivity_high: float
    specificity: float
    specificity_low: float
    specificity_high: float


class Lacking(NamedTuple):
    """In how many records a lead, any lead, or all leads lack something."""

    lead: str
    without_p: int
    no_qrs: int
    no_p: int
    no_t: int
    no_qrs_t: int
    no_beat: int
    irregular: int


def scaled_fiducials(signals: SignalFacts, beats: Beats) -> Floats:
    """Scale the means at fiducials as `ntp` does: each lead from its minimum 0 to its maximum 1.

    Scaling is linear, so means may be scaled instead of signals. Flat leads have none.

    Returns:
        Shape (n_records, n_leads, 9).
    """
    low, span = signals.low[:, :, None], (signals.high - signals.low)[:, :, None]
    scaled = np.full(beats.fiducials.shape, np.nan)
    np.divide(beats.fiducials - low, span, out=scaled, where=span > 0)
    return scaled


def ntp_by_label(cohort: Cohort, signals: SignalFacts, beats: Beats) -> list[Fiducial]:
    """Average the scaled signal at each fiducial of each lead over the subjects of a label."""
    values, label = scaled_fiducials(signals, beats), label_of(cohort)
    return [
        _fiducial(cohort, (lead, name, one), values[label == one, at, column], label == one)
        for at, lead in enumerate(cohort.leads)
        for column, name in enumerate(FIDUCIALS)
        for one in LABELS
    ]


def _fiducial(
    cohort: Cohort, what: tuple[str, str, str], values: Floats, inside: npt.NDArray[np.bool_]
) -> Fiducial:
    mean = mean_of(values, cohort.subjects[inside])
    n_records = int(np.count_nonzero(~np.isnan(values)))
    return Fiducial(*what, n_records, mean.estimate, mean.low, mean.high)


def voltages(cohort: Cohort, beats: Beats) -> list[Spread]:
    """Return quantiles of `WAVES` by lead and label."""
    waves = beats.waves
    parts = (waves.r, waves.s, waves.t, waves.qrs * 1000)
    return spreads(cohort, dict(zip(WAVES, parts, strict=True)))


def spreads(cohort: Cohort, measures: dict[str, Floats]) -> list[Spread]:
    """Return quantiles of measures of shape (n_records, n_leads) by lead and label."""
    label = label_of(cohort)
    return [
        _spread((name, lead, one), values[label == one, at])
        for name, values in measures.items()
        for at, lead in enumerate(cohort.leads)
        for one in LABELS
    ]


def _spread(what: tuple[str, str, str], values: Floats) -> Spread:
    known = values[~np.isnan(values)]
    found = np.quantile(known, QUANTILES) if known.size else np.full(len(QUANTILES), np.nan)
    return Spread(*what, len(known), *found.tolist())


def criteria_values(beats: Beats) -> dict[str, Floats]:
    """Return the value of each criterion, shape (n_records,)."""
    return {name: one.value(beats.waves) for name, one in CRITERIA.items()}


def criteria_worth(cohort: Cohort, beats: Beats) -> list[CriterionScore]:
    """Score each criterion, in all and in either sex; a record without its value is negative."""
    return list(_criteria_worth(cohort, beats))


def _criteria_worth(cohort: Cohort, beats: Beats) -> Iterator[CriterionScore]:
    sex, has_label = sex_of(cohort), cohort.label == 1
    for name, values in criteria_values(beats).items():
        criterion = CRITERIA[name]
        # in the type of the inputs, so that a value at the threshold is what it is for a model
        positive = criterion.positive(values.astype(np.float32), cohort.male)
        sign = "at least" if criterion.reached else "above"
        of_sex = dict(zip(SEXES, (criterion.men, criterion.women), strict=True))
        for group in ("all", *SEXES):
            inside = np.ones_like(has_label) if group == "all" else sex == group
            bounds = dict.fromkeys(of_sex.values() if group == "all" else [of_sex[group]])
            told = " / ".join(f"{one:g}" for one in bounds)
            shares = []
            for hit, among in ((positive, has_label), (~positive, ~has_label)):
                found = share_of(hit[inside & among], cohort.subjects[inside & among])
                shares += [found.estimate, found.low, found.high]
            yield CriterionScore(
                *(name, group, f"{sign} {told} {criterion.unit}"),
                int(np.isnan(values[inside]).sum()),
                int(positive[inside].sum()),
                *shares,
            )


def missing_waves(cohort: Cohort, beats: Beats) -> list[Lacking]:
    """Count records in which a lead, any lead, or all leads lack a wave or are irregular."""
    parts = (beats.without_p, *(beats.lacks[name] for name in LACKS), beats.irregular)
    of_leads = [
        Lacking(lead, *(int(part[:, at].sum()) for part in parts))
        for at, lead in enumerate(cohort.leads)
    ]
    any_lead = Lacking("any lead", *(int(part.any(axis=1).sum()) for part in parts))
    all_leads = Lacking("all leads", *(int(part.all(axis=1).sum()) for part in parts))
    return [*of_leads, any_lead, all_leads]
