"""Folds: scikit-learn's where each record is a subject, and never a subject in two parts."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from lvh.errors import InputError
from lvh.validation.inner_splits import InnerFolds
from lvh.validation.splits import CvSettings, by_subject, check_protocol, splits

REPORT = CvSettings("kfold", 7, 1, 123, 0.2, 0.0)


def singles(n):
    """Subjects of n records, one each, whose names do not sort as they stand."""
    return np.array([str(record) for record in range(n, 0, -1)])


def labels(positive, negative, seed=0):
    y = np.repeat([1, 0], [positive, negative])
    return np.random.default_rng(seed).permutation(y)


@pytest.mark.ludb
def test_folds_of_ludb_are_those_of_the_report(ludb):
    each_its_own = np.array(ludb.records)  # as the study has them; data.same_subject=false
    found = splits(ludb.label, each_its_own, REPORT)
    assert [len(split.test) for split in found] == [29, 29, 29, 29, 28, 28, 28]
    assert [int(ludb.label[split.test].sum()) for split in found] == [17, 17, 15, 17, 14, 14, 14]


@pytest.mark.parametrize(("scheme", "oracle"), [("kfold", KFold), ("stratified", StratifiedKFold)])
@pytest.mark.parametrize(("folds", "state"), [(2, 0), (7, 123)])
def test_single_records_are_split_as_scikit_learn_does(scheme, oracle, folds, state):
    y = labels(30, 23)
    settings = replace(REPORT, scheme=scheme, folds=folds, random_state=state)
    found = splits(y, singles(53), settings)
    expected = list(oracle(folds, shuffle=True, random_state=state).split(y, y))
    assert [(split.repeat, split.fold) for split in found] == [(0, fold) for fold in range(folds)]
    assert [split.train.tolist() for split in found] == [train.tolist() for train, _ in expected]
    assert [split.test.tolist() for split in found] == [test.tolist() for _, test in expected]


def test_repeats_and_validation_records_differ():
    y = labels(30, 23)
    plain = splits(y, singles(53), REPORT)
    found = splits(y.tolist(), singles(53).tolist(), replace(REPORT, repeats=3))
    assert [(split.repeat, split.fold) for split in found] == [
        (repeat, fold) for repeat in range(3) for fold in range(7)
    ]
    test = [[split.test.tolist() for split in found if split.repeat == n] for n in range(3)]
    assert test[0] == [split.test.tolist() for split in plain]
    assert test[0] != test[1] != test[2] != test[0]
    next_state = splits(y, singles(53), replace(REPORT, random_state=124))
    assert test[1] == [split.test.tolist() for split in next_state]
    # Else the same few subjects would stop every training.
    y = np.arange(197) % 2
    found = splits(y, np.arange(197).astype(str), replace(REPORT, validation=0.2))
    drawn = np.concatenate([split.validation for split in found])
    learned = [np.sort([*one.train, *one.validation]) for one in found]
    places = [np.searchsorted(own, one.validation) for own, one in zip(learned, found, strict=True)]
    assert len({tuple(one) for one in places}) == 7
    # 7 draws of a fifth from what is not scored: all but (5/7 .. 6/7 each) .8**6 = 26 % expected
    assert len(set(drawn)) > 0.6 * 197
    assert max(np.bincount(drawn)) < 6


@pytest.mark.parametrize("n", [53, 200])
def test_holdout_is_train_test_split_twice(n):
    y = labels(n // 2, n - n // 2)
    settings = replace(REPORT, scheme="holdout", validation=0.2)
    [split] = splits(y, singles(n), settings)
    learned, test = train_test_split(np.arange(n), test_size=0.2, random_state=123)
    train, validation = train_test_split(learned, test_size=0.2, random_state=123)
    assert split.test.tolist() == sorted(test)
    assert split.validation.tolist() == sorted(validation)
    assert split.train.tolist() == sorted(train)
    if n == 200:
        assert (len(train), len(validation), len(test)) == (128, 32, 40)


@given(
    owners=st.lists(st.integers(0, 12), min_size=30, max_size=60),
    scheme=st.sampled_from(["kfold", "stratified", "holdout"]),
    validation=st.sampled_from([0.0, 0.3]),
)
def test_no_subject_is_in_two_parts(owners, scheme, validation):
    names = np.array([f"s{owner}" for owner in owners])
    positive = np.unique(owners)[::2]  # every second subject
    y = np.isin(owners, positive).astype(np.int64)
    assume(len(positive) >= 4)
    settings = replace(REPORT, scheme=scheme, folds=3, validation=validation)
    try:
        found = splits(y, names, settings)
    except InputError:
        return  # a training part of one class
    for split in found:
        parts = [set(names[part]) for part in (split.train, split.validation, split.test)]
        assert sum(map(len, parts)) == len(set(names))
        assert set.union(*parts) == set(names)
    if scheme != "holdout":
        assert sorted(np.concatenate([one.test for one in found])) == list(range(len(y)))


def test_a_training_part_of_one_class_is_refused_with_the_counts():
    """Two positives of six: some random state puts both into one test fold."""
    y = np.array([1, 1, 0, 0, 0, 0])
    settings = replace(REPORT, folds=2)
    refusals = []
    for state in range(20):
        try:
            found = splits(y, singles(6), replace(settings, random_state=state))
        except InputError as refusal:
            refusals.append(str(refusal))
        else:
            assert all(set(y[split.train]) == {0, 1} for split in found)
    assert 0 < len(refusals) < 20
    for refusal in refusals:
        assert "3 records, 0 of them positive. cv=stratified spreads them" in refusal
    assert splits(y, singles(6), replace(settings, scheme="stratified"))


@pytest.mark.parametrize("changes", [{"weights": "carried"}, {"epoch": "best_on_scored"}])
def test_a_protocol_that_leaks_is_named_and_refused_unless_it_is_allowed(changes):
    assert (REPORT.protocol, REPORT.leakage) == ("honest", "")
    check_protocol(REPORT)
    settings = replace(REPORT, **changes)
    assert (settings.protocol, bool(settings.leakage)) == (*changes.values(), True)
    with pytest.raises(InputError, match=rf"cv\.{next(iter(changes))}: .*allow_leak.* leaks"):
        check_protocol(settings)
    check_protocol(replace(settings, allow_leakage=True))
    with pytest.raises(InputError, match=r"cv\.(weights|validation)"):  # it means nothing there
        check_protocol(replace(settings, scheme="holdout", validation=0.2, allow_leakage=True))


FAULTS = {
    "one class": ((0, 20), {}, "20 records, 0 of them positive"),
    "fewer positives": ((6, 30), {"scheme": "stratified"}, "7 folds, 6 positive subjects"),
    "fewer negatives": ((30, 2), {}, "7 folds, 2 negative subjects"),
    "nothing to train": ((20, 20), {"scheme": "holdout", "test_size": 0.99}, "cv.test_size: "),
    "nothing to validate": ((2, 2), {"folds": 2, "validation": 0.9}, "cv.validation: expected"),
}


@pytest.mark.parametrize(("counts", "changes", "said"), FAULTS.values(), ids=FAULTS)
def test_too_few_records_are_refused_with_the_counts(counts, changes, said):
    y = np.repeat([1, 0], counts)
    with pytest.raises(InputError, match=re.escape(said)) as refusal:
        splits(y, np.arange(len(y)).astype(str), replace(REPORT, **changes))
    assert refusal.value.exit_code == 2


def folds(n_folds: int, state: int, subjects: np.ndarray) -> InnerFolds:
    return InnerFolds(n_folds, state, subjects, field="model.folds", remedy="Choose fewer")


@given(
    rows=st.lists(st.tuples(st.integers(0, 15), st.integers(0, 1)), min_size=20, max_size=60),
    state=st.integers(0, 100),
)
def test_no_subject_is_in_two_folds(rows, state):
    subjects = np.array([f"s{number}" for number, _ in rows])
    y = np.array([label for _, label in rows])
    _, positive = by_subject(y, subjects)
    assume(3 <= positive.sum() <= len(positive) - 3)
    found = list(folds(3, state, subjects).split(None, y))
    assert sorted(np.concatenate([own for _, own in found])) == list(range(len(y)))
    for others, own in found:
        assert not set(subjects[others]) & set(subjects[own])
        assert sorted([*others, *own]) == list(range(len(y)))
        assert len(np.unique(y[others])) == 2


def test_too_few_subjects_of_a_class_are_refused():
    subjects = np.repeat(np.arange(12).astype(str), 5)
    y = np.repeat([1] * 4 + [0] * 8, 5)
    with pytest.raises(InputError, match=r"model\.folds: .* 4 positive and 8 negative subjects"):
        next(folds(5, 0, subjects).split(None, y))
    assert len(list(folds(4, 0, subjects).split(None, y))) == 4
