"""What a cohort holds, in numbers, before anything is trained."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np

from lvh.data.cohort import Cohort
from lvh.errors import InputError

_MOST_SHOWN = 6  # leads, or columns, or reasons in a sentence


@dataclass(frozen=True, slots=True)
class CohortSummary:
    """Counts of a cohort, and what its source left out.

    Attributes:
        source: Name of the cohort.
        label: What a label of 1 says; `with_label` counts such records.
        age_and_sex: Number of records of which both are known.
        seconds: Length of each record; 0 without signals, as `fs` in Hz.
        fiducials: `annotated`, `found` or `none`.
        columns: Columns of numbers in the source's table; `text_columns` are never inputs.
        dropped: Number of records that were left out, by reason.
    """

    source: str
    fingerprint: str
    label: str
    records: int
    with_label: int
    subjects: int
    age_and_sex: int
    leads: tuple[str, ...]
    unit: str
    fs: float
    seconds: float
    fiducials: str
    columns: tuple[str, ...]
    text_columns: tuple[str, ...]
    dropped: Mapping[str, int]

    def facts(self) -> dict[str, str]:
        """Return one sentence or two, by what they are about."""
        holds = f"{_listed(self.leads)} at {self.fs:g} Hz, {self.seconds:g} s"
        if not self.leads:
            text = f"; text, so no input: {_listed(self.text_columns)}" * bool(self.text_columns)
            holds = f"columns {_listed(self.columns)}{text}"
        counts = f"{self.with_label} of {self.records} records, {self.subjects} subjects"
        facts = {"records": f"{self.label} in {counts}; {holds}"}
        if self.dropped:
            reasons = [f"{n} x {why}" for why, n in self.dropped.items()]
            facts["left out"] = f"{sum(self.dropped.values())}: {_listed(reasons, '; ')}"
        return facts

    def to_json(self) -> str:
        """Return JSON with one field a line."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


@lru_cache(maxsize=1)
def summarize_cohort(cohort: Cohort) -> CohortSummary:
    """Count what a cohort holds; an InputError if its parts do not fit, or a label is missing."""
    _check(cohort)
    columns = () if cohort.columns is None else cohort.columns
    numbers = () if cohort.columns is None else tuple(cohort.columns.select_dtypes("number"))
    return CohortSummary(
        source=cohort.name,
        fingerprint=cohort.fingerprint,
        label=cohort.label_name,
        records=len(cohort.records),
        with_label=int(cohort.label.sum()),
        subjects=len(np.unique(cohort.subjects)),
        age_and_sex=int(np.isfinite(cohort.age).sum()),
        leads=cohort.leads,
        unit=cohort.unit,
        fs=cohort.fs,
        seconds=cohort.signals.shape[1] / cohort.fs if cohort.leads else 0.0,
        fiducials=cohort.delineation.origin if len(cohort.delineation.samples) else "none",
        columns=numbers,
        text_columns=tuple(name for name in columns if name not in numbers),
        dropped=dict(Counter(reason for _, reason in cohort.dropped).most_common()),
    )


def _check(cohort: Cohort) -> None:
    n, n_leads, waves = len(cohort.records), len(cohort.leads), cohort.delineation
    sizes = {
        "names of records": len(set(cohort.records)),
        "subjects": len(cohort.subjects),
        "signals": len(cohort.signals),
        "labels": len(cohort.label),
        "ages": len(cohort.age),
        "sexes": len(cohort.male),
        "rows of columns": n if cohort.columns is None else len(cohort.columns),
        "lists of fiducials": (len(waves.offsets) - 1) / n_leads if n_leads else n,
        "signals of each lead": n * cohort.signals.shape[2] / n_leads if n_leads else n,
    }
    for what, size in sizes.items():
        if size != n:
            raise InputError(f"{cohort.name}: expected {n} {what}, one a record. Received: {size}")
    if {*np.unique(cohort.label).tolist()} != {0, 1}:
        raise InputError(
            f"{cohort.name}: expected records with the label {cohort.label_name} and without. "
            f"Received: {int(cohort.label.sum())} of {n} with it"
        )


def _listed(items: Sequence[str], separator: str = " ") -> str:
    shown = separator.join(items[:_MOST_SHOWN])
    return f"{shown} ... ({len(items)})" if len(items) > _MOST_SHOWN else shown or "none"
