"""What is measured, in long form: every repeat, its summary, and both as CSV."""

import csv
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


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
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            Row(part, what, side, int(repeat), float(value), unit)
            for part, what, side, repeat, value, unit in list(csv.reader(file))[1:]
        ]


def write(path: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    """Write a CSV whole, so that an interruption leaves the former one."""
    whole = path.with_suffix(".part")
    with whole.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(
            [f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row] for row in rows
        )
    whole.replace(path)


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
