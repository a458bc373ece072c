"""One record in the European Data Format, EDF or EDF+ (Kemp and Olivan 2003), or BDF, by edfio."""

import math
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lvh.data.readers.leads import ReadOptions, Recording, Signal, age_on, is_read, parse_sex
from lvh.errors import InputError, excerpt

if TYPE_CHECKING:
    from edfio import Bdf, BdfSignal, Edf, EdfSignal

_PATIENT = re.compile(r"\S+ (?P<sex>[MFX]) (?P<born>\d{2}-[A-Z]{3}-\d{4}|X) \S+( .*)?", re.I)
_DIGITS = 6  # of a sampling frequency: the duration of a data record has at most 8 characters


def read(path: Path, data: bytes, options: ReadOptions) -> Recording:
    """Read a file that is whole and without gaps; age and sex are those of EDF+'s patient field."""
    from edfio import read_bdf, read_edf

    parse = read_bdf if data[:1] == b"\xff" else read_edf
    with warnings.catch_warnings(action="error"):  # edfio warns of a file that is not whole
        edf = parse(data, header_encoding="latin-1")  # the micro sign of many
        signals = [_signal(path, signal, options) for signal in edf.signals]
    if edf.bytes_in_header_record != 256 * (len(edf._signals) + 1):  # with annotations
        raise InputError(
            f"{path}: expected the header of {len(edf._signals)} signals. Received: "
            f"{edf.bytes_in_header_record} bytes"
        )
    if edf.reserved[3:5] == "+D":
        raise InputError(f"{path}: expected a record without gaps. Received: {edf.reserved[:5]}")
    age, male = _age_and_sex(edf)
    return Recording(signals, age, male)


def _signal(path: Path, signal: "EdfSignal | BdfSignal", options: ReadOptions) -> Signal:
    if not is_read(signal.label, options):
        return Signal(signal.label, np.empty(0))
    (lowest, highest), (least, most) = signal.digital_range, signal.physical_range
    digital = signal.digital
    if not (lowest < highest and 0 < abs(most - least) < math.inf):
        raise InputError(
            f"{path}: lead {excerpt(signal.label)}: expected ranges of values. "
            f"Received: {lowest} to {highest}, for {least:g} to {most:g}"
        )
    if digital.min() < lowest or digital.max() > highest:
        raise InputError(
            f"{path}: lead {excerpt(signal.label)}: expected samples from {lowest} to {highest}, "
            f"as the header says. Received: {digital.min()} to {digital.max()}"
        )
    fs = round(signal.sampling_frequency, _DIGITS)
    return Signal(signal.label, signal.data, signal.physical_dimension, fs)


def _age_and_sex(edf: "Edf | Bdf") -> tuple[float, bool | None]:
    match = _PATIENT.fullmatch(edf.local_patient_identification)
    if match is None:
        return math.nan, None
    male = parse_sex(match["sex"])
    try:  # EDF's own date has two digits for the year
        born, now = edf.patient.birthdate, edf.recording.startdate
    except ValueError:  # one of the two is hidden or malformed
        return math.nan, male
    return age_on(f"{now:%Y%m%d}", f"{born:%Y%m%d}"), male
