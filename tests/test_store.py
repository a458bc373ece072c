"""The store: what was put in comes out, whoever is killed, and nothing that is not whole."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from lvh.data.memmap import is_whole, stored

from lvh.data import memmap as store
from lvh.data.cohort import fingerprint
from lvh.errors import EnvironmentFault

N = 20
DIGITAL = np.random.default_rng(0).integers(-(2**15), 2**15, (N, 50, 3)).astype(np.int16)
KNOWN = {
    "records": np.array([str(n) for n in range(N)]),
    "age": np.arange(N) / 7,
    "fs": np.array(5),
}


def digest(known, signals):
    return fingerprint(*(known[name] for name in sorted(KNOWN)), signals)


class Builder:
    """Counts how often the signals are asked for."""

    def __init__(self):
        self.calls = 0

    def __call__(self, take):
        self.calls += 1
        for one in DIGITAL:
            take(one)
        return KNOWN


def opened(folder, build):
    known, signals, whole = stored(folder, N, build, digest)
    assert {name: array.tolist() for name, array in known.items() if name in KNOWN} == {
        name: array.tolist() for name, array in KNOWN.items()
    }
    assert signals.dtype == np.int16
    assert signals.shape == DIGITAL.shape
    np.testing.assert_array_equal(signals.read(), DIGITAL)
    assert whole == fingerprint(*(KNOWN[name] for name in sorted(KNOWN)), DIGITAL)
    return signals


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "lvh" / "cohorts" / "a"


@pytest.fixture
def made(folder):
    opened(folder, Builder())
    return folder


def left_in(folder: Path) -> set[str]:
    return {one.name for one in folder.parent.iterdir()} - {f".{folder.name}.lock"}


def test_it_is_made_once_and_comes_back(folder, caplog):
    build = Builder()
    opened(folder, build)
    signals = opened(folder, build)
    assert build.calls == 1
    assert left_in(folder) == {"a"}
    assert is_whole(folder, digest)
    assert not caplog.records
    chosen = np.array([7, 0, 19, 7])
    np.testing.assert_array_equal(signals[chosen].read(), DIGITAL[chosen])


def test_what_is_read_is_a_copy_that_may_be_changed(made):
    signals = opened(made, Builder())
    part = signals[:3].read()
    part += 1
    np.testing.assert_array_equal(signals[:3].read(), DIGITAL[:3])


def cut(folder):
    with (folder / "signals.npy").open("r+b") as file:
        file.truncate(1000)


def flipped(folder):
    data = bytearray((folder / "signals.npy").read_bytes())
    data[500] ^= 1
    (folder / "signals.npy").write_bytes(data)


def of_another_type(folder):
    np.save(folder / "signals.npy", DIGITAL.astype(np.float32), allow_pickle=False)


def other_ages(folder):
    with np.load(folder / "known.npz", allow_pickle=False) as archive:
        known = dict(archive)
    known["age"] = known["age"] + 1
    np.savez(folder / "known.npz", allow_pickle=False, **known)


def pickled(folder):
    with (folder / "known.npz").open("wb") as file:
        np.savez(file, records=np.array([{}], dtype=object))


def a_file(folder):
    shutil.rmtree(folder)
    folder.write_text("")


@pytest.mark.parametrize(
    "spoil",
    [
        *(cut, flipped, of_another_type, other_ages, pickled, a_file),
        lambda folder: (folder / "known.npz").write_bytes(b"PK"),
        lambda folder: (folder / "known.npz").unlink(),
        lambda folder: (folder / "signals.npy").unlink(),
    ],
)
def test_38_a_damaged_one_is_told_and_made_again(made, spoil, caplog):
    spoil(made)
    build = Builder()
    opened(made, build)
    assert build.calls == 1
    assert f"{made}: the kept signals are damaged" in caplog.text
    assert left_in(made) == {"a"}


def test_damage_that_keeps_size_and_time_is_found_where_it_is_asked_for(made):
    path = made / "signals.npy"
    seen = path.stat()
    flipped(made)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert not is_whole(made, digest)


def test_one_that_was_copied_is_hashed_and_used(made, tmp_path, caplog):
    copied = tmp_path / "elsewhere"
    shutil.copytree(made, copied, copy_function=shutil.copyfile)
    build = Builder()
    opened(copied, build)
    assert (build.calls, caplog.records) == (0, [])


def test_an_error_while_it_is_made_is_the_callers_and_leaves_nothing(folder):
    def build(take):
        take(DIGITAL[0])
        raise KeyError("from the data set")

    with pytest.raises(KeyError, match="from the data set"):
        stored(folder, N, build, digest)
    assert left_in(folder) == set()


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_store import DIGITAL, N, digest
from lvh.data.memmap import stored

def build(take):
    for one in DIGITAL[:7]:
        take(one)
    os.kill(os.getpid(), signal.SIGKILL)

stored(Path(sys.argv[2]), N, build, digest)
"""


def test_4_one_whose_maker_is_killed_is_made_by_the_next_and_nothing_is_left(folder):
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", KILLED, here, str(folder)], check=False)
    assert done.returncode == -signal.SIGKILL
    (partial,) = left_in(folder)
    assert partial.startswith(".a.partial-")
    build = Builder()
    opened(folder, build)
    assert build.calls == 1
    assert left_in(folder) == {"a"}


def test_39_of_two_that_make_it_at_once_one_does(folder):
    """The second begins when the first is in the middle, and the first ends once it waits."""
    amid, waits, found = threading.Event(), threading.Event(), []

    class Heard(logging.Handler):
        def emit(self, record):
            if "waiting for another process" in record.getMessage():
                waits.set()

    class Slow(Builder):
        def __call__(self, take):
            known = super().__call__(take)
            amid.set()
            assert waits.wait(30)
            return known

    build, handler, logger = Slow(), Heard(), logging.getLogger("lvh.data.cache")
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        first = threading.Thread(target=lambda: found.append(opened(folder, build)))
        first.start()
        assert amid.wait(30)
        second = threading.Thread(target=lambda: found.append(opened(folder, build)))
        second.start()
        first.join()
        second.join()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    assert (len(found), build.calls) == (2, 1)


def test_10_no_room_is_told_before_it_is_filled(folder, monkeypatch):
    few = shutil.disk_usage(folder.parents[2])._replace(free=1000)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda path: few)
    with pytest.raises(EnvironmentFault, match=r"no room: 0\.1 GB needed, 0\.0 GB free"):
        stored(folder, N, Builder(), digest)
    assert left_in(folder) == set()


def test_where_nothing_can_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match=r"cannot write .*XDG_CACHE_HOME"):
        stored(tmp_path / "file" / "a", N, Builder(), digest)
