"""The cache: what was stored comes back bit for bit, or is built again; nothing half-written."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from lvh.data.cache import load_or_build

ARRAYS = {
    "digital": np.arange(600, dtype=np.int16).reshape(20, 30),
    "age": np.array([51.0, np.nan, -0.0]),
    "male": np.array([True, False]),
    "records": np.array(["1", "200"]),
    "fs": np.array(500.0),
    "none": np.zeros(0, dtype=np.int32),
}


class Builder:
    """Counts how often the arrays are built."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return {name: array.copy() for name, array in ARRAYS.items()}


def assert_same(arrays):
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        assert arrays[name].tobytes() == array.tobytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lvh" / "cohorts" / "a.npz"


def test_arrays_are_built_once_and_come_back_bit_for_bit(path, caplog):
    build = Builder()
    assert_same(load_or_build(path, build))
    assert_same(load_or_build(path, build))
    assert build.calls == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["a.npz"]
    assert not caplog.records


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("stored") / "a.npz"
    load_or_build(path, Builder())
    return path.read_bytes()


@given(place=st.floats(0, 1), added=st.binary(max_size=4), dropped=st.integers(0, 4))
@examples(max_examples=80)
def test_any_change_of_bytes_is_seen(tmp_path_factory, stored, place, added, dropped):
    path = tmp_path_factory.getbasetemp() / "mutated.npz"
    at = round(place * len(stored))
    path.write_bytes(stored[:at] + added + stored[at + dropped :])
    assert_same(load_or_build(path, Builder()))


def test_where_nothing_can_be_stored_the_arrays_still_come(path, caplog):
    path.mkdir(parents=True)
    assert_same(load_or_build(path, Builder()))
    assert f"cannot write {path}" in caplog.text
