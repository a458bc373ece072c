"""What a data set holds: measured in one pass over its records, and counted in tables.

A subject counts once: intervals are as wide as if every subject had one record.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lvh.data.cohort import Cohort
from lvh.features.base import find_pattern
from lvh.features.criteria import Measurements
from lvh.features.ntp import fiducial_means
from lvh.features.voltage import measure
from lvh.validation.calibration import wilson_interval
from lvh.validation.comparison import corrected_interval
from lvh.validation.metrics import Interval

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.str_]

SEXES = ("men", "women")
LABELS = ("LVH", "not LVH")
SLOW = 0.5
"""Hz; what is slower is wander, as the AHA recommends to remove (Kligfield et al., Circulation 115,
2007)."""
CLIPPED = 0.04
"""s; a lead that stays so long, without a break, at its highest or lowest value is clipped."""
RUNS = {
    "no_qrs": "(N)",
    "no_p": "(p)",
    "no_t": "(t)",
    "no_qrs_t": "(N)(t)",
    "no_beat": "(N)(t)(p)",
}
"""What a lead may be without, and the run of symbols that it then never has."""
_NORMAL = 0.6744897501960817  # median of the absolute value of a standard normal number
_BLOCK = 64  # records at once: 15 MB of signals in LUDB's shape, some ten times that on the way
_REGULAR = re.compile(r"(?:\([Npt]\))*")
_QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
_DECADE = 10


@dataclass(frozen=True, slots=True)
class SignalStatistics:
    """Measurements of every lead of every record, shape (n_records, n_leads) if not said.

    Attributes:
        low: Smallest value, mV.
        mean: Mean value, mV.
        high: Largest value, mV.
        noise: Standard deviation of white noise that would give the second differences, mV.
        wander: Root mean square of what is slower than `SLOW`, but for the mean, mV.
        flat: Whether all samples are equal.
        clipped: Whether the lead stays at an extreme for `CLIPPED`; not where it is flat.
        einthoven: Largest absolute value of i + iii - ii, shape (n_records,), mV.
        goldberger: Largest absolute value of avr + (i + ii) / 2, shape (n_records,), mV.
        digest: Hash of the samples, shape (n_records,); equal ones are copies of a recording.
    """

    low: Floats
    mean: Floats
    high: Floats
    noise: Floats
    wander: Floats
    flat: Bools
    clipped: Bools
    einthoven: Floats
    goldberger: Floats
    digest: Texts


@dataclass(frozen=True, slots=True)
class WaveStatistics:
    """Measurements of the delineated waves.

    Attributes:
        fiducials: Mean signal at the nine fiducials, shape (n_records, n_leads, 9), mV; see
            `lvh.features.ntp.fiducial_means`.
        waves: Amplitudes and durations.
        missing: Leads that lack each of `RUNS`, a p wave (`without_p`), or regularity
            (`irregular`: a peak that lacks onset or offset, or the like), shape
            (n_records, n_leads).
    """

    fiducials: Floats
    waves: Measurements
    missing: dict[str, Bools]


@dataclass(frozen=True, slots=True)
class Survey:
    """All measurements; `waves` is None for a source without delineation."""

    signals: SignalStatistics
    waves: WaveStatistics | None


def survey(cohort: Cohort, on_block: Callable[[int], None]) -> Survey:
    """Measure all records, some at a time: the signals are never in memory twice.

    Args:
        cohort: Of which `signals` is only asked for single records.
        on_block: Gets the number of records that are done.
    """
    signals, waves = [], []
    for part in blocks(cohort):
        signals.append(signal_statistics(part))
        if len(cohort.delineation.samples):
            waves.append(_wave_statistics(part))
        on_block(sum(len(one.low) for one in signals))
    return Survey(_joined(signals), _joined(waves) if waves else None)


def blocks(cohort: Cohort, n_records: int = _BLOCK) -> Iterator[Cohort]:
    """Yield consecutive parts of a cohort, each with signals of its own in memory."""
    for start in range(0, len(cohort.records), n_records):
        yield part_of(cohort, start, start + n_records)


def part_of(cohort: Cohort, start: int, end: int) -> Cohort:
    """Return some consecutive records of a cohort, with their signals in memory."""
    own, n_leads = slice(start, end), len(cohort.leads)
    records = cohort.records[own]
    offsets = cohort.delineation.offsets[start * n_leads : (start + len(records)) * n_leads + 1]
    return replace(
        cohort,
        records=records,
        subjects=cohort.subjects[own],
        # one by one, for those of a large source are read only so
        signals=np.stack([cohort.signals[start + at] for at in range(len(records))]),
        delineation=replace(cohort.delineation, offsets=offsets),
        male=cohort.male[own],
        age=cohort.age[own],
        label=cohort.label[own],
    )


def signal_statistics(cohort: Cohort) -> SignalStatistics:
    """Measure every lead; a few times the memory of the signals is needed.

    The noise is estimated robustly, by the median of the absolute second differences
    (pseudo-residuals, after Gasser, Sroka and Jennen-Steinmetz, Biometrika 73, 1986): QRS hardly
    counts, and what is correlated from sample to sample, such as the mains, counts too little.
    """
    signals = np.asarray(cohort.signals, dtype=np.float64)
    low, high = signals.min(axis=1), signals.max(axis=1)
    differences = np.abs(np.diff(signals, n=2, axis=1))
    leads = [cohort.leads.index(lead) for lead in ("i", "ii", "iii", "avr")]
    i, ii, iii, avr = (signals[:, :, lead] for lead in leads)
    flat = low == high
    return SignalStatistics(
        low=low,
        mean=signals.mean(axis=1),
        high=high,
        noise=np.median(differences, axis=1) / (_NORMAL * np.sqrt(6)),
        wander=_wander(signals, cohort.fs),
        flat=flat,
        clipped=~flat & _clipped(signals, low, high, cohort.fs),
        einthoven=np.abs(i + iii - ii).max(axis=1),
        goldberger=np.abs(avr + 0.5 * i + 0.5 * ii).max(axis=1),
        digest=np.array([sha256(record.tobytes()).hexdigest()[:16] for record in signals]),
    )


def _wander(signals: Floats, fs: float) -> Floats:
    """Add the power of the Fourier components from the first to that below `SLOW`."""
    n_samples = signals.shape[1]
    frequencies = np.arange(1, n_samples // 2) * fs / n_samples
    angles = 2 * np.pi * np.outer(frequencies[frequencies < SLOW], np.arange(n_samples) / fs)
    components = np.exp(-1j * angles) @ signals
    return np.asarray(np.sqrt(2 * (np.abs(components) ** 2).sum(axis=1)) / n_samples)


def _clipped(signals: Floats, low: Floats, high: Floats, fs: float) -> Bools:
    length = max(3, round(CLIPPED * fs))
    clipped = np.zeros(low.shape, dtype=np.bool_)
    for extreme in (low, high):
        runs = np.cumsum(signals == extreme[:, None], axis=1, dtype=np.int32)
        runs = np.concatenate([np.zeros_like(runs[:, :1]), runs], axis=1)
        clipped |= ((runs[:, length:] - runs[:, :-length]) == length).any(axis=1)
    return clipped


def _wave_statistics(part: Cohort) -> WaveStatistics:
    shape = (len(part.records), len(part.leads))
    symbols = [part.delineation.lead(record, lead)[0] for record, lead in np.ndindex(shape)]
    lacking = {
        "without_p": ["p" not in one for one in symbols],
        **{name: [not find_pattern(one, run).size for one in symbols] for name, run in RUNS.items()},
        "irregular": [_REGULAR.fullmatch(one) is None for one in symbols],
    }
    return WaveStatistics(
        fiducials=fiducial_means(part, part.signals),
        waves=measure(part),
        missing={name: np.reshape(leads, shape) for name, leads in lacking.items()},
    )


def _joined(parts: list[Any]) -> Any:
    """Concatenate the arrays of several results, field by field."""
    first = parts[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)
    if isinstance(first, dict):
        return {key: _joined([one[key] for one in parts]) for key in first}
    if isinstance(first, tuple):
        return first  # the same in all: names of leads
    own = {one.name: _joined([getattr(part, one.name) for part in parts]) for one in fields(first)}
    return replace(first, **own)


def share_of(positive: Bools, subjects: Texts) -> Interval:
    """Return the share of records that are positive, with Wilson's interval; NaN without any."""
    if not positive.size:
        return Interval(np.nan, np.nan, np.nan)
    n_subjects = len(np.unique(subjects))
    return wilson_interval(float(positive.mean()) * n_subjects, n_subjects)


def mean_of(values: Floats, subjects: Texts) -> Interval:
    """Return the mean over subjects of their own means, with Student's interval; NaN if undefined.

    Args:
        values: Shape (n,), NaN where there is none.
        subjects: Subject of each value, shape (n,).
    """
    known = ~np.isnan(values)
    _, member, counts = np.unique(subjects[known], return_inverse=True, return_counts=True)
    return corrected_interval(np.bincount(member, values[known]) / counts, test_share=0.0)


def sex_of(cohort: Cohort) -> Texts:
    """Return one of `SEXES` for each record."""
    return np.where(cohort.male, *SEXES)


def label_of(cohort: Cohort) -> Texts:
    """Return one of `LABELS` for each record."""
    return np.where(cohort.label == 1, *LABELS)


def bounds(name: str, interval: Interval, prefix: str = "") -> dict[str, Any]:
    """Return an interval as columns."""
    return {name: interval.estimate, f"{prefix}low": interval.low, f"{prefix}high": interval.high}


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
            **bounds("share", share_of(cohort.label[inside] == 1, cohort.subjects[inside])),
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


def _decade_of(cohort: Cohort) -> npt.NDArray[np.int64]:
    """Return the decade of age of each record: 50 from 50 to below 60."""
    return (cohort.age // _DECADE * _DECADE).astype(np.int64)


def quantiles(cohort: Cohort, measures: Mapping[str, Floats]) -> pd.DataFrame:
    """Return quantiles of measures of shape (n_records, n_leads) by lead and label."""
    label, rows = label_of(cohort), []
    for name, (at, lead), one in product(measures, enumerate(cohort.leads), LABELS):
        rows.append({"measure": name, "lead": lead, "label": one})
        rows[-1] |= spread(measures[name][label == one, at])
    return pd.DataFrame(rows)


def spread(values: Floats) -> dict[str, float]:
    """Return how many values are known, and their quantiles, as columns."""
    known = pd.Series(values).dropna()
    return {"records": len(known), **known.quantile(list(_QUANTILES.values())).set_axis(_QUANTILES)}


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


def missing_waves(cohort: Cohort, waves: WaveStatistics) -> pd.DataFrame:
    """Count records in which a lead, any lead, or all leads lack a wave or are irregular."""
    counts = {
        name: [*part.sum(axis=0), part.any(axis=1).sum(), part.all(axis=1).sum()]
        for name, part in waves.missing.items()
    }
    return pd.DataFrame({"lead": [*cohort.leads, "any lead", "all leads"], **counts})
