"""Examples, chosen by a rule and not by their looks."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort

N_OF_A_LABEL = 2
SECONDS = 4.0
"""Shown of a record, from its middle: the ends of a recording often have no annotations."""


@dataclass(frozen=True, slots=True)
class Example:
    """A part of one record.

    Attributes:
        record: Its name.
        about: Sex, age and label, in words.
        leads: Names along the second axis of `signals`.
        fs: Sampling frequency, Hz.
        start: Sample of the record at which the part begins.
        signals: Shape (n_samples, n_leads), mV.
        fiducials: Symbols, as text, and samples of the record, for each lead; all of the part.
    """

    record: str
    about: str
    leads: tuple[str, ...]
    fs: float
    start: int
    signals: npt.NDArray[np.float32]
    fiducials: tuple[tuple[str, npt.NDArray[np.int64]], ...]

    def marks(self) -> list[tuple[str, str, str, int, float]]:
        """Return record, lead, symbol, sample of the record and mV of each fiducial."""
        return [
            (self.record, lead, symbol, sample, float(self.signals[sample - self.start, at]))
            for at, lead in enumerate(self.leads)
            for symbol, sample in zip(
                self.fiducials[at][0], self.fiducials[at][1].tolist(), strict=True
            )
        ]


def chosen(cohort: Cohort) -> list[int]:
    """Return the positions of the first records of each label, each of another subject."""
    found: list[int] = []
    for label in (1, 0):
        seen: set[str] = set()
        for at in np.flatnonzero(cohort.label == label).tolist():
            subject = str(cohort.subjects[at])
            if subject not in seen and len(seen) < N_OF_A_LABEL:
                seen.add(subject)
                found.append(at)
    return found


def examples(cohort: Cohort) -> list[Example]:
    """Cut the middle out of the chosen records."""
    return [_example(cohort, at) for at in chosen(cohort)]


def _example(cohort: Cohort, at: int) -> Example:
    n_samples = cohort.signals.shape[1]
    length = min(n_samples, round(SECONDS * cohort.fs))
    start = (n_samples - length) // 2
    signals = np.array(cohort.signals[at][start : start + length])
    fiducials = []
    for lead in range(len(cohort.leads)):
        symbols, samples = cohort.delineation.lead(at, lead)
        inside = np.flatnonzero((samples >= start) & (samples < start + length))
        own = samples[inside].astype(np.int64)
        fiducials.append(("".join(symbols[one] for one in inside.tolist()), own))
    sex = "man" if cohort.male[at] else "woman"
    label = "LVH" if cohort.label[at] else "not LVH"
    about = f"{sex}, {cohort.age[at]:.0f} years, {label}"
    return Example(
        record=cohort.records[at],
        about=about,
        leads=cohort.leads,
        fs=cohort.fs,
        start=start,
        signals=signals,
        fiducials=tuple(fiducials),
    )
