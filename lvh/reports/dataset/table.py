"""A table: what a picture draws, as numbers in a CSV file and, if it is short, on the page."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from lvh.files import write_text

Cell = str | int | float
_SHORT = 60  # rows that a page has room for


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under names.

    Attributes:
        name: Of its file, without the ending.
        columns: Names, in their order.
        rows: A cell a column; a float that is NaN is an empty cell.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def is_short(self) -> bool:
        """Whether a page shows it."""
        return len(self.rows) <= _SHORT

    def write(self, folder: Path) -> Path:
        """Write it as CSV, floats with six digits, and return the file.

        Raises:
            EnvironmentFault: The folder cannot be written.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([plain(cell) for cell in row] for row in self.rows)
        path = folder / f"{self.name}.csv"
        write_text(path, text.getvalue())
        return path


def table_of(name: str, kind: Any, rows: Iterable[tuple[Cell, ...]]) -> Table:
    """Make a table of named tuples of one kind, whose fields are its columns."""
    return Table(name, kind._fields, tuple(tuple(row) for row in rows))


def of_records(name: str, records: Sequence[str], columns: Mapping[str, npt.NDArray[Any]]) -> Table:
    """Make a table with a row a record.

    Args:
        name: Of the table.
        records: Names, the first column.
        columns: The others by their names, each of shape (n_records,).
    """
    cells = [column.tolist() for column in columns.values()]
    return Table(name, ("record", *columns), tuple(zip(records, *cells, strict=True)))


def by_lead(
    leads: Sequence[str], parts: Mapping[str, npt.NDArray[Any]]
) -> dict[str, npt.NDArray[Any]]:
    """Split arrays of shape (n_records, n_leads) into columns, lead by lead: `v1_min`."""
    return {
        f"{lead}_{name}": part[:, at]
        for at, lead in enumerate(leads)
        for name, part in parts.items()
    }


def plain(cell: Cell) -> Cell:
    """Return a cell as it is written."""
    if isinstance(cell, bool):
        return int(cell)
    if isinstance(cell, float):
        return "" if math.isnan(cell) else f"{cell:.6g}"
    return cell
