"""Fit estimators on folds: models that learn in one go, without Keras."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from lvh.data.lazy_array import Inputs, read
from lvh.errors import LvhError
from lvh.models import Classifier
from lvh.models.training import History, Lesson, OnEpoch, evaluated
from lvh.validation.inner_splits import Subjects

_Scores = npt.NDArray[np.float64]


class EstimatorLearner:
    """Fits a new classifier to every lesson; what it came to stands as its only epoch."""

    n_parameters = None
    """Not known before it has learned."""

    def __init__(self, build: Callable[[int, Subjects], Classifier], threads: int) -> None:
        """Take what is fitted.

        Args:
            build: Makes a classifier that has learned nothing, from a random state and the
                subjects of the records that it will learn from.
            threads: That the libraries below may use.
        """
        self._build = build
        self._threads = threads
        self._fitted: list[Classifier] = []

    def together(self, sizes: Sequence[int]) -> int:
        """Return 1: nothing is gained side by side."""
        return 1

    def fit(self, lessons: Sequence[Lesson], on_epoch: OnEpoch) -> list[History]:
        """Fit a classifier to each lesson.

        Raises:
            LvhError: A classifier refuses what it is to learn from, such as too few records.
        """
        self._fitted = [self._learned(lesson) for lesson in lessons]
        histories = []
        for at, (lesson, model) in enumerate(zip(lessons, self._fitted, strict=True)):
            histories.append(self._history(lesson, model))
            on_epoch(at, 1)
        return histories

    def predict(self, parts: Sequence[Inputs]) -> list[_Scores]:
        """Return P(label = 1), shape (n_records,), by the classifier of each lesson."""
        return [self._scores(model, part) for model, part in zip(self._fitted, parts, strict=True)]

    def taught(self, at: int) -> Classifier:
        """Return the classifier of one lesson."""
        return self._fitted[at]

    def _learned(self, lesson: Lesson) -> Classifier:
        from threadpoolctl import threadpool_limits

        model = self._build(int(lesson.seed.generate_state(1)[0]), lesson.subjects)
        try:
            with threadpool_limits(self._threads):
                model.fit(read(lesson.X).astype(np.float64), lesson.y)
        except ValueError as error:
            raise LvhError(f"the model refuses the training records of a fold: {error}") from error
        return model

    def _scores(self, model: Classifier, X: Inputs) -> _Scores:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(self._threads):
            return np.asarray(model.predict_proba(read(X).astype(np.float64))[:, 1], np.float64)

    def _history(self, lesson: Lesson, model: Classifier) -> History:
        loss, accuracy = evaluated(lesson.y, self._scores(model, lesson.X))
        chosen = str(getattr(model, "chosen", ""))
        if not len(lesson.y_validation):
            return History((loss,), (accuracy,), (), (), 1, chosen)
        y_score = self._scores(model, lesson.X_validation)
        validation_loss, validation_accuracy = evaluated(lesson.y_validation, y_score)
        return History((loss,), (accuracy,), (validation_loss,), (validation_accuracy,), 1, chosen)
