"""Rows 31 to 33: what cannot be cross-validated is refused before anything is trained."""

import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import command, head, write_data_set

from lvh.data.cohort import Cohort
from lvh.errors import InputError
from lvh.validation.splits import CvSettings, splits

SEVEN = CvSettings("kfold", 7, 1, 123, 0.2, 0.0)


def of_labels(cohort: Cohort, *labels: int) -> Cohort:
    n = len(labels)
    return replace(head(cohort, n), label=np.array(labels, np.int64))


def test_31_too_few_of_a_class_end_with_2_before_anything_is_written(cohort, tmp_path):
    root = write_data_set(tmp_path / "set", of_labels(cohort, 1, 0, 0, 0, 0, 0), 6)
    done = command(f"data.root={root}", "model=logistic", "cv.folds=2", cwd=tmp_path)
    assert done.code == 2, done.err
    assert "Received: 2 folds, 1 positive subjects" in done.err
    assert len(done.err.splitlines()) == 1
    assert not list(tmp_path.glob("outputs/folds/*/*"))


def singles(n):
    """Subjects of n records, one each, whose names do not sort as they stand."""
    return np.array([str(record) for record in range(n, 0, -1)])


def labels(positive, negative, seed=0):
    y = np.repeat([1, 0], [positive, negative])
    return np.random.default_rng(seed).permutation(y)


FAULTS = {
    "one class": ((0, 20), {}, "20 records, 0 of them positive"),
    "one class, holdout": ((20, 0), {"scheme": "holdout"}, "20 records, 20 of them positive"),
    "fewer records than folds": ((3, 3), {}, "7 folds, 6 subjects"),
    "fewer positives": ((6, 30), {"scheme": "stratified"}, "7 folds, 6 positive subjects"),
    "fewer negatives": ((30, 2), {}, "7 folds, 2 negative subjects"),
    "nothing to train": ((20, 20), {"scheme": "holdout", "test_size": 0.99}, "cv.test_size: "),
    "nothing to validate": ((2, 2), {"folds": 2, "validation": 0.9}, "cv.validation: expected"),
}


@pytest.mark.parametrize(("counts", "changes", "said"), FAULTS.values(), ids=FAULTS)
def test_31_32_too_few_records_are_refused_with_the_counts(counts, changes, said):
    y = labels(*counts)

    with pytest.raises(InputError, match=re.escape(said)) as refusal:
        splits(y, singles(len(y)), replace(SEVEN, **changes))

    assert refusal.value.exit_code == 2
