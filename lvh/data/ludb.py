"""LUDB, the Lobachevsky University ECG Database (Kalyakulina 2020), as PhysioNet ships it."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Strict

from lvh.data import cache
from lvh.data.array_checks import refusal
from lvh.data.cohort import LEADS, Cohort, Delineation, Origin, SourceMetadata, fingerprint
from lvh.data.delineation import with_fiducials
from lvh.data.labels import LVH, Label, find_label, relabelled
from lvh.data.readers import MAX_BYTES, wfdb
from lvh.errors import InputError
from lvh.files import read_bytes

ARCHIVE = cache.Archive(
    title="LUDB 1.0.1",
    url=(
        "https://physionet.org/static/published-projects/ludb/"
        "lobachevsky-university-electrocardiography-database-1.0.1.zip"
    ),
    top="lobachevsky-university-electrocardiography-database-1.0.1",
    sums_sha256="cccef1f3529519db8f26a333c97a6872a7d0e3e5c64a1448b76b161fd87fb75f",
)
FINGERPRINT = "1bc65330f5ca18ea436d0c4a34073d521e61d767d7c6247484ad61fb3041346f"
"""Fingerprint of the cohort in LUDB 1.0.1, with the label LVH."""

METADATA = SourceMetadata(
    citation=(
        'Kalyakulina A.I. et al., "LUDB: A New Open-Access Validation Tool for Electrocardiogram '
        'Delineation Algorithms", IEEE Access 8, 2020, doi:10.1109/ACCESS.2020.3029211. '
        "Data: PhysioNet, doi:10.13026/eegm-h675."
    ),
    licence="ODC-By 1.0: name it where you use it",
    labels="Cardiologists read the labels from the ECG itself, not from imaging.",
    voltage=(
        "The gain in LUDB's headers is no calibration: it is each lead's own range, and with it "
        "every lead would have a range of exactly 1. Voltages here are the ADC values, 1000 units "
        "a mV, in which i + iii = ii holds."
    ),
)

_FORMAT = 3  # of the cached arrays; raise it when their meaning changes
_DIAGNOSIS = "Left ventricular hypertrophy"
_RECORD_NAME = re.compile(r"data/([A-Za-z0-9_-]+)")
_RHYTHM = re.compile("^rhythm: *(.*)", re.MULTILINE)
_ZEROS = np.zeros(12, dtype=np.float32)
_GAINS = np.full(12, 1000, dtype=np.float32)  # ADC units a mV
SAME_SUBJECT = {"20": "3", "12": "5"}
"""Records that are very likely of the subject of an earlier one; see experiments/duplicates."""
_CONTENT = ("records", "fs", "digital", "symbols", "samples", "offsets", "male", "age", "label")


@dataclass(frozen=True, slots=True)
class LudbSettings:
    """Where LUDB is.

    Attributes:
        root: Folder that holds RECORDS and data/; None for the user's cache, into which the
            archive is downloaded if needed.
        url: Of the archive; of a mirror too, for every file is checked by its pinned checksum.
        delineation: `annotated`: the cardiologists' fiducials; `found`: those that
            `lvh.data.delineation` finds.
        label: What is detected: `LVH`, or a diagnosis of the headers in any case, such as `Atrial
            fibrillation`. A diagnosis up to a colon or comma means all that begin so: `Ischemia`.
        same_subject: Records 3 and 20, and 5 and 12, very likely show one subject each, and are
            never in two parts of a fold; false takes every record for a subject of its own.
        where: A condition that records fulfil, such as `age >= 40`: see `lvh.data.record_filter`.
    """

    name: Literal["ludb"] = "ludb"
    root: str | None = None
    url: str = ARCHIVE.url
    delineation: Origin = "annotated"
    label: Label = LVH
    same_subject: Annotated[bool, Strict()] = True
    where: str = ""


def load(settings: LudbSettings) -> Cohort:
    """Return the 200 records of LUDB, their ADC values as 1000 units a mV.

    Raises:
        InputError: A file is missing or malformed, or no record has the label.
        EnvironmentFault: The data set has to be downloaded and cannot be.
    """
    root = cache.folder_of(replace(ARCHIVE, url=settings.url), settings.root, "ludb-1.0.1")
    records = _record_names(root)
    path = cache.cohort_path("ludb", _FORMAT, records, cache.folder_state(root / "data"))
    arrays = cache.load_or_build(path, lambda: _parse(root, records))
    texts = arrays["diagnoses"].tolist()
    rhythms = [_RHYTHM.findall(text.casefold()) for text in texts]
    known = {
        "paced": np.array(["pacing" in text.casefold() for text in texts]),
        "rhythm": np.array([one[0] if len(one) == 1 else None for one in rhythms], object),
    }
    names = [[_names(line) for line in text.split("\n")] for text in texts]
    statements = [{name for line in lines for name in line} for lines in names]
    _, lvh = find_label(LVH, statements)
    label_name, label = find_label(_names(settings.label)[0], statements)
    is_whole = any(label_name == line[0] for lines in names for line in lines)
    digest = fingerprint(*({**arrays, "label": lvh}[name] for name in _CONTENT))
    is_published = digest == FINGERPRINT
    same = SAME_SUBJECT if settings.same_subject and is_published else {}
    cohort = Cohort(
        name="LUDB 1.0.1" if is_published else f"LUDB in {root}",
        records=records,
        subjects=np.array([same.get(record, record) for record in records]),
        leads=LEADS,
        fs=float(arrays["fs"]),
        signals=wfdb.millivolts(arrays["digital"], _ZEROS, _GAINS),
        delineation=Delineation(
            arrays["symbols"], arrays["samples"], arrays["offsets"], len(LEADS)
        ),
        male=arrays["male"],
        age=arrays["age"],
        label=lvh,
        fingerprint=digest,
        note="" if is_published else "differs from LUDB 1.0.1 as published",
        known=known,
    )
    if settings.delineation == "found":
        cohort = with_fiducials(cohort)
    meaning = "" if is_whole else f"{label_name} means any diagnosis that begins so"
    return relabelled(cohort, label_name, label=label, meaning=meaning)


def _record_names(root: Path) -> tuple[str, ...]:
    listing = root / "RECORDS"
    try:
        lines = read_bytes(listing, root, MAX_BYTES).decode(errors="replace").split()
    except InputError as error:
        raise InputError(
            f"{error}. Expected in data.root the folder of LUDB that holds RECORDS and data/"
        ) from None
    is_named = lines and all(map(_RECORD_NAME.fullmatch, lines))
    if not is_named or len(set(lines)) < len(lines):
        raise refusal(listing, "different names such as data/1", lines)
    return tuple(line.removeprefix("data/") for line in lines)


def _parse(root: Path, names: tuple[str, ...]) -> cache.Arrays:
    paths = [root / "data" / f"{name}.hea" for name in names]
    headers, parts = zip(*wfdb.read_records(paths, root), strict=True)
    first = headers[0]
    for header in headers:
        wfdb.check_fs_and_length(header, first.fs, first.n_samples)
    digital = np.stack(parts)
    for path, fault in zip(paths, wfdb.digital_faults(digital, _ZEROS, _GAINS), strict=True):
        if fault:
            raise InputError(f"{path}: {fault}")
    files = [path.with_suffix(f".{lead}") for path in paths for lead in LEADS]
    waves = Delineation.from_leads(wfdb.read_annotations(files, root, first.n_samples))
    persons = [_person(header) for header in headers]
    return {
        "records": np.array(names),
        "fs": np.array(first.fs),
        "digital": digital,
        "symbols": waves.symbols,
        "samples": waves.samples,
        "offsets": waves.offsets,
        "male": np.array([sex == "M" for sex, _, _ in persons]),
        "age": np.array([float(age) for _, age, _ in persons]),
        "diagnoses": np.array([diagnoses for _, _, diagnoses in persons]),
    }


def _person(header: wfdb.Header) -> tuple[str, str, str]:
    """Return sex, age and the diagnoses, a line each, of the comments of a header."""
    values = []
    for field, pattern in (("sex", "[MF]"), ("age", "1?[0-9]{1,2}"), ("diagnoses", "")):
        start = f"<{field}>:"
        own = [one.removeprefix(start).strip() for one in header.comments if one.startswith(start)]
        if len(own) != 1 or not re.fullmatch(pattern, own[0]):
            raise refusal(header.path, f"one comment `#<{field}>: {pattern}`", own)
        values.append(own[0])
    diagnoses = header.comments[header.comments.index("<diagnoses>:") + 1 :]
    return values[0], values[1], "\n".join(line.rstrip(".") for line in diagnoses)


def _names(diagnosis: str) -> list[str]:
    """Return the names of a diagnosis: its own, then those that it shares with others.

    >>> _names("Rhythm: Atrial flutter, typical")
    ['Atrial flutter, typical', 'Atrial flutter']
    """
    if diagnosis.casefold() == _DIAGNOSIS.casefold():
        return [LVH]
    text = re.sub("^rhythm: *", "", diagnosis, flags=re.IGNORECASE)
    return [text, *(text[: end.start()] for end in re.finditer("[:,]", text))]
