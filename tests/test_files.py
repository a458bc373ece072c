"""Files are written whole or not at all."""

import errno
import os

import pytest

from lvh.errors import EnvironmentFault, InputError
from lvh.files import made_whole, write_text, written_whole


@pytest.fixture
def path(tmp_path):
    """A file that was there before, alone in its folder."""
    path = tmp_path / "folder" / "result.json"
    path.parent.mkdir()
    path.write_text("old")
    return path


def names(path):
    return [entry.name for entry in path.parent.iterdir()]


def write_half(path, error):
    with written_whole(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failing_body_leaves_the_old_file_and_nothing_else(path, error):
    with pytest.raises(error):
        write_half(path, error)
    assert (path.read_text(), names(path)) == ("old", ["result.json"])
    write_text(path, "new")
    assert (path.read_text(), names(path)) == ("new", ["result.json"])


def test_a_full_disk_leaves_the_old_file(path):
    with pytest.raises(EnvironmentFault, match="No space left") as fault:
        write_half(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert fault.value.exit_code == 3
    assert (path.read_text(), names(path)) == ("old", ["result.json"])
    with pytest.raises(EnvironmentFault, match=f"cannot write {path / 'below'}: "):
        write_text(path / "below", "new")


def test_a_folder_is_made_whole_or_not_at_all(tmp_path):
    with made_whole(tmp_path / "a" / "b") as folder:
        (folder / "x").write_text("1")
        assert not (tmp_path / "a" / "b").exists()
    assert (tmp_path / "a" / "b" / "x").read_text() == "1"
    with pytest.raises(KeyboardInterrupt), made_whole(tmp_path / "a" / "c"):
        raise KeyboardInterrupt
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    with (
        pytest.raises(InputError, match="expected a folder that is not there yet"),
        made_whole(tmp_path / "a" / "b"),
    ):
        pass
