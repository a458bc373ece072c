"""One record as a DICOM waveform (PS3.3, C.10.9), by pydicom."""

from pathlib import Path
from typing import Any

import numpy as np

from lvh.data.readers.leads import ReadOptions, Recording, Signal, age_on, parse_age, parse_sex
from lvh.errors import InputError


def read(path: Path, data: bytes, options: ReadOptions) -> Recording:
    """Read the first group of original signals: the rhythm, not a median beat."""
    from pydicom import dcmread
    from pydicom.filebase import DicomBytesIO
    from pydicom.waveforms.numpy_handler import multiplex_array

    dataset = dcmread(DicomBytesIO(data))
    groups = dataset.get("WaveformSequence", ())
    at = next((k for k, one in enumerate(groups) if one.WaveformOriginality == "ORIGINAL"), None)
    if at is None:
        raise InputError(f"{path}: expected a waveform that is ORIGINAL. Received: none")
    group = groups[at]
    values = multiplex_array(dataset, at, as_raw=False)
    padding = group.get("WaveformPaddingValue")
    if padding is not None:
        raw = multiplex_array(dataset, at)
        values[raw == np.frombuffer(padding[: raw.itemsize], raw.dtype)] = np.nan
    age = parse_age(str(dataset.get("PatientAge") or ""))
    if np.isnan(age):
        age = age_on(str(dataset.get("StudyDate", "")), str(dataset.get("PatientBirthDate", "")))
    return Recording(
        [
            Signal(_name(channel), column, _unit(channel), float(group.SamplingFrequency))
            for channel, column in zip(group.ChannelDefinitionSequence, values.T, strict=True)
        ],
        age,
        parse_sex(str(dataset.get("PatientSex") or "")),
    )


def _name(channel: Any) -> str:
    source = channel.get("ChannelSourceSequence")
    return str(source[0].get("CodeMeaning", "") if source else channel.get("ChannelLabel", ""))


def _unit(channel: Any) -> str:
    units = channel.get("ChannelSensitivityUnitsSequence")
    return str(units[0].CodeValue) if units else ""
