"""Stores and caches that are torn, damaged, foreign or may not be written: told, never mended.

The number in a test's name is that of its row in the table of faults.
"""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Done, command

from lvh.errors import EnvironmentFault, InputError
from lvh.search.storage import Storage
from lvh.tracking import Tracker, TrackingSettings

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
        Tracker(settings)
    assert file.read_bytes() == content


def test_09_database_of_another_program_gets_no_tables_of_mlflow(tmp_path):
    file = tmp_path / "songs.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("create table songs (name text)")
        database.commit()
    before = file.read_bytes()
    settings = TrackingSettings("mlflow", f"sqlite:///{file}", "lvh")
    with pytest.raises(InputError, match=r"songs\.db, which has other tables"):
        Tracker(settings)
    assert file.read_bytes() == before


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
