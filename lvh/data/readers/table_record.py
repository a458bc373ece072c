"""One record as a table of text, or as NumPy arrays."""

import codecs
import csv
import io
import math
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    row, separator = 0, next((one for one in _SEPARATORS[:4] if one in lines[0]), ",")
    if not options.any_name:
        row, separator = _header(path, lines)
    columns = [_name_and_unit(cell) for cell in _cells(lines[row], separator)]
    if options.any_name and all(_is_number(name) for name, _ in columns):  # there are no names
        if len(columns) != len(options.leads):
            raise InputError(
                f"{path}: expected a row of names, or --leads with {len(columns)} of them. "
                f"Received: {excerpt(lines[0][:200])}"
            )
        columns, row = [(lead, "") for lead in options.leads], -1
    units = _cells(lines[row + 1], separator) if row + 1 < len(lines) else []
    if len(units) == len(columns) and not any(re.search(r"\d", unit) for unit in units):
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


def read_array(path: Path, data: bytes, options: ReadOptions) -> Recording:
    """Read a `.npy` file, shape (n_samples, n_leads) or its transpose; the user names the leads."""
    return _of_array(path, np.load(io.BytesIO(data), allow_pickle=False), options.leads)


def read_arrays(path: Path, data: bytes, options: ReadOptions) -> Recording:
    """Read a `.npz` file with the array `signals`, and maybe `leads`, `fs` and `unit`."""
    with zipfile.ZipFile(io.BytesIO(data)) as members:
        size = sum(member.file_size for member in members.infolist())
    if size > MAX_BYTES:
        raise InputError(f"{path}: expected at most {MAX_BYTES} bytes. Received: {size} unpacked")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        if "signals" not in arrays:
            raise InputError(
                f"{path}: expected the array `signals`. Received: {excerpt(' '.join(arrays))}"
            )
        leads = tuple(arrays["leads"].astype(str)) if "leads" in arrays else options.leads
        fs = float(arrays["fs"].item()) if "fs" in arrays else None
        unit = str(arrays["unit"].astype(str).item()) if "unit" in arrays else ""
        return _of_array(path, arrays["signals"], leads, unit=unit, fs=fs)


def _of_array(
    path: Path,
    array: npt.NDArray[Any],
    leads: tuple[str, ...],
    *,
    unit: str = "",
    fs: float | None = None,
) -> Recording:
    if not leads:
        raise InputError(
            f"{path}: expected names of its columns. --leads says them in order, as in "
            "--leads i,ii,iii,avr,avl,avf,v1,v2,v3,v4,v5,v6"
        )
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
        [Signal(lead, column, unit, fs) for lead, column in zip(leads, columns, strict=True)]
    )


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


def _header(path: Path, lines: list[str]) -> tuple[int, str]:
    """Return the row that names most leads, and the separator of its columns."""
    rows = [
        (sum(lead_name(_name_and_unit(cell)[0]) is not None for cell in cells), -row, separator)
        for row, line in enumerate(lines[:_HEADER_LINES])
        for separator in _SEPARATORS
        if line.count(separator) >= _FEWEST_LEADS - 1 and len(line) <= _HEADER_LENGTH
        for cells in [_cells(line, separator)]
    ]
    n_leads, row, separator = max(rows, key=lambda entry: entry[:2], default=(0, 0, ","))
    if n_leads < _FEWEST_LEADS:
        raise InputError(
            f"{path}: expected a row of names, i to v6, separated by commas, semicolons, tabs, "
            f"spaces, | or :. Received: {excerpt(lines[0][:200])}"
        )
    return -row, separator


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


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
    if has_commas and separator != "," and "." in body:
        raise InputError(f"{path}: expected decimal points or decimal commas. Received: both")
    frame = pd.read_csv(
        io.StringIO(body),
        sep=r"\s+" if separator == " " else separator,
        header=None,
        decimal="," if has_commas and "." not in body else ".",
        skipinitialspace=True,
    )
    missing = frame[frame.columns[-1]].isna()
    if frame.shape[1] != n_columns or (missing.any() and not missing.all()):
        commas = ". Are these decimal commas?" if frame.shape[1] >= 2 * n_columns - 1 else ""
        fewer = f"fewer in row {missing.argmax() + 1}" if frame.shape[1] == n_columns else ""
        raise InputError(
            f"{path}: expected {n_columns} values in each row, as the header has names. "
            f"Received: {fewer or frame.shape[1]}{commas}"
        )
    return frame


def _numbers(path: Path, name: str, column: "pd.Series[Any]") -> npt.NDArray[np.float64]:
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce")
    bad = np.flatnonzero(numbers.isna() & column.notna())
    if len(bad) or column.dtype == bool:
        at = bad[0] if len(bad) else 0
        raise InputError(
            f"{path}: row {at + 1}, column {excerpt(name)}: expected a number. "
            f"Received: {excerpt(column.iloc[at])}"
        )
    return np.asarray(numbers, dtype=np.float64)


def _fs(path: Path, times: npt.NDArray[np.float64], unit: str, options: ReadOptions) -> float:
    """Return the sampling frequency in Hz of evenly spaced times."""
    if unit and unit not in _SECONDS:
        raise InputError(f"{path}: expected the time in s or ms. Received: {excerpt(unit)}")
    if len(times) < 2 or not np.isfinite(times).all() or times[-1] <= times[0]:
        raise InputError(f"{path}: expected times that rise. Received: times that do not")
    step = (times[-1] - times[0]) / (len(times) - 1)
    scale = _SECONDS.get(unit, 1.0)
    if not unit and options.fs:  # s, ms, or numbers of samples
        scales = (scale, 1e-3, 1 / options.fs)
        fitting = (one for one in scales if math.isclose(one * step * options.fs, 1, rel_tol=1e-3))
        scale = next(fitting, scale)
    elif not unit and step > _MAX_STEP_S:
        raise InputError(
            f"{path}: expected the time in s. Received: steps of {step:g}. --fs says the sampling "
            "frequency in Hz; or the header names another unit, as in `time (ms)`"
        )
    jitter = np.abs(np.diff(times) - step)
    if jitter.max() > _MAX_JITTER * step:
        raise InputError(
            f"{path}: row {jitter.argmax() + 2}: expected evenly spaced times. "
            f"Received: a step that differs by {jitter.max() / step:.0%}"
        )
    fs = 1 / (step * scale)
    whole = max(1, round(fs))  # times that were rounded fit a range of frequencies
    off = np.abs((times - times[0]) * scale - np.arange(len(times)) / whole)
    return float(whole if off.max() <= _MAX_JITTER / whole else fs)
