"""What a cohort holds, in numbers, before anything is trained."""

import json
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from lvh.data.array_checks import refusal
from lvh.data.cohort import Cohort

_MOST_SHOWN = 6  # leads, or columns, or reasons in a sentence


class CohortSummary(dict[str, Any]):
    """Counts of a cohort, and what its source left out, by the names of `data.json`."""

    def facts(self) -> dict[str, str]:
        """Return one sentence or two, by what they are about."""
        holds = f"columns {_listed(self['columns'])}"
        if texts := self["text_columns"]:
            holds += f"; text, which is no input: {_listed(texts)}"
        if self["leads"]:
            holds = f"{_listed(self['leads'])} at {self['fs']:g} Hz, {self['seconds']:g} s"
        counts = "{label} in {with_label} of {records} records, {subjects} subjects".format(**self)
        facts = {"records": f"{counts}; {holds}"}
        if dropped := self["dropped"]:
            reasons = [f"{n} x {why}" for why, n in dropped.items()]
            facts["left out"] = f"{sum(dropped.values())}: {_listed(reasons, '; ')}"
        return facts

    def to_json(self) -> str:
        """Return JSON with one field a line."""
        return json.dumps(self, indent=1, ensure_ascii=False) + "\n"


@lru_cache(maxsize=1)
def summarize_cohort(cohort: Cohort) -> CohortSummary:
    """Count what a cohort holds; an InputError if its parts do not fit, or a label is missing."""
    n, n_leads, waves = len(cohort.records), len(cohort.leads), cohort.delineation
    fields = ("subjects", "signals", "label", "age", "male")
    sizes = {name: len(getattr(cohort, name)) for name in fields} | {
        "names of records": len(set(cohort.records)),
        "rows of columns": n if cohort.columns is None else len(cohort.columns),
        "lists of fiducials": (len(waves.offsets) - 1) / n_leads if n_leads else n,
        "signals of each lead": n * cohort.signals.shape[2] / n_leads if n_leads else n,
    }
    for what, size in sizes.items():
        if size != n:
            raise refusal(cohort.name, f"{n} {what}, one a record", size)
    if {*np.unique(cohort.label).tolist()} != {0, 1}:
        expected = f"records with the label {cohort.label_name} and without"
        raise refusal(cohort.name, expected, f"{int(cohort.label.sum())} of {n} with it")
    columns = () if cohort.columns is None else tuple(cohort.columns)
    numbers = () if cohort.columns is None else tuple(cohort.columns.select_dtypes("number"))
    return CohortSummary(
        source=cohort.name,
        fingerprint=cohort.fingerprint,
        label=cohort.label_name,
        records=n,
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


def _listed(items: Sequence[str], separator: str = " ") -> str:
    shown = separator.join(items[:_MOST_SHOWN])
    return f"{shown} ... ({len(items)})" if len(items) > _MOST_SHOWN else shown or "none"
