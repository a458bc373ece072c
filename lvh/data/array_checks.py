"""Checks of arrays that a user gives: shapes, names, labels and subjects."""

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


def checked_labels(y: Any, n: int) -> npt.NDArray[np.int64]:
    """Return labels 0 and 1, shape (n,)."""
    import pandas as pd

    labels = checked_values("y", y, n)
    found = pd.unique(pd.Series(labels))
    if pd.isna(found).any() or not {*found.tolist()} <= {0, 1}:
        raise InputError(
            f"y: expected 0 or 1, or False and True. Received: {excerpt(found.tolist())}"
        )
    return labels.astype(np.int64)


def checked_subjects(groups: Any, n: int) -> npt.NDArray[np.str_]:
    """Return the subject of each record as text, shape (n,); different ones look different."""
    import pandas as pd

    if np.shape(groups) != (n,):
        raise InputError(f"groups: expected {n} values, one a record. Received: {excerpt(groups)}")
    codes, distinct = pd.factorize(pd.Series(list(groups), dtype=object))
    texts = np.array([str(one) for one in distinct])
    if (codes < 0).any() or len({*texts}) < len(texts):
        raise InputError(
            "groups: expected the name or the number of a subject for every record. Received: "
            f"{'a missing one' if (codes < 0).any() else 'different ones that look the same'}"
        )
    check_spellings("groups", texts.tolist())
    return np.asarray(texts[codes], np.str_)


def check_names(records: Sequence[str], n: int) -> None:
    """Raise InputError unless `n` records have different names that a terminal can show."""
    counts = Counter(records)
    repeated = next((one for one in records if counts[one] > 1), None)
    odd = [one for one in records if not (one and one.isprintable()) or one.startswith(EXTERNAL)]
    if len(records) != n or repeated is not None or odd:
        received = excerpt(repeated if repeated is not None else odd[0] if odd else len(records))
        raise InputError(f"records: expected {n} different names. Received: {received}")


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
