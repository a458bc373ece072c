"""Stores and caches that are torn, damaged, foreign or may not be written: told, never mended.

The number in a test's name is that of its row in the table of faults.
"""

import io
import logging
import os
import re
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from conftest import Done, command, edit, kill_amid, load_ludb
from test_cache import ARRAYS, Builder, assert_same, digest
from test_ludb import HEADER, contents

from lvh.data.cache import cached_arrays
from lvh.errors import EnvironmentFault, InputError
from lvh.search.storage import Storage
from lvh.tracking import TrackingSettings, tracked_run

FAST = ("data=synthetic", "data.records=42", "cv.folds=3", "model=svm", "features=voltage")
SWEEP = ("-m", *FAST, "model.C=0.5,1")


def tables(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as database:
        return {row[0] for row in database.execute("select name from sqlite_master")}


def assert_told(done: Done, *parts: str, code: int = 3) -> None:
    assert done.code == code, done.out + done.err
    assert re.fullmatch(r"lvh: .+\n", done.err)
    for part in parts:
        assert part in done.err
    assert "fold 1" not in done.out


def test_09_torn_journal_of_studies_is_taken_back(tmp_path):
    """SQLite's, which a killed process leaves; whoever only reads cannot take it back."""
    file = tmp_path / "studies.db"
    Storage(f"sqlite:///{file}")
    kill_amid(file)
    assert Storage(f"sqlite:///{file}", to_read=True).studies() == []
    assert "half" not in tables(file)
    assert not Path(f"{file}-journal").exists()


@pytest.mark.slow
def test_09_torn_journals_cost_a_finished_sweep_nothing(tmp_path):
    first = command(*SWEEP, cwd=tmp_path)
    assert first.code == 0, first.err
    for name in ("studies.db", "mlflow.db"):
        kill_amid(tmp_path / name)
    again = command(*SWEEP, cwd=tmp_path)
    assert again.code == 0, again.err
    assert "nothing to train" in again.out
    for name in ("studies.db", "mlflow.db"):
        assert "half" not in tables(tmp_path / name)


@pytest.mark.parametrize("content", [b"not a database " * 100, b"SQLite format 3\0" + b"x" * 4000])
def test_09_corrupt_studies_are_told_and_left_alone(tmp_path, content):
    file = tmp_path / "studies.db"
    file.write_bytes(content)
    with pytest.raises(EnvironmentFault, match=re.escape(str(file))):
        Storage(f"sqlite:///{file}")
    assert file.read_bytes() == content


@pytest.mark.parametrize("content", [b"not a database " * 100, b"SQLite format 3\0" + b"x" * 4000])
def test_09_corrupt_tracking_store_is_told_and_left_alone(tmp_path, content):
    file = tmp_path / "mlflow.db"
    file.write_bytes(content)
    settings = TrackingSettings("mlflow", f"sqlite:///{file}", "lvh")
    with pytest.raises(EnvironmentFault, match=rf"tracking\.uri: .*{file}: .*tracking=off"):
        with tracked_run(settings, "configuration", "one", {}, {}):
            pytest.fail("the body ran")
    assert file.read_bytes() == content


@pytest.mark.slow
def test_09_store_of_which_a_part_is_corrupt_is_named_and_the_result_kept(tmp_path):
    """Its tables can be read, what is in them cannot: MLflow finds out when it is at work."""
    assert command(*FAST, cwd=tmp_path).code == 0
    file = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(file)) as database:
        roots = database.execute(
            "select rootpage from sqlite_master where tbl_name in ('metrics', 'latest_metrics')"
        )
        pages = [row[0] for row in roots]
        (size,) = database.execute("pragma page_size").fetchone()
    content = bytearray(file.read_bytes())
    for page in pages:
        content[(page - 1) * size : page * size] = b"\xff" * size
    file.write_bytes(content)
    done = command(*FAST, "seed=1", cwd=tmp_path)
    assert done.code == 3, done.out + done.err
    assert re.fullmatch(r"lvh: tracking: .+\n", done.err)
    assert str(file) in done.err
    assert "age + sex" in done.out
    assert file.exists()


def test_09_database_of_another_program_gets_no_tables_of_mlflow(tmp_path):
    file = tmp_path / "songs.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("create table songs (name text)")
        database.commit()
    before = file.read_bytes()
    settings = TrackingSettings("mlflow", f"sqlite:///{file}", "lvh")
    with pytest.raises(InputError, match=r"songs\.db, which has other tables"):
        with tracked_run(settings, "configuration", "one", {}, {}):
            pytest.fail("the body ran")
    assert file.read_bytes() == before


def test_11_output_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "outputs").write_text("mine")
    assert_told(command(*SWEEP, cwd=tmp_path), "outputs", "Not a directory")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outputs"]


NOWHERE = {
    "folds": ((*FAST, "resume=false"), "store={}/folds"),
    "folds of a sweep": (SWEEP, "store={}/folds"),
    "tracking": (FAST, "tracking.uri=sqlite:///{}/mlflow.db"),
    "output": (FAST, "hydra.run.dir={}/run"),
}


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a /proc that takes no file")
@pytest.mark.parametrize(
    ("arguments", "override"),
    [
        pytest.param(*one, id=name, marks=pytest.mark.slow if "sweep" in name else [])
        for name, one in NOWHERE.items()
    ],
)
def test_11_folder_that_takes_nothing_is_told_before_training(tmp_path, arguments, override):
    """/proc takes no file even of root, whom the rights of a folder do not bind."""
    done = command(*arguments, override.format("/proc/self"), cwd=tmp_path)
    assert_told(done, "/proc/self")
    assert not list(tmp_path.glob("outputs/folds/??/*.json"))


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root; /proc is above")
@pytest.mark.parametrize("override", ["store={}/folds", "tracking.uri=sqlite:///{}/mlflow.db"])
def test_11_folder_without_the_right_to_write_is_told_before_training(tmp_path, override):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert_told(command(*FAST, override.format(locked), cwd=tmp_path), str(locked))


def test_11_file_in_place_of_the_folder_of_studies(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(EnvironmentFault, match=re.escape(str(tmp_path / "file"))):
        Storage(f"sqlite:///{tmp_path}/file/studies.db")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lvh" / "cohorts" / "a.npz"


def archived(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def bare_array():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def other_zip():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("digest.npy", b"not an array")
    return buffer.getvalue()


def pickled():
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, digest=np.array([{"a": 1}], dtype=object))
    return buffer.getvalue()


DAMAGES = {
    "empty": lambda kept: b"",
    "torn": lambda kept: kept[: len(kept) // 2],
    "one byte short": lambda kept: kept[:-1],
    "text": lambda kept: b"not an archive",
    "bare array": lambda kept: bare_array(),
    "other zip": lambda kept: other_zip(),
    "pickle": lambda kept: pickled(),
    "no digest": lambda kept: archived(**ARRAYS),
    "an array missing": lambda kept: archived(digest=np.array(digest(ARRAYS)), fs=ARRAYS["fs"]),
    "other values": lambda kept: archived(
        **ARRAYS | {"fs": np.array(250.0)}, digest=np.array(digest(ARRAYS))
    ),
    "other type": lambda kept: archived(
        **ARRAYS | {"fs": np.array(500)}, digest=np.array(digest(ARRAYS))
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_38_a_damaged_copy_is_built_again_with_a_warning(path, damage, caplog):
    build = Builder()
    cached_arrays(path, build, digest)
    path.write_bytes(damage(path.read_bytes()))

    assert_same(cached_arrays(path, build, digest))

    assert build.calls == 2
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert str(path) in caplog.text
    assert "damaged" in caplog.text
    assert_same(cached_arrays(path, build, digest))
    assert build.calls == 2


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own-cache"))
    return tmp_path / "own-cache" / "lvh" / "cohorts"


def test_38_a_damaged_cache_of_ludb_is_built_again_with_a_warning(data_set, own_cache, caplog):
    first = contents(load_ludb(data_set))
    [kept] = own_cache.iterdir()
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)

    again = contents(load_ludb(data_set))

    assert again == first
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert str(kept) in caplog.text
    assert contents(load_ludb(data_set)) == first
    assert len(caplog.records) == 1


def test_38_a_stale_cache_of_ludb_is_not_used(data_set, own_cache):
    before = load_ludb(data_set)
    age = f"{before.age[0]:.0f}"
    edit(data_set / HEADER, f"<age>: {age}", f"<age>: {int(age) + 1}")

    after = load_ludb(data_set)

    assert after.age[0] == before.age[0] + 1
    assert after.fingerprint != before.fingerprint
    assert len(list(own_cache.iterdir())) == 2


BUILD_AT_ONCE = """
import os, sys, time
from pathlib import Path
from conftest import load_ludb

there = Path(sys.argv[2])
(there / str(os.getpid())).touch()
while len(list(there.iterdir())) < 3:
    time.sleep(0.001)
print(load_ludb(Path(sys.argv[1])).fingerprint)
"""


def test_39_of_three_processes_that_build_one_cache_each_has_it_whole(
    data_set, own_cache, tmp_path
):
    (tmp_path / "there").mkdir()
    path = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    arguments = [str(data_set), str(tmp_path / "there")]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", BUILD_AT_ONCE, *arguments],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    answers = [process.communicate(timeout=240) for process in started]
    assert {process.returncode for process in started} == {0}, answers
    assert {err for _, err in answers} == {""}
    assert {out.strip() for out, _ in answers} == {load_ludb(data_set).fingerprint}
    assert len(list(own_cache.iterdir())) == 1


def test_39_of_two_that_build_at_once_each_moves_a_whole_file_into_place(path):
    inner = Builder()
    outer = Builder()

    def build_while_another_does():
        assert_same(cached_arrays(path, inner, digest))
        return outer()

    assert_same(cached_arrays(path, build_while_another_does, digest))

    assert (inner.calls, outer.calls) == (1, 1)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.npz"]
    assert_same(cached_arrays(path, inner, digest))
    assert inner.calls == 1
