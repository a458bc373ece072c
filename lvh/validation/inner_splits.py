"""Folds inside a training part, which choose a threshold or calibrate a model.

Scores of the records that a model has learned from are too good: a threshold that is chosen by them
has a lower specificity on new records.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lvh.errors import InputError
from lvh.validation.metrics import Floats, Labels, chosen_threshold
from lvh.validation.metrics import Subjects as Subjects
from lvh.validation.splits import Parts, Split, by_subject

INNER_FOLDS = 5
"""Folds that choose a threshold."""


@dataclass(frozen=True, slots=True, eq=False)
class InnerFolds:
    """Stratified folds that keep subjects whole, for scikit-learn's `cv`.

    With one record a subject, these are the folds of StratifiedKFold. An error names the `field`
    that asks for them, and a `remedy`.
    """

    n_folds: int
    random_state: int
    subjects: Subjects
    field: str
    remedy: str

    def split(self, X: object, y: Labels, groups: object = None) -> Iterator[Parts]:
        """Yield the positions of the records outside and inside of each fold; y alone is used."""
        from sklearn.model_selection import StratifiedKFold

        subject_of, positive = by_subject(y, self.subjects)
        n_positive, n_negative = int(positive.sum()), int((1 - positive).sum())
        if min(n_positive, n_negative) < self.n_folds:
            raise InputError(
                f"{self.field}: expected {self.n_folds} training subjects or more of each class. "
                f"Received: {n_positive} positive and {n_negative} negative subjects. "
                f"{self.remedy}, or more records"
            )
        folds = StratifiedKFold(self.n_folds, shuffle=True, random_state=self.random_state)
        for _, members in folds.split(positive, positive):
            is_inside = np.isin(subject_of, members)
            yield np.flatnonzero(~is_inside), np.flatnonzero(is_inside)

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """Return the number of folds."""
        return self.n_folds


def held_out(split: Split, y: Labels, subjects: Subjects) -> tuple[Split, ...]:
    """Cut the training part of a fold into what is learned from and what chooses a threshold.

    Where validation records are set aside these are scored, by the fold's own model; else five
    stratified folds by subject are, each by a model of the other four. `y` and `subjects` are of
    all records. Raises InputError for too few records of either class to choose by.
    """
    if len(split.validation):
        if y[split.validation].all():
            raise InputError(
                "cv.threshold: expected a negative among the validation records of each fold. "
                f"Received: {len(split.validation)} positive ones in fold {split.fold + 1}"
            )
        return (replace(split, test=split.validation),)
    state = int(np.random.SeedSequence([split.repeat, split.fold]).generate_state(1)[0])
    remedy = "Set cv.validation above 0, or cv.threshold=fixed"
    folds = InnerFolds(INNER_FOLDS, state, subjects[split.train], "cv.threshold", remedy)
    return tuple(
        replace(split, train=split.train[others], test=split.train[own])
        for others, own in folds.split(None, y[split.train])
    )


def choose_threshold(parts: Sequence[Split], y: Labels, y_scores: Sequence[Floats]) -> float:
    """Return the threshold with a specificity of 90 % on what the parts of `held_out` score."""
    test = np.concatenate([part.test for part in parts])
    return chosen_threshold(y[test], np.concatenate(y_scores))
