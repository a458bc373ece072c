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


def test_the_new_content_replaces_the_old(path):
    with written_whole(path) as temporary:
        temporary.write_text("new")

    assert path.read_text() == "new"
    assert names(path) == ["result.json"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failing_body_leaves_the_old_file_and_nothing_else(path, error):
    with pytest.raises(error):
        write_half(path, error)

    assert path.read_text() == "old"
    assert names(path) == ["result.json"]


def test_a_disk_that_fills_while_it_is_flushed_leaves_the_old_file(path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(EnvironmentFault, match="No space left"):
        write_text(path, "new")

    assert path.read_text() == "old"
    assert names(path) == ["result.json"]


def test_a_path_below_a_file_cannot_be_written(path):
    below = path / "result.json"

    with pytest.raises(EnvironmentFault, match=f"cannot write {below}: ") as fault:
        write_text(below, "new")

    assert fault.value.exit_code == 3
    assert path.read_text() == "old"


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_without_write_permission_cannot_be_written(path):
    path.parent.chmod(0o500)
    try:
        with pytest.raises(EnvironmentFault, match="Permission denied"):
            write_text(path, "new")
    finally:
        path.parent.chmod(0o700)

    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0o027, 0o640)]
)
def test_permissions_follow_the_umask(path, mask, mode):
    path.chmod(0o400)  # nor do they come from the old file
    before = os.umask(mask)
    try:
        write_text(path, "new")
        assert os.umask(mask) == mask  # which is left as it was
    finally:
        os.umask(before)

    assert path.stat().st_mode & 0o777 == mode


def test_a_folder_is_made_whole_or_not_at_all(tmp_path):
    with made_whole(tmp_path / "a" / "b") as making:
        (making / "x").write_text("1")
        assert not (tmp_path / "a" / "b").exists()
    assert (tmp_path / "a" / "b" / "x").read_text() == "1"

    def begun_and_left(fault):
        with made_whole(tmp_path / "a" / "c") as making:
            (making / "x").write_text("1")
            raise fault

    for fault in (KeyboardInterrupt, RuntimeError):
        with pytest.raises(fault):
            begun_and_left(fault)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path):
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match="expected a folder that is not there yet"):
        with made_whole(tmp_path / "b"):
            pass
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="cannot make"), made_whole(tmp_path / "file" / "x"):
        pass
