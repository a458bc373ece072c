"""One record as a table of text: a header row of names, then a row a sample."""

import codecs
import csv
import math
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import LEADS
from lvh.data.readers.leads import (
    ReadOptions,
    Recording,
    check_signals,
    lead_columns,
    millivolts_per_unit,
    sampling_frequency,
)
from lvh.data.readers.wfdb import quoted
from lvh.errors import InputError
from lvh.files import read_bytes

_MAX_BYTES = 32 * 1024 * 1024  # ten seconds at 500 Hz have about one million
_MAX_COLUMNS = 256
_SEPARATORS = ",;\t"
_NAME_AND_UNIT = re.compile(r"([^()\[\]]*)[(\[]([^()\[\]]*)[)\]]")  # linear: no two ways to match
_TIME = re.compile(r"t|time|time_s|seconds|sec", re.IGNORECASE)
_SECONDS = {"": 1.0, "s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "us": 1e-6}
_MAX_JITTER = 0.5  # of a step: more than rounding to ms makes, less than one lost sample
_MAX_STEP_S = 0.1  # a longer step is in ms, or the number of the sample


def read(path: Path, options: ReadOptions) -> Recording:
    """Read a table, separated by commas, semicolons or tabs.

    Its header names the twelve leads, each maybe with a unit in brackets, `V1 (mV)`, and a column
    `time` in s, or in ms as `time (ms)`, unless the user states the sampling frequency. Decimal
    commas are read where something else separates the columns.

    Raises:
        InputError: It is no such table, or larger than 32 MiB.
    """
    first_line, _, body = _decode(read_bytes(path, path.parent, _MAX_BYTES)).partition("\n")
    separator, columns = _header(path, first_line)
    matches = [_NAME_AND_UNIT.fullmatch(column) for column in columns]
    names = [m[1].strip() if m else column for m, column in zip(matches, columns, strict=True)]
    units = [m[2].strip() if m else "" for m in matches]
    order, others = lead_columns(path, names)
    factors = [
        millivolts_per_unit(path, lead, units[at], options)
        for lead, at in zip(LEADS, order, strict=True)
    ]
    times = [at for at, name in enumerate(names) if _TIME.fullmatch(name)][:1]
    values = _values(path, body, separator, len(columns), [*order, *times])
    fs = _fs(path, values[:, len(LEADS)], units[times[0]], options) if times else None
    return Recording(
        path=path,
        signals=check_signals(path, values[:, : len(LEADS)] * factors),
        fs=sampling_frequency(path, fs, options),
        left_out=tuple(name for name in others if not times or name != names[times[0]]),
    )


def _decode(data: bytes) -> str:
    """Return UTF-16 by its mark, else UTF-8, else Windows-1252, which European devices write."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _header(path: Path, line: str) -> tuple[str, list[str]]:
    """Return the separator of the columns, and their names."""
    separator = max(_SEPARATORS, key=line.count)
    n_columns = line.count(separator) + 1
    if not len(LEADS) <= n_columns <= _MAX_COLUMNS:
        raise InputError(
            f"{path}: expected a header row of {len(LEADS)} to {_MAX_COLUMNS} names, separated "
            f"by commas, semicolons or tabs. Received: {quoted(line.strip())}"
        )
    try:
        (names,) = csv.reader([line], delimiter=separator)
    except (csv.Error, ValueError):
        raise InputError(f"{path}: expected a header row. Received: {quoted(line)}") from None
    return separator, [name.strip() for name in names]


def _values(
    path: Path, body: str, separator: str, n_columns: int, used: list[int]
) -> npt.NDArray[np.float64]:
    """Return the used columns as numbers, shape (n_samples, n_used)."""
    rows = [line for line in body.splitlines() if line.strip()]
    if not rows:
        raise InputError(f"{path}: expected a row a sample. Received: a header alone")
    for number, row in enumerate(rows, start=1):  # NumPy would join rows at open quotes
        n_values = row.count(separator) + 1
        if row.count('"') % 2 or n_values != n_columns:
            commas = ". Are these decimal commas?" if n_values == 2 * n_columns else ""
            raise InputError(
                f"{path}: row {number}: expected {n_columns} values, as the header has names, and "
                f"quotes that end where they begin. Received: {n_values} values{commas}"
            )
    if separator != "," and "," in body:
        if "." in body:
            raise InputError(f"{path}: expected decimal points or decimal commas. Received: both")
        rows = [row.replace(",", ".") for row in rows]
    options = {"delimiter": separator, "usecols": used, "comments": None, "ndmin": 2}
    try:
        values: npt.NDArray[np.float64] = np.loadtxt(rows, quotechar='"', **options)  # type: ignore[call-overload]
    except ValueError as error:
        # NumPy's: could not convert string 'x' to float64 at row 0, column 1.
        match = re.search(r"string (.*) to float64 at row (\d+), column (\d+)", str(error), re.S)
        where = f"row {int(match[2]) + 1}, column {match[3]}" if match else "each row"
        received = quoted(match[1].strip("'\"")) if match else "something else"
        raise InputError(f"{path}: {where}: expected a number. Received: {received}") from None
    return values


def _fs(path: Path, times: npt.NDArray[np.float64], unit: str, options: ReadOptions) -> float:
    """Return the sampling frequency in Hz of evenly spaced times."""
    if unit.lower() not in _SECONDS:
        raise InputError(f"{path}: expected the time in s or ms. Received: {quoted(unit)}")
    if len(times) < 2 or not np.isfinite(times).all() or times[-1] <= times[0]:
        raise InputError(f"{path}: expected times that rise. Received: others")
    times = times * _SECONDS[unit.lower()]
    step = (times[-1] - times[0]) / (len(times) - 1)
    if step > _MAX_STEP_S and not unit and options.fs:
        for scale in (1e-3, 1 / options.fs):  # ms, or numbers of samples
            if math.isclose(scale * step * options.fs, 1, rel_tol=1e-3):
                times, step = times * scale, step * scale
                break
    if step > _MAX_STEP_S:
        raise InputError(
            f"{path}: expected the time in s. Received: steps of {step:g}. The header names "
            "another unit, as in `time (ms)`; or --fs says the sampling frequency in Hz"
        )
    steps = np.diff(times)
    jitter = np.abs(steps - step)
    if jitter.max() > _MAX_JITTER * step:
        at = int(jitter.argmax())
        raise InputError(
            f"{path}: row {at + 2}: expected evenly spaced times. "
            f"Received: a step of {steps[at]:.3g} s, not {step:.3g} s"
        )
    fs = 1 / step
    whole = max(1, round(fs))  # times that were rounded fit a range of frequencies
    off = np.abs(times - times[0] - np.arange(len(times)) / whole)
    return float(whole if off.max() <= _MAX_JITTER / whole else fs)
