"""What the delineated forms share: where a run of waves stands, and records that lack one."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.errors import InputError

Malformed = Literal["drop", "fail"]


def find_pattern(symbols: str, pattern: str) -> npt.NDArray[np.int64]:
    """Return where `pattern` stands in `symbols`; it cannot overlap itself."""
    found = []
    at = symbols.find(pattern)
    while at >= 0:
        found.append(at)
        at = symbols.find(pattern, at + len(pattern))
    return np.array(found, dtype=np.int64)


def incomplete_records(
    cohort: Cohort,
    leads: tuple[str, ...],
    lacking: npt.NDArray[np.bool_],
    what: str,
    malformed: Malformed,
) -> dict[int, str]:
    """Return the positions of the records that lack something, each with the reason.

    Args:
        cohort: Where the records come from.
        leads: Names along the last axis of `lacking`.
        lacking: Which record lacks it in which lead, shape (n_records, n_leads).
        what: What every lead must have, in words.
        malformed: Whether such records are dropped or fail the run.

    Raises:
        InputError: There is one, where it fails the run.
    """
    reasons = {
        int(record): f"no complete {what} in "
        + " ".join(lead for lead, lacks in zip(leads, lacking[record], strict=True) if lacks)
        for record in np.flatnonzero(lacking.any(axis=1))
    }
    if reasons and malformed == "fail":
        listed = "; ".join(f"{cohort.records[i]}: {reason}" for i, reason in reasons.items())
        raise InputError(
            f"features.malformed=fail: expected a complete {what} in every lead. Received: {listed}"
        )
    return reasons
