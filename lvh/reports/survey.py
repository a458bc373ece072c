"""Measures of every record and lead of a data set, in one pass."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort, part_of
from lvh.errors import InputError
from lvh.features.base import find_pattern
from lvh.features.criteria import Measurements
from lvh.features.voltage import measure

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_NORMAL = 0.6744897501960817  # median of the absolute value of a standard normal number
_BLOCK = 64  # records at once: 15 MB of signals in LUDB's shape, some ten times that on the way
_REGULAR = re.compile(r"(?:\([Npt]\))*")


@dataclass(frozen=True, slots=True)
class Survey:
    """What a data set holds; leads have shape (n_records, n_leads).

    `signals` are `min`, `mean`, `max` and `noise`, mV; `faults` are leads that are `flat`, and with
    fiducials also those `without_p`, without (N)(t) (`no_qrs_t`), or `irregular`: with a peak that
    lacks onset or offset. `einthoven` is the largest absolute value of i + iii - ii, mV.
    """

    signals: Mapping[str, Floats]
    faults: Mapping[str, Bools]
    einthoven: Floats
    digest: npt.NDArray[np.str_]
    waves: Measurements | None


def survey(cohort: Cohort, on_block: Callable[[int], None] = lambda n_done: None) -> Survey:
    """Measure all records, some at a time; `on_block` gets the number that are done."""
    if not cohort.leads or cohort.unit != "mV":
        received = "another unit" if cohort.leads else "none"
        raise InputError(f"data: expected signals in mV to look at. Received: {received}")
    blocks = []
    for start in range(0, len(cohort.records), _BLOCK):
        part = part_of(cohort, start, start + _BLOCK)
        blocks.append(_measured(np.asarray(part.signals, np.float64), part))
        on_block(start + len(part.records))
    measures = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    has_waves = len(cohort.delineation.samples) > 0
    return Survey(
        signals={name: measures[name] for name in ("min", "mean", "max", "noise")},
        faults={"flat": measures["flat"]} | (_find_missing(cohort) if has_waves else {}),
        einthoven=measures["einthoven"],
        digest=measures["digest"],
        waves=measure(cohort) if has_waves else None,
    )


def _measured(signals: Floats, part: Cohort) -> dict[str, Any]:
    """Measure every lead; noise after Gasser, Sroka and Jennen-Steinmetz, Biometrika 73, 1986."""
    low, high, einthoven = signals.min(axis=1), signals.max(axis=1), np.full(len(signals), np.nan)
    if {"i", "ii", "iii"} <= {*part.leads}:
        i, ii, iii = (signals[..., part.leads.index(lead)] for lead in ("i", "ii", "iii"))
        einthoven = np.abs(i + iii - ii).max(axis=1)
    return {
        "min": low,
        "mean": signals.mean(axis=1),
        "max": high,
        "noise": np.median(np.abs(np.diff(signals, n=2, axis=1)), axis=1) / (_NORMAL * np.sqrt(6)),
        "flat": low == high,
        "einthoven": einthoven,
        "digest": np.array([sha256(record.tobytes()).hexdigest()[:16] for record in signals]),
    }


def _find_missing(cohort: Cohort) -> dict[str, Bools]:
    shape = (len(cohort.records), len(cohort.leads))
    symbols = [cohort.delineation.lead(record, lead)[0] for record, lead in np.ndindex(shape)]
    lacking = {
        "without_p": ["p" not in text for text in symbols],
        "no_qrs_t": [not find_pattern(text, "(N)(t)").size for text in symbols],
        "irregular": [_REGULAR.fullmatch(text) is None for text in symbols],
    }
    return {name: np.reshape(leads, shape) for name, leads in lacking.items()}
