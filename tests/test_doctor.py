"""The doctor on things that are really broken. It must change none of them."""

import importlib.metadata
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
        ("model=vgg", "model=vgg: expected one of"),
        ("cv.folds=1", "cv.folds: expected"),
        ("tracking=http://me:secret@host", "tracking: expected an option"),
    ],
)
def test_a_wrong_argument_is_a_fault_with_exit_code_2(examine, override, message):
    examined = examine(override)
    examined.assert_at_fault("settings", message, code=2)
    assert len(examined.lines) == 3  # python and packages are checked in any case


def test_missing_and_old_packages_are_named_with_what_to_install(examine, monkeypatch):
    required = ["numpy>=99", "no-such-package>=1", 'no-extra; extra == "x"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: required)
    examined = examine()
    assert examined.code == 3
    lines = [line for line in examined.lines if line.split()[1] == "packages"]
    assert [line.split()[0] for line in lines] == ["fault", "fault", "ok"]
    assert "expected numpy>=99. Received: " in lines[0]
    assert "Received: none. pip install 'no-such-package>=1'" in lines[1]


def test_data_are_there_or_can_be_downloaded(examine, data_set, tmp_path):
    assert "is there" in examine("data=ludb", f"data.root={data_set}").of("data")
    examine("data=ludb", "data.root=nowhere").assert_at_fault("data", "nowhere", code=2)
    with served(404) as address:
        examine("data=ludb", f"data.url={address}/a.zip").assert_at_fault("data", "status 404")
    with served(200) as address:
        line = examine("data=ludb", f"data.url={address}/a.zip").of("data")
    assert line.startswith("ok ")
    assert f"downloads it from {address}/a.zip" in line


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


def test_a_tracking_server_is_asked(examine):
    with served(401) as address:
        examine(f"tracking.uri={address}").assert_at_fault("tracking", address, "status 401")
    with served(200) as address:
        assert examine(f"tracking.uri={address}").of("tracking").startswith("ok ")


@pytest.mark.parametrize(("mib", "state"), [(50, "fault"), (500, "warning"), (5000, "ok")])
def test_free_disk_space_decides_the_state(examine, monkeypatch, mib, state):
    usage = shutil.disk_usage(".")._replace(free=mib * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    examined = examine()
    assert examined.lines[-1].startswith(f"{state:<8} folders   {mib:,} MiB are free in ")
    assert examined.code == (3 if state == "fault" else 0)


@contextmanager
def served(status: int) -> Iterator[str]:
    """Answer any request with a status; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
