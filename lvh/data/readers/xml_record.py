"""One record as XML: HL7's annotated ECG (aECG, Brown 2005), or the export of GE MUSE."""

import base64
import zlib
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from lvh.data.readers.leads import ReadOptions, Recording, Signal, age_on, parse_age, parse_sex
from lvh.errors import InputError, excerpt

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_CODES = "MDC_ECG_LEAD_"


def read(path: Path, data: bytes, options: ReadOptions) -> Recording:
    """Read the rhythm, not the median beat; a document that defines entities is refused."""
    if b"<!ENTITY" in data.replace(b"\0", b""):  # of UTF-16
        raise InputError(f"{path}: expected XML without entities. Received: one that defines some")
    root = ET.fromstring(data)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # without its namespace
    if root.tag == "AnnotatedECG":
        return _aecg(path, root)
    if root.tag == "RestingECG":
        return _muse(path, root)
    raise InputError(
        f"{path}: expected HL7 aECG (AnnotatedECG) or GE MUSE (RestingECG). "
        f"Received: {excerpt(root.tag)}. Export it as DICOM, aECG or CSV"
    )


def _aecg(path: Path, root: ET.Element) -> Recording:
    sequence_set = root.find(".//series/component/sequenceSet")
    if sequence_set is None:
        raise InputError(f"{path}: expected a series of sequences. Received: none")
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
                raise InputError(f"{path}: {code}: expected origin and scale in one unit")
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
    rhythms = [wave for wave in root.iter("Waveform") if wave.findtext("WaveformType") == "Rhythm"]
    if len(rhythms) != 1:
        raise InputError(f"{path}: expected one Waveform of type Rhythm. Received: {len(rhythms)}")
    fs = None
    base = rhythms[0].findtext("SampleBase")
    if base:
        fs = float(base) * 10.0 ** int(rhythms[0].findtext("SampleExponent") or 0)
    age, unit = (
        root.findtext(f"PatientDemographics/{name}") or "" for name in ("PatientAge", "AgeUnits")
    )
    return Recording(
        [_muse_lead(path, lead, fs) for lead in rhythms[0].iter("LeadData")],
        parse_age(f"{age} {unit}"),
        parse_sex(root.findtext("PatientDemographics/Gender") or ""),
    )


def _muse_lead(path: Path, lead: ET.Element, fs: float | None) -> Signal:
    """Decode one lead: little-endian integers of 16 bits, in base 64."""
    name = (lead.findtext("LeadID") or "").strip()
    data = base64.b64decode("".join((lead.findtext("WaveFormData") or "").split()), validate=True)
    size = lead.findtext("LeadSampleSize") or "2"
    count = lead.findtext("LeadSampleCountTotal")
    checksum = lead.findtext("LeadDataCRC32")
    is_whole = not checksum or int(checksum) == zlib.crc32(data)
    if size != "2" or (count and 2 * int(count) != len(data)) or not is_whole:
        raise InputError(
            f"{path}: lead {excerpt(name)}: expected {count} samples of 2 bytes and the CRC-32 "
            f"{checksum}, as the file says. Received: {len(data)} bytes in samples of {size}"
        )
    gain = float(lead.findtext("LeadAmplitudeUnitsPerBit") or "nan")
    unit = (lead.findtext("LeadAmplitudeUnits") or "").strip()
    return Signal(name, np.frombuffer(data, "<i2") * gain, unit, fs)
