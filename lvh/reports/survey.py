"""Measures of the records of a data set, in one pass; and tables of counts and quantiles."""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple, dataclass
from hashlib import sha256
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lvh.data.cohort import Cohort, part_of
from lvh.errors import InputError
from lvh.features.base import find_pattern
from lvh.features.criteria import Measurements
from lvh.features.voltage import measure
from lvh.validation.calibration import wilson_interval

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.str_]

SEXES = ("men", "women")
SLOW = 0.5
"""Hz; what is slower is wander, as the AHA recommends to remove (Kligfield et al., Circulation 115,
2007)."""
CLIPPED = 0.04
"""s; a lead that stays so long, without a break, at its highest or lowest value is clipped."""
RUNS = {"no_qrs": "(N)", "no_p": "(p)", "no_t": "(t)", "no_qrs_t": "(N)(t)", "no_beat": "(N)(t)(p)"}
"""Waves that a lead may lack, and the run of symbols that it then never has."""
_NORMAL = 0.6744897501960817  # median of the absolute value of a standard normal number
_BLOCK = 64  # records at once: 15 MB of signals in LUDB's shape, some ten times that on the way
_REGULAR = re.compile(r"(?:\([Npt]\))*")
_QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}


@dataclass(frozen=True, slots=True)
class Survey:
    """Measurements of every lead of every record, shape (n_records, n_leads) if not said.

    Attributes:
        low: Smallest value, mV; so are `mean` and `high`.
        noise: Standard deviation of white noise that would give the second differences, mV.
        wander: Root mean square of what is slower than `SLOW`, but for the mean, mV.
        flat: Whether all samples are equal.
        clipped: Whether the lead stays at an extreme for `CLIPPED`; not where it is flat.
        einthoven: Largest absolute value of i + iii - ii, shape (n_records,), mV; NaN where one of
            these leads is missing, as of `goldberger`, which is that of avr + (i + ii) / 2.
        digest: Hash of the samples, shape (n_records,); equal ones are copies of a recording.
        missing: Leads that lack each of `RUNS`, a p wave (`without_p`), or regularity
            (`irregular`: a peak that lacks onset or offset, or the like); empty for a source
            without delineation, as `waves`, of amplitudes and durations, is None.
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
    missing: Mapping[str, Bools]
    waves: Measurements | None


def survey(cohort: Cohort, on_block: Callable[[int], None] = lambda n_done: None) -> Survey:
    """Measure all records, some at a time; `on_block` gets the number that are done.

    Raises:
        InputError: There are no signals in mV.
    """
    if not cohort.leads or cohort.unit != "mV":
        received = "another unit" if cohort.leads else "none"
        raise InputError(f"data: expected signals in mV to look at. Received: {received}")
    signals, missing, waves = [], [], []
    for start in range(0, len(cohort.records), _BLOCK):
        part = part_of(cohort, start, start + _BLOCK)
        signals.append(_measure_signals(part))
        if len(cohort.delineation.samples):
            missing.append(_find_missing(part))
            waves.append({**asdict(measure(part)), "leads": np.zeros(0)})
        on_block(start + len(part.records))
    measured = Measurements(**{**_stacked(waves), "leads": cohort.leads}) if waves else None
    return Survey(**_stacked(signals), missing=_stacked(missing), waves=measured)


def _stacked(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: np.concatenate([part[name] for part in parts]) for name in (parts or [{}])[0]}


def _measure_signals(part: Cohort) -> dict[str, Any]:
    """Measure every lead.

    The noise is estimated robustly, by the median of the absolute second differences
    (pseudo-residuals, after Gasser, Sroka and Jennen-Steinmetz, Biometrika 73, 1986): QRS hardly
    counts, and what is correlated from sample to sample, such as the mains, counts too little.
    """
    signals = np.asarray(part.signals, dtype=np.float64)
    low, high, n = signals.min(axis=1), signals.max(axis=1), signals.shape[1]
    leads = dict(zip(part.leads, np.moveaxis(signals, 2, 0), strict=True))
    i, ii, iii, avr = (
        leads.get(lead, np.full((1, n), np.nan)) for lead in ("i", "ii", "iii", "avr")
    )
    nothing = np.zeros(len(signals))  # so that what is missing is so in every record
    # the power of the Fourier components from the first to that below `SLOW`
    frequencies = np.arange(1, n // 2) * part.fs / n
    angles = 2 * np.pi * np.outer(frequencies[frequencies < SLOW], np.arange(n) / part.fs)
    power = (np.abs(np.exp(-1j * angles) @ signals) ** 2).sum(axis=1)
    return {
        "low": low,
        "mean": signals.mean(axis=1),
        "high": high,
        "noise": np.median(np.abs(np.diff(signals, n=2, axis=1)), axis=1) / (_NORMAL * np.sqrt(6)),
        "wander": np.sqrt(2 * power) / n,
        "flat": low == high,
        "clipped": (low != high) & _clipped(signals, low, high, part.fs),
        "einthoven": np.abs(i + iii - ii).max(axis=1) + nothing,
        "goldberger": np.abs(avr + 0.5 * i + 0.5 * ii).max(axis=1) + nothing,
        "digest": np.array([sha256(record.tobytes()).hexdigest()[:16] for record in signals]),
    }


def _clipped(signals: Floats, low: Floats, high: Floats, fs: float) -> Bools:
    length, clipped = max(3, round(CLIPPED * fs)), np.zeros(low.shape, dtype=np.bool_)
    for extreme in (low, high):
        runs = np.cumsum(signals == extreme[:, None], axis=1, dtype=np.int32)
        runs = np.concatenate([np.zeros_like(runs[:, :1]), runs], axis=1)
        clipped |= ((runs[:, length:] - runs[:, :-length]) == length).any(axis=1)
    return clipped


def _find_missing(part: Cohort) -> dict[str, Bools]:
    shape = (len(part.records), len(part.leads))
    symbols = [part.delineation.lead(record, lead)[0] for record, lead in np.ndindex(shape)]
    lacking = {"without_p": ["p" not in text for text in symbols]}
    for name, run in RUNS.items():
        lacking[name] = [not find_pattern(text, run).size for text in symbols]
    lacking["irregular"] = [_REGULAR.fullmatch(text) is None for text in symbols]
    return {name: np.reshape(leads, shape) for name, leads in lacking.items()}


def share_of(positive: Bools, subjects: Texts) -> tuple[float, float, float]:
    """Return the share of records that are positive, and Wilson's interval; NaN without any.

    The interval is as wide as if every subject had one record.
    """
    if not positive.size:
        return np.nan, np.nan, np.nan
    n_subjects = len(np.unique(subjects))
    return astuple(wilson_interval(float(positive.mean()) * n_subjects, n_subjects))


def label_names(cohort: Cohort) -> tuple[str, str]:
    """Return what the tables call records with the label, and without it."""
    return cohort.label_name, f"not {cohort.label_name}"


def label_of(cohort: Cohort) -> Texts:
    """Return one of `label_names` for each record."""
    return np.where(cohort.label == 1, *label_names(cohort))


def class_balance(cohort: Cohort) -> pd.DataFrame:
    """Count the label in all records and, if known, by sex, by decade of age, and by both."""
    groups = [("all", "all", np.ones(len(cohort.records), dtype=np.bool_))]
    if cohort.has_age_and_sex:
        sex, decade = np.where(cohort.male, *SEXES), (cohort.age // 10 * 10).astype(np.int64)
        decades = np.unique(decade).tolist()
        groups += [("sex", value, sex == value) for value in SEXES]
        groups += [("decade", str(value), decade == value) for value in decades]
        groups += [
            (a, str(value), (decade == value) & (sex == a)) for a in SEXES for value in decades
        ]
    rows = []
    for group, value, inside in groups:
        label, subjects = cohort.label[inside] == 1, cohort.subjects[inside]
        counts = len(label), len(np.unique(subjects)), label.sum()
        rows.append((group, value, *counts, *share_of(label, subjects)))
    columns = ["group", "value", "records", "subjects", "with_label", "share", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def quantiles(cohort: Cohort, measures: Mapping[str, Floats]) -> pd.DataFrame:
    """Return quantiles of measures of shape (n_records, n_leads) by lead and label."""
    label, rows = label_of(cohort), []
    for name, (at, lead), value in product(measures, enumerate(cohort.leads), label_names(cohort)):
        column = pd.Series(measures[name][label == value, at]).dropna()
        rows.append((name, lead, value, len(column), *column.quantile([*_QUANTILES.values()])))
    return pd.DataFrame(rows, columns=["measure", "lead", "label", "records", *_QUANTILES])


def missing_waves(cohort: Cohort, measured: Survey) -> pd.DataFrame:
    """Count records in which a lead, any lead, or all leads lack a wave or are irregular."""
    counts = {
        name: [*part.sum(axis=0), part.any(axis=1).sum(), part.all(axis=1).sum()]
        for name, part in measured.missing.items()
    }
    return pd.DataFrame({"lead": [*cohort.leads, "any lead", "all leads"], **counts})
