"""Folds inside a training part: scikit-learn's, and no subject in two of them."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lvh.errors import InputError
from lvh.models import classifiers
from lvh.validation.inner_splits import InnerFolds
from lvh.validation.splits import by_subject


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


def test_subjects_are_kept_together_so_that_none_is_known_again():
    subjects = np.repeat(np.arange(12).astype(str), 5)
    y = np.repeat([1] * 4 + [0] * 8, 5)
    with pytest.raises(InputError) as refusal:
        next(folds(5, 0, subjects).split(None, y))
    assert str(refusal.value) == (
        "model.folds: expected 5 training subjects or more of each class, for 5 inner folds. "
        "Received: 4 positive and 8 negative subjects. Choose fewer, or more records"
    )
    assert len(list(folds(4, 0, subjects).split(None, y))) == 4
    # Labels that mean nothing, and inputs that tell subjects apart: nothing can be known.
    random = np.random.default_rng(0)
    y = np.repeat(random.permutation(np.arange(30) % 2), 4)
    X = np.repeat(random.normal(size=(30, 6)), 4, axis=0) + random.normal(0, 0.05, (120, 6))
    settings = classifiers.SvmSettings("svm", 10.0, 0.3)

    def sureness(subjects: np.ndarray) -> float:
        model = classifiers.build_svm(settings, (), 0, subjects).fit(X, y)
        return float(np.abs(model.predict_proba(X)[:, 1] - 0.5).mean())

    assert sureness(np.repeat(np.arange(30).astype(str), 4)) < 0.2
    assert sureness(np.arange(120).astype(str)) > 0.4
