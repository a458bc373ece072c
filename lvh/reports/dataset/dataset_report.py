"""The folder of an exploration: pictures and tables as files, and one page with all of it."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from lvh.files import write_text
from lvh.reports.dataset.sections import Exploration, sections, source_facts
from lvh.reports.figures import save_pictures
from lvh.reports.page import PageTable, write_page

PAGE = "explore.html"
_MOST_ROWS = 60  # of a table on the page; the file has all


def write(of: Exploration, folder: Path, on_section: Callable[[str], None]) -> Path:
    """Write the report of a data set.

    Args:
        of: What was loaded and measured.
        folder: Made if it is not there; what it has of the same names is replaced.
        on_section: Gets the title of each section, once it is drawn.

    Returns:
        The page, which needs none of the other files.

    Raises:
        EnvironmentFault: The folder cannot be written.
    """
    facts = source_facts(of)
    _write_table(pd.DataFrame(facts.items(), columns=["what", "value"]), folder / "source.csv")
    parts = []
    for section in sections(of):
        for name, table in section.tables.items():
            _write_table(table, folder / f"{name}.csv")
        tables = {name: _page_table(table) for name, table in section.tables.items()}
        parts.append((section, save_pictures(section.pictures, folder), tables))
        on_section(section.title)
    return write_page(
        folder / PAGE,
        "dataset/dataset_report.html",
        title=of.cohort.name,
        about="The data, before any model",
        note=of.cohort.note,
        facts=facts,
        parts=parts,
        most_rows=_MOST_ROWS,
    )


def _write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, floats with six digits; what is undefined is empty."""
    numbers = table.astype(dict.fromkeys(table.select_dtypes("bool"), int))  # 1 and 0
    write_text(path, numbers.to_csv(index=False, float_format="%.6g"))


def _page_table(table: pd.DataFrame) -> PageTable:
    """Return a table for a reader: three decimals, nothing where there is nothing."""
    text = [at for at, name in enumerate(table) if not pd.api.types.is_numeric_dtype(table[name])]
    shown = table.head(_MOST_ROWS).map(
        lambda cell: cell if not isinstance(cell, float) else "" if cell != cell else f"{cell:.3f}"
    )
    rows = list(shown.itertuples(index=False))
    return PageTable(columns=list(table), rows=rows, text=text)
