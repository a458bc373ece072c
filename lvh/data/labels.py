"""The label: which statement about a record is detected, by the name that a user types."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from lvh.data.array_checks import refusal
from lvh.data.cohort import Cohort, fingerprint

LVH = "LVH"
"""Left ventricular hypertrophy, the label that is detected unless another one is named."""

Label = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""A label as a setting, without commands to a terminal."""

_LISTED = 12


def find_label(
    label: str, statements: Sequence[Collection[str]], *, hint: str = ""
) -> tuple[str, npt.NDArray[np.int64]]:
    """Return a label as the data set spells it, and 1 where a record has it, else 0: (n_records,).

    `LVH` may be in none of the statements about the records; another label is an InputError then,
    which lists those that exist and ends with a hint.

    >>> find_label("af", [{"AF", "LVH"}, {"SR"}])
    ('AF', array([1, 0]))
    """
    counts = Counter(name for names in statements for name in set(names)).most_common()
    spelled, wanted = {name.casefold(): name for name, _ in reversed(counts)}, label.casefold()
    if wanted not in {*spelled, LVH.casefold()}:
        listed = ", ".join(f"{name} {count}" for name, count in counts[:_LISTED])
        for name in get_close_matches(wanted, spelled, n=1, cutoff=0.75):
            listed += f" (did you mean {spelled[name]}?)"
        raise refusal("data.label", f"a label that some record has, such as {listed}{hint}", label)
    has = [any(name.casefold() == wanted for name in names) for names in statements]
    return spelled.get(wanted, LVH), np.array(has, dtype=np.int64)


def relabelled(
    cohort: Cohort, label_name: str, *, label: npt.NDArray[np.int64], meaning: str
) -> Cohort:
    """Return a cohort of LVH with another label, which its name, fingerprint and note say."""
    if label_name == LVH:
        return cohort
    return replace(
        cohort,
        name=f"{cohort.name} ({label_name})",
        label=label,
        label_name=label_name,
        fingerprint=fingerprint(cohort.fingerprint, label_name, label),
        note="; ".join(filter(None, (cohort.note, meaning))),
    )
