"""How every command prints: lines, facts and tables, for a terminal and for a file or a pipe."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.style import Style
from rich.table import Table
from rich.text import Text

from lvh.errors import at_words, masked

_WIDTH = 76  # of the widest table
_LINE = 10_000  # letters of a row in a file or a pipe, which nothing breaks
_ROOT = Path(__file__).parents[2]
_ADDRESS = re.compile(r"https?://[^\s'\"]*[^\s'\".,;:)]|\bdocs/\w+\.md")


class _Console(Console):
    """A console whose reader may close the pipe, which must not end a training."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def console() -> Console:
    """Return a console on standard output: wide enough for the tables, or for any row of a file."""
    shown_on = Console()
    return _Console(width=max(shown_on.width, _WIDTH) if shown_on.is_terminal else _LINE)


def progress(*columns: TextColumn | TimeRemainingColumn, hidden: bool = False) -> Progress:
    """Return a progress bar, which only a terminal shows, until it is done."""
    shown_on = console()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        *columns,
        console=shown_on,
        transient=True,
        expand=True,
        # a notebook asks for colours, as a terminal has them, but cannot draw over a line
        disable=hidden or not shown_on.file.isatty(),
    )


def say(
    *lines: str,
    style: str | None = None,
    on: Console | None = None,
    wraps: bool = True,
    link: Path | None = None,
    indent: str = "",
) -> None:
    """Print lines as they are, without reading them as markup.

    A terminal gets them wrapped at words, no path or address cut, with addresses, pages of docs/
    and `link`, a path in a line, to click; a file or a pipe gets a line as a line. A line to paste
    never `wraps`.
    """
    shown_on = on or console()
    for line in masked("\n".join(lines)).split("\n") if lines else ():
        if wraps and shown_on.is_terminal:
            line = at_words(line, indent)
        shown_on.print(_clickable(line, style or "", link), soft_wrap=True)


def _clickable(line: str, style: str = "", link: Path | None = None) -> Text:
    text = Text(line, style)
    if not style:
        text.highlight_regex(r"^[a-z]+:(?= )", "bold cyan")
    for address in _ADDRESS.finditer(line):
        page = _ROOT / address[0]
        target = page.as_uri() if page.is_file() else address[0]
        text.stylize(Style(link=target if ":" in target else None), *address.span())
    if link is not None and (start := line.rfind(str(link))) >= 0:
        text.stylize(Style(link=link.absolute().as_uri()), start, start + len(str(link)))
    return text


def show_facts(facts: Mapping[str, str], title: str = "", *, on: Console | None = None) -> None:
    """Print texts by their names: a terminal gets a frame, a file or a pipe a line for each."""
    shown_on = on or console()
    given = {name: text for name, text in facts.items() if text}
    if not shown_on.is_terminal:
        say(*filter(None, [title]), *(f"{one}: {text}" for one, text in given.items()), on=shown_on)
        return
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(style="bold cyan", no_wrap=True, min_width=10)
    grid.add_column(ratio=1, overflow="fold")
    for name, text in given.items():
        grid.add_row(Text(name), _clickable(masked(text)))
    heading = Text(title, "bold") if title else None
    shown_on.print(Panel(grid, title=heading, title_align="left", border_style="dim"))


def show_table(table: Table, on: Console | None = None) -> None:
    """Print a table: as wide as a terminal; in a file or a pipe a row a line, without rules."""
    shown_on = on or console()
    table.title_justify, table.title_style = "left", "bold"
    if shown_on.is_terminal:
        table.box, table.expand = SIMPLE_HEAD, True
    else:
        if table.title:  # the table would break it at its own width
            say(str(table.title), on=shown_on)
        table.title = None
        table.box, table.padding, table.pad_edge = None, (0, 2, 0, 0), False
    shown_on.print(table)


def near(address: str) -> str:
    """Return a path, or the address of an embedded store, as seen from the working directory."""
    return re.sub(f"^(sqlite:///)?{re.escape(str(Path.cwd()))}/", "", address)
