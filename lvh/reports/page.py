"""One page for a sweep, a run, a comparison and a data set: one template, one look, no network."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lvh.files import write_text

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

BLUE, ORANGE, GREY = "#3b7dbd", "#d07a2c", "#8a8f98"
COLOURS = (BLUE, ORANGE, "#3a9a6b", "#b65fa8", "#9a8a2a", "#5d6bd6", "#c4504f", "#2d9aa8")


def write_page(
    path: Path, template: str, *, figures: "Mapping[str, Figure]", **content: object
) -> Path:
    """Write an HTML page that needs no other file; text in its content is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    templates = Environment(
        loader=PackageLoader("lvh.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["table"] = lambda frame: Markup(_table(frame))
    templates.filters["percent"] = lambda share: f"{100 * share:.1f}\N{NO-BREAK SPACE}%"
    # as data of a script, which nothing in them can end
    texts = {
        name: figure.update_layout(template=None).to_json() for name, figure in figures.items()
    }
    content["figures"] = {name: Markup(one.replace("<", "\\u003c")) for name, one in texts.items()}
    content["colours"] = COLOURS
    content["plotly"] = Markup(get_plotlyjs()) if figures else ""
    write_text(path, templates.get_template(template).render(content))
    return path


def write_table(path: Path, table: "pd.DataFrame", float_format: str | None = None) -> None:
    """Write a table as CSV, whole or not at all; what is undefined is empty."""
    write_text(path, table.to_csv(index=False, lineterminator="\n", float_format=float_format))


def data_uri(picture: bytes, kind: str = "png") -> str:
    """Return a picture as an address that holds all of it."""
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode("ascii")


def clipped(text: str, length: int) -> str:
    """Return text that fits, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _table(frame: "pd.DataFrame") -> str:
    import pandas as pd

    with pd.option_context("display.max_colwidth", None):
        return str(frame.to_html(index=False, border=0, na_rep="", float_format="{:.3f}".format))
