"""How pages and CSV files are written: one template, one kind of table, pictures inside."""

import base64
import csv
import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lvh.files import write_text


@dataclass(frozen=True, slots=True)
class PageTable:
    """A table of a page.

    Attributes:
        columns: Names.
        rows: Cells as a reader sees them.
        caption: A line above the table, or empty.
        text: Positions of the columns that hold words; the others hold numbers.
        classes: How each row looks: `best`, `worse` or nothing; empty for rows that look alike.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""
    text: Collection[int] = ()
    classes: Sequence[str] = ()


def write_page(path: Path, template: str, **content: object) -> Path:
    """Write an HTML page that needs no other file; return its path.

    Args:
        path: Of the page.
        template: Name of a template in this package that extends `page.html`, such as
            `study/study_report.html`.
        **content: What the template shows; text in it is escaped.

    Raises:
        EnvironmentFault: The folder cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    write_text(path, templates.get_template(template).render(content))
    return path


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def data_uri(png: bytes) -> str:
    """Return a picture as an address that holds all of it."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
