"""Stores and caches that are torn, damaged, foreign or read-only: reported, never repaired."""

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from conftest import done_here

from lvh.errors import EnvironmentFault, InputError
from lvh.search.storage import Storage
from lvh.search.study import load
from lvh.tracking import TrackingSettings
from lvh.tracking.tracker import Tracker

FAST = ("data=synthetic", "data.records=42", "cv.folds=3", "model=svm", "features=voltage")


def of_another_program() -> bytes:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("create table songs (name text)")
        return database.serialize()


@pytest.mark.parametrize(
    "content",
    [b"not a database " * 100, b"SQLite format 3\0" + b"x" * 4000, of_another_program()],
    ids=["text", "damaged", "of another program"],
)
def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path, content):
    for name, use in (
        ("studies.db", lambda address: Storage(address)),
        ("mlflow.db", lambda address: Tracker(TrackingSettings(uri=address))),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises((EnvironmentFault, InputError), match=re.escape(str(file))):
            use(f"sqlite:///{file}")
        assert file.read_bytes() == content


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a /proc that takes no file")
@pytest.mark.parametrize(
    "override", ["store={}/folds", "tracking.uri=sqlite:///{}/mlflow.db", "hydra.run.dir={}/run"]
)
def test_a_folder_without_a_right_to_write_is_refused(tmp_path, override):
    """/proc takes no file even of root, whom the rights of a folder do not bind."""
    done = done_here(*FAST, "resume=false", override.format("/proc/self"), cwd=tmp_path)
    assert done.code == 3, done.out + done.err
    assert re.fullmatch(r"lvh: .*/proc/self.*\n", done.err)
    assert not list(tmp_path.glob("outputs/folds/??/*.json"))


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_relative_path_stays_where_it_was_when_the_process_moves(here, tmp_path_factory):
    (here / "deep").mkdir()
    storage = Storage("sqlite:///deep/mine.db")
    os.chdir(tmp_path_factory.mktemp("other"))
    assert storage.studies() == []
    assert storage.address == f"sqlite:///{here}/deep/mine.db"
    assert not list(Path.cwd().iterdir())
    assert [path.name for path in (here / "deep").iterdir()] == ["mine.db"]


def test_what_cannot_be_read_is_named_and_not_made(here):
    for address in (None, f"sqlite:///{here}/mine.db", "sqlite:///none/mine.db"):
        with pytest.raises(InputError):
            Storage(address, to_read=True)
    with pytest.raises(InputError, match=r"studies\.db"):
        load(None, None, here / "folds")
    assert not list(here.iterdir())
    with pytest.raises(EnvironmentFault, match=r"ann:\*\*\*@127\.0\.0\.1:9/studies"):
        Storage("postgresql://ann:sesame@127.0.0.1:9/studies")
    assert not list(here.iterdir())
