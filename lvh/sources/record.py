"""One WFDB record of anyone's, whose label nobody knows: what a kept model scores."""

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lvh.cohort import LEADS, Cohort, Delineation, fingerprint
from lvh.errors import InputError
from lvh.sources import wfdb

_UNITS = {"mv": 1.0, "uv": 1e-3, "\N{MICRO SIGN}v": 1e-3, "v": 1e3}
_LUDB = "<diagnoses>:"
_LUDB_UNITS_PER_MV = 1000.0
_INVALID = -32768  # WFDB's mark for a sample that was not recorded
_AGE = re.compile(r"(?<!\w)<?age>?:\s*([0-9]{1,3})\b", re.IGNORECASE)
_SEX = re.compile(r"(?<!\w)<?sex>?:\s*(m|f|male|female)\b", re.IGNORECASE)
OLDEST = 130.0
"""Years; PTB-XL writes 300 for more than 89."""
_LARGEST_RATIO = 1000
_MOST_SAMPLES = 1_000_000  # of what is resampled: half an hour at 500 Hz


def read(
    path: Path, *, age: float | None = None, male: bool | None = None, fs: float | None = None
) -> Cohort:
    """Return a cohort of one record; its label is 0 and means nothing.

    Voltages are calibrated by the header, except in records of LUDB (known by their comment
    `<diagnoses>:`), whose gain is each lead's own range: they have 1000 units a mV. The fiducials
    are those of files beside it, one a lead, as LUDB has them; without all twelve there are none.

    Args:
        path: Of the header, with or without `.hea`.
        age: In years; None for what the header's comments say, NaN where they do not.
        male: Likewise; False where they do not, and then `age` is NaN too.
        fs: Sampling frequency to convert to, Hz, by a polyphase filter; None leaves it.

    Raises:
        InputError: A file is missing or malformed, a lead missing, flat or not recorded, or a unit
            is no voltage.
    """
    name = path.name.removesuffix(".hea")
    if not name or name.startswith("."):
        raise InputError(f"{path}: expected the path of a header")
    path = path.with_name(name)
    root = path.parent
    header = wfdb.read_header(root / f"{path.name}.hea", root)
    wfdb.check_leads(header)
    signals = _signals(header, root)
    delineation = _delineation(path, root, header.n_samples)
    comments = [comment.strip() for comment in header.comments]
    known_age = float(_said(comments, _AGE) or "nan") if age is None else age
    if known_age > OLDEST:
        raise InputError(f"{header.path}: expected an age to {OLDEST:g}. Received: {known_age:g}")
    known_sex = _said(comments, _SEX)
    if male is None and not known_sex:
        known_age = float("nan")  # half of what a model needs is not enough for it
    ratio = _ratio(header, fs)
    if ratio != 1:
        signals, delineation = _resampled(signals, delineation, ratio)
    is_male = known_sex[:1].lower() == "m" if male is None else male
    return unlabelled(
        str(path), signals[None], fs or header.fs, [known_age], [is_male], delineation
    )


def unlabelled(
    name: str,
    signals: npt.NDArray[np.float32],
    fs: float,
    age: list[float],
    male: list[bool],
    delineation: Delineation | None = None,
) -> Cohort:
    """Make a cohort of records without labels.

    Args:
        name: Of the cohort; its records are numbered.
        signals: Shape (n_records, n_samples, 12), in mV, in the order of `lvh.cohort.LEADS`.
        fs: Hz.
        age: In years; NaN where it is not known.
        male: One a record.
        delineation: Fiducials; None for none.
    """
    n = len(signals)
    records = (Path(name).name,) if n == 1 else tuple(str(number) for number in range(1, n + 1))
    nothing = np.zeros(0, dtype=np.int32)
    offsets = np.zeros(n * len(LEADS) + 1, dtype=np.int64)
    return Cohort(
        name=name,
        records=records,
        subjects=np.array(records),
        leads=LEADS,
        fs=fs,
        signals=signals,
        delineation=delineation
        or Delineation(nothing.astype(np.uint8), nothing, offsets, len(LEADS)),
        male=np.array(male, dtype=bool),
        age=np.array(age, dtype=np.float64),
        label=np.zeros(n, dtype=np.int64),
        fingerprint=fingerprint(signals, fs),
    )


def _signals(header: wfdb.Header, root: Path) -> npt.NDArray[np.float32]:
    """Return what was recorded in mV, shape (n_samples, 12)."""
    order = [header.leads.index(lead) for lead in LEADS]
    digital = wfdb.read_signals(header, root)[:, order]
    flat, invalid = np.ptp(digital, axis=0) == 0, (digital == _INVALID).any(axis=0)
    for lead, is_flat, is_invalid in zip(LEADS, flat, invalid, strict=True):
        if is_flat or is_invalid:
            found = "a flat line" if is_flat else "invalid samples (-32768)"
            raise InputError(f"{header.path}: lead {lead}: expected a signal. Received: {found}")
    if any(comment.strip() == _LUDB for comment in header.comments):
        return np.asarray(digital / np.float32(_LUDB_UNITS_PER_MV), dtype=np.float32)
    units = [header.units[at].lower() for at in order]
    for lead, unit in zip(LEADS, units, strict=True):
        if unit not in _UNITS:
            raise InputError(
                f"{header.path}: lead {lead}: expected mV, uV or V. Received: {wfdb.shown(unit)}"
            )
    gains = np.take(header.gains, order)
    volts = (digital - np.take(header.baselines, order)) / gains
    return np.asarray(volts * [_UNITS[unit] for unit in units], dtype=np.float32)


def _delineation(path: Path, root: Path, n_samples: int) -> Delineation | None:
    files = [root / f"{path.name}.{lead}" for lead in LEADS]
    if not all(file.is_file() for file in files):
        return None
    waves = [wfdb.read_annotations(file, root, n_samples) for file in files]
    return Delineation(
        np.concatenate([symbols for symbols, _ in waves]),
        np.concatenate([samples for _, samples in waves]),
        np.cumsum([0, *(len(symbols) for symbols, _ in waves)], dtype=np.int64),
        len(LEADS),
    )


def _said(comments: list[str], pattern: re.Pattern[str]) -> str:
    for comment in comments:
        if found := pattern.search(comment):
            return found[1]
    return ""


def _ratio(header: wfdb.Header, fs: float | None) -> Fraction:
    if fs is None or fs == header.fs:
        return Fraction(1)
    ratio = Fraction(fs / header.fs).limit_denominator(_LARGEST_RATIO)
    if abs(float(ratio) * header.fs / fs - 1) > 1e-6 or ratio.numerator > _LARGEST_RATIO:
        raise InputError(
            f"{header.path}: expected a sampling frequency that {fs:g} Hz is a fraction of. "
            f"Received: {header.fs:g} Hz"
        )
    if header.n_samples * ratio > _MOST_SAMPLES:
        raise InputError(
            f"{header.path}: expected at most {_MOST_SAMPLES} samples at {fs:g} Hz. "
            f"Received: {header.n_samples} at {header.fs:g} Hz"
        )
    return ratio


def _resampled(
    signals: npt.NDArray[np.float32], delineation: Delineation | None, ratio: Fraction
) -> tuple[npt.NDArray[np.float32], Delineation | None]:
    from scipy.signal import resample_poly  # type: ignore[import-untyped]

    # its ends would be filtered against zero: a baseline far from there would ring
    found = resample_poly(signals, ratio.numerator, ratio.denominator, axis=0, padtype="line")
    if delineation is not None:
        samples = np.rint(delineation.samples * float(ratio)).astype(np.int32)
        samples = np.clip(samples, 0, len(found) - 1)
        delineation = replace(delineation, samples=samples)
    return found.astype(np.float32), delineation
