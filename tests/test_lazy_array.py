"""Records that are read when their turn comes: the same, to the bit, as those in memory."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lvh.config.composition import settings_of
from lvh.config.run_settings import RunSettings
from lvh.data import ptbxl
from lvh.data import synthetic as synthetic_source
from lvh.data.cohort import fingerprint, join
from lvh.data.lazy_array import LazyArray, concatenate, prefetch, read
from lvh.errors import InputError
from lvh.evaluation.cv_result import FoldResult, summarize
from lvh.evaluation.fold_training import train_folds
from lvh.features import FORMS
from lvh.inference.refit import refit
from lvh.runs.cache_key import run_key
from lvh.runs.run import ExperimentData, baselines_of, new_trainer
from lvh.validation.splits import splits

SMALL = ("stride=125", "model.filters=[4,6,4]", "train.epochs=2", "cv.folds=3", "train.threads=2")


def settings(root: Path, *overrides: str) -> RunSettings:
    given = ["data=ptbxl", f"data.root={root}", "model=cnn", *SMALL, *overrides]
    return settings_of(*given)


def prepared(of: RunSettings) -> ExperimentData:
    cohort = ptbxl.load(of.data)
    features = FORMS[of.features.name].extract(cohort, of.features)
    return ExperimentData(cohort, features, splits(features.y, features.subjects, of.cv))


@pytest.fixture
def both(ptbxl_root, monkeypatch):
    """Return what makes the same of the sample with its signals in memory, and in a store."""

    def prepare(*overrides: str) -> tuple[RunSettings, ExperimentData, ExperimentData]:
        of = settings(ptbxl_root, *overrides)
        loaded = prepared(of)
        with monkeypatch.context() as patch:
            patch.setattr(ptbxl, "LOADED_BYTES", 0)
            mapped = prepared(of)
        assert isinstance(loaded.features.X, np.ndarray)
        assert isinstance(mapped.features.X, LazyArray)
        return of, loaded, mapped

    return prepare


def trained(of: RunSettings, given: ExperimentData) -> list[FoldResult]:
    features = given.features
    results = train_folds(
        features,
        given.splits,
        new_trainer(of, features, given.cohort.fs),
        seed=of.seed,
        protocol=of.cv.protocol,
        threshold=of.cv.threshold,
    )
    return list(results)


@pytest.mark.ludb
@pytest.mark.parametrize("scaling", ["minmax", "none"])
def test_inputs_are_the_same_to_the_bit(both, scaling):
    of, loaded, mapped = both(f"features.scaling={scaling}", "features.leads=[v6,i,avl]")
    X, unread = loaded.features.X, mapped.features.X
    assert (unread.shape, unread.dtype) == (X.shape, X.dtype)
    np.testing.assert_array_equal(unread.read(), X)
    chosen = np.array([5, 141, 0, 7])
    np.testing.assert_array_equal(unread[chosen][1:].read(), X[chosen][1:])
    np.testing.assert_array_equal(unread[9], X[9])
    for name in ("records", "subjects", "age_and_sex", "y", "names"):
        np.testing.assert_array_equal(
            getattr(loaded.features, name), getattr(mapped.features, name)
        )
    # so that a fold trained in memory is taken up, and the other way around
    assert loaded.cohort.fingerprint == mapped.cohort.fingerprint
    keys = [run_key(of, one.cohort.fingerprint, one.splits) for one in (loaded, mapped)]
    assert keys[0] == keys[1]


@pytest.mark.ludb
@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("features.leads=all", "features.scaling=none", "model.dropout=0.0"),
        ("train=early_stopping", "train.epochs=3", "train.patience=2", "cv.validation=0.2"),
        ("cv.weights=carried", "cv.epoch=best_on_scored", "cv.allow_leakage=true"),
        ("cv.threshold=specificity_90", "cv.validation=0.3", "train.batch_size=7"),
    ],
    ids=["default", "all leads", "early stopping", "leaks", "threshold"],
)
def test_folds_and_scores_are_the_same_to_the_bit(both, overrides, monkeypatch):
    """In parts of a few batches, so that there are several and a last one that is smaller."""
    of, loaded, mapped = both(*overrides)
    monkeypatch.setattr("lvh.models.keras_trainer._PART_BYTES", 2_000_000)
    pairs = zip(trained(of, loaded), trained(of, mapped), strict=True)
    for one, other in pairs:
        for part in ("train", "validation", "scored"):
            np.testing.assert_array_equal(getattr(one.split, part), getattr(other.split, part))
        np.testing.assert_array_equal(one.y_score, other.y_score)
        assert one.metrics == other.metrics
        assert one.history == other.history
        assert one.threshold == other.threshold


@pytest.mark.ludb
def test_a_conclusion_is_the_same(both):
    of, loaded, mapped = both("train.epochs=1")
    found = [
        summarize(one.features, trained(of, one), baselines_of(one, "fixed"))
        for one in (loaded, mapped)
    ]
    assert found[0].summary == found[1].summary
    assert found[0].baselines == found[1].baselines


@pytest.mark.ludb
def test_a_model_of_all_records_is_the_same(both):
    of, loaded, mapped = both("train.epochs=1", "cv.folds=2")
    found = []
    for one in (loaded, mapped):
        result = summarize(one.features, trained(of, one), baselines_of(one, "fixed"))
        found.append(refit(of, one, result, 1))
    (described, (taught,)), (described_, (taught_,)) = found
    assert described == described_
    for values, values_ in zip(taught, taught_, strict=True):
        np.testing.assert_array_equal(values, values_)


@pytest.mark.ludb
def test_what_is_changed_for_training_comes_from_the_seed_alone(both):
    of, _, mapped = both("features.scaling=none", "train.augment.noise=0.05", "cv=holdout")
    first, again = trained(of, mapped), trained(of, mapped)
    np.testing.assert_array_equal(first[0].y_score, again[0].y_score)
    as_is, _, _ = both("features.scaling=none", "cv=holdout")
    assert not np.array_equal(first[0].y_score, trained(as_is, mapped)[0].y_score)


@pytest.mark.ludb
def test_records_of_another_source_are_put_behind_unread_ones(both):
    _, loaded, mapped = both()
    other = synthetic_source.load(synthetic_source.SyntheticSettings("synthetic", 20, 1.0, 0.02, 0))
    whole, unread = join(loaded.cohort, other), join(mapped.cohort, other)
    assert unread.fingerprint == whole.fingerprint
    chosen = np.array([150, 3, 161, 141, 142])
    np.testing.assert_array_equal(unread.signals[chosen].read(), whole.signals[chosen])


def doubled(n: int) -> LazyArray:
    """Return numbers of shape (n, 3), each twice its position."""
    return LazyArray(
        np.arange(n), (3,), np.dtype(np.int16), lambda at: np.repeat(2 * at[:, None], 3, 1)
    ).changed(lambda values, at: values.astype(np.float32))


def test_a_part_reads_nothing_and_a_part_of_it_is_the_right_one():
    asked = []

    def make(at):
        asked.append(at.tolist())
        return at[:, None].astype(np.float32)

    whole = LazyArray(np.arange(100), (1,), np.dtype(np.float32), make)
    part = whole[np.arange(100) % 10 == 3][::-1][2:4]
    assert (len(part), asked) == (2, [])
    assert part.read().ravel().tolist() == [73, 63]
    assert asked == [[73, 63]]


def test_what_is_made_of_a_part_is_told_its_place_in_that_part():
    part = doubled(10)[np.array([7, 2, 5])]
    with_place = part.changed(lambda values, at: values + 100 * at[:, None])
    assert with_place[np.array([2, 0])].read()[:, 0].tolist() == [210, 14]


def test_concatenated_arrays_stay_one_and_others_are_put_together():
    array = np.arange(12, dtype=np.float32).reshape(4, 3)
    assert isinstance(concatenate(array, array), np.ndarray)
    both = concatenate(array, doubled(5))
    np.testing.assert_array_equal(read(both), np.concatenate([array, doubled(5).read()]))
    np.testing.assert_array_equal(both[np.array([8, 0])].read()[:, 0], [8, 0])


def test_a_fingerprint_is_that_of_the_array():
    unread = doubled(200)
    assert fingerprint("x", unread) == fingerprint("x", unread.read())
    assert fingerprint("x", unread[1:]) != fingerprint("x", unread)


def test_nothing_takes_it_for_an_array_unawares():
    for takes in (np.asarray, np.isnan, np.median):
        with pytest.raises(
            InputError, match=r"fewer records .* Received: 5 records of shape \(3,\)"
        ):
            takes(doubled(5))


def test_things_are_made_in_their_order_by_another_thread_and_few_ahead():
    made = []

    def make(item):
        made.append((item, threading.current_thread()))
        return item * item

    results = prefetch(iter(range(50)), make)
    assert next(results) == 0
    assert len(made) <= 3
    assert list(results) == [n * n for n in range(1, 50)]
    assert [item for item, _ in made] == list(range(50))
    assert threading.current_thread() not in {thread for _, thread in made}


def test_what_goes_wrong_in_the_other_thread_is_raised_here():
    def make(item):
        if item == 3:
            raise KeyError(item)
        return item

    before = threading.active_count()
    results = prefetch(range(10), make)
    with pytest.raises(KeyError):
        list(results)
    assert threading.active_count() == before


def test_a_cohort_with_another_one_in_memory_is_left_as_it_was(cohort):
    """Small ones take the way they took: an array, and views of it."""
    both = join(cohort, replace(cohort, name="another"))
    assert isinstance(both.signals, np.ndarray)
