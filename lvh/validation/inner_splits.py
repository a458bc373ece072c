"""Folds inside a training part, by which something is chosen or calibrated there."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lvh.errors import InputError
from lvh.validation.splits import Indices, by_subject, stratified

Subjects = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False)
class InnerFolds:
    """Stratified folds that keep subjects whole; what scikit-learn takes as `cv`.

    Subjects are dealt as `lvh.validation.splits.splits` does it: with one record each, these are
    the folds of scikit-learn's StratifiedKFold. Its StratifiedGroupKFold would draw others.

    Attributes:
        n_folds: How many.
        random_state: Of the draw.
        subjects: Subject of each record that is split, shape (n_records,).
        field: Field of the configuration that asks for them, which an error names.
        remedy: What a user can change there if the records are too few.
    """

    n_folds: int
    random_state: int
    subjects: Subjects
    field: str
    remedy: str

    def split(
        self, X: object, y: npt.NDArray[np.int64], groups: object = None
    ) -> Iterator[tuple[Indices, Indices]]:
        """Yield, for each fold, the positions of the records outside and inside of it.

        X and groups are not used.

        Raises:
            InputError: Fewer subjects of either class than folds.
        """
        subject_of, positive = by_subject(y, self.subjects)
        n_positive, n_negative = int(positive.sum()), int((1 - positive).sum())
        if min(n_positive, n_negative) < self.n_folds:
            raise InputError(
                f"{self.field}: expected {self.n_folds} training subjects or more of each class, "
                f"for {self.n_folds} inner folds. Received: {n_positive} positive and "
                f"{n_negative} negative subjects. {self.remedy}, or more records"
            )
        folds = stratified(positive, self.n_folds, self.random_state)[subject_of]
        for fold in range(self.n_folds):
            yield np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """Return the number of folds."""
        return self.n_folds
