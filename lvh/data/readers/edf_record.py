"""One record in the European Data Format, EDF or EDF+ (Kemp and Olivan 2003), by edfio."""

import math
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import LEADS
from lvh.data.readers.leads import (
    ReadOptions,
    Recording,
    check_signals,
    lead_columns,
    millivolts_per_unit,
    sampling_frequency,
)
from lvh.data.readers.wfdb import quoted
from lvh.errors import InputError
from lvh.files import read_bytes

if TYPE_CHECKING:
    from edfio import Edf, EdfSignal

_MAX_BYTES = 16 * 1024 * 1024  # ten seconds of twelve leads at 500 Hz have 120 kB
_PATIENT = re.compile(r"\S+ (?P<sex>[MFX]) (?P<born>\d{2}-[A-Z]{3}-\d{4}|X) \S+( .*)?", re.I)
_MIN_RANGE, _MAX_RANGE = 1e-9, 1e9  # range of a lead, in any unit
_MAX_DURATION = 1e6  # s
_DIGITS = 6  # of a sampling frequency: the duration of a data record has at most 8 characters


def read(path: Path, options: ReadOptions) -> Recording:
    """Read a file that is whole and without gaps; annotations and other signals are left out.

    Sex and birthdate are those of EDF+'s patient field; the age is that on the date of the start.

    Raises:
        InputError: It is no EDF, not whole, has gaps, or its leads differ in sampling frequency.
    """
    edf = _parse(path)
    order, others = lead_columns(path, edf.labels)
    leads = [edf.signals[at] for at in order]
    frequencies = sorted({round(lead.sampling_frequency, _DIGITS) for lead in leads})
    if len(frequencies) > 1:
        raise InputError(
            f"{path}: expected leads of one sampling frequency. Received: "
            f"{', '.join(f'{fs:g}' for fs in frequencies)} Hz"
        )
    columns = [_mv(path, name, lead, options) for name, lead in zip(LEADS, leads, strict=True)]
    age, male = _age_and_sex(edf)
    return Recording(
        path=path,
        signals=check_signals(path, np.column_stack(columns)),
        fs=sampling_frequency(path, frequencies[0], options),
        age=age,
        male=male,
        left_out=others,
    )


def _parse(path: Path) -> "Edf":
    """Parse a file; nothing is allocated by what its header declares."""
    from edfio import read_edf

    data = read_bytes(path, path.parent, _MAX_BYTES)
    try:
        with warnings.catch_warnings(action="error"):  # edfio warns of a file that is not whole
            edf = read_edf(data, header_encoding="latin-1")  # the micro sign of many
            declared, n_signals = edf.bytes_in_header_record, len(edf._signals)
            # _signals: with annotations, which edf.signals leaves out
            sizes = [signal.samples_per_data_record for signal in edf._signals]
            reserved, is_edf = edf.reserved, edf.version == 0
            duration = edf.data_record_duration if edf.signals else 1.0
    except UnboundLocalError:  # edfio's, where a signal cannot have a sampling frequency
        duration = 0.0
    except (ValueError, ArithmeticError, LookupError, TypeError, Warning) as error:
        reason = quoted((str(error) or type(error).__name__).splitlines()[0])
        raise InputError(f"{path}: expected a whole EDF file. Received: {reason}") from None
    if not 0 < duration < _MAX_DURATION:
        raise InputError(f"{path}: expected data records of some time. Received: {duration:g} s")
    if not is_edf or declared != 256 * (n_signals + 1) or min(sizes, default=0) < 1:
        raise InputError(
            f"{path}: expected the header of an EDF file. Received: one of {n_signals} signals "
            f"and {declared} bytes"
        )
    if reserved.startswith("EDF+D"):
        raise InputError(f"{path}: expected a record without gaps. Received: EDF+D, which has some")
    return edf


def _mv(
    path: Path, lead: str, signal: "EdfSignal", options: ReadOptions
) -> npt.NDArray[np.float64]:
    """Return one lead in mV, shape (n_samples,)."""
    factor = millivolts_per_unit(path, lead, signal.physical_dimension, options)
    try:
        lowest, highest = signal.digital_range
        least, most = signal.physical_range
    except ValueError as error:
        raise InputError(
            f"{path}: lead {lead}: expected numbers for its ranges. Received: {quoted(str(error))}"
        ) from None
    if not (lowest < highest and _MIN_RANGE <= abs(most - least) <= _MAX_RANGE):
        raise InputError(
            f"{path}: lead {lead}: expected ranges of values. "
            f"Received: {lowest} to {highest}, for {least:g} to {most:g}"
        )
    digital = signal.digital
    if digital.min() < lowest or digital.max() > highest:
        raise InputError(
            f"{path}: lead {lead}: expected samples from {lowest} to {highest}, as the header "
            f"says. Received: {digital.min()} to {digital.max()}"
        )
    return signal.data * factor


def _age_and_sex(edf: "Edf") -> tuple[float, bool | None]:
    """Return whole years, NaN if unknown, and whether the patient is male, None if unknown.

    The date of the start is EDF+'s own: EDF's has two digits for the year, and edfio's `startdate`
    searches the annotations, which a hostile file can make endless.
    """
    match = _PATIENT.fullmatch(edf.local_patient_identification)
    if match is None:
        return math.nan, None
    male = {"M": True, "F": False}.get(match["sex"].upper())
    try:
        born, now = edf.patient.birthdate, edf.recording.startdate
    except ValueError:  # one of the two is hidden or malformed
        return math.nan, male
    return float(now.year - born.year - ((now.month, now.day) < (born.month, born.day))), male
