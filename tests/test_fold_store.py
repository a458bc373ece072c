"""Finished folds on disk: the same bits, or none at all."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvh.errors import EnvironmentFault
from lvh.evaluation.cv_result import FoldResult
from lvh.features import FeatureSet
from lvh.models.training import History
from lvh.tracking.fold_store import FoldStore
from lvh.validation.metrics import score
from lvh.validation.splits import Split

KEY = "ab" + "0" * 62
OTHER = "cd" + "1" * 62
N = 8


def features() -> FeatureSet:
    return FeatureSet(
        "tabular",
        np.zeros((N, 1), np.float32),
        np.arange(N) % 2,
        ("a",),
        tuple(f"rec é{i}" for i in range(N)),
        np.array([f"subject {i // 2}" for i in range(N)]),
        np.zeros((N, 2)),
    )


def fold(y_score, at: int = 0, repeat: int = 0, history: History | None = None) -> FoldResult:
    y_score = np.asarray(y_score, dtype=np.float64)
    test = (np.arange(len(y_score)) + at) % N
    split = Split(repeat, at, np.setdiff1d(np.arange(N), test), np.array([], np.int64), test)
    return FoldResult(
        split,
        y_score,
        score(features().y[test], y_score),
        history or History((0.7, 0.1 + 0.2), (0.5, 1.0), (), (), 2),
        1.25,
    )


def keep(store: FoldStore, key: str, result: FoldResult) -> None:
    store.save(key, features(), result, {"model": {"name": "dnn", "units": (64, 32)}, "seed": 0})


@pytest.fixture
def store(tmp_path) -> FoldStore:
    return FoldStore(tmp_path / "folds")


share = st.floats(0, 1) | st.sampled_from(
    [5e-324, 2.2e-308, 0.1 + 0.2, np.nextafter(0.5, 1), np.nextafter(0.5, 0), -0.0, 1 - 2**-53]
)
finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=60)
@given(
    st.lists(share, min_size=4, max_size=N),
    st.lists(finite, min_size=1, max_size=4),
    st.lists(finite, max_size=4),
)
def test_a_fold_comes_back_to_the_bit(tmp_path_factory, y_score, losses, validation):
    store = FoldStore(tmp_path_factory.getbasetemp() / "bits")
    history = History(tuple(losses), tuple(losses), tuple(validation), tuple(validation), 1)
    kept = fold(y_score, history=history)
    keep(store, KEY, kept)
    again = store.load(KEY, kept.split)
    assert again.y_score.tobytes() == kept.y_score.tobytes()
    assert again.y_score.dtype == np.float64
    assert repr(again.metrics) == repr(kept.metrics)
    assert repr(again.history) == repr(kept.history)
    assert again.seconds == kept.seconds
    assert again.split is kept.split


def assert_damaged(store: FoldStore, caplog, kept: FoldResult) -> None:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert store.load(KEY, kept.split) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(store.path(KEY)) in caplog.text
    assert "damaged" in caplog.text
    assert store.predictions([KEY]) is None


def test_no_flipped_byte_goes_unseen(store, caplog):
    kept = fold(np.linspace(0.1, 0.9, 6))
    keep(store, KEY, kept)
    whole = store.path(KEY).read_bytes()
    places = range(0, len(whole), 7)
    assert len(places) > 50
    for at in places:
        store.path(KEY).write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])
        assert_damaged(store, caplog, kept)
    store.path(KEY).write_bytes(whole)
    assert store.load(KEY, kept.split) is not None


def test_predictions_come_in_the_order_of_the_keys(store):
    first, second = fold([0.1, 0.2, 0.3], at=2, repeat=1), fold([0.7, 0.8], at=5)
    keep(store, KEY, first)
    keep(store, OTHER, second)
    found = store.predictions([OTHER, KEY])
    assert found.record.tolist() == ["rec é5", "rec é6", "rec é2", "rec é3", "rec é4"]
    assert found.subject.tolist() == [f"subject {at}" for at in (2, 3, 1, 1, 2)]
    assert found.y_true.tolist() == [1, 0, 0, 1, 0]
    assert found.y_score.tolist() == [0.7, 0.8, 0.1, 0.2, 0.3]
    assert found.repeat.tolist() == [0, 0, 1, 1, 1]
    assert (found.repeat.dtype, found.y_true.dtype) == (np.int64, np.int64)
    assert store.predictions([OTHER, "ef" * 32]) is None


def test_a_full_disk_is_told_and_leaves_the_old_fold(store, monkeypatch):
    kept = fold([0.1, 0.2, 0.3, 0.4])
    keep(store, KEY, kept)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(EnvironmentFault, match="No space left on device"):
        keep(store, KEY, fold([0.9, 0.9, 0.9, 0.9]))
    np.testing.assert_array_equal(store.load(KEY, kept.split).y_score, kept.y_score)
    assert [path.name for path in store.path(KEY).parent.iterdir()] == [f"{KEY}.json"]
