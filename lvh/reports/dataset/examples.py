"""Examples of a data set's records, chosen by a rule and not by their looks."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort

SECONDS = 4.0
"""Shown of a record, from its middle: the ends of a recording often have no annotations."""
_N_OF_A_LABEL = 2


@dataclass(frozen=True, slots=True)
class Example:
    """A part of one record, from sample `start` on.

    `about` says sex, age and label in words; `fs` is in Hz; `signals` has shape (n_samples,
    n_leads), mV; `fiducials` are symbols, as text, and samples of the record, for each lead.
    """

    record: str
    about: str
    leads: tuple[str, ...]
    fs: float
    start: int
    signals: npt.NDArray[np.float32]
    fiducials: tuple[tuple[str, npt.NDArray[np.int64]], ...]


def examples(cohort: Cohort) -> list[Example]:
    """Cut the middle out of the first records of each label, each of another subject."""
    chosen: list[int] = []
    for label in (1, 0):
        own = np.flatnonzero(cohort.label == label)
        _, first = np.unique(cohort.subjects[own], return_index=True)
        chosen += own[np.sort(first)[:_N_OF_A_LABEL]].tolist()
    return [_example(cohort, at) for at in chosen]


def _example(cohort: Cohort, at: int) -> Example:
    n_samples = cohort.signals.shape[1]
    length = min(n_samples, round(SECONDS * cohort.fs))
    start = (n_samples - length) // 2
    fiducials = []
    for lead in range(len(cohort.leads)):
        symbols, samples = cohort.delineation.lead(at, lead)
        inside = np.flatnonzero((samples >= start) & (samples < start + length))
        text = "".join(symbols[one] for one in inside.tolist())
        fiducials.append((text, samples[inside].astype(np.int64)))
    sex, label = "man" if cohort.male[at] else "woman", ("not LVH", "LVH")[cohort.label[at]]
    return Example(
        record=cohort.records[at],
        about=f"{sex}, {cohort.age[at]:.0f} years, {label}",
        leads=cohort.leads,
        fs=cohort.fs,
        start=start,
        signals=np.array(cohort.signals[at][start : start + length]),
        fiducials=tuple(fiducials),
    )
