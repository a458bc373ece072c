"""Everything that is measured in the records, in one pass over blocks of them."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.features.amplitudes import measure
from lvh.features.criteria import Measurements
from lvh.features.ntp import fiducial_means
from lvh.features.wave_patterns import find_pattern
from lvh.reports.dataset.signals import SignalFacts, signal_facts

Bools = npt.NDArray[np.bool_]

_BLOCK = 64  # records at once: 15 MB of signals in LUDB's shape, some ten times that on the way
_REGULAR = re.compile(r"(?:\([Npt]\))*")
LACKS = {
    "no_qrs": "(N)",
    "no_p": "(p)",
    "no_t": "(t)",
    "no_qrs_t": "(N)(t)",
    "no_beat": "(N)(t)(p)",
}
"""What a lead may be without, and the run of symbols that it then never has."""


@dataclass(frozen=True, slots=True)
class Beats:
    """What the delineation tells.

    Attributes:
        fiducials: Mean signal at the nine fiducials, shape (n_records, n_leads, 9), mV; see
            `lvh.features.ntp.fiducial_means`.
        waves: Amplitudes and durations.
        lacks: Which leads lack what, for each of `LACKS`, shape (n_records, n_leads).
        without_p: Leads without even a peak of a p wave, shape (n_records, n_leads).
        irregular: Leads with a peak that lacks onset or offset, or the like; same shape.
    """

    fiducials: npt.NDArray[np.float64]
    waves: Measurements
    lacks: dict[str, Bools]
    without_p: Bools
    irregular: Bools


@dataclass(frozen=True, slots=True)
class Survey:
    """All that was measured; `beats` is None for a source without delineation."""

    signals: SignalFacts
    beats: Beats | None


def survey(cohort: Cohort, on_block: Callable[[int], None]) -> Survey:
    """Measure all records, some at a time: the signals are never in memory twice.

    Args:
        cohort: Of which `signals` is only asked for single records.
        on_block: Told how many records are done.
    """
    signals, beats = [], []
    for part in blocks(cohort):
        signals.append(signal_facts(part))
        if len(cohort.delineation.samples):
            beats.append(_beats(part))
        on_block(sum(len(one.low) for one in signals))
    return Survey(_joined(signals), _joined(beats) if beats else None)


def blocks(cohort: Cohort, n_records: int = _BLOCK) -> Iterator[Cohort]:
    """Yield consecutive parts of a cohort, each with signals of its own in memory."""
    n_leads = len(cohort.leads)
    for start in range(0, len(cohort.records), n_records):
        own = slice(start, start + n_records)
        records = cohort.records[own]
        offsets = cohort.delineation.offsets[start * n_leads : (start + len(records)) * n_leads + 1]
        yield replace(
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


def _beats(part: Cohort) -> Beats:
    shape = (len(part.records), len(part.leads))
    symbols = [
        part.delineation.lead(record, lead)[0]
        for record in range(shape[0])
        for lead in range(shape[1])
    ]

    def told(question: Callable[[str], bool]) -> Bools:
        return np.array([question(one) for one in symbols], dtype=np.bool_).reshape(shape)

    return Beats(
        fiducials=fiducial_means(part, part.signals),
        waves=measure(part),
        lacks={
            name: told(lambda one, run=run: not find_pattern(one, run).size)  # type: ignore[misc]
            for name, run in LACKS.items()
        },
        without_p=told(lambda one: "p" not in one),
        irregular=told(lambda one: _REGULAR.fullmatch(one) is None),
    )


def _joined(parts: Sequence[Any]) -> Any:
    """Put the arrays of several results behind one another, field by field."""
    first = parts[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)
    if isinstance(first, dict):
        return {key: _joined([one[key] for one in parts]) for key in first}
    if is_dataclass(first) and not isinstance(first, type):
        values = {
            field.name: _joined([getattr(one, field.name) for one in parts])
            for field in fields(first)
        }
        return replace(first, **values)
    return first  # the same in all: names of leads
