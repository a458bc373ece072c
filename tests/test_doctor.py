"""The doctor on what it is for: things that are really broken. It must change none of them."""

import hashlib
import importlib.util
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from conftest import _OURS, kill_amid
from filelock import FileLock
from mlflow import MlflowClient
from packaging.specifiers import SpecifierSet

import lvh
from lvh.cli.doctor import data, installation, stores
from lvh.cli.doctor.__main__ import main
from lvh.data import ptbxl
from lvh.data.ptbxl import PtbxlSettings
from lvh.search.storage import Storage

SMALL = ("data=synthetic", "model=svm", "features=voltage")
CHECKS = ["python", "packages", "settings", "backend", "data", "tracking", "studies", "folds"]


@dataclass
class Examined:
    """What the doctor said."""

    code: int
    lines: list[str]

    def of(self, what: str) -> str:
        (line,) = [one for one in self.lines if one.split()[1] == what]
        return line

    def assert_at_fault(self, what: str, *parts: str, code: int = 3) -> None:
        line = self.of(what)
        assert line.startswith("fault "), line
        for part in parts:
            assert part in line
        others = [one for one in self.lines if one.startswith("fault ") and one != line]
        assert not others
        assert self.code == code

    def assert_warned(self, what: str, *parts: str) -> None:
        assert self.of(what).startswith("warning "), self.of(what)
        for part in parts:
            assert part in self.of(what)
        assert self.code == 0


Examine = Callable[..., Examined]


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


@pytest.fixture
def examine(tmp_path, monkeypatch, capsys) -> Examine:
    """Run the doctor in a directory of its own; nothing there, nor in the cache, may change."""
    here = tmp_path / "work"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in _OURS:
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> Examined:
        before = snapshot(tmp_path)
        code = main([*SMALL, *arguments])
        assert snapshot(tmp_path) == before
        captured = capsys.readouterr()
        assert captured.err == ""
        return Examined(code, captured.out.splitlines())

    return run


def doctor(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {key: value for key, value in os.environ.items() if key not in _OURS}
    return subprocess.run(
        [sys.executable, "-m", "lvh.doctor", *arguments],
        cwd=cwd,
        env={**variables, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_where_all_is_well_there_is_a_line_a_check_and_nothing_on_disk(examine):
    found = examine()
    assert found.code == 0
    assert [line.split()[1] for line in found.lines if "disk" not in line.split()[1]] == CHECKS
    assert all(re.match(r"(ok|warning +disk) ", line) for line in found.lines)
    packages = found.of("packages")
    for one in ("mlflow", "tensorflow", "optuna", "numpy"):
        assert re.search(rf"\b{one} \d+\.\d+", packages)


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(flag, capsys):
    assert main([flag]) == 0
    assert "python -m lvh.doctor data=synthetic" in capsys.readouterr().out


def test_the_command_trains_a_tiny_model_on_the_backend(tmp_path):
    done = doctor("data=synthetic", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^ok +backend +tensorflow computes on [CG]PU:\d; ", done.stdout, re.M)
    assert not list(tmp_path.iterdir())


def test_a_reader_that_leaves_is_no_traceback(tmp_path):
    command = [sys.executable, "-m", "lvh.doctor", *SMALL]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("model=vgg", "model=vgg: expected one of"),
        ("cv.folds=1", "cv.folds: expected"),
        ("train.epoch=3", "did you mean train.epochs?"),
        ("--cfg", "'--cfg': expected GROUP=OPTION"),
        ("tracking=http://me:secret@host", "tracking: expected an option"),
        ("hydra.callbacks.a._target_=builtins.open", "hydra.callbacks.a._target_: expected"),
    ],
)
def test_a_wrong_override_is_a_fault_of_what_was_typed(examine, override, told):
    found = examine(override)
    assert found.code == 2
    assert told in found.lines[-1]
    assert found.lines[-1].split()[:2] == ["fault", "settings"]
    assert len(found.lines) == 3  # python and packages are looked at in any case
    assert "secret" not in found.lines[-1]


def test_it_takes_the_command_of_a_sweep(examine):
    sweep = ("-m", "seed=1,2", "model.C=interval(0.1,1)", "train.threads=range(1,3)")
    assert examine(*sweep).code == 0


class TestInstallation:
    def test_python_is_what_pyproject_asks_for(self, monkeypatch):
        source = Path(lvh.__file__).parent.parent / "pyproject.toml"
        asked = SpecifierSet(tomllib.loads(source.read_text())["project"]["requires-python"])
        for minor in range(8, 20):
            monkeypatch.setattr(sys, "version_info", (3, minor, 0))
            assert (installation.python().state == "ok") == (f"3.{minor}" in asked)

    def test_what_is_asked_for_is_the_same_where_it_was_installed(self, monkeypatch, tmp_path):
        ours = installation._required()
        assert ("torch>=2.6", True) in ours
        monkeypatch.setattr(lvh, "__file__", str(tmp_path / "site" / "lvh" / "__init__.py"))
        installed = {(re.split("[<>=!]", one)[0], extra) for one, extra in installation._required()}
        assert ("keras", False) in installed
        assert ("torch", True) in installed

    def test_missing_and_old_packages_are_named_with_what_to_install(self, examine, monkeypatch):
        asked = [("numpy>=99", False), ("no-such-package>=1", False), ("scipy>=99", True)]
        monkeypatch.setattr(installation, "_required", lambda: [*asked, ("no-such-extra", True)])
        found = examine()
        assert found.code == 3
        lines = [line for line in found.lines if line.split()[1] == "packages"]
        states = [line.split()[0] for line in lines]
        assert states == ["fault", "fault", "warning", "ok"]
        assert "numpy>=99 is asked for. Received: " in lines[0]
        assert "no-such-package is missing. pip install 'no-such-package>=1'" in lines[1]
        assert "no-such-extra" not in "".join(lines)

    @pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is there")
    def test_a_backend_that_is_not_installed(self, examine):
        found = examine("model=dnn", "features=ntp", "backend=torch")
        found.assert_at_fault("backend", "pip install 'lvh[torch]'")

    @pytest.mark.parametrize(
        ("code", "told"),
        [
            ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "SIGILL, which this proc"),
            ("raise ImportError('libcudart.so.12: cannot open')", "libcudart.so.12: cannot open"),
        ],
    )
    def test_a_backend_that_is_broken(self, tmp_path, code, told):
        (tmp_path / "tensorflow").mkdir()
        (tmp_path / "tensorflow" / "__init__.py").write_text(code)
        path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
        done = doctor("data=synthetic", cwd=tmp_path, PYTHONPATH=path, PYTHONDONTWRITEBYTECODE="1")
        assert (done.returncode, done.stderr) == (3, "")
        (line,) = [one for one in done.stdout.splitlines() if "backend " in one]
        assert line.startswith("fault ")
        assert told in line


def with_sums(root: Path) -> Path:
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.relative_to(root).as_posix()}\n"
        for path in files
    ]
    (root / "SHA256SUMS.txt").write_text("".join(lines))
    return root


def of_ptbxl(root: str | None, url: str = ptbxl.ARCHIVE.url) -> list:
    given = SimpleNamespace(external=None, data=PtbxlSettings("ptbxl", root, 500, "drop", url))
    return list(data.data(given))


class TestData:
    def test_ptbxl_is_looked_for_by_its_table(self, tmp_path):
        (found,) = of_ptbxl(str(tmp_path))
        assert (found.state, found.exit_code) == ("fault", 2)
        assert "holds ptbxl_database.csv" in found.told
        assert "LVH_PTBXL_ROOT" in found.do

    def test_where_ptbxl_would_come_from_is_told(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        (found,) = of_ptbxl(None, "http://127.0.0.1:1/ptb-xl.zip")  # where nobody listens
        assert (found.state, found.exit_code) == ("fault", 3)
        assert "at most 4000 MB from http://127.0.0.1:1/ptb-xl.zip into" in found.told
        assert "LVH_PTBXL_ROOT" in found.do

    @pytest.mark.ludb
    def test_the_files_of_ptbxl_are_compared_with_its_list(self, ptbxl_root):
        (found,) = of_ptbxl(str(ptbxl_root))
        assert found.state == "ok"
        assert "287 files are as SHA256SUMS.txt lists them" in found.told

    def test_a_whole_copy_of_something_else_is_told_apart_from_ludb(self, examine, data_set):
        found = examine("data=ludb", f"data.root={with_sums(data_set)}")
        n_files = len((data_set / "SHA256SUMS.txt").read_text().splitlines())
        found.assert_warned("data", f"{n_files} files are as SHA256SUMS.txt", "not the one of LUDB")

    def test_one_changed_byte_is_found(self, examine, data_set):
        (file, *_) = sorted(with_sums(data_set).glob("data/*.dat"))
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        found = examine("data=ludb", f"data.root={data_set}")
        found.assert_at_fault("data", f"data/{file.name}", "SHA-256", "data.root=", code=2)

    def test_one_missing_file_is_found(self, examine, data_set):
        (file, *_) = sorted(with_sums(data_set).glob("data/*.hea"))
        file.unlink()
        found = examine("data=ludb", f"data.root={data_set}")
        found.assert_at_fault("data", f"data/{file.name}", code=2)

    def test_without_checksums_nothing_is_promised(self, examine, data_set):
        found = examine("data=ludb", f"data.root={data_set}")
        found.assert_warned("data", "has no SHA256SUMS.txt")

    def test_a_folder_that_is_not_there(self, examine):
        found = examine("data=ludb", "data.root=nowhere")
        found.assert_at_fault("data", "nowhere", "RECORDS", "data=synthetic", code=2)

    def test_a_download_that_cannot_be_had(self, examine):
        found = examine("data=ludb", f"data.url=http://me:secret@127.0.0.1:{closed_port()}/a.zip")
        found.assert_at_fault("data", "http://me:***@127", "cannot be reached", "data.root=")

    def test_a_download_that_can_be_had(self, examine):
        with served(200) as address:
            line = examine("data=ludb", f"data.url={address}/a.zip").of("data")
        assert line.startswith("ok ")
        assert f"downloads at most 200 MB from {address}/a.zip into" in line
        with served(404) as address:
            found = examine("data=ludb", f"data.url={address}/a.zip")
        found.assert_at_fault("data", "answers 404")

    def test_a_damaged_copy_in_the_cache(self, examine, tmp_path, data_set):
        kept = tmp_path / "cache" / "lvh" / "ludb-1.0.1"
        kept.parent.mkdir(parents=True)
        shutil.copytree(with_sums(data_set), kept)
        (kept / "RECORDS").write_text("data/1\n")
        found = examine("data=ludb")
        found.assert_at_fault("data", "RECORDS", "Remove that folder", code=2)

    @pytest.mark.ludb
    def test_the_real_data_are_as_published(self, examine, ludb_root):
        line = examine("data=ludb", f"data.root={ludb_root}").of("data")
        assert line.startswith("ok ")
        assert "2805 files" in line
        assert "as published" in line


WRITERS = {
    "tracking": "tracking.uri=sqlite:///{}/mlflow.db",
    "studies": "search.storage=sqlite:///{}/studies.db",
    "folds": "store={}/folds",
}


class TestWriting:
    @pytest.mark.parametrize(("what", "override"), WRITERS.items(), ids=WRITERS)
    def test_a_file_in_place_of_the_folder(self, examine, what, override):
        Path("taken").write_text("mine")
        found = examine(override.format("taken"))
        found.assert_at_fault(what, "cannot write", "taken", "Not a directory")

    @pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a /proc that takes no file")
    @pytest.mark.parametrize(("what", "override"), WRITERS.items(), ids=WRITERS)
    def test_a_folder_where_not_even_root_may_write(self, examine, what, override):
        found = examine(override.format("/proc/self"))
        found.assert_at_fault(what, "cannot write", "/proc/self")

    @pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
    @pytest.mark.parametrize(("what", "override"), WRITERS.items(), ids=WRITERS)
    def test_a_folder_without_the_right_to_write(self, examine, tmp_path, what, override):
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        found = examine(override.format(locked))
        found.assert_at_fault(what, "cannot write", str(locked), "Permission denied")

    def test_outputs_that_is_a_file(self, examine):
        Path("outputs").write_text("mine")
        found = examine(f"store={Path.cwd()}/folds")
        line = found.lines[-1]
        assert line.startswith("fault    disk      cannot write in ")
        assert "hydra.run.dir=" in line
        assert found.code == 3

    @pytest.mark.parametrize(("mib", "state"), [(50, "fault"), (500, "warning"), (5000, "ok")])
    def test_the_room_on_the_disk(self, examine, monkeypatch, mib, state):
        usage = shutil.disk_usage(".")._replace(free=mib * 2**20)
        monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
        found = examine()
        assert found.lines[-1].startswith(f"{state:<8} disk      {mib:,} MiB are free in ")
        assert found.code == (3 if state == "fault" else 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with the databases as the installed versions make them."""
    folder = tmp_path_factory.mktemp("made")
    MlflowClient(f"sqlite:///{folder}/mlflow.db").create_experiment("lvh")
    Storage(f"sqlite:///{folder}/studies.db")
    return folder


DATABASES = {"tracking": "mlflow.db", "studies": "studies.db"}


@pytest.fixture(params=DATABASES)
def database(request, made, examine) -> tuple[str, Path]:
    """One of the two, in the working directory."""
    name = DATABASES[request.param]
    return request.param, Path(shutil.copyfile(made / name, Path.cwd() / name))


def changed(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        for one in statements:
            connection.execute(one)
        connection.commit()


class TestDatabases:
    def test_a_good_one(self, examine, database):
        what, file = database
        line = examine().of(what)
        assert line.startswith("ok ")
        assert re.search(rf"{file} is whole and of the schema of (mlflow|optuna) \d", line)

    def test_an_empty_one_is_new(self, examine, database):
        what, file = database
        file.write_bytes(b"")
        assert examine().of(what).startswith("ok ")

    @pytest.mark.parametrize("damage", ["text", "half", "pages"])
    def test_a_damaged_one(self, examine, database, damage):
        what, file = database
        content = bytearray(file.read_bytes())
        if damage == "text":
            content = bytearray(b"not a database " * 100)
        elif damage == "half":
            del content[len(content) // 2 :]
        else:
            for at in range(8192, len(content), 8192):
                content[at : at + 200] = b"\xff" * 200
        file.write_bytes(content)
        examine().assert_at_fault(what, str(file), "is damaged", "Restore it from a copy")

    def test_one_whose_writer_was_killed(self, examine, database):
        what, file = database
        kill_amid(file)
        examine().assert_warned(what, str(file), "was killed", "the next run takes that back")

    def test_one_that_is_held(self, examine, database):
        what, file = database
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("begin exclusive")
            examine().assert_warned(what, str(file), "held by another process")

    def test_one_of_an_older_version(self, examine, database):
        what, file = database
        older = {"tracking": "0584bdc529eb", "studies": "v3.0.0.d"}[what]
        changed(file, f"update alembic_version set version_num = '{older}'")
        command = {"tracking": "mlflow db upgrade", "studies": "optuna storage upgrade --storage"}
        examine().assert_at_fault(what, "older", f"{command[what]} sqlite:///{file}")

    def test_one_of_a_version_that_is_not_known(self, examine, database):
        what, file = database
        changed(file, "update alembic_version set version_num = 'ffffffffffff'")
        examine().assert_at_fault(what, str(file), "which", "cannot read")

    def test_one_of_another_program(self, examine, database):
        what, file = database
        file.unlink()
        changed(file, "create table songs (name text)")
        examine().assert_at_fault(what, str(file), "another program", code=2)

    @pytest.mark.parametrize("database", ["tracking"], indirect=True)
    def test_runs_that_nobody_trains_any_more(self, examine, database):
        what, file = database
        client = MlflowClient(f"sqlite:///{file}")
        (experiment,) = client.search_experiments(filter_string="name = 'lvh'")
        for name in ("one", "two"):
            tags = {"level": "configuration", "key": f"key-of-{name}"}
            client.create_run(experiment.experiment_id, run_name=name, tags=tags)
        running = Path("outputs/folds/running")
        running.mkdir(parents=True)
        with FileLock(running / "key-of-one.lock"):
            told = ("1 run left open", "gone: two. The same command goes on")
            examine().assert_warned(what, *told)
        examine().assert_warned(what, "2 runs left open", "gone: one, two.")

    @pytest.mark.parametrize("database", ["studies"], indirect=True)
    def test_trials_that_nobody_trains_any_more(self, examine, database):
        what, file = database
        storage = Storage(f"sqlite:///{file}")
        study = optuna.create_study(study_name="grid", storage=storage.optuna)
        study.ask()
        release = storage.hold("grid", 0)
        assert examine().of(what).startswith("ok ")
        release()
        examine().assert_warned(what, "1 trial left open", "gone: grid-0.")
        storage.optuna.engine.dispose()


def test_a_damaged_fold_is_told_and_costs_nothing_else(examine):
    folder = Path("outputs/folds/ab")
    folder.mkdir(parents=True)
    (folder / f"ab{'0' * 62}.json").write_text("torn")
    examine().assert_warned("folds", "1 of 1 are damaged", "trains them again")


def closed_port() -> int:
    """Return a port that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served(status: int, version: str = "3.17.2", delay: float = 0) -> Iterator[str]:
    """Serve an answer to anything; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            time.sleep(delay)
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(version.encode())

        do_GET = do_HEAD = do_POST = answer

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *args: object) -> None:
            """Stay silent: a client that waits no longer goes away."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class TestServers:
    def test_one_that_is_gone_is_told_in_seconds_and_without_its_password(self, examine):
        began = time.monotonic()
        found = examine(f"tracking.uri=http://me:secret@127.0.0.1:{closed_port()}")
        found.assert_at_fault("tracking", "http://me:***@127", "does not answer", "tracking=off")
        assert "secret" not in "".join(found.lines)
        assert time.monotonic() - began < 30

    def test_one_that_hangs(self, examine, monkeypatch):
        monkeypatch.setattr(stores, "_PATIENCE", 0.2)
        with served(200, delay=1) as address:
            found = examine(f"tracking.uri={address}")
        found.assert_at_fault("tracking", address, "does not answer in time")

    @pytest.mark.parametrize(
        ("status", "told"), [(404, "no MLflow server"), (401, "MLFLOW_TRACKING_PASSWORD")]
    )
    def test_one_that_is_none_of_ours(self, examine, status, told):
        with served(status) as address:
            found = examine(f"tracking.uri={address}")
        found.assert_at_fault("tracking", address, told)

    @pytest.mark.parametrize(
        ("version", "line"),
        [
            ("3.17.2", "ok       tracking  {} answers, MLflow 3.17.2"),
            ("<b>?</b>", "ok       tracking  {} answers, MLflow of an unknown version"),
            ("2.22.0", "warning  tracking  {} answers, MLflow 2.22.0. Servers before 3.11 let in"),
        ],
    )
    def test_one_that_is_well(self, examine, version, line):
        with served(200, version) as address:
            found = examine(f"tracking.uri={address}")
        assert found.of("tracking").startswith(line.format(address))
        assert found.code == 0

    def test_a_database_of_studies_that_is_gone(self, examine):
        pytest.importorskip("psycopg")
        found = examine(f"search.storage=postgresql://me:secret@127.0.0.1:{closed_port()}/studies")
        found.assert_at_fault("studies", "postgresql://me:***@127", "search.storage")
        assert "secret" not in "".join(found.lines)


def test_whatever_breaks_in_a_check_is_a_line(examine, monkeypatch):
    def broken(settings: object) -> None:
        raise RuntimeError("http://me:secret@host fails\nin two lines")

    monkeypatch.setattr(data, "data", broken)
    found = examine()
    found.assert_at_fault("data", "unexpected RuntimeError: http://me:***@host fails")


@pytest.mark.ludb
def test_the_data_that_are_only_scored_are_looked_at_too(ptbxl_root, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ["data=synthetic", "cv=external", "external=ptbxl", "features=raw", "model=cnn"]
    assert main([*given, f"external.root={ptbxl_root}"]) in (0, 3)
    lines = [line for line in capsys.readouterr().out.splitlines() if " data " in line]
    assert len(lines) == 2
    assert "is generated" in lines[0]
    assert "files are as" in lines[1]
    assert main([*given, f"external.root={tmp_path}"]) == 2
    assert "expected the folder that holds ptbxl_database.csv" in capsys.readouterr().out
