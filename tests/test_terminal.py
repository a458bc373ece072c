"""Output fits a terminal of any width; a file or a pipe gets whole rows without frames."""

import io
import re
import shlex
import sys
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

import lvh
from lvh.reports.terminal import console, say, show_facts, show_table
from lvh.runs.hints import typed
from lvh.runs.lookup import choose
from lvh.tracking.run_dir import link_latest

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


def test_a_terminal_can_click_addresses_pages_and_the_path_that_is_given():
    page = Path("out/report.html")
    line = f"page: {page}, see https://a.org/b and docs/sweeps.md"
    printed = shown(partial(say, link=page), line, width=200)
    docs = Path(lvh.__file__).parents[1] / "docs/sweeps.md"
    links = [page.absolute().as_uri(), "https://a.org/b", docs.as_uri()]
    assert re.findall(r"\x1b\]8;[^;]*;([^\x1b]+)\x1b", printed) == links


def test_every_page_that_a_message_names_is_there():
    root = Path(lvh.__file__).parents[1]
    texts = [path.read_text() for path in root.glob("lvh/**/*.py")]
    named = {page for text in texts for page in re.findall(r"docs/[a-z_]+\.md", text)}
    assert len(named) > 3
    assert [page for page in named if not (root / page).is_file()] == []


WORDS = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=20)


@given(st.lists(WORDS, max_size=5))
def test_a_suggestion_says_the_same_to_a_shell(arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["lvh"])
        line = typed("run", *arguments)
    assert shlex.split(line) == ["lvh", "run", *arguments]


def test_latest_leads_to_the_newest_folder_and_replaces_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        folder = Path("outputs/day") / name
        folder.mkdir(parents=True)
        link_latest(folder.absolute())
        assert Path("outputs/latest").resolve() == folder.absolute()
    assert choose("outputs/latest", None, None).run == str(tmp_path / "outputs/day/b")
    link_latest(tmp_path / "elsewhere")  # it has a place of its own
    assert Path("outputs/latest").resolve().name == "b"
    Path("outputs").rename("moved")
    assert Path("moved/latest").resolve().name == "b"
    Path("outputs/latest").mkdir(parents=True)
    link_latest(Path("outputs/day/c"))
    assert not Path("outputs/latest").is_symlink()
    assert sorted(path.name for path in Path("outputs").iterdir()) == ["latest"]
