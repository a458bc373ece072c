"""Records written in every format that is read, each by another way than the product's."""

import base64
import io
import warnings
import zlib
from pathlib import Path

import numpy as np

with warnings.catch_warnings(action="ignore"):  # of pandas
    import wfdb
from edfio import Bdf, BdfSignal, Edf, EdfSignal

from lvh.data import ludb
from lvh.data.cohort import LEADS, Cohort

SUFFIXES = (*".csv .tsv .edf .bdf .dcm .aecg.xml .muse.xml .npz .npy .hea".split(),)
"""Of every format; a step of 1 microvolt is kept by each."""


def write(path: Path, mv: np.ndarray, fs: float = 500.0, **more) -> Path:
    """Write signals, shape (n_samples, 12), mV, in the format of the path's suffixes."""
    kind = "".join(path.suffixes[-2:]) if path.suffix == ".xml" else path.suffix
    content = _WRITERS[kind](path, mv, fs, **more)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def table(mv: np.ndarray, fs: float | None = None, *, separator: str = ",", **more) -> str:
    """Write a table; `names` and `digits` (a format, to the bit if empty) may differ."""
    names = list(more.get("names", [f"{lead} (mV)" for lead in LEADS]))
    rows = [[format(float(value), more.get("digits", "")) for value in row] for row in mv]
    if fs:
        rows = [[repr(at / fs), *row] for at, row in enumerate(rows)]
        names = ["time", *names]
    return "\n".join(separator.join(row) for row in [names, *rows]) + "\n"


def edf(mv: np.ndarray, fs: float, *, unit: str = "mV", span: float = 8.0, **header) -> bytes:
    more = header.pop("more", [])
    of_bdf = header.pop("of_bdf", False)
    names = header.pop("names", LEADS)
    signals = [
        (BdfSignal if of_bdf else EdfSignal)(
            column.astype(np.float64),
            fs,
            label=name,
            physical_dimension=unit,
            physical_range=(-span, span),
        )
        for name, column in zip(names, mv.T, strict=True)
    ]
    data = io.BytesIO()
    header.setdefault("data_record_duration", 0.1)
    (Bdf if of_bdf else Edf)([*signals, *more], **header).write(data)
    return data.getvalue()


def _microvolts(mv: np.ndarray) -> np.ndarray:
    return np.rint(mv * 1000).astype("<i2")


def dicom(mv: np.ndarray, fs: float, **changes) -> bytes:
    from pydicom import Dataset, FileMetaDataset, dcmwrite

    def code(meaning: str, value: str) -> Dataset:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "X", meaning
        return item

    channels = []
    for lead in LEADS:
        channel = Dataset()
        channel.ChannelSourceSequence = [code(f"Lead {lead.upper()}", "1")]
        channel.ChannelSensitivity = 1
        channel.ChannelSensitivityUnitsSequence = [code("", changes.get("unit", "uV"))]
        channel.ChannelSensitivityCorrectionFactor, channel.ChannelBaseline = 1, 0
        channels.append(channel)
    group = Dataset()
    group.WaveformOriginality, group.SamplingFrequency = "ORIGINAL", fs
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = 12, len(mv)
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    group.ChannelDefinitionSequence = channels
    group.WaveformData = _microvolts(mv).tobytes()
    dataset = Dataset()
    dataset.SOPClassUID = dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.9.1.1"
    dataset.WaveformSequence = [group]
    dataset.PatientAge, dataset.PatientSex = changes.get("age", "060Y"), "M"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    data = io.BytesIO()
    dcmwrite(data, dataset, enforce_file_format=True)
    return data.getvalue()


def aecg(mv: np.ndarray, fs: float, *, more: str = "") -> str:
    sequences = "".join(
        f'<component><sequence><code code="MDC_ECG_LEAD_{lead.upper()}"/><value>'
        f'<origin value="0" unit="uV"/><scale value="1" unit="uV"/>'
        f"<digits>{' '.join(map(str, column.tolist()))}</digits></value></sequence></component>"
        for lead, column in zip(LEADS, _microvolts(mv).T, strict=True)
    )
    return (
        f'<?xml version="1.0"?>{more}<AnnotatedECG xmlns="urn:hl7-org:v3">'
        '<effectiveTime><low value="20200531"/></effectiveTime><subjectDemographicPerson>'
        '<administrativeGenderCode code="M"/><birthTime value="19590601"/>'
        "</subjectDemographicPerson><component><series><component><sequenceSet>"
        '<component><sequence><code code="TIME_ABSOLUTE"/><value><head value="2020"/>'
        f'<increment value="{1000 / fs}" unit="ms"/></value></sequence></component>{sequences}'
        "</sequenceSet></component></series></component></AnnotatedECG>"
    )


def muse(mv: np.ndarray, fs: float, *, leads: tuple[str, ...] = LEADS, age: str = "60") -> str:
    parts = []
    for lead in leads:
        data = _microvolts(mv[:, LEADS.index(lead)]).tobytes()
        parts.append(
            f"<LeadData><LeadSampleCountTotal>{len(mv)}</LeadSampleCountTotal>"
            "<LeadAmplitudeUnitsPerBit>1</LeadAmplitudeUnitsPerBit>"
            f"<LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits><LeadID>{lead.upper()}</LeadID>"
            f"<LeadDataCRC32>{zlib.crc32(data)}</LeadDataCRC32>"
            f"<WaveFormData>{base64.encodebytes(data).decode()}</WaveFormData></LeadData>"
        )
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?><!DOCTYPE RestingECG SYSTEM "restecg.dtd">'
        f"<RestingECG><PatientDemographics><PatientAge>{age}</PatientAge>"
        "<AgeUnits>YEARS</AgeUnits><Gender>MALE</Gender></PatientDemographics>"
        "<Waveform><WaveformType>Median</WaveformType></Waveform><Waveform>"
        f"<WaveformType>Rhythm</WaveformType><SampleBase>{fs:g}</SampleBase>{''.join(parts)}"
        "</Waveform></RestingECG>"
    )


def _saved(save, *arrays, **named) -> bytes:
    data = io.BytesIO()
    save(data, *arrays, **named)
    return data.getvalue()


def write_wfdb(path: Path, mv: np.ndarray, fs: float, **more) -> bytes:
    """Write a record by the wfdb package; `leads`, `units`, `gain` and `comments` may differ."""
    leads = more.get("leads", LEADS)
    with warnings.catch_warnings(action="ignore"):  # of pandas
        wfdb.wrsamp(
            path.stem,
            fs=fs,
            units=[more.get("units", "mV")] * len(leads),
            sig_name=[lead.upper() for lead in leads],
            p_signal=mv.astype(np.float64),
            fmt=["16"] * len(leads),
            adc_gain=[more.get("gain", 1000.0)] * len(leads),
            baseline=[more.get("baseline", 0)] * len(leads),
            comments=list(more.get("comments", ())),
            write_dir=str(path.parent),
        )
    return path.with_suffix(".hea").read_bytes()


_WRITERS = {
    ".csv": lambda _, mv, fs, **more: table(mv, fs, **more),
    ".tsv": lambda _, mv, fs: table(mv, fs, separator="\t"),
    ".edf": lambda _, mv, fs, **more: edf(mv, fs, **more),
    ".bdf": lambda _, mv, fs, **more: edf(mv, fs, of_bdf=True, **more),
    ".dcm": lambda _, mv, fs, **more: dicom(mv, fs, **more),
    ".aecg.xml": lambda _, mv, fs, **more: aecg(mv, fs, **more),
    ".muse.xml": lambda _, mv, fs, **more: muse(mv, fs, **more),
    ".npz": lambda _, mv, fs: _saved(np.savez, signals=mv, leads=LEADS, fs=fs, unit="mV"),
    ".npy": lambda _, mv, fs: _saved(np.save, mv.T),
    ".hea": write_wfdb,
}


ANNOTATION_CODES = {"(": 39, ")": 40, "N": 1, "p": 24, "t": 27}
SKIP = 59


def load_ludb(root: Path) -> Cohort:
    """Load a folder in LUDB's layout; it must be there, nothing is downloaded."""
    return ludb.load(ludb.LudbSettings("ludb", str(root), ludb.ARCHIVE.url))


def write_data_set(
    root: Path, cohort: Cohort, records: int, order: tuple[str, ...] = LEADS
) -> Path:
    """Write the head of a cohort as LUDB is written, with the leads in any order."""
    (root / "data").mkdir(parents=True)
    for record in range(records):
        _write_record(root / "data", cohort, record, order)
    listing = "".join(f"data/{name}\n" for name in cohort.records[:records])
    (root / "RECORDS").write_text(listing)
    return root


def write_signals(header: Path, digital: np.ndarray) -> None:
    """Replace a record's signals, shape (n_samples, n_leads), and mend its checksums."""
    digital = digital.astype("<i2")
    header.with_suffix(".dat").write_bytes(digital.tobytes())
    lines = header.read_text().splitlines()
    for lead, checksum in enumerate(checksums(digital)):
        fields = lines[1 + lead].split()
        fields[6] = str(checksum)
        lines[1 + lead] = " ".join(fields)
    header.write_text("\n".join(lines) + "\n")


def read_dat(header: Path) -> np.ndarray:
    return np.frombuffer(header.with_suffix(".dat").read_bytes(), "<i2").reshape(-1, len(LEADS))


def checksums(digital: np.ndarray) -> list[int]:
    """Sum each lead modulo 2**16, as a signed number; header(5) of the WFDB guide."""
    return [(int(total) + 2**15) % 2**16 - 2**15 for total in digital.sum(axis=0, dtype=np.int64)]


def annotation_words(symbols: str, samples: np.ndarray) -> list[int]:
    """Code a delineation as 16-bit words, without the final zero; annot(5) of the WFDB guide."""
    words, now = [], 0
    for symbol, sample in zip(symbols, samples.tolist(), strict=True):
        step = sample - now
        if step > 1023:
            words += [SKIP << 10, step >> 16, step & 0xFFFF]
            step = 0
        words.append(ANNOTATION_CODES[symbol] << 10 | step)
        now = sample
    return words


def words_to_bytes(words: list[int]) -> bytes:
    return np.array([*words, 0], "<u2").tobytes()


def _write_record(folder: Path, cohort: Cohort, record: int, order: tuple[str, ...]) -> None:
    name = cohort.records[record]
    at = [LEADS.index(lead.lower()) for lead in order]
    digital = np.rint(cohort.signals[record][:, at] * 1000).astype("<i2")
    lines = [f"{name} {len(order)} {cohort.fs:g} {len(digital)}"]
    lines += [
        f"{name}.dat 16 1000(0)/mV 0 0 {first} {checksum} 0 {lead}"
        for first, checksum, lead in zip(digital[0], checksums(digital), order, strict=True)
    ]
    diagnosis = "ventricular hypertrophy" if cohort.label[record] else "atrial hypertrophy"
    lines += [
        f"#<age>: {cohort.age[record]:.0f}",
        f"#<sex>: {'M' if cohort.male[record] else 'F'}",
        "#<diagnoses>:",
        "#Rhythm: Sinus rhythm.",
        f"#Left {diagnosis}. ",
        "#Left ventricular overload. ",
    ]
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")
    (folder / f"{name}.dat").write_bytes(digital.tobytes())
    for lead, title in enumerate(LEADS):
        words = annotation_words(*cohort.delineation.lead(record, lead))
        (folder / f"{name}.{title}").write_bytes(words_to_bytes(words))
