"""The doctor on things that are really broken. It must change none of them."""

import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import _OURS

from lvh.cli.doctor import main

SMALL = ("data=synthetic", "model=svm", "features=voltage")
CHECKS = ["python", "packages", "settings", "backend", "data", "points"]
CHECKS += ["tracking", "studies", "folders"]


@pytest.fixture
def examine(tmp_path, monkeypatch, capsys) -> Callable[..., tuple[int, list[str]]]:
    """Run the doctor in a directory of its own; nothing there, nor in the cache, may change."""
    here = tmp_path / "work"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in (*_OURS, *(f"{one}_PROXY" for one in ("HTTP", "HTTPS", "ALL"))):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    def run(*arguments: str) -> tuple[int, list[str]]:
        before = sorted(tmp_path.rglob("*"))
        code = main([*SMALL, *arguments])
        assert sorted(tmp_path.rglob("*")) == before
        captured = capsys.readouterr()
        assert captured.err == ""
        assert "secret" not in captured.out
        return code, captured.out.splitlines()

    return run


def test_where_all_is_well_each_check_has_a_line(examine):
    code, lines = examine("-m", "model=svm,logistic", "seed=1,2")  # the command of a sweep
    assert code == 0
    assert list(dict.fromkeys(line.split()[1] for line in lines)) == CHECKS
    assert not [line for line in lines if line.startswith("fault")]


@pytest.mark.parametrize(
    ("check", "override", "parts"),
    [
        ("settings", "cv.folds=1", ("cv.folds: expected",)),
        ("points", "-m cv.folds=2,300", ("cv.folds=300: cv.folds: expected", "1 of 2 points")),
        ("data", "data=table data.path=gone.csv data.label=af", ("gone.csv: expected a file",)),
        ("data", "data=ludb data.url=http://me:secret@{}/a.zip", ("http://me:***@", "data.root=")),
        ("tracking", "tracking.uri=http://me:secret@{}", ("http://me:***@", "tracking.uri")),
        ("studies", "search.storage=postgresql://me:secret@{}/x", ("me:***@", "search.storage")),
        ("tracking", "tracking.uri=sqlite:///taken/mlflow.db", ("taken", "tracking.uri")),
        ("studies", "search.storage=taken", ("taken: it names no server",)),
        ("folders", "store=taken/folds", ("cannot write", "store=")),
    ],
)
def test_what_cannot_be_used_is_named_with_its_setting(examine, check, override, parts):
    Path("taken").write_text("mine")
    with closing(socket.socket()) as probe:  # a port on which no process listens
        probe.bind(("127.0.0.1", 0))
        typed = override.format(f"127.0.0.1:{probe.getsockname()[1]}").split()
        code, lines = examine(*typed)
    (line,) = [one for one in lines if one.startswith("fault ")]
    assert (code, line.split()[1]) == (2 if "expected" in line else 3, check)
    assert all(part in line for part in parts), line
