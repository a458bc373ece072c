"""Output fits a terminal of any width; a file or a pipe gets whole rows without frames."""

import io
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

import lvh
from lvh.reports.terminal import console, show_facts, show_table

CELLS = st.text("abcxyz0123456789.-/", min_size=1, max_size=12)
ROWS = st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=5)
SENTENCES = st.lists(CELLS, min_size=1, max_size=40).map(" ".join)
FACTS = st.dictionaries(st.text("abc", min_size=1, max_size=9), SENTENCES, min_size=1, max_size=5)


def shown(show, *arguments, width=None):
    file = io.StringIO()
    terminal = {"force_terminal": True, "width": width}
    show(*arguments, on=Console(file=file, **terminal) if width else Console(file=file, width=9999))
    return file.getvalue()


def table_of(rows):
    table = Table("one", "two", "three", title="scores of a run")
    for row in rows:
        table.add_row(*row)
    return table


@given(ROWS, FACTS, st.sampled_from([80, 140]))
def test_tables_and_frames_are_as_wide_as_the_terminal_and_lose_nothing(rows, facts, width):
    lines = [*shown(show_table, table_of(rows), width=width).splitlines()]
    lines += shown(show_facts, facts, "a run", width=width).splitlines()
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    assert {cell_len(line) for line in plain} == {width}
    given = [*(cell for row in rows for cell in row), *facts, *" ".join(facts.values()).split()]
    assert set(given) <= set(" ".join(plain).split())


@given(ROWS, FACTS)
def test_a_pipe_gets_a_row_a_line_whose_columns_a_script_can_split(rows, facts):
    title, head, *lines = shown(show_table, table_of(rows)).splitlines()
    assert (title.strip(), head.split()) == ("scores of a run", ["one", "two", "three"])
    assert [tuple(re.split(" {2,}", line.strip())) for line in lines] == rows
    printed = shown(show_facts, facts, "a run")
    assert printed == "".join(["a run\n", *(f"{name}: {text}\n" for name, text in facts.items())])


def test_no_row_is_cut_where_nobody_looks(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert console().width > 1000


def test_every_page_that_a_message_names_is_there():
    root = Path(lvh.__file__).parents[1]
    texts = [path.read_text() for path in root.glob("lvh/**/*.py")]
    named = {page for text in texts for page in re.findall(r"docs/[a-z_]+\.md", text)}
    assert len(named) > 3
    assert [page for page in named if not (root / page).is_file()] == []
