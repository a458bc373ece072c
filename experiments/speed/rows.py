"""What is measured, in long form: every repeat, its summary, and both as CSV."""

import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common import read as read_rows
from _common import write as write_rows


class Row(NamedTuple):
    """One figure of one repeat.

    Attributes:
        part: Of the benchmark.
        what: Is measured.
        side: `notebook`, `ours`, or another thing that is compared; `ratio` of two.
        repeat: From 1.
        value: In `unit`.
        unit: As s, MiB, GFLOP/s or x.
    """

    part: str
    what: str
    side: str
    repeat: int
    value: float
    unit: str


class Figure(NamedTuple):
    """A figure over all repeats; fields as in `Row`."""

    part: str
    what: str
    side: str
    unit: str
    median: float
    low: float
    high: float
    repeats: int


def read(path: Path) -> list[Row]:
    """Read rows of an earlier run, none if there was none."""
    return [
        Row(**{**row, "repeat": int(row["repeat"]), "value": float(row["value"])})
        for row in read_rows(path)
    ]


def write(path: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    """Write rows, numbers with six digits."""
    texts = ([f"{one:.6g}" if isinstance(one, float) else one for one in row] for row in rows)
    write_rows(path, [dict(zip(header, row, strict=True)) for row in texts])


def ratios(rows: Iterable[Row], over: str, under: str, unit: str = "x") -> list[Row]:
    """Divide one side by another, repeat by repeat, wherever both are known."""
    known = {(one.part, one.what, one.side, one.repeat): one.value for one in rows}
    return [
        Row(part, what, f"{over} / {under}", repeat, value / known[part, what, under, repeat], unit)
        for (part, what, side, repeat), value in known.items()
        if side == over and (part, what, under, repeat) in known
    ]


def summaries(rows: Iterable[Row]) -> list[Figure]:
    """Summarise over repeats, in the order of first appearance."""
    values: dict[tuple[str, str, str, str], list[float]] = {}
    for one in rows:
        values.setdefault((one.part, one.what, one.side, one.unit), []).append(one.value)
    return [
        Figure(*key, statistics.median(known), min(known), max(known), len(known))
        for key, known in values.items()
    ]
