"""Stores and caches that are torn, damaged, foreign or read-only: reported, never repaired.

The number in a test's name is that of its row in the table of faults.
"""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Done, done_here

from lvh.errors import EnvironmentFault, InputError
from lvh.search.storage import Storage
from lvh.tracking import Tracker, TrackingSettings

FAST = ("data=synthetic", "data.records=42", "cv.folds=3", "model=svm", "features=voltage")
SWEEP = ("-m", *FAST, "model.C=0.5,1")


def assert_one_line(done: Done, *parts: str, code: int = 3) -> None:
    assert done.code == code, done.out + done.err
    assert re.fullmatch(r"lvh: .+\n", done.err)
    for part in parts:
        assert part in done.err
    assert "fold 1" not in done.out


def of_another_program() -> bytes:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("create table songs (name text)")
        return database.serialize()


@pytest.mark.parametrize(
    "content",
    [b"not a database " * 100, b"SQLite format 3\0" + b"x" * 4000, of_another_program()],
    ids=["text", "damaged", "of another program"],
)
def test_09_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path, content):
    for name, use in (
        ("studies.db", lambda address: Storage(address)),
        ("mlflow.db", lambda address: Tracker(TrackingSettings(uri=address))),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises((EnvironmentFault, InputError), match=re.escape(str(file))):
            use(f"sqlite:///{file}")
        assert file.read_bytes() == content


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
def test_11_a_folder_without_a_right_to_write_is_refused(tmp_path, arguments, override):
    """/proc takes no file even of root, whom the rights of a folder do not bind."""
    done = done_here(*arguments, override.format("/proc/self"), cwd=tmp_path)
    assert_one_line(done, "/proc/self")
    assert not list(tmp_path.glob("outputs/folds/??/*.json"))
