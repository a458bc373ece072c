"""Folds inside a training part, by which something is chosen or calibrated there."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lvh.errors import InputError
from lvh.folds import Indices, by_subject

Subjects = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False)
class InnerFolds:
    """Stratified folds that keep subjects whole; what scikit-learn takes as `cv`.

    Subjects are split as `lvh.folds.splits` does it: with one record each, these are the folds of
    scikit-learn's StratifiedKFold. Its StratifiedGroupKFold would draw others.

    Attributes:
        n_folds: How many.
        random_state: Of the draw.
        subjects: Subject of each record that is split, shape (n_records,).
        field: Of the configuration that asks for them, which an error names.
        remedy: What a person can do there if the records are too few.
    """

    n_folds: int
    random_state: int
    subjects: Subjects
    field: str
    remedy: str

    def split(
        self, X: object, y: npt.NDArray[np.int64], groups: object = None
    ) -> Iterator[tuple[Indices, Indices]]:
        """Return, for each fold, the positions of the records outside and inside of it.

        Args:
            X: Of no account.
            y: Labels, shape (n_records,).
            groups: Of no account; the subjects are known.

        Raises:
            InputError: Fewer subjects of either class than folds.
        """
        from sklearn.model_selection import StratifiedKFold

        subject_of, positive = by_subject(y, self.subjects)
        self._check_enough(int(positive.sum()), int((1 - positive).sum()))
        folds = StratifiedKFold(self.n_folds, shuffle=True, random_state=self.random_state)
        for _, inside in folds.split(positive, positive):
            held_out = np.isin(subject_of, inside)
            yield np.nonzero(~held_out)[0], np.nonzero(held_out)[0]

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """Return the number of folds."""
        return self.n_folds

    def _check_enough(self, n_positive: int, n_negative: int) -> None:
        if min(n_positive, n_negative) < self.n_folds:
            raise InputError(
                f"{self.field}: expected {self.n_folds} subjects or more of each class to learn "
                f"from, of whom it makes {self.n_folds} folds. Received: {n_positive} positive and "
                f"{n_negative} negative subjects. {self.remedy}, or more records"
            )
