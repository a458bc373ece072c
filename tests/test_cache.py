"""The cache: the same arrays as were built, or built again; never an error of its own."""

import io
import os
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from lvh.data import cache
from lvh.data.cache import load_or_build
from lvh.data.cohort import fingerprint

ARRAYS = {
    "digital": np.arange(600, dtype=np.int16).reshape(20, 30),
    "age": np.array([51.0, np.nan, -0.0]),
    "male": np.array([True, False]),
    "records": np.array(["1", "200"]),
    "fs": np.array(500.0),
    "none": np.zeros(0, dtype=np.int32),
}


def digest(arrays):
    return fingerprint(*(arrays[name] for name in ARRAYS))


class Builder:
    """Counts how often the arrays are built."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return {name: array.copy() for name, array in ARRAYS.items()}


def assert_same(found):
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lvh" / "cohorts" / "a.npz"


def test_arrays_are_built_once_and_come_back_bit_for_bit(path, caplog):
    build = Builder()

    assert_same(load_or_build(path, build, digest))
    assert_same(load_or_build(path, build, digest))

    assert build.calls == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["a.npz"]
    assert not caplog.records


def test_the_folder_follows_xdg_cache_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert cache.cache_dir() == tmp_path / "lvh"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    path = tmp_path_factory.mktemp("kept") / "a.npz"
    load_or_build(path, Builder(), digest)
    return path.read_bytes()


@given(place=st.floats(0, 1), added=st.binary(max_size=4), dropped=st.integers(0, 4))
@examples(max_examples=200)
def test_any_change_of_bytes_leaves_the_arrays_right(tmp_path_factory, kept, place, added, dropped):
    path = tmp_path_factory.getbasetemp() / "mutated.npz"
    at = round(place * len(kept))
    path.write_bytes(kept[:at] + added + kept[at + dropped :])

    assert_same(load_or_build(path, Builder(), digest))


def test_every_bit_of_the_archive_may_flip(tmp_path, kept):
    """Headers of a zip are small, so that random changes rarely meet their flags."""
    path = tmp_path / "a.npz"
    inside = set()
    with zipfile.ZipFile(io.BytesIO(kept)) as file:
        for member in file.infolist():
            header = member.header_offset
            inside |= set(range(header, header + 30 + len(member.filename) + 20))
        inside |= set(range(file.start_dir, file.start_dir + 46 + 20))

    for at in sorted(inside):
        flipped = bytearray(kept)
        flipped[at] ^= 1 << at % 8
        path.write_bytes(flipped)
        found = cache._read(path, digest)
        if found is not None:
            assert_same(found)


@pytest.mark.parametrize("place", ["below a file", "a folder"])
def test_where_nothing_can_be_kept_the_arrays_still_come(tmp_path, place, caplog):
    if place == "below a file":
        (tmp_path / "file").write_text("")
        path = tmp_path / "file" / "a.npz"
    else:
        path = tmp_path / "a.npz"
        path.mkdir()
    build = Builder()

    assert_same(load_or_build(path, build, digest))

    assert build.calls == 1
    assert f"cannot write {path}" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody without rights")
def test_a_folder_that_may_not_be_entered_counts_as_no_cache(tmp_path, caplog):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o700)
    load_or_build(tmp_path / "warm.npz", Builder(), digest)  # imports need rights, too
    os.seteuid(65534)
    try:
        found = load_or_build(locked / "a.npz", Builder(), digest)
    finally:
        os.seteuid(0)

    assert_same(found)
    assert "cannot write" in caplog.text


def test_an_error_while_building_is_the_callers_and_leaves_nothing(path):
    def build():
        raise KeyError("from the data set")

    with pytest.raises(KeyError, match="from the data set"):
        load_or_build(path, build, digest)

    assert not path.parent.exists()
