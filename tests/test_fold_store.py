"""Finished folds on disk: the same bits, or none at all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvh.errors import InputError
from lvh.evaluation.cv_result import FoldResult
from lvh.features import FeatureSet
from lvh.models.training import History
from lvh.tracking.fold_store import FoldStore
from lvh.validation.metrics import score
from lvh.validation.splits import Split

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


@pytest.mark.parametrize("name", ["k" * 300, "k/" * 50_000])
def test_a_folder_that_no_file_system_takes_is_bad_input(tmp_path, name):
    with pytest.raises(InputError, match=r"store: expected a folder .*4096"):
        FoldStore(tmp_path / name).check()
