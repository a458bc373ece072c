"""The threshold of a fold, chosen by records of its training part that the model has not learned.

Scores of the records that a model has learned from are too good: a threshold chosen by them has a
lower specificity on new records.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lvh.errors import InputError
from lvh.validation.inner_splits import InnerFolds, Subjects
from lvh.validation.metrics import Floats, chosen_threshold
from lvh.validation.splits import Indices, Split

INNER_FOLDS = 5


def held_out(split: Split, y: Indices, subjects: Subjects) -> tuple[Split, ...]:
    """Cut the training part of a fold into what is learned from and what chooses a threshold.

    Where validation records are set aside these are scored, by the fold's own model; else five
    stratified folds by subject are, each by a model of the other four. `y` and `subjects` are of
    all records, shape (n_records,).

    InputError where there are too few records of either class to choose by.
    """
    if len(split.validation):
        if y[split.validation].all():
            raise InputError(
                "cv.threshold: expected a negative among the validation records of each fold. "
                f"Received: {len(split.validation)} positive ones in fold {split.fold + 1}"
            )
        return (replace(split, test=split.validation),)
    state = int(np.random.SeedSequence([split.repeat, split.fold]).generate_state(1)[0])
    folds = InnerFolds(
        INNER_FOLDS,
        state,
        subjects[split.train],
        field="cv.threshold",
        remedy="Set cv.validation above 0, or cv.threshold=fixed",
    )
    return tuple(
        replace(split, train=split.train[others], test=split.train[own])
        for others, own in folds.split(None, y[split.train])
    )


def choose(parts: Sequence[Split], y: Indices, y_scores: Sequence[Floats]) -> float:
    """Return the threshold with a specificity of 90 % on what the parts of `held_out` score."""
    test = np.concatenate([part.test for part in parts])
    return chosen_threshold(y[test], np.concatenate(y_scores))
