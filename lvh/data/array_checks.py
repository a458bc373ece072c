"""Checks of what a user gives: shapes, names, labels, subjects; leads and voltages of an ECG."""

import logging
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lvh.data.lazy_array import Inputs, LazyArray
from lvh.errors import InputError, excerpt

LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")
"""The twelve standard leads in their usual order."""
EXTERNAL = "external/"
"""Prefix of the names of records that are only scored."""

_SPAN_MV = (0.02, 30.0)  # peak to peak of each lead; not of microvolts, nor of a flat lead
_LIMB_MV, _LIMB_SHARE = 0.03, 0.1  # how far limb leads may be from their laws: mV, of a lead
_ROUNDING = 1.5  # steps of an ADC that three rounded leads may be off together
_MAX_NOISE_MV = 0.25  # that is allowed for on top, rounding included
_WHOLE = re.compile(r"^0*(\d+)(?:\.0*)?$")

_log = logging.getLogger(__name__)


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
        is_number = array.dtype.kind in "iuf" and not np.ma.is_masked(X)
        with np.errstate(over="ignore"):  # an overflow gives infinity, which is refused
            signals = np.array(array if is_number else np.nan, dtype=np.float32, order="C")
        if not np.isfinite(signals).all():
            raise InputError(f"X: expected finite numbers, none masked. Received: {array.dtype}")
    shape = signals.shape
    if len(shape) != 3 or shape[2] != len(names) or 0 in (shape if names else shape[:1]):
        raise InputError(
            f"X: expected the shape (n_records, n_samples, {len(names)}), as leads has names. "
            f"Received: {shape}"
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

    codes, distinct = pd.factorize(pd.Series(list(groups), dtype=object))
    texts = np.array([str(one) for one in distinct])
    if np.shape(groups) != (n,) or (codes < 0).any() or len({*texts}) < len(texts):
        raise InputError(
            f"groups: expected {n} values, the name or the number of the subject of each record; "
            f"none missing, no two that look the same. Received: {excerpt(groups)}"
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


def checked_faults(
    path: Path, names: Sequence[str], faults: npt.NDArray[np.str_], flawed: str
) -> tuple[tuple[tuple[str, str], ...], str]:
    """Return the records of a table that have a fault, and a note; or refuse them (`fail`)."""
    dropped = tuple((names[at], str(faults[at])) for at in np.flatnonzero(faults != "").tolist())
    if not dropped:
        return dropped, ""
    if flawed == "fail" or len(dropped) == len(names):
        raise InputError(
            f"data.flawed={flawed}: expected no flawed record in {path}, or some that are usable. "
            f"Received: {len(dropped)} of {len(names)} flawed, the first {': '.join(dropped[0])}"
        )
    note = f"{len(dropped)} of {len(names)} records left out as flawed"
    _log.warning("%s: %s", path, note)
    return dropped, note


def signal_fault(mv: npt.NDArray[np.floating], leads: Sequence[str] = LEADS) -> str:
    """Say what is wrong with a record, shape (n_samples, n_leads), mV; empty if nothing is."""
    for lead, values in zip(leads, mv.T, strict=True):
        is_finite = np.isfinite(values).all()
        if not is_finite or not len(values) or np.ptp(values) == 0:
            received = "a flat line" if is_finite else "samples that are no finite number"
            return f"lead {lead}: expected a signal. Received: {received}"
    return limb_fault(mv, leads)


def unit_fault(mv: npt.NDArray[np.floating], leads: Sequence[str]) -> str:
    """Say which lead, of shape (n_samples, n_leads), cannot be an ECG in mV; empty if none."""
    low, high = _SPAN_MV
    for lead, span in zip(leads, np.ptp(mv, axis=0).tolist(), strict=True):
        if not low <= span <= high:
            return (
                f"expected mV, so leads that span {low:g} to {high:g}. Received: {span:g} in "
                f"{lead}. Is this another unit?"
            )
    return ""


def check_voltages(signals: npt.NDArray[np.floating], leads: Sequence[str]) -> None:
    """Raise InputError if half of the records, (n_records, n_samples, n_leads), are no ECG in mV.

    One record may be anything.
    """
    for fault_of in (unit_fault, limb_fault):
        faults = [*filter(None, (fault_of(record, leads) for record in signals))]
        if 2 * len(faults) > len(signals):
            raise InputError(
                f"X: {faults[0]} So it is in {len(faults)} of {len(signals)} records; unit='other' "
                "takes signals that are no ECG"
            )


def limb_fault(signal: npt.NDArray[np.floating], leads: Sequence[str]) -> str:
    """Say which law of Einthoven and Goldberger limb leads break; empty if none, or without all.

    The 99th percentile of each difference counts, without its offset. White noise is allowed for,
    and the resolution of the signal: shape (n_samples, n_leads), mV.
    """
    columns = {lead.lower(): column for lead, column in zip(leads, signal.T, strict=True)}
    if not {*LEADS[:6]} <= {*columns}:
        return ""
    i, ii, iii, avr, avl, avf = (columns[lead].astype(np.float64) for lead in LEADS[:6])
    tolerance = max(_LIMB_MV, _LIMB_SHARE * max(_large(lead) for lead in (i, ii, iii)))
    for law, difference in (
        ("iii = ii - i", iii - (ii - i)),
        ("avr = -(i + ii) / 2", avr + (i + ii) / 2),
        ("avl = i - ii / 2", avl - (i - ii / 2)),
        ("avf = ii - i / 2", avf - (ii - i / 2)),
    ):
        if (size := _large(difference)) <= tolerance:
            continue
        rounding = _ROUNDING * max(_resolution(lead) for lead in (i, ii, iii, avr, avl, avf))
        bound = tolerance + min(max(4 * _white_noise(difference), rounding), _MAX_NOISE_MV)
        if size > bound:
            return (
                f"limb leads: expected {law} within {bound:.2g} mV. Received: a difference of "
                f"{size:.2g} mV. Are the leads in this order, and recorded at the same time?"
            )
    return ""


def _large(signal: npt.NDArray[np.float64]) -> float:
    return float(np.percentile(np.abs(signal - np.median(signal)), 99))


def _resolution(signal: npt.NDArray[np.float64]) -> float:
    """Return the smallest step between two values; 0 of a flat line."""
    return float(np.diff(np.unique(signal)).min(initial=np.inf)) if np.ptp(signal) else 0.0


def _white_noise(signal: npt.NDArray[np.float64]) -> float:
    """Estimate its standard deviation by second differences, in which beats are rare."""
    if len(signal) < 3:
        return 0.0
    return float(1.4826 * np.median(np.abs(np.diff(signal, 2))) / math.sqrt(6))
