"""PTB-XL (Wagner 2020, doi:10.13026/x4td-x982), or any part of it in its own layout."""

import csv
import hashlib
import io
import logging
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from lvh.cohort import LEADS, Cohort, Delineation, fingerprint
from lvh.errors import InputError
from lvh.files import read_bytes
from lvh.sources import wfdb
from lvh.sources.about import About
from lvh.sources.cache import Arrays, cache_dir, cached_arrays, seen_in

ABOUT = About(
    citation=(
        'Wagner P. et al., "PTB-XL, a large publicly available electrocardiography dataset", '
        "Scientific Data 7, 2020, doi:10.1038/s41597-020-0495-6. "
        "Data: PhysioNet, doi:10.13026/x4td-x982."
    ),
    licence="CC BY 4.0",
    labels=(
        "A record has the label where cardiologist or machine stated LVH, whatever the likelihood; "
        "the statements are about the ECG, not from imaging."
    ),
)
_FORMAT = 1  # of the cached arrays; raise it when their meaning changes
TABLE = "ptbxl_database.csv"
_MAX_TABLE_BYTES = 64 * 1024 * 1024  # the real one has 7 MB
_COLUMNS = ("ecg_id", "patient_id", "age", "sex", "scp_codes", "filename_lr", "filename_hr")
_RECORD_PATH = re.compile(r"records(?:100|500)/[0-9]{5}/[0-9]{5}_(?:lr|hr)")
_STATEMENTS = re.compile(r"\{(?:'[^'\\]+': [0-9.]+(?:, '[^'\\]+': [0-9.]+)*)?\}")
_STATEMENT = re.compile(r"'([^'\\]+)': ([0-9.]+)")
_CODE = "LVH"
_OLDEST = 300.0
"""Stands in the table for every age above 89 years."""
_ABOVE_89 = 90.0
_INVALID = -32768  # WFDB's mark for a sample that was not recorded
_KNOWN = ("records", "subjects", "male", "age", "label", "flaws")
_CONTENT = (*_KNOWN, "fs", "digital", "gains", "baselines")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PtbxlSettings:
    """Where PTB-XL is, and what of it is taken.

    Attributes:
        root: Folder that holds ptbxl_database.csv and the records.
        fs: Sampling frequency in Hz; the data set has every record at both.
        flawed: Records with a flat lead or samples that were not recorded, and those without age
            or sex, are left out, which is said, or fail the run.
    """

    name: Literal["ptbxl"]
    root: str | None
    fs: Literal[100, 500]
    flawed: Literal["drop", "fail"]


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the table: what is known of a record."""

    path: str
    patient: str
    male: bool | None
    age: float
    has_lvh: bool


def load(settings: PtbxlSettings) -> Cohort:
    """Return all usable records that the table lists, without a delineation: there is none.

    The label is 1 where a cardiologist or the machine stated `LVH`, whatever the likelihood;
    `VCLVH` (voltage criteria alone) is not LVH. Ages above 89, which the table hides, are 90.

    Raises:
        InputError: A file is missing or malformed, or a record flawed where that fails the run.
    """
    if settings.root is None:
        raise InputError(
            "data.root: expected the folder that holds ptbxl_database.csv. Received: null. "
            "PTB-XL is at https://physionet.org/content/ptb-xl/"
        )
    root = Path(os.path.expanduser(settings.root))
    text = read_bytes(root / TABLE, root, _MAX_TABLE_BYTES)
    rows = _rows(root / TABLE, text, "filename_hr" if settings.fs == 500 else "filename_lr")
    state = _state(root, text, [row.path for row in rows])
    path = cache_dir() / "cohorts" / f"ptbxl-{settings.fs}-{state}.npz"
    arrays = cached_arrays(path, lambda: _parse(root, rows, settings.fs), _digest)
    flaws = arrays["flaws"]
    used = flaws == ""
    if not used.all() and (settings.flawed == "fail" or not used.any()):
        first = np.flatnonzero(~used)[0]
        raise InputError(
            f"data.flawed={settings.flawed}: expected records without flaw. Received: "
            f"{np.count_nonzero(~used)} with one, the first {arrays['records'][first]}: "
            f"{flaws[first]}"
        )
    left_out = f"{np.count_nonzero(~used)} of {len(used)} records left out as flawed"
    if not used.all():
        _log.warning("%s: %s", root / TABLE, left_out)
    return _cohort({name: one[used] if one.ndim else one for name, one in arrays.items()}, left_out)


def _cohort(arrays: Arrays, left_out: str) -> Cohort:
    records = tuple(str(name) for name in arrays["records"])
    nothing = np.zeros(0, dtype=np.int32)
    offsets = np.zeros(len(records) * len(LEADS) + 1, dtype=np.int64)
    signals = arrays["digital"].astype(np.float32)
    signals -= arrays["baselines"][:, None]
    signals /= arrays["gains"][:, None]
    return Cohort(
        name=f"PTB-XL, {len(records)} records at {arrays['fs']:g} Hz",
        records=records,
        subjects=arrays["subjects"],
        leads=LEADS,
        fs=float(arrays["fs"]),
        signals=signals,
        delineation=Delineation(nothing.astype(np.uint8), nothing, offsets, len(LEADS)),
        male=arrays["male"],
        age=arrays["age"],
        label=arrays["label"],
        fingerprint=_digest(arrays),
        note="" if left_out.startswith("0 ") else left_out,
    )


def _rows(path: Path, table: bytes, file_column: str) -> list[_Row]:
    """Read the table; what it says of a record is checked, what it could say is not."""
    text = table.decode("utf-8", errors="replace")
    try:
        lines = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise InputError(f"{path}: expected a table of comma-separated values: {error}") from None
    lacking = [name for name in _COLUMNS if not lines or name not in lines[0]]
    if lacking:
        received = wfdb.shown(" ".join(lines[0])) if lines else "no record"
        raise InputError(f"{path}: expected the column {lacking[0]}. Received: {received}")
    rows = [_row(path, number, line, file_column) for number, line in enumerate(lines, start=1)]
    if len({row.path for row in rows}) != len(rows):
        raise InputError(f"{path}: expected distinct records in {file_column}")
    return rows


def _row(path: Path, number: int, line: dict[str, str | None], file_column: str) -> _Row:
    def said(column: str, pattern: re.Pattern[str] | str) -> str:
        text = line[column]
        if text is None or not re.fullmatch(pattern, text):
            raise InputError(
                f"{path}: record {number}: {column}: expected {_pattern(pattern)}. "
                f"Received: {wfdb.shown(text or 'nothing')}"
            )
        return text

    sex = said("sex", "[01]?")
    age = float(said("age", r"([0-9]{1,3}(\.0)?)?") or "nan")
    codes = dict(_STATEMENT.findall(said("scp_codes", _STATEMENTS)))
    return _Row(
        path=said(file_column, _RECORD_PATH),
        patient=said("patient_id", r"[0-9]+(\.0)?").removesuffix(".0"),
        male=None if sex == "" else sex == "0",
        age=_ABOVE_89 if age == _OLDEST else age,
        has_lvh=_CODE in codes,
    )


def _pattern(pattern: re.Pattern[str] | str) -> str:
    return f"text that matches {pattern if isinstance(pattern, str) else pattern.pattern}"


def _state(root: Path, table: bytes, paths: Sequence[str]) -> str:
    """Hash what tells a changed data set from the one that was cached, without reading it."""
    digest = hashlib.sha256(repr(_FORMAT).encode() + table)
    for folder in sorted({str(Path(path).parent) for path in paths}):
        digest.update(repr((folder, seen_in(root / folder))).encode())
    return digest.hexdigest()[:16]


def _parse(root: Path, rows: Sequence[_Row], fs: int) -> Arrays:
    headers = [wfdb.read_header(root / f"{row.path}.hea", root) for row in rows]
    n_samples = headers[0].n_samples
    for header in headers:
        if (header.fs, header.n_samples) != (fs, n_samples):
            raise InputError(
                f"{header.path}: expected {n_samples} samples at {fs} Hz. "
                f"Received: {header.n_samples} at {header.fs:g} Hz"
            )
        wfdb.check_leads(header)
    order = [[header.leads.index(lead) for lead in LEADS] for header in headers]
    ordered = list(zip(headers, order, strict=True))
    digital = np.stack([wfdb.read_signals(header, root)[:, one] for header, one in ordered])
    return {
        "records": np.array([header.path.stem for header in headers]),
        "subjects": np.array([row.patient for row in rows]),
        "fs": np.array(float(fs)),
        "digital": digital,
        "gains": np.array([np.take(one.gains, at) for one, at in ordered], dtype=np.float32),
        "baselines": np.array([np.take(one.baselines, at) for one, at in ordered], np.float32),
        "male": np.array([bool(row.male) for row in rows]),
        "age": np.array([row.age for row in rows]),
        "label": np.array([row.has_lvh for row in rows], dtype=np.int64),
        "flaws": np.array(
            [_flaw(row, signals) for row, signals in zip(rows, digital, strict=True)]
        ),
    }


def _flaw(row: _Row, signals: npt.NDArray[np.int16]) -> str:
    """Say what makes a record of no use; nothing if it is of use."""
    if row.male is None:
        return "no sex"
    if math.isnan(row.age):
        return "no age"
    invalid = (signals == _INVALID).any(axis=0)
    if invalid.any():
        return f"samples that were not recorded in {LEADS[int(invalid.argmax())]}"
    flat = np.ptp(signals, axis=0) == 0
    return f"a flat line in {LEADS[int(flat.argmax())]}" if flat.any() else ""


def _digest(arrays: Arrays) -> str:
    return fingerprint(*(arrays[name] for name in _CONTENT))
