"""Output fits a terminal of any width; a file or a pipe gets whole rows without frames."""

import io
import re
import shlex
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lvh.errors import InputError
from lvh.reports.terminal import show_facts, show_table
from lvh.runs.hints import typed
from lvh.runs.lookup import choose
from lvh.tracking.run_dir import link_latest

CELLS = st.text("abcxyz0123456789.-/", min_size=1, max_size=12)
ROWS = st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=5)
SENTENCES = st.lists(CELLS, min_size=1, max_size=40).map(" ".join)
FACTS = st.dictionaries(st.text("abc", min_size=1, max_size=9), SENTENCES, min_size=1, max_size=5)


def shown(show, *arguments):
    file = io.StringIO()
    show(*arguments, on=Console(file=file, width=9999))
    return file.getvalue()


@given(ROWS, FACTS)
def test_a_pipe_gets_a_row_a_line_whose_columns_a_script_can_split(rows, facts):
    long = f"scores of [a] run{' on the records of a table' * 9}"
    table = Table("one", "two", "three", title=Text(long))
    for row in rows:
        table.add_row(*row)
    title, head, *lines = shown(show_table, table).splitlines()
    assert (title, head.split()) == (long, ["one", "two", "three"])
    assert [tuple(re.split(" {2,}", line.strip())) for line in lines] == rows
    printed = shown(show_facts, facts, "a run")
    assert printed == "".join(["a run\n", *(f"{name}: {text}\n" for name, text in facts.items())])


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
    with pytest.raises(InputError, match="RUN and --study: expected one of them"):
        choose("outputs/latest", None, "another")
    link_latest(tmp_path / "elsewhere")  # it has a place of its own
    assert Path("outputs/latest").resolve().name == "b"
    Path("outputs").rename("moved")
    assert Path("moved/latest").resolve().name == "b"
