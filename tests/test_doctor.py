"""The doctor on things that are really broken. It must change none of them."""

import importlib.metadata
import re
import shutil
import socket
import sqlite3
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


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


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
        before = snapshot(tmp_path)
        code = main([*SMALL, *arguments])
        assert snapshot(tmp_path) == before
        captured = capsys.readouterr()
        assert captured.err == ""
        assert "secret" not in captured.out
        return Examined(code, captured.out.splitlines())

    return run


def test_where_all_is_well_each_check_has_a_line(examine):
    examined = examine()
    assert examined.code == 0
    assert list(dict.fromkeys(line.split()[1] for line in examined.lines)) == CHECKS
    assert all(re.match(r"(ok|warning +folders) ", line) for line in examined.lines)
    assert re.search(r"\btensorflow \d+\.\d+", examined.of("packages"))


def test_it_takes_the_command_of_a_sweep(examine):
    assert (
        examine("-m", "seed=1,2", "model.C=interval(0.1,1)", "train.threads=range(1,3)").code == 0
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model=vgg", "model=vgg: expected one of"),
        ("cv.folds=1", "cv.folds: expected"),
        ("tracking=http://me:secret@host", "tracking: expected an option"),
        (
            "hydra.callbacks.a._target_=builtins.open",
            "any code that it names",
        ),
    ],
)
def test_a_wrong_argument_is_a_fault_with_exit_code_2(examine, override, message):
    examined = examine(override)
    examined.assert_at_fault("settings", message, code=2)
    assert len(examined.lines) == 3  # python and packages are checked in any case


def test_missing_and_old_packages_are_named_with_what_to_install(examine, monkeypatch):
    required = [
        "numpy>=99",
        "no-such-package>=1",
        'scipy>=99; extra == "x"',
        'no-extra; extra == "x"',
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: required)
    examined = examine()
    assert examined.code == 3
    lines = [line for line in examined.lines if line.split()[1] == "packages"]
    assert [line.split()[0] for line in lines] == ["fault", "fault", "warning", "ok"]
    assert "expected numpy>=99. Received: " in lines[0]
    assert "no-such-package is missing. pip install 'no-such-package>=1'" in lines[1]


@pytest.mark.parametrize(
    ("code", "state", "text"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "fault", "exit code -4"),
        (None, "ok", "tensorflow 2"),
    ],
)
def test_the_backend_is_tried_in_a_process_of_its_own(
    examine, tmp_path, tmp_path_factory, monkeypatch, code, state, text
):
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path_factory.mktemp("matplotlib")))  # of Keras
    if code is not None:
        (tmp_path / "broken/tensorflow").mkdir(parents=True)
        (tmp_path / "broken/tensorflow/__init__.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path / "broken"))
    line = examine("model=dnn", "features=ntp").of("backend")
    assert line.startswith(f"{state} ")
    assert text in line


def test_data_are_there_or_can_be_downloaded(examine, data_set, tmp_path):
    assert "is there" in examine("data=ludb", f"data.root={data_set}").of("data")
    examine("data=ludb", "data.root=nowhere").assert_at_fault("data", "nowhere", code=2)
    with served(404) as address:
        examine("data=ludb", f"data.url={address}/a.zip").assert_at_fault("data", address)
    with served(200) as address:
        line = examine("data=ludb", f"data.url={address}/a.zip").of("data")
    assert line.startswith("ok ")
    assert f"downloads it from {address}/a.zip" in line
    external = examine("cv=external", "external=ptbxl", "external.root=nowhere")
    lines = [line for line in external.lines if line.split()[1] == "data"]
    assert [line.split()[0] for line in lines] == ["ok", "fault"]
    (tmp_path / "cache/lvh/ludb-1.0.1").mkdir(parents=True)
    assert examine("data=ludb").of("data").startswith("ok ")


@pytest.mark.parametrize(
    ("check", "override", "parts"),
    [
        ("data", "data=ludb data.url=http://me:secret@{}/a.zip", ("http://me:***@", "data.root=")),
        ("tracking", "tracking.uri=http://me:secret@{}", ("http://me:***@", "does not answer")),
        ("studies", "search.storage=postgresql://me:secret@{}/x", ("me:***@", "search.storage")),
        ("tracking", "tracking.uri=sqlite:///taken/mlflow.db", ("cannot write", "taken")),
        ("studies", "search.storage=sqlite:///taken/studies.db", ("cannot write", "taken")),
        ("folders", "store=taken/folds", ("cannot write", "store=")),
    ],
)
def test_what_cannot_be_used_is_named_with_its_setting(examine, check, override, parts):
    Path("taken").write_text("mine")
    typed = override.format(f"127.0.0.1:{closed_port()}").split()
    examine(*typed).assert_at_fault(check, *parts)


@pytest.mark.parametrize(("check", "file"), [("tracking", "mlflow.db"), ("studies", "studies.db")])
def test_a_database_that_is_damaged(examine, check, file):
    with closing(sqlite3.connect(file)) as database:
        database.executescript("create table a (b); insert into a values (zeroblob(50000));")
    assert examine().of(check).startswith("ok ")
    Path(file).write_bytes(Path(file).read_bytes()[:9000])
    examine().assert_at_fault(check, str(Path(file).absolute()), "malformed")


@pytest.mark.parametrize(
    ("status", "parts"), [(404, ["404"]), (401, ["MLFLOW_TRACKING_PASSWORD"]), (200, [])]
)
def test_a_tracking_server_is_asked(examine, status, parts):
    with served(status) as address:
        examined = examine(f"tracking.uri={address}")
    if parts:
        examined.assert_at_fault("tracking", address, *parts)
    else:
        assert f"{address} answers" in examined.of("tracking")


@pytest.mark.parametrize(("mib", "state"), [(50, "fault"), (500, "warning"), (5000, "ok")])
def test_the_room_on_the_disk(examine, monkeypatch, mib, state):
    usage = shutil.disk_usage(".")._replace(free=mib * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    examined = examine()
    assert examined.lines[-1].startswith(f"{state:<8} folders   {mib:,} MiB are free in ")
    assert examined.code == (3 if state == "fault" else 0)


def closed_port() -> int:
    """Return a port that no process listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served(status: int) -> Iterator[str]:
    """Answer any request with a status; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.end_headers()

        do_HEAD = do_POST = answer

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
