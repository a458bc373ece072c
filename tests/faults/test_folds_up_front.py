"""Rows 31 to 33: what cannot be cross-validated is refused before anything is trained."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lvh.errors import InputError
from lvh.validation.splits import CvSettings, splits

SEVEN = CvSettings("kfold", 7, 1, 123, 0.2, 0.0)


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
    y = np.repeat([1, 0], counts)
    with pytest.raises(InputError, match=re.escape(said)) as refusal:
        splits(y, np.arange(len(y)).astype(str), replace(SEVEN, **changes))
    assert refusal.value.exit_code == 2
