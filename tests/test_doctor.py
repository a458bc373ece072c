"""The doctor on things that are really broken. It must change none of them."""

import re
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import _OURS

from lvh.cli.doctor import main

SMALL = ("data=synthetic", "model=svm", "features=voltage")
CHECKS = ["python", "packages", "settings", "backend", "data", "tracking", "studies", "folders"]


@dataclass
class Examined:
    """What the doctor said."""

    code: int
    lines: list[str]

    def of(self, check: str) -> str:
        (line,) = [one for one in self.lines if one.split()[1] == check]
        return line

    def assert_at_fault(self, check: str, *parts: str, code: int = 3) -> None:
        (line,) = [one for one in self.lines if one.startswith("fault ")]
        assert line.split()[1] == check
        for part in parts:
            assert part in line
        assert self.code == code


@pytest.fixture
def examine(tmp_path, monkeypatch, capsys) -> Callable[..., Examined]:
    """Run the doctor in a directory of its own; nothing there, nor in the cache, may change."""
    here = tmp_path / "work"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in (*_OURS, *(f"{one}_PROXY" for one in ("HTTP", "HTTPS", "ALL"))):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    def run(*arguments: str) -> Examined:
        before = sorted(tmp_path.rglob("*"))
        code = main([*SMALL, *arguments])
        assert sorted(tmp_path.rglob("*")) == before
        captured = capsys.readouterr()
        assert captured.err == ""
        assert "secret" not in captured.out
        return Examined(code, captured.out.splitlines())

    return run


def test_where_all_is_well_each_check_has_a_line(examine):
    examined = examine("-m", "model=svm,logistic", "seed=1,2")  # the command of a sweep
    assert examined.code == 0
    assert list(dict.fromkeys(line.split()[1] for line in examined.lines)) == CHECKS
    assert all(re.match(r"(ok|warning +folders) ", line) for line in examined.lines)
    assert re.search(r"\btensorflow \d+\.\d+", examined.of("packages"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("cv.folds=1", "cv.folds: expected"),
        ("tracking=http://me:secret@host", "tracking: expected an option"),
    ],
)
def test_a_wrong_argument_is_a_fault_with_exit_code_2(examine, override, message):
    examine(override).assert_at_fault("settings", message, code=2)


@pytest.mark.parametrize(
    ("check", "override", "parts"),
    [
        ("data", "data=ludb data.url=http://me:secret@{}/a.zip", ("http://me:***@", "data.root=")),
        ("tracking", "tracking.uri=http://me:secret@{}", ("http://me:***@", "tracking.uri")),
        ("studies", "search.storage=postgresql://me:secret@{}/x", ("me:***@", "search.storage")),
        ("tracking", "tracking.uri=sqlite:///taken/mlflow.db", ("taken", "tracking.uri")),
        ("folders", "store=taken/folds", ("cannot write", "store=")),
    ],
)
def test_what_cannot_be_used_is_named_with_its_setting(examine, check, override, parts):
    Path("taken").write_text("mine")
    with closing(socket.socket()) as probe:  # a port on which no process listens
        probe.bind(("127.0.0.1", 0))
        typed = override.format(f"127.0.0.1:{probe.getsockname()[1]}").split()
        examine(*typed).assert_at_fault(check, *parts)
