"""Folds inside a training part, by which something is chosen or calibrated there."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lvh.errors import InputError
from lvh.validation.splits import Indices, by_subject

Subjects = npt.NDArray[np.str_]


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

    def split(
        self, X: object, y: npt.NDArray[np.int64], groups: object = None
    ) -> Iterator[tuple[Indices, Indices]]:
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
