"""The doctor on things that are really broken. It must change none of them."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
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
DATABASES = {
    "tracking": ("mlflow.db", "tracking.uri=sqlite:///{}/mlflow.db"),
    "studies": ("studies.db", "search.storage=sqlite:///{}/studies.db"),
}


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
    found = examine()
    assert found.code == 0
    assert list(dict.fromkeys(line.split()[1] for line in found.lines)) == CHECKS
    assert all(re.match(r"(ok|warning +folders) ", line) for line in found.lines)
    assert re.search(r"\btensorflow \d+\.\d+", found.of("packages"))


def test_it_takes_the_command_of_a_sweep(examine):
    assert (
        examine("-m", "seed=1,2", "model.C=interval(0.1,1)", "train.threads=range(1,3)").code == 0
    )


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("model=vgg", "model=vgg: expected one of"),
        ("cv.folds=1", "cv.folds: expected"),
        ("tracking=http://me:secret@host", "tracking: expected an option"),
        ("hydra.callbacks.a._target_=builtins.open", "hydra.callbacks.a._target_: expected"),
    ],
)
def test_a_wrong_argument_is_a_fault_with_exit_code_2(examine, override, told):
    found = examine(override)
    found.assert_at_fault("settings", told, code=2)
    assert len(found.lines) == 3  # python and packages are checked in any case


def test_missing_and_old_packages_are_named_with_what_to_install(examine, monkeypatch):
    required = [
        "numpy>=99",
        "no-such-package>=1",
        'scipy>=99; extra == "x"',
        'no-extra; extra == "x"',
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: required)
    found = examine()
    assert found.code == 3
    lines = [line for line in found.lines if line.split()[1] == "packages"]
    assert [line.split()[0] for line in lines] == ["fault", "fault", "warning", "ok"]
    assert "expected numpy>=99. Received: " in lines[0]
    assert "no-such-package is missing. pip install 'no-such-package>=1'" in lines[1]


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is there")
def test_a_backend_that_is_not_installed(examine):
    found = examine("model=dnn", "features=ntp", "backend=torch")
    found.assert_at_fault("backend", "pip install 'lvh[torch]'")


@pytest.mark.parametrize(
    ("code", "state", "told"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "fault", "exit code -4"),
        ("raise ImportError('libcudart.so.12: cannot open')", "fault", "libcudart.so.12: cannot"),
        (None, "ok", "tensorflow 2"),
    ],
)
def test_the_backend_is_tried_in_a_process_of_its_own(tmp_path, code, state, told):
    paths = [os.environ.get("PYTHONPATH")]
    if code is not None:
        (tmp_path / "broken/tensorflow").mkdir(parents=True)
        (tmp_path / "broken/tensorflow/__init__.py").write_text(code)
        paths.insert(0, str(tmp_path / "broken"))
    here = tmp_path / "work"
    here.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "lvh.doctor", "data=synthetic"],
        cwd=here,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0 if state == "ok" else 3, "")
    (line,) = [one for one in done.stdout.splitlines() if "backend " in one]
    assert line.startswith(f"{state} ")
    assert told in line
    assert not list(here.iterdir())


class TestData:
    def test_a_folder_that_is_there(self, examine, data_set):
        assert "is there" in examine("data=ludb", f"data.root={data_set}").of("data")

    def test_a_folder_that_is_not_there(self, examine):
        found = examine("data=ludb", "data.root=nowhere")
        found.assert_at_fault("data", "nowhere", "data=synthetic", code=2)

    def test_a_download_that_cannot_be_had(self, examine):
        found = examine("data=ludb", f"data.url=http://me:secret@127.0.0.1:{closed_port()}/a.zip")
        found.assert_at_fault("data", "http://me:***@127", "data.root=")
        with served(404) as address:
            examine("data=ludb", f"data.url={address}/a.zip").assert_at_fault("data", address)

    def test_a_download_that_can_be_had(self, examine):
        with served(200) as address:
            line = examine("data=ludb", f"data.url={address}/a.zip").of("data")
        assert line.startswith("ok ")
        assert f"downloads it from {address}/a.zip" in line

    def test_one_that_was_downloaded(self, examine, tmp_path):
        (tmp_path / "cache/lvh/ludb-1.0.1").mkdir(parents=True)
        assert examine("data=ludb").of("data").startswith("ok ")

    def test_data_that_are_only_scored_are_looked_at_too(self, examine):
        given = ("cv=external", "external=ptbxl", "external.root=nowhere")
        found = examine(*given)
        assert found.code == 2
        lines = [line for line in found.lines if line.split()[1] == "data"]
        assert [line.split()[0] for line in lines] == ["ok", "fault"]


class TestStores:
    @pytest.mark.parametrize("check", DATABASES)
    def test_a_database_whose_folder_cannot_be_written(self, examine, check):
        Path("taken").write_text("mine")
        found = examine(DATABASES[check][1].format("taken"))
        found.assert_at_fault(check, "cannot write", "taken", "Not a directory")

    @pytest.mark.parametrize("check", DATABASES)
    def test_a_database_that_is_whole_or_damaged(self, examine, check):
        file = Path(DATABASES[check][0])
        with closing(sqlite3.connect(file)) as database:
            database.executescript("create table a (b); insert into a values (zeroblob(50000));")
        assert examine().of(check).startswith("ok ")
        file.write_bytes(file.read_bytes()[:9000])
        examine().assert_at_fault(check, str(file.absolute()), "malformed")
        file.write_bytes(b"not a database " * 100)
        examine().assert_at_fault(check, "not a database")

    def test_a_database_of_studies_that_is_gone(self, examine):
        pytest.importorskip("psycopg")
        found = examine(f"search.storage=postgresql://me:secret@127.0.0.1:{closed_port()}/studies")
        found.assert_at_fault("studies", "postgresql://me:***@127", "search.storage")

    def test_a_tracking_server_that_is_gone(self, examine):
        found = examine(f"tracking.uri=http://me:secret@127.0.0.1:{closed_port()}")
        found.assert_at_fault("tracking", "http://me:***@127", "does not answer", "tracking=off")

    @pytest.mark.parametrize(("status", "told"), [(404, "404"), (401, "MLFLOW_TRACKING_PASSWORD")])
    def test_a_server_that_refuses(self, examine, status, told):
        with served(status) as address:
            examine(f"tracking.uri={address}").assert_at_fault("tracking", address, told)

    def test_a_server_that_answers(self, examine):
        with served(200) as address:
            assert f"{address} answers" in examine(f"tracking.uri={address}").of("tracking")

    def test_a_store_of_folds_that_cannot_be_written(self, examine):
        Path("taken").write_text("mine")
        examine("store=taken/folds").assert_at_fault("folders", "cannot write", "store=")

    @pytest.mark.parametrize(("mib", "state"), [(50, "fault"), (500, "warning"), (5000, "ok")])
    def test_the_room_on_the_disk(self, examine, monkeypatch, mib, state):
        usage = shutil.disk_usage(".")._replace(free=mib * 2**20)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
        found = examine()
        assert found.lines[-1].startswith(f"{state:<8} folders   {mib:,} MiB are free in ")
        assert found.code == (3 if state == "fault" else 0)


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
