"""One record as a table of text: a header row of names, then a row a sample."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import LEADS
from lvh.data.readers.leads import Recorded, Said, checked, lead_columns, mv_per_unit, rate
from lvh.data.readers.wfdb import shown
from lvh.errors import InputError
from lvh.files import read_bytes

_MAX_BYTES = 32 * 1024 * 1024  # ten seconds at 500 Hz have about one million
_MOST_COLUMNS = 256
_SEPARATORS = ",;\t"
_UNIT = re.compile(r"([^()\[\]]*)[(\[]([^()\[\]]*)[)\]]")  # no two ways to take a blank
_TIME = re.compile(r"t|time|time_s|seconds|sec", re.IGNORECASE)
_SECONDS = ("", "s", "sec", "seconds")
_UNEVEN = 0.5  # of a step: more than times written in ms are off, less than one sample amiss
_SLOWEST = 0.1  # s from sample to sample; more are ms, or the numbers of the samples


def read(path: Path, said: Said) -> Recorded:
    """Read a table, separated by commas, semicolons or tabs.

    Its header names the twelve leads, each maybe with a unit in brackets, `V1 (mV)`, and a column
    of the time in s, `time`, unless the sampling frequency is said.

    Args:
        path: Of the file.
        said: Unit and sampling frequency, where it does not say them.

    Raises:
        InputError: It is no such table, or of more than 32 MiB.
    """
    # what is no UTF-8 is no name of a lead and no number
    text = read_bytes(path, path.parent, _MAX_BYTES).decode("utf-8-sig", errors="replace")
    lines = io.StringIO(text)
    separator, header = _header(path, lines.readline())
    split = [_UNIT.fullmatch(name) for name in header]
    names = [of[1].strip() if of else name for of, name in zip(split, header, strict=True)]
    units = [of[2].strip() if of else "" for of in split]
    times = [at for at, name in enumerate(names) if _TIME.fullmatch(name)]
    order, others = lead_columns(path, names)
    factors = [
        mv_per_unit(path, lead, units[at], said) for lead, at in zip(LEADS, order, strict=True)
    ]
    used = [*order, *times[:1]]
    values = _values(path, lines, separator, len(header), used)
    fs = _fs(path, values[:, len(LEADS)], units[times[0]]) if times else None
    return Recorded(
        path=path,
        signals=checked(path, values[:, : len(LEADS)] * factors),
        fs=rate(path, fs, said),
        left_out=tuple(name for name in others if not times or name != names[times[0]]),
    )


def _header(path: Path, line: str) -> tuple[str, list[str]]:
    """Return what separates the columns, and their names."""
    separator = max(_SEPARATORS, key=line.count)
    n_columns = line.count(separator) + 1
    if not len(LEADS) <= n_columns <= _MOST_COLUMNS:
        raise InputError(
            f"{path}: expected a header row of {len(LEADS)} to {_MOST_COLUMNS} names, separated "
            f"by commas, semicolons or tabs. Received: {shown(line.strip())}"
        )
    try:
        (names,) = csv.reader([line], delimiter=separator)
    except (csv.Error, ValueError):
        raise InputError(f"{path}: expected a header row. Received: {shown(line)}") from None
    return separator, [name.strip() for name in names]


def _values(
    path: Path, lines: Iterator[str], separator: str, n_columns: int, used: list[int]
) -> npt.NDArray[np.float64]:
    rows = _rows(path, lines, separator, n_columns)
    options = {"delimiter": separator, "usecols": used, "comments": None, "ndmin": 2}
    try:
        first = next(rows, None)
        if first is None:
            raise InputError(f"{path}: expected a row a sample. Received: a header alone")
        return np.loadtxt(_again(first, rows), quotechar='"', **options)  # type: ignore[call-overload, no-any-return]
    except ValueError as error:
        # NumPy's: could not convert string 'x' to float64 at row 0, column 1.
        found = re.search(r"string (.*) to float64 at row (\d+), column (\d+)", str(error), re.S)
        where = f"row {int(found[2]) + 1}, column {found[3]}" if found else "each row"
        what = shown(found[1].strip("'\"")) if found else "something else"
        raise InputError(f"{path}: {where}: expected a number. Received: {what}") from None


def _again(first: str, rows: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rows


def _rows(path: Path, lines: Iterator[str], separator: str, n_columns: int) -> Iterator[str]:
    """Yield the rows that have a value a column; NumPy would make room for any number of them."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if separator != "," and "," in line:
            raise InputError(
                f"{path}: row {number}: expected decimal points. Received: commas, "
                f"{shown(line.strip()[:30])}"
            )
        if line.count('"') % 2:  # NumPy would read on to where it ends, and lose rows
            raise InputError(f"{path}: row {number}: expected quotes that end where they begin")
        found = line.count(separator) + 1
        if found != n_columns:
            commas = ". Are these decimal commas?" if found == 2 * n_columns else ""
            raise InputError(
                f"{path}: row {number}: expected {n_columns} values, as the header has names. "
                f"Received: {found}{commas}"
            )
        yield line


def _fs(path: Path, times: npt.NDArray[np.float64], unit: str) -> float:
    """Return the sampling frequency in Hz that evenly spaced times have."""
    if unit.lower() not in _SECONDS:
        raise InputError(f"{path}: expected the time in s. Received: {shown(unit)}")
    if len(times) < 2 or not np.isfinite(times).all() or times[-1] <= times[0]:
        raise InputError(f"{path}: expected times that rise. Received: others")
    step = (times[-1] - times[0]) / (len(times) - 1)
    if step > _SLOWEST:
        raise InputError(f"{path}: expected the time in s. Received: steps of {step:g}")
    steps = np.diff(times)
    uneven = np.abs(steps - step)
    if uneven.max() > _UNEVEN * step:
        at = int(uneven.argmax())
        raise InputError(
            f"{path}: row {at + 2}: expected evenly spaced times. "
            f"Received: a step of {steps[at]:.3g} s, not {step:.3g} s"
        )
    fs = 1 / step
    whole = max(1, round(fs))  # times that were rounded fit a range of frequencies
    off = np.abs(times - times[0] - np.arange(len(times)) / whole)
    return float(whole if off.max() <= _UNEVEN / whole else fs)
