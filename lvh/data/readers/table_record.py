"""One record as a table, of text or Parquet, or as NumPy arrays."""

import codecs
import csv
import io
import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.data.readers.leads import MAX_BYTES, ReadOptions, Recording, Signal, is_read, lead_name
from lvh.errors import InputError, excerpt

if TYPE_CHECKING:
    import pandas as pd

_HEADER_LINES, _HEADER_LENGTH = 64, 8192  # in which the names are looked for, after a preamble
_FEWEST_LEADS = 8
_SEPARATORS = (",", ";", "\t", "|", ":", " ")
_NAME_AND_UNIT = re.compile(r"([^()\[\]]*)[(\[]([^()\[\]]*)[)\]]")  # linear: no two ways to match
_NAME_THEN_UNIT = re.compile(r"(.*)[ _/]([mu\xb5\u03bc]?V)", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?[0-9.,]+(?:e[+-]?[0-9]+)?", re.IGNORECASE)
_TIME = re.compile(r"(?:elapsed[ _])?(?:time|t|seconds|sec)(?:[ _](?P<unit>\w+))?", re.IGNORECASE)
_SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "us": 1e-6, "µs": 1e-6}
_MAX_JITTER = 0.5  # of a step: more than rounding to ms makes, less than one lost sample
_MAX_STEP_S = 0.05  # a longer step without a unit is in ms, or the number of the sample


def read_table(path: Path, data: bytes, options: ReadOptions) -> Recording:
    """Read a table: maybe a preamble, a row of names, maybe a row of units, then a row a sample.

    A name may have its unit, `V1 (mV)` or `V1_mV`; a column `time` is in s, or as `time (ms)`
    says. Decimal commas are read where something else divides the columns, or in quotes.
    """
    lines = _decode(data).splitlines() or [""]
    row, separator = _header(path, lines, options)
    names = options.leads if row < 0 else _cells(lines[row], separator)
    columns = [_name_and_unit(name) for name in names]
    units = _cells(lines[row + 1], separator) if row + 1 < len(lines) else []
    if len(units) == len(columns) and not re.search(r"\d", "".join(units)):
        columns = [
            (name, unit.strip("()[]")) for (name, _), unit in zip(columns, units, strict=True)
        ]
        row += 1
    frame = _frame(path, "\n".join(lines[row + 1 :]), separator, len(columns))
    return _of_columns(path, columns, frame, options)


def read_parquet(path: Path, data: bytes, options: ReadOptions) -> Recording:
    """Read a Parquet file with a row a sample; its columns have names as those of a table."""
    import pandas as pd

    frame = pd.read_parquet(io.BytesIO(data))
    columns = [_name_and_unit(str(name)) for name in frame]
    return _of_columns(path, columns, frame.set_axis(range(len(columns)), axis=1), options)


def _of_columns(
    path: Path, columns: list[tuple[str, str]], frame: "pd.DataFrame", options: ReadOptions
) -> Recording:
    """Take names with their units, and the columns by number; one of them may be the time."""
    fs, signals = None, []
    for at, (name, unit) in enumerate(columns):
        time = _TIME.fullmatch(name)
        if time and fs is None and not (options.fs and frame[at].dtype.kind not in "if"):
            unit = (unit or time["unit"] or "").lower()
            fs = _fs(path, _numbers(path, name, frame[at]), unit, options)
        else:
            values = _numbers(path, name, frame[at]) if is_read(name, options) else np.empty(0)
            signals.append((name, values, unit))
    return Recording([Signal(*signal, fs=fs) for signal in signals])


def _decode(data: bytes) -> str:
    """Return UTF-16 by its mark or zeros, else UTF-8, else Windows-1252, as of European devices."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data[:2]:
        return data.decode("utf-16-be" if data[:1] == b"\0" else "utf-16-le", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _header(path: Path, lines: list[str], options: ReadOptions) -> tuple[int, str]:
    """Return the row of names, that of most leads or the first, and what divides its columns.

    The row is -1 where there are no names, and the user gives one for each column.
    """
    if options.any_name:
        n_leads, row = _FEWEST_LEADS, 0
        separator = next((mark for mark in _SEPARATORS[:4] if mark in lines[0]), ",")
    else:
        rows = [
            (sum(lead_name(_name_and_unit(cell)[0]) is not None for cell in cells), at, mark)
            for at, line in enumerate(lines[:_HEADER_LINES])
            for mark in _SEPARATORS
            for cells in [_cells(line[:_HEADER_LENGTH], mark)]
        ]
        n_leads, row, separator = max(rows, key=lambda entry: entry[0])  # the first of these
    cells = _cells(lines[row], separator)
    is_unnamed = all(map(_NUMBER.fullmatch, cells))
    if is_unnamed and len(cells) == len(options.leads):
        return -1, separator
    if n_leads < _FEWEST_LEADS or is_unnamed:
        raise InputError(
            f"{path}: expected a row of names, such as i to v6, with commas, semicolons, tabs, "
            f"spaces, | or : between them; or one of --leads for each of {len(cells)} columns. "
            f"Received: {excerpt(lines[0][:200])}"
        )
    return row, separator


def _cells(line: str, separator: str) -> list[str]:
    if separator == " ":
        return [cell.strip("'\"") for cell in line.split()]
    (cells,) = csv.reader([line], delimiter=separator, skipinitialspace=True)
    return [cell.strip(" '") for cell in cells]


def _name_and_unit(cell: str) -> tuple[str, str]:
    match = _NAME_AND_UNIT.fullmatch(cell) or _NAME_THEN_UNIT.fullmatch(cell)
    return (match[1].strip(), match[2].strip()) if match else (cell, "")


def _frame(path: Path, body: str, separator: str, n_columns: int) -> "pd.DataFrame":
    import pandas as pd

    has_commas = "," in body and (separator != "," or '"' in body)
    frame = pd.read_csv(
        io.StringIO(body),
        sep=r"\s+" if separator == " " else separator,
        header=None,
        decimal="," if has_commas and "." not in body else ".",
        skipinitialspace=True,
    )
    missing = frame[frame.columns[-1]].isna()
    if frame.shape[1] != n_columns or (missing.any() and not missing.all()):
        raise InputError(
            f"{path}: expected {n_columns} values in each row, as the header has names. Received: "
            f"rows of up to {frame.shape[1]}, {missing.sum()} of them without the last"
        )
    return frame


def _numbers(path: Path, name: str, column: "pd.Series[Any]") -> npt.NDArray[np.float64]:
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce")
    bad = np.flatnonzero((numbers.isna() & column.notna()) | (column.dtype == bool))
    if len(bad):
        raise InputError(
            f"{path}: row {bad[0] + 1}, column {excerpt(name)}: expected a number. "
            f"Received: {excerpt(column.iloc[bad[0]])}"
        )
    return np.asarray(numbers, dtype=np.float64)


def _fs(path: Path, times: npt.NDArray[np.float64], unit: str, options: ReadOptions) -> float:
    """Return the sampling frequency in Hz of evenly spaced times."""
    step = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0
    jitter = np.abs(np.diff(times) - step)
    if not (step > 0 and jitter.max() <= _MAX_JITTER * step):
        worst = f"a step that differs at row {jitter.argmax() + 2}" if len(jitter) else "one time"
        raise InputError(f"{path}: expected evenly spaced times that rise. Received: {worst}")
    scales = [_SECONDS[unit]] if unit in _SECONDS else []
    if not unit and options.fs:  # s, ms, or numbers of samples
        known = (1.0, 1e-3, 1 / options.fs)
        fits = [one for one in known if math.isclose(one * step * options.fs, 1, rel_tol=1e-3)]
        scales = [*fits, 1.0]
    elif not unit and step <= _MAX_STEP_S:
        scales = [1.0]
    if not scales:
        raise InputError(
            f"{path}: expected the time in s, or in the unit of its name, as in `time (ms)`; --fs "
            f"says the sampling frequency in Hz. Received: steps of {step:g} {excerpt(unit)}"
        )
    fs = 1 / (step * scales[0])
    whole = max(1, round(fs))  # times that were rounded fit a range of frequencies
    off = np.abs((times - times[0]) * scales[0] - np.arange(len(times)) / whole)
    return float(whole if off.max() <= _MAX_JITTER / whole else fs)


class StoredSignals(NamedTuple):
    """An array of signals, of a `.npy` file mapped; what else is empty the file does not say."""

    signals: npt.NDArray[Any]
    leads: tuple[str, ...]
    fs: float | None
    unit: str
    records: tuple[str, ...]


def open_signals(path: Path) -> StoredSignals:
    """Open a `.npy` file, or a `.npz` file with `signals`, and maybe `leads`, `fs`, `unit`."""
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            stored = {"signals": loaded}
        else:
            with loaded:
                stored = dict(loaded)
        leads, records = (
            tuple(np.atleast_1d(stored.get(name, ())).astype(str).tolist())
            for name in ("leads", "records")
        )
        fs = float(stored["fs"].item()) if "fs" in stored else None
        return StoredSignals(stored["signals"], leads, fs, str(stored.get("unit", "")), records)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = getattr(error, "strerror", None) or excerpt(str(error))
        raise InputError(
            f"{path}: expected a .npy file, or a .npz file with the array `signals`, and maybe "
            f"`leads`, one number `fs`, `unit`. Received: {reason}"
        ) from None


def read_array(path: Path, data: bytes, options: ReadOptions) -> Recording:
    """Read one record, shape (n_samples, n_leads) or its transpose; the user may name the leads."""
    if path.suffix.lower() == ".npz":
        with zipfile.ZipFile(path) as members:
            size = sum(member.file_size for member in members.infolist())
        if size > MAX_BYTES:
            raise InputError(f"{path}: expected at most {MAX_BYTES} bytes. Received: {size}")
    stored = open_signals(path)
    leads, array = stored.leads or options.leads, stored.signals
    if not leads:
        raise InputError(f"{path}: expected names of its columns. --leads says them in order")
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim == 2 and array.shape[1] != len(leads) == array.shape[0]:
        array = array.T
    if array.ndim != 2 or array.shape[1] != len(leads) or array.dtype.kind not in "iuf":
        raise InputError(
            f"{path}: expected numbers of shape (n_samples, {len(leads)}). "
            f"Received: {array.dtype} of shape {array.shape}"
        )
    columns = array.astype(np.float64).T
    return Recording(
        [
            Signal(lead, column, stored.unit, stored.fs)
            for lead, column in zip(leads, columns, strict=True)
        ]
    )
