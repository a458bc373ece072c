"""Rows 31 to 33: what cannot be cross-validated is refused before anything is trained."""

import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import command, head, write_data_set
from hypothesis import given, reject
from hypothesis import settings as examples
from hypothesis import strategies as st

from lvh.data.cohort import Cohort
from lvh.errors import InputError
from lvh.evaluation.cross_validation import cross_validate
from lvh.features import FORMS
from lvh.features.ntp import NtpSettings
from lvh.models.training import History
from lvh.validation.splits import CvSettings, splits

SEVEN = CvSettings("kfold", 7, 1, 123, 0.2, 0.0)


def of_labels(cohort: Cohort, *labels: int) -> Cohort:
    n = len(labels)
    return replace(head(cohort, n), label=np.array(labels, np.int64))


@pytest.mark.parametrize(
    ("labels", "given", "said"),
    [
        ([1] * 6, "cv.folds=2", "labels: expected both classes. Received: 6 records, 6 of them"),
        ([0] * 6, "cv=stratified", "labels: expected both classes. Received: 6 records, 0 of them"),
        ([0] * 6, "cv=holdout", "labels: expected both classes. Received: 6 records, 0 of them"),
        ([0, 1] * 3, "cv.folds=7", "cv.folds: expected at most the number of subjects. Received"),
        ([1, 0, 0, 0, 0, 0], "cv.folds=2", "Received: 2 folds, 1 positive subjects"),
        ([1, 0, 1, 1, 1, 1], "cv.folds=2", "Received: 2 folds, 1 negative subjects"),
    ],
    ids=[
        "31 positives",
        "31 negatives",
        "31 holdout",
        "32 records",
        "32 positives",
        "32 negatives",
    ],
)
def test_31_32_too_few_of_either_class_ends_with_2_and_the_counts(
    labels, given, said, cohort, tmp_path
):
    root = write_data_set(tmp_path / "set", of_labels(cohort, *labels), len(labels))
    done = command(f"data.root={root}", "model=logistic", given, cwd=tmp_path)
    assert done.code == 2, done.err
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"set", "outputs"}
    assert not list(tmp_path.glob("outputs/folds/*/*"))


def singles(n):
    """Subjects of n records, one each, whose names do not sort as they stand."""
    return np.array([str(record) for record in range(n, 0, -1)])


def labels(positive, negative, seed=0):
    y = np.repeat([1, 0], [positive, negative])
    return np.random.default_rng(seed).permutation(y)


FAULTS = {
    "one class": ((0, 20), {}, "20 records, 0 of them positive"),
    "other class": ((20, 0), {}, "20 records, 20 of them positive"),
    "one class, holdout": ((20, 0), {"scheme": "holdout"}, "20 records, 20 of them positive"),
    "nobody": ((0, 0), {}, "0 records, 0 of them positive"),
    "fewer records than folds": ((3, 3), {}, "7 folds, 6 subjects"),
    "fewer positives": ((6, 30), {}, "7 folds, 6 positive subjects"),
    "fewer positives, stratified": (
        (6, 30),
        {"scheme": "stratified"},
        "7 folds, 6 positive subjects",
    ),
    "fewer negatives": ((30, 2), {}, "7 folds, 2 negative subjects"),
    "holdout leaves nothing to train": (
        (20, 20),
        {"scheme": "holdout", "test_size": 0.99},
        "cv.test_size: expected",
    ),
    "validation leaves nothing to train": (
        (2, 2),
        {"folds": 2, "validation": 0.9},
        "cv.validation: expected",
    ),
    "validation of a single subject": (
        (1, 1),
        {"scheme": "holdout", "test_size": 0.5, "validation": 0.2},
        "cv.validation: expected",
    ),
}


@pytest.mark.parametrize(("counts", "changes", "said"), FAULTS.values(), ids=FAULTS)
def test_31_32_too_few_records_are_refused_with_the_counts(counts, changes, said):
    y = labels(*counts)

    with pytest.raises(InputError, match=re.escape(said)) as refusal:
        splits(y, singles(len(y)), replace(SEVEN, **changes))

    assert refusal.value.exit_code == 2


def test_32_records_of_one_subject_do_not_count_as_many():
    y = np.repeat([1, 0], 30)
    names = np.repeat(singles(6), 10)

    with pytest.raises(InputError, match="7 folds, 6 subjects"):
        splits(y, names, SEVEN)


class Constant:
    """Scores every record .6."""

    n_parameters, setup_seconds = 0, 0.0

    def max_parallel(self, sizes):
        return len(sizes)

    def fit(self, jobs, on_epoch):
        return [History((0.7,), (0.5,), (), (), 1)] * len(jobs)

    def predict(self, parts):
        return [np.full(len(X), 0.6) for X in parts]


@pytest.mark.parametrize("scheme", ["kfold", "stratified", "holdout"])
def test_33_a_subject_with_several_records_is_on_one_side_of_every_fold(cohort, scheme):
    """Through features and training, on a cohort whose 40 records are of 17 subjects.

    As in PTB-XL most have one record and some have several, at places far from each other.
    """
    subjects = np.array([f"patient {n}" for n in [*range(17), *range(8), *range(8), *range(7)]])
    positive = np.arange(17) % 2
    shared = replace(cohort, subjects=subjects, label=positive[[int(s[8:]) for s in subjects]])
    data = FORMS["ntp"].extract(shared, NtpSettings("ntp", "mean", "drop", "minmax"))
    settings = CvSettings(scheme, 4, 3, 0, 0.3, 0.2)
    folds = splits(data.y, data.subjects, settings)
    found = cross_validate(data, folds, Constant, seed=0)
    of_record = dict(zip(shared.records, subjects, strict=True))
    for fold in found.folds:
        parts = (fold.split.train, fold.split.validation, fold.split.scored)
        owners = [{of_record[data.records[i]] for i in part} for part in parts]
        assert all(owners)
        assert sum(map(len, owners)) == len(set(data.subjects)) > 12
        assert sum(map(len, parts)) == len(data.records)


COHORTS = st.lists(  # records of each subject, as labels
    st.lists(st.integers(0, 1), min_size=1, max_size=4), min_size=8, max_size=30
)


@given(
    subjects=COHORTS,
    order=st.randoms(use_true_random=False),
    scheme=st.sampled_from(["kfold", "stratified", "holdout"]),
    folds=st.integers(2, 4),
    repeats=st.integers(1, 3),
    state=st.integers(0, 1000),
    validation=st.sampled_from([0.0, 0.2, 0.5]),
)
@examples(max_examples=120)
def test_33_no_subject_is_in_two_parts(subjects, order, scheme, folds, repeats, state, validation):
    rows = [(f"s{number}", label) for number, of in enumerate(subjects) for label in of]
    order.shuffle(rows)
    names = np.array([name for name, _ in rows])
    y = np.array([label for _, label in rows])
    settings = CvSettings(scheme, folds, repeats, state, 0.3, validation)

    try:
        found = splits(y, names, settings)
    except InputError:
        reject()

    for split in found:
        parts = [split.train, split.validation, split.scored]
        assert sorted(np.concatenate(parts)) == list(range(len(y)))
        owners = [set(names[part]) for part in parts]
        assert sum(map(len, owners)) == len(set(names))
        assert all((np.diff(part) > 0).all() for part in parts)
        assert set(y[split.train]) == {0, 1}
        assert len(split.scored) > 0
        assert (len(split.validation) > 0) == (validation > 0)
    if scheme == "holdout":
        assert len(found) == repeats
    else:
        for repeat in range(repeats):
            scored = [split.scored for split in found if split.repeat == repeat]
            assert len(scored) == folds
            assert sorted(np.concatenate(scored)) == list(range(len(y)))
