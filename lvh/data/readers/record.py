"""One record of a user, without a label: the input of a final model."""

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import LEADS, Cohort, Delineation, fingerprint
from lvh.data.readers import csv_record, edf_record, wfdb_record
from lvh.data.readers.leads import ReadOptions, Recording
from lvh.data.readers.wfdb import quoted
from lvh.errors import InputError

_READERS: dict[str, Callable[[Path, ReadOptions], Recording]] = {
    ".csv": csv_record.read,
    ".tsv": csv_record.read,
    ".edf": edf_record.read,
}
_NO_OPTIONS = ReadOptions()
MAX_AGE = 130.0
"""Years; PTB-XL writes 300 for more than 89."""
_MAX_RATIO = 1000
_MAX_SAMPLES = 1_000_000  # of what is resampled: half an hour at 500 Hz


def read(
    path: Path,
    *,
    age: float | None = None,
    male: bool | None = None,
    fs: float | None = None,
    options: ReadOptions = _NO_OPTIONS,
) -> Cohort:
    """Return a cohort of one record; its label is 0 and means nothing.

    Its format is that of its suffix: `.csv` and `.tsv`, `.edf`, or WFDB.

    Args:
        path: Of the file; of WFDB the header, with or without `.hea`.
        age: In years; None for what the file says, NaN where it does not.
        male: None for what the file says; False where it does not say it, and then `age` is NaN.
        fs: Sampling frequency to convert to, Hz, by a polyphase filter; None leaves it.
        options: Unit and sampling frequency where the file does not say them.

    Raises:
        InputError: A file is missing or malformed, a lead missing, flat or not recorded, a unit
            is no voltage, or the sampling frequency is unknown.
    """
    recording = _READERS.get(path.suffix.lower(), wfdb_record.read)(path, options)
    known_age = recording.age if age is None else age
    if known_age > MAX_AGE or known_age < 0:
        raise InputError(
            f"{recording.path}: expected an age of 0 to {MAX_AGE:g}. Received: {known_age:g}"
        )
    known_male = recording.male if male is None else male
    if known_male is None:
        known_age = math.nan  # half of what a model needs is not enough for it
    signals, delineation = recording.signals, recording.delineation
    ratio = _ratio(recording, fs)
    if ratio != 1:
        signals, delineation = _resample(signals, delineation, ratio)
    left_out = ", ".join(map(quoted, recording.left_out))
    cohort = unlabelled_cohort(
        str(path.with_name(record_name(path))),
        signals[None],
        fs=fs or recording.fs,
        age=[known_age],
        male=[bool(known_male)],
        delineation=delineation,
    )
    note = f"left out, for they are none of the twelve leads: {left_out}" if left_out else ""
    return replace(cohort, note=note)


def record_name(path: Path) -> str:
    """Return the name of a record: that of its file, of WFDB without `.hea`."""
    return path.name.removesuffix(".hea")


def unlabelled_cohort(
    name: str,
    signals: npt.NDArray[np.float32],
    *,
    fs: float,
    age: list[float],
    male: list[bool],
    delineation: Delineation | None = None,
) -> Cohort:
    """Make a cohort of records without labels.

    Args:
        name: Of the cohort; its records are numbered.
        signals: Shape (n_records, n_samples, 12), in mV, in the order of `lvh.data.cohort.LEADS`.
        fs: Hz.
        age: In years; NaN where it is not known.
        male: One a record.
        delineation: Fiducials; None for none.
    """
    n = len(signals)
    records = (Path(name).name,) if n == 1 else tuple(str(number) for number in range(1, n + 1))
    return Cohort(
        name=name,
        records=records,
        subjects=np.array(records),
        leads=LEADS,
        fs=fs,
        signals=signals,
        delineation=delineation or Delineation.empty(n),
        male=np.array(male, dtype=bool),
        age=np.array(age, dtype=np.float64),
        label=np.zeros(n, dtype=np.int64),
        fingerprint=fingerprint(signals, fs),
    )


def _ratio(recording: Recording, fs: float | None) -> Fraction:
    if fs is None or fs == recording.fs:
        return Fraction(1)
    ratio = Fraction(fs / recording.fs).limit_denominator(_MAX_RATIO)
    if abs(float(ratio) * recording.fs / fs - 1) > 1e-6 or ratio.numerator > _MAX_RATIO:
        raise InputError(
            f"{recording.path}: expected a sampling frequency that {fs:g} Hz is a fraction of. "
            f"Received: {recording.fs:g} Hz"
        )
    if len(recording.signals) * ratio > _MAX_SAMPLES:
        raise InputError(
            f"{recording.path}: expected at most {_MAX_SAMPLES} samples at {fs:g} Hz. "
            f"Received: {len(recording.signals)} at {recording.fs:g} Hz"
        )
    return ratio


def _resample(
    signals: npt.NDArray[np.float32], delineation: Delineation | None, ratio: Fraction
) -> tuple[npt.NDArray[np.float32], Delineation | None]:
    from scipy.signal import resample_poly  # type: ignore[import-untyped]

    # its ends would be filtered against zero: a baseline far from there would ring
    resampled = resample_poly(signals, ratio.numerator, ratio.denominator, axis=0, padtype="line")
    if delineation is not None:
        samples = np.rint(delineation.samples * float(ratio)).astype(np.int32)
        samples = np.clip(samples, 0, len(resampled) - 1)
        delineation = replace(delineation, samples=samples)
    return resampled.astype(np.float32), delineation
