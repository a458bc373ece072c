"""Result types that several rooms share."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Plain = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Predictions of one trial, one row for each test record and repeat.

    Attributes:
        record: Names, shape (n_rows,), str.
        repeat: Shape (n_rows,), int64.
        subject: Shape (n_rows,), str.
        y_true: Labels 0 and 1, shape (n_rows,).
        y_score: P(label = 1), shape (n_rows,).
        threshold: Above which it is predicted positive, that of its fold, shape (n_rows,).
        losses: Of each fold, the training and the validation loss by epoch.
    """

    record: npt.NDArray[np.str_]
    repeat: npt.NDArray[np.int64]
    subject: npt.NDArray[np.str_]
    y_true: npt.NDArray[np.int64]
    y_score: npt.NDArray[np.float64]
    threshold: npt.NDArray[np.float64]
    losses: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...] = ()
