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
MAX_AGE = 130.0
"""Years; PTB-XL writes 300 for more than 89."""
EXTERNAL = "external/"
"""Prefix of the names of records that are only scored."""

_SPAN_MV = (0.02, 30.0)  # peak to peak of each lead; not of microvolts, nor of a flat lead
_LIMB_LAWS = {  # with the weights of i, ii, iii, avr, avl and avf, whose sum is 0
    "iii = ii - i": (1, -1, 1, 0, 0, 0),
    "avr = -(i + ii) / 2": (0.5, 0.5, 0, 1, 0, 0),
    "avl = i - ii / 2": (-1, 0.5, 0, 0, 1, 0),
    "avf = ii - i / 2": (0.5, -1, 0, 0, 0, 1),
}
_LIMB_MV, _LIMB_SHARE = 0.03, 0.1  # how far limb leads may be from their laws: mV, of a lead
_ROUNDING = 1.5  # steps of an ADC that three rounded leads may be off together
_MAX_NOISE_MV = 0.25  # that is allowed for on top, rounding included
_WHOLE = re.compile(r"^0*(\d+)(?:\.0*)?$")

_log = logging.getLogger(__name__)


def refusal(where: object, expected: str, received: object) -> InputError:
    """Return an InputError that says where it is, what was expected and what was received.

    Texts stand without quotes, and the parts of a tuple side by side.
    """
    parts = received if isinstance(received, tuple) else (received,)
    texts = [excerpt(one).strip("'\"" if isinstance(one, str) and one else "") for one in parts]
    return InputError(f"{where}: expected {expected}. Received: {', '.join(texts)}")


def checked_signals(X: Any, leads: Sequence[str]) -> tuple[Inputs, tuple[str, ...]]:
    """Return signals of shape (n_records, n_samples, n_leads), and their names in lower case."""
    names = tuple(lead.strip().lower() for lead in ([leads] if isinstance(leads, str) else leads))
    signals: Inputs = X
    if not isinstance(X, LazyArray):
        array = _array("X", X, "an array of numbers")
        if array.ndim == 2 and len(names) == 1:
            array = array[:, :, None]
        is_number = array.dtype.kind in "iuf" and not np.ma.is_masked(X)
        with np.errstate(over="ignore"):  # an overflow gives infinity, which is refused
            signals = np.array(array if is_number else np.nan, dtype=np.float32, order="C")
        if not np.isfinite(signals).all():
            raise refusal("X", "finite numbers, none masked", array.dtype)
    shape, n_leads = signals.shape, len({*names} - {""})
    has_leads = n_leads == len(names) == shape[-1]
    if len(shape) != 3 or not has_leads or 0 in (shape if names else shape[:1]):
        expected = "the shape (n_records, n_samples, n_leads), and the different names of the leads"
        raise refusal("X and leads", expected, (shape, names))
    return signals, names


def checked_values(field: str, values: Any, n: int, dtype: Any = None) -> npt.NDArray[Any]:
    """Return a value a record, as an array of shape (n,)."""
    expected = f"{n} values, one a record"
    array = _array(field, values, expected, dtype)
    if array.shape != (n,):
        raise refusal(field, expected, array.shape or "one")
    return array


def _array(field: str, values: Any, expected: str, dtype: Any = None) -> npt.NDArray[Any]:
    try:
        return np.asarray(values, dtype=dtype)
    except (TypeError, ValueError) as error:  # texts for numbers; lists of different lengths
        raise refusal(field, expected, str(error)) from None


def checked_labels(y: Any, n: int, field: str = "y") -> npt.NDArray[np.int64]:
    """Return labels 0 and 1, shape (n,)."""
    labels = checked_values(field, y, n)
    if not _are_binary(labels):
        import pandas as pd

        raise refusal(field, "0 or 1, or False and True", pd.unique(labels).tolist())
    return np.asarray(labels, dtype=np.int64)


def _are_binary(values: npt.NDArray[Any]) -> bool:
    """Whether all values are 0 and 1; texts and missing ones are not."""
    if values.dtype.kind in "biuf":
        return bool(np.isin(values, (0, 1)).all())
    import pandas as pd

    return bool(pd.Series(values, dtype=object).isin([0, 1]).all())


def checked_subjects(groups: Any, n: int, field: str = "groups") -> npt.NDArray[np.str_]:
    """Return the subject of each record as text, shape (n,); different ones look different."""
    import pandas as pd

    codes, distinct = pd.factorize(checked_values(field, groups, n, object))
    texts = np.array([str(one) for one in distinct])
    if (codes < 0).any() or len({*texts}) < len(texts):
        expected = f"{n} values, the subject of each record: none missing, no two look the same"
        raise refusal(field, expected, groups)
    check_spellings(field, texts.tolist())
    return np.asarray(texts[codes], np.str_)


def checked_ages(
    age: Any, male: Any, n: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return ages in years, and who is a man; NaN and false where one of the two is unknown."""
    if age is None or male is None:
        return np.full(n, np.nan), np.zeros(n, dtype=bool)
    ages, men = checked_values("age", age, n, np.float64), checked_values("male", male, n)
    if ((ages < 0) | (ages > MAX_AGE)).any() or not _are_binary(men):
        raise refusal("age and male", f"0 to {MAX_AGE:g} years, and 0 or 1", (ages, men))
    return ages, men.astype(bool) & np.isfinite(ages)


def check_names(records: Sequence[str], n: int) -> None:
    """Raise InputError unless `n` records have different names that a terminal can show."""
    odd = [one for one, times in Counter(records).items() if times > 1 or not one.isprintable()]
    odd += [one for one in records if not one or one.startswith(EXTERNAL)]
    if len(records) != n or odd:
        raise refusal("records", f"{n} different names", odd[0] if odd else len(records))


def check_spellings(where: str, subjects: Sequence[str]) -> None:
    """Refuse a subject with two spellings, such as 7 and 7.0, who would be in two folds."""
    spelled: dict[str, str] = {}
    for text in dict.fromkeys(subjects):
        key = _WHOLE.sub(r"\1", unicodedata.normalize("NFKC", text).casefold().strip())
        if (first := spelled.setdefault(key, text)) != text:
            raise refusal(where, "one spelling of each subject", (first, text))


def checked_faults(
    path: Path, names: Sequence[str], faults: npt.NDArray[np.str_], flawed: str
) -> tuple[tuple[tuple[str, str], ...], str]:
    """Return the records of a table that have a fault, and a note; or refuse them (`fail`)."""
    dropped = tuple((names[at], str(faults[at])) for at in np.flatnonzero(faults != "").tolist())
    if not dropped:
        return dropped, ""
    note = f"{len(dropped)} of {len(names)} records left out as flawed"
    if flawed == "fail" or len(dropped) == len(names):
        raise InputError(
            f"data.flawed={flawed}: expected no flawed record in {path}, or some that are usable. "
            f"Received: {len(dropped)} of {len(names)} flawed, the first {': '.join(dropped[0])}"
        )
    _log.warning("%s: %s", path, note)
    return dropped, note


def signal_fault(mv: npt.NDArray[np.floating], leads: Sequence[str] = LEADS) -> str:
    """Say what is wrong with a record, shape (n_samples, n_leads), mV; empty if nothing is."""
    for lead, values in zip(leads, mv.T, strict=True):
        is_finite = np.isfinite(values).all()
        if not is_finite or not len(values) or np.ptp(values) == 0:
            what = "a flat line" if is_finite else "samples that are no finite number"
            received = what if len(values) else "no samples in this part of the record"
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
    """Raise InputError if half of the records are no ECG in mV; one record may be anything."""
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
    columns = [lead.lower() for lead in leads]
    if not {*LEADS[:6]} <= {*columns}:
        return ""
    limb = signal[:, [columns.index(lead) for lead in LEADS[:6]]].astype(np.float64)
    tolerance = max(_LIMB_MV, _LIMB_SHARE * _large(limb[:, :3]).max())
    for law, weights in _LIMB_LAWS.items():
        difference = limb @ np.array(weights)
        if (size := _large(difference)) <= tolerance:
            continue
        steps = [np.diff(np.unique(lead)).min(initial=np.inf) for lead in limb.T if np.ptp(lead)]
        # the standard deviation of white noise: few second differences are large because of a beat
        second = np.abs(np.diff(difference, 2)) if len(difference) > 2 else np.zeros(1)
        noise = 1.4826 * np.median(second) / math.sqrt(6)
        bound = tolerance + min(max(4 * noise, _ROUNDING * max(steps)), _MAX_NOISE_MV)
        if size > bound:
            return (
                f"limb leads: expected {law} within {bound:.2g} mV. Received: a difference of "
                f"{size:.2g} mV. Are the leads in this order, and recorded at the same time?"
            )
    return ""


def _large(signals: npt.NDArray[np.float64]) -> Any:
    return np.percentile(np.abs(signals - np.median(signals, axis=0)), 99, axis=0)
