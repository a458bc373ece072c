"""Patterns of waves in a delineation, and records that lack one."""

import re
from typing import Literal

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.errors import InputError

Malformed = Literal["drop", "fail"]


def find_pattern(symbols: str, pattern: str) -> npt.NDArray[np.int64]:
    """Return the positions in `symbols` at which `pattern` starts; matches do not overlap."""
    starts = [match.start() for match in re.finditer(re.escape(pattern), symbols)]
    return np.array(starts, dtype=np.int64)


def incomplete_records(
    cohort: Cohort,
    leads: tuple[str, ...],
    lacking: npt.NDArray[np.bool_],
    pattern: str,
    malformed: Malformed,
) -> dict[int, str]:
    """Return the positions of the records that lack a pattern, each with the reason.

    Args:
        cohort: Where the records come from.
        leads: Names along the last axis of `lacking`.
        lacking: Whether a record lacks it in a lead, shape (n_records, n_leads).
        pattern: Which every lead must have, for the message.
        malformed: Whether such records are dropped or fail the run.

    Raises:
        InputError: There is such a record, and it fails the run.
    """
    reasons = {
        int(record): f"no complete {pattern} in "
        + " ".join(lead for lead, lacks in zip(leads, lacking[record], strict=True) if lacks)
        for record in np.flatnonzero(lacking.any(axis=1))
    }
    if reasons and malformed == "fail":
        listed = "; ".join(f"{cohort.records[i]}: {reason}" for i, reason in reasons.items())
        raise InputError(
            f"features.malformed=fail: expected a complete {pattern} in every lead. "
            f"Received: {listed}"
        )
    return reasons
