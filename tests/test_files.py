"""Files are whole or not there; what was cached or stored comes back bit for bit, or is made."""

import errno
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import settings as examples
from hypothesis import strategies as st

from lvh.data.cache import load_or_build, signals_written
from lvh.errors import EnvironmentFault, InputError
from lvh.evaluation.cv_result import FoldResult
from lvh.features import FeatureSet
from lvh.files import made_whole, write_text, written_whole
from lvh.models.training import History
from lvh.tracking.fold_store import FoldStore
from lvh.validation.metrics import score
from lvh.validation.splits import Split


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


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("error", "raised"), [(KeyboardInterrupt(), KeyboardInterrupt), (FULL, EnvironmentFault)]
)
def test_a_failing_body_leaves_the_old_file_and_nothing_else(path, error, raised):
    with pytest.raises(raised):
        write_half(path, error)
    assert (path.read_text(), names(path)) == ("old", ["result.json"])
    write_text(path, "new")
    assert (path.read_text(), names(path)) == ("new", ["result.json"])
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


ARRAYS = {
    "digital": np.arange(600, dtype=np.int16).reshape(20, 30),
    "age": np.array([51.0, np.nan, -0.0]),
    "male": np.array([True, False]),
    "records": np.array(["1", "200"]),
    "fs": np.array(500.0),
    "none": np.zeros(0, dtype=np.int32),
}


def assert_same(arrays):
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        assert arrays[name].tobytes() == array.tobytes()


@pytest.fixture
def npz(tmp_path):
    return tmp_path / "lvh" / "cohorts" / "a.npz"


def test_arrays_are_built_once_and_come_back_bit_for_bit(npz, caplog):
    assert_same(load_or_build(npz, lambda: ARRAYS))
    assert_same(load_or_build(npz, lambda: {}))
    assert [entry.name for entry in npz.parent.iterdir()] == ["a.npz"]
    assert not caplog.records


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("stored") / "a.npz"
    load_or_build(path, lambda: ARRAYS)
    return path.read_bytes()


@given(place=st.floats(0, 1), added=st.binary(max_size=4), dropped=st.integers(0, 4))
@examples(max_examples=80)
def test_any_change_of_bytes_is_seen(tmp_path_factory, stored, place, added, dropped):
    path = tmp_path_factory.getbasetemp() / "mutated.npz"
    at = round(place * len(stored))
    path.write_bytes(stored[:at] + added + stored[at + dropped :])
    assert_same(load_or_build(path, lambda: ARRAYS))


def test_where_nothing_can_be_stored_the_arrays_still_come(npz, caplog):
    npz.mkdir(parents=True)
    assert_same(load_or_build(npz, lambda: ARRAYS))
    assert f"cannot write {npz}" in caplog.text


def test_what_a_killed_process_left_of_signals_is_replaced(tmp_path):
    killed = signals_written(tmp_path / "a.npy", (9, 9))
    killed.__enter__()  # and never left
    with signals_written(tmp_path / "a.npy", (1, 2)) as write:
        write(np.array([3, 4], np.int16))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npy"]


KEY, OTHER = "ab" + "0" * 62, "cd" + "1" * 62
N = 8
FEATURES = FeatureSet(
    "tabular",
    np.zeros((N, 1), np.float32),
    np.arange(N) % 2,
    ("a",),
    tuple(f"rec é{i}" for i in range(N)),
    np.array([f"subject {i // 2}" for i in range(N)]),
    np.zeros((N, 2)),
)


def fold(y_score, at=0, repeat=0, history=None, threshold=0.5) -> FoldResult:
    y_score = np.asarray(y_score, dtype=np.float64)
    test = (np.arange(len(y_score)) + at) % N
    split = Split(repeat, at, np.setdiff1d(np.arange(N), test), np.array([], np.int64), test)
    metrics = score(FEATURES.y[test], y_score, threshold)
    history = history or History((0.7, 0.1 + 0.2), (0.5, 1.0), (), (), 2)
    return FoldResult(split, y_score, metrics, history, 1.25, threshold=threshold)


def keep(store: FoldStore, key: str, result: FoldResult) -> None:
    store.save(key, FEATURES, result, {"model": {"name": "dnn", "units": (64, 32)}, "seed": 0})


@pytest.fixture
def store(tmp_path) -> FoldStore:
    return FoldStore(tmp_path / "folds")


share = st.floats(0, 1) | st.sampled_from([5e-324, 0.1 + 0.2, 0.5 + 2**-53, -0.0])
finite = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=4)


@settings(max_examples=60)
@given(st.lists(share, min_size=4, max_size=N), finite, finite, share)
def test_a_fold_comes_back_to_the_bit(tmp_path_factory, y_score, losses, validation, threshold):
    store = FoldStore(tmp_path_factory.getbasetemp() / "bits")
    history = History(tuple(losses), tuple(losses), tuple(validation), tuple(validation), 1)
    kept = fold(y_score, history=history, threshold=threshold)
    keep(store, KEY, kept)
    again = store.load(KEY, kept.split)
    assert again.y_score.tobytes() == kept.y_score.tobytes()
    assert repr(again) == repr(kept)


def test_no_flipped_byte_goes_unseen(store, caplog):
    kept = fold(np.linspace(0.1, 0.9, 6))
    keep(store, KEY, kept)
    whole = store.path(KEY).read_bytes()
    for at in range(0, len(whole), 7):
        store.path(KEY).write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])
        caplog.clear()
        assert store.load(KEY, kept.split) is None
        assert str(store.path(KEY)) in caplog.text
        assert store.predictions([KEY]) is None
    store.path(KEY).write_bytes(whole)
    assert store.load(KEY, kept.split) is not None


def test_predictions_come_in_the_order_of_the_keys(store):
    keep(store, KEY, fold([0.1, 0.2, 0.3], at=2, repeat=1, threshold=0.15))
    keep(store, OTHER, fold([0.7, 0.8], at=5))
    found = store.predictions([OTHER, KEY])
    assert found.record.tolist() == ["rec é5", "rec é6", "rec é2", "rec é3", "rec é4"]
    assert found.subject.tolist() == [f"subject {at}" for at in (2, 3, 1, 1, 2)]
    assert found.y_true.tolist() == [1, 0, 0, 1, 0]
    assert found.y_score.tolist() == [0.7, 0.8, 0.1, 0.2, 0.3]
    assert found.threshold.tolist() == [0.5, 0.5, 0.15, 0.15, 0.15]
    assert found.repeat.tolist() == [0, 0, 1, 1, 1]
    assert store.predictions([OTHER, "ef" * 32]) is None


def test_a_folder_that_no_file_system_takes_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="store: expected names that a file system takes"):
        FoldStore(tmp_path / ("k" * 300)).check()
