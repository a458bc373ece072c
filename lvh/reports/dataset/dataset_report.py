"""The folder of an exploration: pictures and tables as files, and one page with all of it."""

import base64
from collections.abc import Callable
from pathlib import Path

from lvh.data.cohort import Cohort
from lvh.files import write_text
from lvh.reports.dataset.canvas import save
from lvh.reports.dataset.section import Known, Section
from lvh.reports.dataset.sections import head, sections
from lvh.reports.dataset.table import Table, plain

PAGE = "explore.html"
_TEMPLATE = Path(__file__).with_name("dataset_page.html")


def write(known: Known, folder: Path, on_section: Callable[[str], None]) -> Path:
    """Write all that is known of a source.

    Args:
        known: What was loaded and measured.
        folder: Made if it is not there; what it has of the same names is replaced.
        on_section: Told the title of each section, once it is drawn.

    Returns:
        The page, which needs none of the other files.

    Raises:
        EnvironmentFault: The folder cannot be written.
    """
    source = head(known)
    source.write(folder)
    written = []
    for section in sections(known):
        written.append(_written(section, folder))
        on_section(section.title)
    page = folder / PAGE
    write_text(page, _page(known.cohort, source, written))
    return page


def _written(section: Section, folder: Path) -> tuple[Section, list[str]]:
    """Write the files of a section; return it with its pictures as data URIs."""
    for table in section.tables:
        table.write(folder)
    pictures = []
    for picture in section.pictures:
        path = folder / f"{picture.name}.png"
        save(picture.draw, path)
        pictures.append(_data(path))
    return section, pictures


def _page(cohort: Cohort, source: Table, written: list[tuple[Section, list[str]]]) -> str:
    from jinja2 import Environment, StrictUndefined

    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    made.filters["plain"] = _shown
    template = made.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        cohort=cohort,
        source=source,
        sections=[
            (section, list(zip(section.pictures, pictures, strict=True)))
            for section, pictures in written
        ],
    )


def _shown(cell: str | int | float) -> str | int | float:
    """Return a cell for a reader: three decimals, nothing where there is nothing."""
    if isinstance(cell, float) and plain(cell) != "":
        return f"{cell:.3f}"
    return plain(cell)


def _data(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
