"""The database of studies: where it is, and the message if it cannot be used."""

import os
import socket
from contextlib import closing
from pathlib import Path

import pytest

from lvh.errors import EnvironmentFault, InputError
from lvh.search.storage import Storage
from lvh.search.study import load


def fault(*arguments, of=EnvironmentFault, **options) -> str:
    with pytest.raises(of) as caught:
        Storage(*arguments, **options)
    assert caught.value.exit_code == (3 if of is EnvironmentFault else 2)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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
        assert "mine.db" in fault(address, of=InputError, to_read=True) or address is None
    with pytest.raises(InputError, match=r"studies\.db"):
        load(None, None, here / "folds")
    assert not list(here.iterdir())
    with closing(socket.socket()) as taken:  # bound, and never listening: nobody else takes it
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        message = fault(f"postgresql://ann:sesame@127.0.0.1:{port}/studies")
    assert "sesame" not in message
    assert f"ann:***@127.0.0.1:{port}/studies" in message
    assert not list(here.iterdir())
