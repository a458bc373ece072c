"""The files of a user's table: its cells as text, and the signals of its rows."""

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.data import cache
from lvh.data.array_checks import refusal, signal_fault, unit_fault
from lvh.data.lazy_array import Floats, Inputs, as_lazy_array, blocks, loaded
from lvh.data.readers import (
    ReadOptions,
    lead_key,
    millivolts_per_unit,
    refusing,
    sampling_frequency,
)
from lvh.data.readers.record import is_one_file, read_leads
from lvh.data.readers.table_record import open_signals
from lvh.errors import excerpt
from lvh.files import read_bytes

if TYPE_CHECKING:
    import pandas as pd

Texts = npt.NDArray[np.str_]

MISSING = ("", "nan", "na", "n/a", "null", "<na>")
"""Texts, in lower case, of a cell that says nothing."""
_FORMAT = 1  # of the cached arrays; raise it when their meaning changes
_MAX_BYTES = 256 * 1024 * 1024
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?"
_COMMA_NUMBER = r"[+-]?[0-9]+(?:,[0-9]+)?(?:e[+-]?[0-9]+)?"


def read_table(path: Path) -> "pd.DataFrame":
    """Return the rows as text without outer spaces; a missing cell is empty.

    Commas, semicolons or tabs separate the columns, whichever is in the first row; decimal commas
    are read where semicolons or tabs do. A first column without a name is left out.
    """
    data = read_bytes(path, path.parent, _MAX_BYTES)
    with refusing(path, "a table in UTF-8"):
        table = _parquet(data) if path.suffix.lower() == ".parquet" else _text(data)
    names = [str(name) for name in table.columns]
    if names and names[0] == "":  # the numbers of the rows, as pandas writes them
        table, names = table.iloc[:, 1:], names[1:]
    is_named = len(set(names)) == len(names) and all(name and name.isprintable() for name in names)
    if not is_named or not len(table):
        received = (" ".join(names), f"{len(table)} rows")
        raise refusal(path, "a row of different names, then a row a record", received)
    return table.set_axis(names, axis=1)


def _text(data: bytes) -> "pd.DataFrame":
    import pandas as pd

    text = data.decode("utf-8-sig")
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = next((one for one in ("\t", ";", ",") if one in first), ",")
    rows = pd.read_csv(
        io.StringIO(text), sep=separator, header=None, dtype=str, keep_default_na=False
    )
    rows = rows.fillna("").apply(lambda column: column.str.strip())
    table = rows.iloc[1:].reset_index(drop=True)
    for at, column in table.items():
        known = column[~is_missing(column)]
        if separator != "," and known.str.fullmatch(_COMMA_NUMBER, flags=re.IGNORECASE).all():
            table[at] = column.str.replace(",", ".")
    return table.set_axis(rows.iloc[0].tolist(), axis=1)


def _parquet(data: bytes) -> "pd.DataFrame":
    import pandas as pd

    table = pd.read_parquet(io.BytesIO(data))
    named = [name for name in table.index.names if name is not None]  # columns as others are
    table = table.reset_index(named).reset_index(drop=True)
    texts = table.astype(object).where(table.notna(), "").astype(str)
    return texts.apply(lambda column: column.str.strip())


def is_missing(column: "pd.Series[str]") -> npt.NDArray[np.bool_]:
    """Return which cells say nothing."""
    return np.asarray(column.str.lower().isin(MISSING))


def numbers(column: "pd.Series[str]") -> npt.NDArray[np.float64] | None:
    """Return a column as numbers, NaN where they are missing; None if some are no numbers."""
    texts = column.mask(is_missing(column), "nan").str.lower()
    if texts.isin({"true", "false", "nan"}).all():
        texts = texts.replace({"true": "1", "false": "0"})
    is_number = texts.str.fullmatch(_NUMBER)
    values = texts.where(is_number, "nan").astype(float).to_numpy()
    is_all = (is_number | (texts == "nan")).all() and is_number.any()
    return values if is_all and not np.isinf(values).any() else None


@dataclass(frozen=True, slots=True)
class TableSignals:
    """Signals of every row, and what is wrong with each; empty where nothing is."""

    values: Inputs
    leads: tuple[str, ...]
    fs: float
    faults: Texts


def files_state(paths: Sequence[Path | None]) -> list[object]:
    """Return what differs where a file has changed; of WFDB any file in the folder may be read."""
    own = sorted({path for path in paths if path is not None})
    folders = sorted({path.parent for path in own if not is_one_file(path)})
    states = [(str(path), cache.file_state(path)) for path in own]
    return [*states, *((str(folder), cache.folder_state(folder)) for folder in folders)]


def read_files(paths: Sequence[Path | None], options: ReadOptions) -> TableSignals:
    """Read a file a record; what was read is in the cache until a file changes."""
    path = cache.cohort_path("table", _FORMAT, options, paths, files_state(paths))
    arrays = cache.load_or_build(path, lambda: _parse(paths, options))
    leads = tuple(arrays["leads"].tolist())
    return TableSignals(arrays["signals"], leads, float(arrays["fs"]), arrays["faults"])


def read_array(path: Path, records: Sequence[str], options: ReadOptions) -> TableSignals:
    """Read one array with the signals of all records; a large `.npy` file is memory-mapped."""
    stored = open_signals(path, options.leads, 3)
    array, leads = stored.signals, tuple(map(lead_key, stored.leads))
    given = {"signals": (*records,), "leads": options.leads or leads}
    for field, own in (("signals", stored.records), ("leads", leads)):
        if own and own != given[field]:
            expected = f"{excerpt(own)}, as {path} says, in its order"
            raise refusal(f"data.{field}", expected, given[field])
    fs = sampling_frequency(path, stored.fs, options)
    factor = millivolts_per_unit(path, leads[0], stored.unit, options)
    n, n_samples = array.shape[:2]
    first = round(options.start * fs)
    last = n_samples if options.seconds is None else first + round(options.seconds * fs)
    if n != len(records):
        raise refusal("data.signals", f"{len(records)} records, as the table has, in {path}", n)
    if not first < last <= n_samples:
        expected, received = f"a part of the {n_samples / fs:g} s in {path}", f"{first} to {last}"
        raise refusal("data.start and data.seconds", expected, f"samples {received}")

    def in_mv(values: npt.NDArray[Any], _: object) -> Floats:
        with np.errstate(over="ignore"):  # an overflow gives infinity, which is a flaw
            return (values[:, first:last] * factor).astype(np.float32)

    values = loaded(as_lazy_array(array).map(in_mv, (last - first, len(leads))))
    return TableSignals(values, leads, fs, _faults(values, leads, options))


def _parse(paths: Sequence[Path | None], options: ReadOptions) -> cache.Arrays:
    """Read a file a record; all have the same leads, sampling frequency and length."""
    leads, fs = tuple[str, ...](), 0.0
    records: dict[int, Floats] = {}  # by row
    for row, path in cache.shown(enumerate(paths), "reading"):
        if path is None:
            continue
        _, mv, own_leads, own_fs = read_leads(path, options.leads, options)
        leads, fs = (leads, fs) if records else (own_leads, own_fs)
        if sorted(own_leads) != sorted(leads) or own_fs != fs:
            expected = f"the leads {' '.join(leads)} at {fs:g} Hz; data.leads chooses some"
            raise refusal(path, expected, (" ".join(own_leads), own_fs))
        records[row] = mv[:, [own_leads.index(lead) for lead in leads]]
    lengths = {len(mv) for mv in records.values()}
    if not records or (options.seconds is None and len(lengths) > 1):
        expected = "a file a record, and how much of each is read where they differ in length"
        received = f"files of {sorted(lengths)} samples"
        raise refusal("data.path_column and data.seconds", expected, received)
    n_samples = min(lengths) if options.seconds is None else round(options.seconds * fs)
    signals = np.zeros((len(paths), n_samples, len(leads)), np.float32)
    too_short = {row: "no file" for row in range(len(paths)) if row not in records}
    for row, mv in records.items():
        if len(mv) < n_samples:
            too_short[row] = f"shorter than {options.seconds:g} s"
        else:
            signals[row] = mv[:n_samples]
    faults = _faults(signals, leads, options).tolist()
    return {
        "signals": signals,
        "leads": np.array(leads),
        "fs": np.array(fs),
        "faults": np.array([too_short.get(row, fault) for row, fault in enumerate(faults)]),
    }


def _faults(signals: Inputs, leads: Sequence[str], options: ReadOptions) -> Texts:
    """Say what is wrong with each record; empty where nothing is."""
    is_voltage, first, faults = options.unit != "other", dict[bytes, int](), list[str]()
    for row, record in enumerate((one for block in blocks(signals) for one in block), start=1):
        fault = signal_fault(record, leads) or (unit_fault(record, leads) if is_voltage else "")
        original = first.setdefault(hashlib.sha256(record.tobytes()).digest(), row)
        if not fault and original != row:  # of another subject it would be in train and test
            fault = f"the very samples of row {original}"
        faults.append(fault)
    return np.array(faults)
