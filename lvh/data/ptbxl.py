"""PTB-XL (Wagner 2020, doi:10.13026/x4td-x982), or any part of it in its own layout.

Records that would take more than half a gibibyte as float32 (2,236 of them at 500 Hz, 11,184 at
100 Hz) are not read into memory: their ADC values are memory-mapped in the cache, and converted to
mV when a record is used.
"""

import csv
import hashlib
import io
import logging
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from lvh.data.cache import (
    Arrays,
    WriteSignals,
    cache_dir,
    folder_state,
    load_or_build,
    load_or_build_signals,
)
from lvh.data.cohort import LEADS, Cohort, Delineation, SourceMetadata, fingerprint
from lvh.data.delineation import with_fiducials
from lvh.data.download import Archive, fetch
from lvh.data.lazy_array import Inputs, LazyArray
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
    warning=" (about 2 GB; 3 GB unpacked, and again nearly 3 GB for the signals as they are kept)",
    needed_bytes=6_000_000_000,
)

METADATA = SourceMetadata(
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
TABLE = "ptbxl_database.csv"
LOADED_BYTES = 512 * 1024 * 1024
"""Signals that take more than this, as float32, are memory-mapped."""

_FORMAT = 2  # of the cached arrays; raise it when their meaning changes
_MAX_TABLE_BYTES = 64 * 1024 * 1024  # the real one has 7 MB
_RECORD_PATH = r"records(?:100|500)/[0-9]{5}/[0-9]{5}_(?:lr|hr)"
_COLUMNS = {
    "ecg_id": ".*",
    "patient_id": r"[0-9]+(\.0)?",
    "age": r"([0-9]{1,3}(\.0)?)?",
    "sex": "[01]?",
    "scp_codes": r"\{(?:'[^'\\]+': [0-9.]+(?:, '[^'\\]+': [0-9.]+)*)?\}",
    "filename_lr": _RECORD_PATH,
    "filename_hr": _RECORD_PATH,
}
"""Columns of the table that are read, with the pattern of their values."""
_STATEMENT = re.compile(r"'([^'\\]+)': [0-9.]+")
_LABEL = "LVH"
_ABOVE_89 = 90.0  # years
_CONTENT = ("records", "subjects", "male", "age", "label", "flaws", "fs")
_CALIBRATION = ("gains", "baselines")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PtbxlSettings:
    """Where PTB-XL is, and what of it is taken.

    Attributes:
        root: Folder that holds ptbxl_database.csv and the records; None for the user's cache, into
            which the archive is downloaded at need.
        fs: Sampling frequency in Hz; the data set has every record at both.
        flawed: Records with a flat lead or invalid samples, and those without age or sex, are
            dropped with a warning, or fail the run.
        url: Where the archive is downloaded from.
        delineation: `none`; or `found`: the fiducials that `lvh.data.delineation` finds.
    """

    name: Literal["ptbxl"] = "ptbxl"
    root: str | None = None
    fs: Literal[100, 500] = 500
    flawed: Literal["drop", "fail"] = "drop"
    url: str = ARCHIVE.url
    delineation: Literal["none", "found"] = "none"


@dataclass(frozen=True, slots=True)
class _Row:
    """One record's line of the table."""

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
        EnvironmentFault: The data set has to be downloaded, or its signals cached, and cannot be.
    """
    if settings.root:
        root = Path(os.path.expanduser(settings.root))
    else:
        root = fetch(replace(ARCHIVE, url=settings.url), cache_dir() / "ptbxl-1.0.3")
    table = read_bytes(root / TABLE, root, _MAX_TABLE_BYTES)
    rows = _rows(root / TABLE, table, "filename_hr" if settings.fs == 500 else "filename_lr")
    path = cache_dir() / "cohorts" / f"ptbxl-{settings.fs}-{_state(root, table, rows)}"
    header = wfdb.read_header(root / f"{rows[0].path}.hea", root)
    wfdb.checked_size(header)
    shape = (len(rows), header.n_samples, len(LEADS))
    build = partial(_parse, root, rows, settings.fs)
    digital: Inputs
    if 4 * math.prod(shape) > LOADED_BYTES:
        arrays, digital, digest = load_or_build_signals(path, shape, build, _digest)
    else:
        arrays = load_or_build(path.with_name(f"{path.name}.npz"), lambda: _with_signals(build))
        digital = arrays["digital"]
        digest = _digest(arrays, digital)
    used = arrays["flaws"] == ""
    n_flawed = int(np.count_nonzero(~used))
    note = f"{n_flawed} of {len(used)} records left out as flawed" if n_flawed else ""
    if n_flawed and (settings.flawed == "fail" or not used.any()):
        first = np.flatnonzero(~used)[0]
        raise InputError(
            f"data.flawed={settings.flawed}: expected records without flaw. Received: {n_flawed} "
            f"with one, the first {arrays['records'][first]}: {arrays['flaws'][first]}"
        )
    if note:
        _log.warning("%s: %s", root / TABLE, note)
    cohort = _cohort(arrays, digital, used, digest, note)
    return with_fiducials(cohort) if settings.delineation == "found" else cohort


def _cohort(
    arrays: Arrays, digital: Inputs, used: npt.NDArray[np.bool_], digest: str, note: str
) -> Cohort:
    arrays = {name: one[used] for name, one in arrays.items() if one.ndim} | {"fs": arrays["fs"]}
    gains, baselines = arrays["gains"], arrays["baselines"]
    digital = digital[used]
    records = tuple(str(name) for name in arrays["records"])
    return Cohort(
        name=f"PTB-XL, {len(records)} records at {arrays['fs']:g} Hz",
        records=records,
        subjects=arrays["subjects"],
        leads=LEADS,
        fs=float(arrays["fs"]),
        signals=digital.map(lambda values, at: _millivolts(values, baselines[at], gains[at]))
        if isinstance(digital, LazyArray)
        else _millivolts(digital, baselines, gains),
        delineation=Delineation.empty(len(records)),
        male=arrays["male"],
        age=arrays["age"],
        label=arrays["label"],
        fingerprint=digest,
        note=note,
    )


def _millivolts(
    digital: npt.NDArray[np.integer | np.floating],
    baselines: npt.NDArray[np.float32],
    gains: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    signals = digital.astype(np.float32)
    signals -= baselines[:, None]
    signals /= gains[:, None]
    return signals


def _rows(path: Path, table: bytes, file_column: str) -> list[_Row]:
    text = io.StringIO(table.decode("utf-8", errors="replace"), newline="")
    reader = csv.DictReader(text, strict=True)
    try:
        lines, columns = list(reader), list(reader.fieldnames or ())
    except csv.Error as error:
        raise InputError(f"{path}: expected a table of comma-separated values: {error}") from None
    missing = [name for name in _COLUMNS if name not in columns]
    if missing or not lines:
        received = wfdb.quoted(" ".join(columns)) if lines else "no record"
        raise InputError(
            f"{path}: expected the column {(missing or ['ecg_id'])[0]}, separated by commas. "
            f"Received: {received}"
        )
    used = set(_COLUMNS) - {"filename_lr", "filename_hr"} | {file_column}
    for number, line in enumerate(lines, start=1):
        for column in sorted(used):
            if line[column] is None or not re.fullmatch(_COLUMNS[column], line[column]):
                raise InputError(
                    f"{path}: record {number}: {column}: expected text that matches "
                    f"{_COLUMNS[column]}. Received: {wfdb.quoted(line[column] or 'nothing')}"
                )
    rows = [
        _Row(
            path=line[file_column],
            patient=line["patient_id"].removesuffix(".0"),
            male=line["sex"] == "0" if line["sex"] else None,
            # the table has 300 for every age above 89
            age=_ABOVE_89 if line["age"] in ("300", "300.0") else float(line["age"] or "nan"),
            has_lvh=_LABEL in _STATEMENT.findall(line["scp_codes"]),
        )
        for line in lines
    ]
    if len({row.path for row in rows}) != len(rows):
        raise InputError(f"{path}: expected distinct records in {file_column}")
    return rows


def _state(root: Path, table: bytes, rows: Sequence[_Row]) -> str:
    """Hash the state of the data set without reading its records: it changes when a file does."""
    digest = hashlib.sha256(repr(_FORMAT).encode() + table)
    for folder in sorted({row.path.rpartition("/")[0] for row in rows}):
        digest.update(repr((folder, folder_state(root / folder))).encode())
    return digest.hexdigest()[:16]


def _with_signals(build: Callable[[WriteSignals], Arrays]) -> Arrays:
    digital: list[npt.NDArray[np.int16]] = []
    return {**build(digital.append), "digital": np.stack(digital)}


def _parse(root: Path, rows: Sequence[_Row], fs: int, write: WriteSignals) -> Arrays:
    """Read all records; the signals of each, leads in order, go to `write`."""
    _log.info("PTB-XL: reading %d records, once, into %s", len(rows), cache_dir())
    console = Console(stderr=True)
    n_samples = 0
    names, gains, baselines, flaws = [], [], [], []
    for row in track(
        rows, "reading", console=console, transient=True, disable=not console.is_terminal
    ):
        header = wfdb.read_header(root / f"{row.path}.hea", root)
        n_samples = n_samples or header.n_samples
        if (header.fs, header.n_samples) != (fs, n_samples):
            raise InputError(
                f"{header.path}: expected {n_samples} samples at {fs} Hz. "
                f"Received: {header.n_samples} at {header.fs:g} Hz"
            )
        digital, order = wfdb.read_twelve_leads(header, root)
        write(digital)
        baseline, gain = header.calibration(order)
        names.append(header.path.stem)
        gains.append(gain)
        baselines.append(baseline)
        unknown = "no sex" if row.male is None else "no age" if math.isnan(row.age) else ""
        flaws.append(unknown or wfdb.signal_fault(digital))
    return {
        "records": np.array(names),
        "subjects": np.array([row.patient for row in rows]),
        "fs": np.array(float(fs)),
        "gains": np.array(gains, dtype=np.float32),
        "baselines": np.array(baselines, dtype=np.float32),
        "male": np.array([bool(row.male) for row in rows]),
        "age": np.array([row.age for row in rows]),
        "label": np.array([row.has_lvh for row in rows], dtype=np.int64),
        "flaws": np.array(flaws),
    }


def _digest(arrays: Arrays, digital: Inputs) -> str:
    """Return the fingerprint of the cohort of all records without flaw."""
    used = arrays["flaws"] == ""
    content, calibration = (
        [arrays[name][used] if arrays[name].ndim else arrays[name] for name in names]
        for names in (_CONTENT, _CALIBRATION)
    )
    return fingerprint(*content, digital[used], *calibration)
