"""Checks of arrays that a user gives, for `lvh.data.cohort.Cohort.from_arrays`."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lvh.data.lazy_array import Inputs, LazyArray
from lvh.errors import InputError, excerpt

EXTERNAL = "external/"
"""Prefix of the names of records that are only scored."""

_WHOLE = re.compile(r"^0*(\d+)(?:\.0*)?$")


def checked_signals(X: Any, leads: Sequence[str]) -> tuple[Inputs, tuple[str, ...]]:
    """Return signals of shape (n_records, n_samples, n_leads), and their names in lower case."""
    names = tuple(lead.strip().lower() for lead in ([leads] if isinstance(leads, str) else leads))
    if len(set(names)) < len(names) or "" in names:
        raise InputError(f"leads: expected different names. Received: {excerpt(names)}")
    signals: Inputs = X
    if not isinstance(X, LazyArray):
        array = np.asarray(X)
        if array.ndim == 2 and len(names) == 1:
            array = array[:, :, None]
        if array.dtype.kind not in "iuf" or np.ma.is_masked(X):
            received = "a masked array" if np.ma.is_masked(X) else array.dtype
            raise InputError(f"X: expected numbers. Received: {received}")
        with np.errstate(over="ignore"):  # an overflow gives infinity, which is refused
            signals = np.array(array, dtype=np.float32, order="C")
        if not np.isfinite(signals).all():
            raise InputError("X: expected finite samples. Received: NaN or infinity")
    shape = signals.shape
    if len(shape) != 3 or shape[2] != len(names) or 0 in (shape if names else shape[:1]):
        raise InputError(
            f"X: expected the shape (n_records, n_samples, {len(names)}), the last of it as leads "
            f"has names. Received: {shape}"
        )
    return signals, names


def checked_values(field: str, values: Any, n: int, dtype: Any = None) -> npt.NDArray[Any]:
    """Return a value a record, as an array of shape (n,)."""
    array = np.asarray(values, dtype=dtype)
    if array.shape != (n,):
        raise InputError(f"{field}: expected {n} values, one a record. Received: {array.shape}")
    return array


def checked_subjects(groups: Any, n: int) -> npt.NDArray[np.str_]:
    """Return the subject of each record as text, shape (n,); none may be missing."""
    import pandas as pd

    values = checked_values("groups", groups, n)
    subjects = values.astype(str)
    if missing := int((pd.isna(values) | (subjects == "")).sum()):
        raise InputError(
            "groups: expected the name or the number of a subject for every record. "
            f"Received: none for {missing} of {n}"
        )
    check_spellings("groups", subjects.tolist())
    return subjects


def check_spellings(where: str, subjects: Sequence[str]) -> None:
    """Refuse a subject with two spellings, such as 7 and 7.0, who would be in two folds."""
    spelled: dict[str, str] = {}
    for text in dict.fromkeys(subjects):
        key = _WHOLE.sub(r"\1", unicodedata.normalize("NFKC", text).casefold())
        if (first := spelled.setdefault(key, text)) != text:
            raise InputError(
                f"{where}: expected one spelling of each subject. "
                f"Received: {excerpt(first)} and {excerpt(text)}"
            )


def check_names(records: Sequence[str], n: int) -> None:
    """Raise InputError unless `n` records have different names that a terminal can show."""
    counts = Counter(records)
    repeated = next((one for one in records if counts[one] > 1), None)
    odd = [one for one in records if not (one and one.isprintable()) or one.startswith(EXTERNAL)]
    if len(records) != n or repeated is not None or odd:
        received = excerpt(repeated if repeated is not None else odd[0] if odd else len(records))
        raise InputError(f"records: expected {n} different names. Received: {received}")
