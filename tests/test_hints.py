"""What the output suggests can be pasted; text fits the terminal; `outputs/latest` leads there."""

import shlex
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvh.runs.hints import typed
from lvh.runs.lookup import choose
from lvh.tracking.run_dir import link_latest

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
