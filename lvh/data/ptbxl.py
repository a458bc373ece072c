"""PTB-XL (Wagner 2020, doi:10.13026/x4td-x982), or any part of it in its own layout.

Records that would take more than half a gibibyte as float32 (2,236 of them at 500 Hz, 11,184 at
100 Hz) are not read into memory: their ADC values are kept in a store, and become signals when
their turn comes.
"""

import csv
import hashlib
import io
import logging
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lvh.data.cache import Arrays, cache_dir, cached_arrays, seen_in
from lvh.data.cohort import LEADS, Cohort, Delineation, fingerprint
from lvh.data.download import Archive, fetch
from lvh.data.fiducials import with_found
from lvh.data.lazy_array import Inputs, Positions, Unread
from lvh.data.memmap import Known, is_whole, stored
from lvh.data.metadata import About
from lvh.data.readers import wfdb
from lvh.errors import InputError
from lvh.files import read_bytes

ARCHIVE = Archive(
    title="PTB-XL 1.0.3",
    url=(
        "https://physionet.org/static/published-projects/ptb-xl/"
        "ptb-xl-a-large-publicly-available-electrocardiography-dataset-1.0.3.zip"
    ),
    top="ptb-xl-a-large-publicly-available-electrocardiography-dataset-1.0.3",
    sums_sha256=None,  # not known here: nobody has fetched the archive to write this
    max_bytes=4_000_000_000,
    variable="LVH_PTBXL_ROOT",
    told=" (about 2 GB; 3 GB unpacked, and again nearly 3 GB for the signals as they are kept)",
    needed_bytes=6_000_000_000,
)

Take = Callable[[npt.NDArray[np.int16]], object]
"""Takes the ADC values of a record, shape (n_samples, 12)."""

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
LOADED_BYTES = 512 * 1024 * 1024
"""Signals that take more than this, as float32, stay in a store."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PtbxlSettings:
    """Where PTB-XL is, and what of it is taken.

    Attributes:
        root: Folder that holds ptbxl_database.csv and the records; None for the user's cache, into
            which the archive is downloaded at need.
        fs: Sampling frequency in Hz; the data set has every record at both.
        flawed: Records with a flat lead or samples that were not recorded, and those without age
            or sex, are left out, which is said, or fail the run.
        url: Where the archive is downloaded from.
        delineation: Nobody's fiducials, or those that `lvh.data.delineation` finds.
    """

    name: Literal["ptbxl"] = "ptbxl"
    root: str | None = None
    fs: Literal[100, 500] = 500
    flawed: Literal["drop", "fail"] = "drop"
    url: str = ARCHIVE.url
    delineation: Literal["none", "found"] = "none"


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the table: what is known of a record."""

    path: str
    patient: str
    male: bool | None
    age: float
    has_lvh: bool


def load(settings: PtbxlSettings) -> Cohort:
    """Return all usable records that the table lists; the data set has no delineation.

    The label is 1 where a cardiologist or the machine stated `LVH`, whatever the likelihood;
    `VCLVH` (voltage criteria alone) is not LVH. Ages above 89, which the table hides, are 90.

    Raises:
        InputError: A file is missing or malformed, or a record flawed where that fails the run.
        EnvironmentFault: The data set has to be downloaded, or its signals kept, and cannot be.
    """
    root = root_of(settings)
    rows, kept = _listed(root, settings.fs)
    if _n_bytes(root, rows) > LOADED_BYTES:
        known, digital, digest = stored(kept, len(rows), _builder(root, rows, settings.fs), _whole)
        arrays: Mapping[str, Any] = {**known, "digital": digital}
    else:
        path = kept.with_name(f"{kept.name}.npz")
        arrays, digest = cached_arrays(path, lambda: _parsed(root, rows, settings.fs), _digest), ""
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
    arrays = {name: one[used] if one.ndim else one for name, one in arrays.items()}
    cohort = _cohort(arrays, digest or _digest(arrays), left_out)
    return with_found(cohort) if settings.delineation == "found" else cohort


def root_of(settings: PtbxlSettings) -> Path:
    """Return the folder of the data set, which is downloaded if no other was named."""
    if settings.root:
        return Path(os.path.expanduser(settings.root))
    return fetch(replace(ARCHIVE, url=settings.url), downloaded())


def downloaded() -> Path:
    """Return where the data set is if it was downloaded."""
    return cache_dir() / "ptbxl-1.0.3"


def store_of(root: Path, fs: int) -> tuple[Path, bool]:
    """Return where the store of a data set is, and whether it is, by its hash, what was made."""
    _, kept = _listed(root, fs)
    return kept, is_whole(kept, _whole)


def _listed(root: Path, fs: int) -> tuple[list[_Row], Path]:
    """Read the table; return also where what is read of the data set is kept."""
    text = read_bytes(root / TABLE, root, _MAX_TABLE_BYTES)
    rows = _rows(root / TABLE, text, "filename_hr" if fs == 500 else "filename_lr")
    state = _state(root, text, [row.path for row in rows])
    return rows, cache_dir() / "cohorts" / f"ptbxl-{fs}-{state}"


def _n_bytes(root: Path, rows: Sequence[_Row]) -> int:
    """Return the size of all signals as float32, by the header of the first record."""
    header = wfdb.read_header(root / f"{rows[0].path}.hea", root)
    return len(rows) * header.n_samples * len(LEADS) * 4


def _cohort(arrays: Mapping[str, Any], digest: str, left_out: str) -> Cohort:
    records = tuple(str(name) for name in arrays["records"])
    nothing = np.zeros(0, dtype=np.int32)
    offsets = np.zeros(len(records) * len(LEADS) + 1, dtype=np.int64)
    digital, baselines, gains = (arrays[name] for name in ("digital", "baselines", "gains"))
    signals: Inputs
    if isinstance(digital, Unread):

        def change(values: npt.NDArray[np.int16], at: Positions) -> npt.NDArray[np.float32]:
            return _in_mv(values, baselines[at], gains[at])

        signals = digital.changed(change)
    else:
        signals = _in_mv(digital, baselines, gains)
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
        fingerprint=digest,
        note="" if left_out.startswith("0 ") else left_out,
    )


def _in_mv(
    digital: npt.NDArray[np.int16],
    baselines: npt.NDArray[np.float32],
    gains: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    signals = digital.astype(np.float32)
    signals -= baselines[:, None]
    signals /= gains[:, None]
    return signals


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
    for folder in sorted({path.rpartition("/")[0] for path in paths}):
        digest.update(repr((folder, seen_in(root / folder))).encode())
    return digest.hexdigest()[:16]


def _parsed(root: Path, rows: Sequence[_Row], fs: int) -> Arrays:
    """Read everything into memory."""
    digital: list[npt.NDArray[np.int16]] = []
    known = _parse(root, rows, fs, digital.append)
    return {**known, "digital": np.stack(digital)}


def _builder(root: Path, rows: Sequence[_Row], fs: int) -> Callable[[Take], Known]:
    """Return what reads everything, record by record, and shows how far it is."""

    def build(take: Take) -> Known:
        from rich.console import Console
        from rich.progress import track

        _log.info("PTB-XL: %d records are read, once, and kept in %s", len(rows), cache_dir())
        shown = Console(stderr=True)
        watched = track(
            rows, "reading records", console=shown, transient=True, disable=not shown.is_terminal
        )
        return _parse(root, watched, fs, take)

    return build


def _parse(root: Path, rows: Iterable[_Row], fs: int, take: Take) -> Arrays:
    """Read all records; the signals of each, leads in order, are handed on and not kept."""
    n_samples = 0
    names, gains, baselines, flaws, used = [], [], [], [], []
    for row in rows:
        header = wfdb.read_header(root / f"{row.path}.hea", root)
        n_samples = n_samples or header.n_samples
        if (header.fs, header.n_samples) != (fs, n_samples):
            raise InputError(
                f"{header.path}: expected {n_samples} samples at {fs} Hz. "
                f"Received: {header.n_samples} at {header.fs:g} Hz"
            )
        wfdb.check_leads(header)
        at = [header.leads.index(lead) for lead in LEADS]
        digital = wfdb.read_signals(header, root)[:, at]
        take(digital)
        used.append(row)
        names.append(header.path.stem)
        gains.append(np.take(header.gains, at))
        baselines.append(np.take(header.baselines, at))
        flaws.append(_flaw(row, digital))
    return {
        "records": np.array(names),
        "subjects": np.array([row.patient for row in used]),
        "fs": np.array(float(fs)),
        "gains": np.array(gains, dtype=np.float32),
        "baselines": np.array(baselines, dtype=np.float32),
        "male": np.array([bool(row.male) for row in used]),
        "age": np.array([row.age for row in used]),
        "label": np.array([row.has_lvh for row in used], dtype=np.int64),
        "flaws": np.array(flaws),
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


def _digest(arrays: Mapping[str, Any]) -> str:
    return fingerprint(*(arrays[name] for name in _CONTENT))


def _whole(known: Known, digital: Unread) -> str:
    """Return the fingerprint of the cohort of all records without flaw."""
    used = known["flaws"] == ""
    whole: dict[str, Any] = {**known, "digital": digital}
    return _digest({name: one[used] if one.ndim else one for name, one in whole.items()})
