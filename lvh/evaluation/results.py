"""Result types that several rooms share."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lvh.validation.metrics import Floats, Interval, pooled_intervals, ranking

Plain = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Predictions of one trial, shape (n_rows,): a row for each test record and repeat.

    Attributes:
        y_score: P(label = 1).
        threshold: Above which it is predicted positive, that of its fold.
        losses: Of each fold, the training and the validation loss by epoch.
        sizes: Of each fold, its number of rows; empty for one fold.
    """

    record: npt.NDArray[np.str_]
    repeat: npt.NDArray[np.int64]
    subject: npt.NDArray[np.str_]
    y_true: npt.NDArray[np.int64]
    y_score: npt.NDArray[np.float64]
    threshold: npt.NDArray[np.float64]
    losses: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...] = ()
    sizes: tuple[int, ...] = ()

    @property
    def ranking(self) -> Floats:
        """Scores as they rank together, see `lvh.validation.metrics.ranking`."""
        return ranking(self.y_score, self.sizes)

    def pooled(self) -> dict[str, Interval]:
        """Return every score of all rows together, with its interval."""
        return pooled_intervals(self.y_true, self.y_score, self.subject, self.threshold, self.sizes)
