"""The cache: what was stored comes back bit for bit, or is built again; nothing half-written."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from lvh.data import cache
from lvh.data.cache import load_or_build, load_or_build_signals
from lvh.data.cohort import fingerprint
from lvh.errors import EnvironmentFault

ARRAYS = {
    "digital": np.arange(600, dtype=np.int16).reshape(20, 30),
    "age": np.array([51.0, np.nan, -0.0]),
    "male": np.array([True, False]),
    "records": np.array(["1", "200"]),
    "fs": np.array(500.0),
    "none": np.zeros(0, dtype=np.int32),
}
SHAPE = (20, 50, 3)
SIGNALS = np.random.default_rng(0).integers(-(2**15), 2**15, SHAPE).astype(np.int16)


class Builder:
    """Counts how often the arrays are built."""

    def __init__(self):
        self.calls = 0

    def __call__(self, write=None):
        self.calls += 1
        for one in SIGNALS if write else ():
            write(one)
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
def test_any_change_of_bytes_leaves_the_arrays_right(
    tmp_path_factory, stored, place, added, dropped
):
    path = tmp_path_factory.getbasetemp() / "mutated.npz"
    at = round(place * len(stored))
    path.write_bytes(stored[:at] + added + stored[at + dropped :])
    assert_same(load_or_build(path, Builder()))


@pytest.mark.parametrize("content", [b"", b"not an archive"])
def test_a_damaged_file_is_built_again_with_a_warning(path, content, caplog):
    build = Builder()
    load_or_build(path, build)
    path.write_bytes(content)
    assert_same(load_or_build(path, build))
    assert_same(load_or_build(path, build))
    assert build.calls == 2
    assert f"{path}: the cached copy is damaged" in caplog.text


def test_where_nothing_can_be_stored_the_arrays_still_come(path, caplog):
    path.mkdir(parents=True)
    assert_same(load_or_build(path, Builder()))
    assert f"cannot write {path}" in caplog.text


def digest(arrays, signals):
    return fingerprint(*(arrays[name] for name in sorted(ARRAYS)), signals)


def load(folder, build):
    arrays, signals, whole = load_or_build_signals(folder, SHAPE, build, digest)
    assert_same(arrays)
    assert (signals.dtype, signals.shape) == (np.int16, SHAPE)
    np.testing.assert_array_equal(signals.read(), SIGNALS)
    assert whole == digest(ARRAYS, SIGNALS)
    return signals


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "lvh" / "cohorts" / "a"


def left_in(folder: Path) -> set[str]:
    return {one.name for one in folder.parent.iterdir()} - {f".{folder.name}.lock"}


def test_signals_are_built_once_and_read_as_copies(folder, caplog):
    build = Builder()
    load(folder, build)
    signals = load(folder, build)
    assert build.calls == 1
    assert left_in(folder) == {"a"}
    assert not caplog.records
    chosen = np.array([7, 0, 19, 7])
    part = signals[chosen].read()
    np.testing.assert_array_equal(part, SIGNALS[chosen])
    part += 1
    np.testing.assert_array_equal(signals[chosen].read(), SIGNALS[chosen])


def cut(folder):
    with (folder / "signals.npy").open("r+b") as file:
        file.truncate(1000)


def flipped(folder):
    data = bytearray((folder / "signals.npy").read_bytes())
    data[500] ^= 1
    (folder / "signals.npy").write_bytes(data)


def pickled(folder):
    with (folder / "others.npz").open("wb") as file:
        np.savez(file, records=np.array([{}], dtype=object))


@pytest.mark.parametrize(
    "spoil", [cut, flipped, pickled, lambda folder: (folder / "signals.npy").unlink()]
)
def test_damaged_signals_are_reported_and_built_again(folder, spoil, caplog):
    load(folder, Builder())
    spoil(folder)
    build = Builder()
    load(folder, build)
    assert build.calls == 1
    assert f"{folder}: the cached signals are damaged" in caplog.text
    assert left_in(folder) == {"a"}


def test_an_error_while_building_is_the_callers_and_leaves_nothing(path, folder):
    def build(write=None):
        if write:
            write(SIGNALS[0])
        raise KeyError("from the data set")

    with pytest.raises(KeyError, match="from the data set"):
        load_or_build(path, build)
    with pytest.raises(KeyError, match="from the data set"):
        load_or_build_signals(folder, SHAPE, build, digest)
    assert left_in(folder) == set()


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_cache import SHAPE, SIGNALS, digest
from lvh.data.cache import load_or_build_signals

def build(write):
    for one in SIGNALS[:7]:
        write(one)
    os.kill(os.getpid(), signal.SIGKILL)

load_or_build_signals(Path(sys.argv[2]), SHAPE, build, digest)
"""


def test_the_remains_of_a_killed_process_are_removed_by_the_next(folder):
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", KILLED, here, str(folder)], check=False)
    assert done.returncode == -signal.SIGKILL
    (partial,) = left_in(folder)
    assert partial.startswith(".a.partial-")
    load(folder, Builder())
    assert left_in(folder) == {"a"}


def test_what_another_process_has_built_meantime_is_not_built_again(folder, monkeypatch):
    waits, build = threading.Event(), Builder()
    monkeypatch.setattr(cache._log, "info", lambda *_: waits.set())
    load(folder.with_name("b"), Builder())
    thread = threading.Thread(target=load, args=(folder, build))
    with cache.folder_lock(folder, ""):
        thread.start()
        assert waits.wait(30)
        folder.with_name("b").rename(folder)
    thread.join()
    assert build.calls == 0


def test_no_room_is_an_error_before_the_disk_is_filled(folder, tmp_path):
    build = Builder()
    with pytest.raises(EnvironmentFault, match=r"cannot write .*XDG_CACHE_HOME"):
        load_or_build_signals(folder, (10**9, 5000, 12), build, digest)
    assert (build.calls, left_in(folder)) == (0, set())
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match=r"cannot write .*XDG_CACHE_HOME"):
        load(tmp_path / "file" / "a", build)
