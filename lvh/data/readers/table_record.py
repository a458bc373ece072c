"""One record as a table, of text or Parquet, or as NumPy arrays."""

import codecs
import csv
import io
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.data.array_checks import refusal
from lvh.data.readers import ReadOptions, Recording, Signal, is_read, lead_key, refusing
from lvh.errors import excerpt

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
    import pandas as pd

    lines = _decode(data).splitlines() or [""]
    row, separator = _header(path, lines, options)
    names = options.leads if row < 0 else _cells(lines[row], separator)
    columns = [_name_and_unit(name) for name in names]
    units = _cells(lines[row + 1], separator) if row + 1 < len(lines) else []
    if len(units) == len(columns) and not re.search(r"\d", "".join(units)):
        columns = [(one, unit.strip("()[]")) for (one, _), unit in zip(columns, units, strict=True)]
        row += 1
    body = "\n".join(lines[row + 1 :])
    has_commas = "," in body and "." not in body and (separator != "," or '"' in body)
    frame = pd.read_csv(
        io.StringIO(body),
        sep=r"\s+" if separator == " " else separator,
        header=None,
        decimal="," if has_commas else ".",
        skipinitialspace=True,
    )
    missing = frame[frame.columns[-1]].isna()
    if frame.shape[1] != len(columns) or (missing.any() and not missing.all()):
        received = f"rows of up to {frame.shape[1]}; {missing.sum()} lack the last value"
        raise refusal(path, f"{len(columns)} values in each row, as there are names", received)
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
    row, separator = 0, next((mark for mark in _SEPARATORS[:4] if mark in lines[0]), ",")
    n_leads = 0
    for at, line in enumerate(lines[:_HEADER_LINES] if options.wanted else []):
        for mark in _SEPARATORS:
            names = [_name_and_unit(cell)[0] for cell in _cells(line[:_HEADER_LENGTH], mark)]
            if (n := sum(lead_key(name) in options.wanted for name in names)) > n_leads:
                n_leads, row, separator = n, at, mark
    cells = _cells(lines[row], separator)
    is_unnamed = all(map(_NUMBER.fullmatch, cells))
    if is_unnamed and len(cells) == len(options.leads):
        return -1, separator
    if is_unnamed or n_leads < min(len(options.wanted), _FEWEST_LEADS):
        expected = f"a row of names, such as i to v6, or --leads for each of {len(cells)} columns"
        raise refusal(path, expected, lines[0][:200])
    return row, separator


def _cells(line: str, separator: str) -> list[str]:
    if separator == " ":
        return [cell.strip("'\"") for cell in line.split()]
    (cells,) = csv.reader([line], delimiter=separator, skipinitialspace=True)
    return [cell.strip(" '") for cell in cells]


def _name_and_unit(cell: str) -> tuple[str, str]:
    match = _NAME_AND_UNIT.fullmatch(cell) or _NAME_THEN_UNIT.fullmatch(cell)
    return (match[1].strip(), match[2].strip()) if match else (cell, "")


def _numbers(path: Path, name: str, column: "pd.Series[Any]") -> npt.NDArray[np.float64]:
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce")
    bad = np.flatnonzero((numbers.isna() & column.notna()) | (column.dtype == bool))
    if len(bad):
        where = f"{path}: row {bad[0] + 1}, column {excerpt(name)}"
        raise refusal(where, "a number", column.iloc[bad[0]])
    return np.asarray(numbers, dtype=np.float64)


def _fs(path: Path, times: npt.NDArray[np.float64], unit: str, options: ReadOptions) -> float:
    """Return the sampling frequency in Hz of evenly spaced times."""
    step = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0
    jitter = np.abs(np.diff(times) - step)
    scale = _SECONDS.get(unit)
    if not unit and options.fs:  # s, ms, or numbers of samples
        known = (1.0, 1e-3, 1 / options.fs)
        fits = (one for one in known if math.isclose(one * step * options.fs, 1, rel_tol=1e-3))
        scale = next(fits, 1.0)
    elif not unit and step <= _MAX_STEP_S:
        scale = 1.0
    if scale is None or not (step > 0 and jitter.max() <= _MAX_JITTER * step):
        expected = "evenly spaced times that rise, in s or as in `time (ms)`; --fs says the Hz"
        is_uneven = len(jitter) > 0 and jitter.max() > _MAX_JITTER * step
        worst = f", another one at row {jitter.argmax() + 2}" if is_uneven else ""
        raise refusal(path, expected, f"steps of {step:g} {unit}{worst}")
    fs = 1 / (step * scale)
    whole = max(1, round(fs))  # times that were rounded fit a range of frequencies
    off = np.abs((times - times[0]) * scale - np.arange(len(times)) / whole)
    return float(whole if off.max() <= _MAX_JITTER / whole else fs)


class StoredSignals(NamedTuple):
    """An array of signals, mapped if it is a `.npy` file; a field is empty if the file lacks it."""

    signals: npt.NDArray[Any]  # shape (n_samples, n_leads), or (n_records, n_samples, n_leads)
    leads: tuple[str, ...] = ()
    fs: float | None = None
    unit: str = ""
    records: tuple[str, ...] = ()


def open_signals(path: Path, leads: tuple[str, ...], n_axes: int) -> StoredSignals:
    """Open a `.npy` file, or a `.npz` file with `signals`, and maybe `leads`, `fs`, `unit`.

    The last two axes may be swapped, and one lead needs no axis of its own. `leads` are the names
    of leads that the file does not name.
    """
    expected = "a .npy file, or a .npz file with the array `signals`, maybe `leads`, `fs`, `unit`"
    with refusing(path, expected):
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        stored = StoredSignals(loaded)
        if not isinstance(loaded, np.ndarray):
            with loaded:
                arrays = dict(loaded)
            own, records = (
                tuple(np.atleast_1d(arrays.get(name, ())).astype(str).tolist())
                for name in ("leads", "records")
            )
            fs = float(arrays["fs"].item()) if "fs" in arrays else None
            unit = str(arrays.get("unit", ""))
            stored = StoredSignals(arrays["signals"], own, fs, unit, records)
    array, n_leads = stored.signals, len(stored.leads or leads)
    if n_leads == 1 and array.ndim == n_axes - 1:
        array = array[..., None]
    if array.ndim == n_axes and array.shape[-1] != n_leads == array.shape[-2]:
        array = np.swapaxes(array, -1, -2)
    is_array = array.ndim == n_axes and array.dtype.kind in "iuf"
    if not (n_leads and is_array and array.shape[-1] == n_leads):
        axes = ("n_records, " * (n_axes - 2)) + f"n_samples, {n_leads or 'n_leads'}"
        expected = f"numbers of shape ({axes}), and names of the leads: --leads says them in order"
        raise refusal(path, expected, (str(array.dtype), array.shape))
    return stored._replace(signals=array, leads=stored.leads or leads)


def read_array(path: Path, data: bytes, options: ReadOptions) -> Recording:
    """Read one record, shape (n_samples, n_leads) or its transpose; the user may name the leads."""
    stored = open_signals(path, options.leads, 2)
    columns = zip(stored.leads, stored.signals.astype(np.float64).T, strict=True)
    return Recording([Signal(lead, column, stored.unit, stored.fs) for lead, column in columns])
