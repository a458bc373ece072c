"""One record as a device writes it: EDF or BDF, DICOM, HL7's annotated ECG, the XML of GE MUSE."""

import base64
import math
import re
import warnings
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from lvh.data.array_checks import refusal
from lvh.data.readers import (
    ReadOptions,
    Recording,
    Signal,
    age_on,
    is_read,
    parse_age,
    parse_sex,
)
from lvh.errors import excerpt

_PATIENT = re.compile(r"\S+ (?P<sex>[MFX]) (?P<born>\d{2}-[A-Z]{3}-\d{4}|X) \S+( .*)?", re.I)
_DIGITS = 6  # of a sampling frequency: the duration of a data record has at most 8 characters
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_CODES = "MDC_ECG_LEAD_"


def read_edf(path: Path, data: bytes, options: ReadOptions) -> Recording:
    """Read an EDF, EDF+ (Kemp and Olivan 2003) or BDF file that is whole and without gaps."""
    import edfio

    parse = edfio.read_bdf if data[:1] == b"\xff" else edfio.read_edf
    with warnings.catch_warnings(action="error"):  # edfio warns of a file that is not whole
        edf = parse(data, header_encoding="latin-1")  # the micro sign of many
        signals = [_edf_signal(path, signal, options) for signal in edf.signals]
    n_bytes = 256 * (len(edf._signals) + 1)  # with annotations
    if edf.bytes_in_header_record != n_bytes or edf.reserved[3:5] == "+D":
        received = (edf.bytes_in_header_record, edf.reserved[:5])
        raise refusal(path, f"a header of {n_bytes} bytes, and a record without gaps", received)
    age, match = math.nan, _PATIENT.fullmatch(edf.local_patient_identification)
    with suppress(ValueError):  # one of the two is hidden or malformed
        # EDF's own date has two digits for the year
        age = age_on(f"{edf.recording.startdate:%Y%m%d}", f"{edf.patient.birthdate:%Y%m%d}")
    return Recording(signals, age, parse_sex(match["sex"])) if match else Recording(signals)


def _edf_signal(path: Path, signal: Any, options: ReadOptions) -> Signal:
    if not is_read(signal.label, options):
        return Signal(signal.label, np.empty(0))
    (lowest, highest), (least, most) = signal.digital_range, signal.physical_range
    low, high = signal.digital.min(), signal.digital.max()
    if not (lowest <= low <= high <= highest > lowest and 0 < abs(most - least) < math.inf):
        expected = (
            f"samples from {lowest} to {highest} for {least:g} to {most:g} as the header says"
        )
        raise refusal(f"{path}: lead {excerpt(signal.label)}", expected, f"{low} to {high}")
    fs = round(signal.sampling_frequency, _DIGITS)
    return Signal(signal.label, signal.data, signal.physical_dimension, fs)


def read_dicom(path: Path, data: bytes, options: ReadOptions) -> Recording:
    """Read the first group of original signals of a DICOM waveform (PS3.3, C.10.9)."""
    from pydicom import dcmread
    from pydicom.filebase import DicomBytesIO
    from pydicom.waveforms.numpy_handler import multiplex_array

    dataset = dcmread(DicomBytesIO(data))
    groups = dataset.get("WaveformSequence", ())
    at = next((k for k, one in enumerate(groups) if one.WaveformOriginality == "ORIGINAL"), None)
    if at is None:
        raise refusal(path, "a waveform that is ORIGINAL", None)
    group, signals = groups[at], []
    values = multiplex_array(dataset, at, as_raw=False)
    padding = group.get("WaveformPaddingValue")
    if padding is not None:
        raw = multiplex_array(dataset, at)
        values[raw == np.frombuffer(padding[: raw.itemsize], raw.dtype)] = np.nan
    for channel, column in zip(group.ChannelDefinitionSequence, values.T, strict=True):
        source = channel.get("ChannelSourceSequence")
        label = channel.get("ChannelLabel", "")
        name = str(source[0].get("CodeMeaning", "") if source else label)
        units = channel.get("ChannelSensitivityUnitsSequence")
        unit = str(units[0].CodeValue) if units else ""
        signals.append(Signal(name, column, unit, float(group.SamplingFrequency)))
    age = parse_age(str(dataset.get("PatientAge") or ""))
    if np.isnan(age):
        age = age_on(str(dataset.get("StudyDate", "")), str(dataset.get("PatientBirthDate", "")))
    return Recording(signals, age, parse_sex(str(dataset.get("PatientSex") or "")))


def read_xml(path: Path, data: bytes, options: ReadOptions) -> Recording:
    """Read the rhythm, not the median beat; a document that defines entities is refused."""
    if b"<!ENTITY" in data.replace(b"\0", b""):  # of UTF-16
        raise refusal(path, "XML without entities", "a document that defines some")
    root = ET.fromstring(data)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # without its namespace
    if root.tag == "AnnotatedECG":
        return _aecg(path, root)
    if root.tag == "RestingECG":
        return _muse(path, root)
    expected = "HL7 aECG (AnnotatedECG) or GE MUSE (RestingECG), or an export as DICOM or CSV"
    raise refusal(path, expected, root.tag)


def _aecg(path: Path, root: ET.Element) -> Recording:
    sequence_set = root.find(".//series/component/sequenceSet")
    if sequence_set is None:
        raise refusal(path, "a series of sequences", None)
    fs, signals = None, []
    for sequence in sequence_set.iterfind("component/sequence"):
        code, value = _attribute(sequence, "code", "code"), sequence.find("value")
        if value is None:
            continue
        if code.startswith("TIME_"):
            step = float(_attribute(value, "increment", "value"))
            fs = 1 / (step * _SECONDS[_attribute(value, "increment", "unit")])
        elif code.startswith(_CODES):
            unit = _attribute(value, "scale", "unit")
            if _attribute(value, "origin", "unit") != unit:
                raise refusal(f"{path}: {code}", "origin and scale in one unit", unit)
            digits = np.array(value.findtext("digits", "").split(), dtype=np.float64)
            scale = float(_attribute(value, "scale", "value"))
            origin = float(_attribute(value, "origin", "value"))
            signals.append((code, digits * scale + origin, unit))
    person = ".//subjectDemographicPerson"
    days = [_attribute(root, f"effectiveTime/{name}", "value") for name in ("low", "center")]
    return Recording(
        [Signal(*signal, fs=fs) for signal in signals],
        age_on(next(filter(None, days), ""), _attribute(root, f"{person}/birthTime", "value")),
        parse_sex(_attribute(root, f"{person}/administrativeGenderCode", "code")),
    )


def _attribute(element: ET.Element, path: str, name: str) -> str:
    child = element.find(path)
    return "" if child is None else child.get(name, "")


def _muse(path: Path, root: ET.Element) -> Recording:
    """Decode each lead: little-endian integers of 16 bits, in base 64."""
    rhythms = [wave for wave in root.iter("Waveform") if wave.findtext("WaveformType") == "Rhythm"]
    if len(rhythms) != 1:
        raise refusal(path, "one Waveform of type Rhythm", len(rhythms))
    base, fs, signals = rhythms[0].findtext("SampleBase"), None, []
    if base:
        fs = float(base) * 10.0 ** int(rhythms[0].findtext("SampleExponent") or 0)
    for lead in rhythms[0].iter("LeadData"):
        name = (lead.findtext("LeadID") or "").strip()
        text = "".join((lead.findtext("WaveFormData") or "").split())
        data = base64.b64decode(text, validate=True)
        size = lead.findtext("LeadSampleSize") or "2"
        count = lead.findtext("LeadSampleCountTotal")
        checksum = lead.findtext("LeadDataCRC32")
        is_whole = not checksum or int(checksum) == zlib.crc32(data)
        if size != "2" or (count and 2 * int(count) != len(data)) or not is_whole:
            expected = f"{count} samples of 2 bytes and the CRC-32 {checksum}, as the file says"
            received = f"{len(data)} bytes in samples of {size}"
            raise refusal(f"{path}: lead {excerpt(name)}", expected, received)
        if not (gain := lead.findtext("LeadAmplitudeUnitsPerBit")):
            raise refusal(f"{path}: lead {excerpt(name)}", "LeadAmplitudeUnitsPerBit", "none")
        unit = (lead.findtext("LeadAmplitudeUnits") or "").strip()
        signals.append(Signal(name, np.frombuffer(data, "<i2") * float(gain), unit, fs))
    age, unit, sex = (
        root.findtext(f"PatientDemographics/{name}") or ""
        for name in ("PatientAge", "AgeUnits", "Gender")
    )
    return Recording(signals, parse_age(f"{age} {unit}"), parse_sex(sex))
