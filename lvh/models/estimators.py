"""Fit estimators on folds: models that are fitted in one go, without Keras."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from lvh.data.lazy_array import Inputs, read
from lvh.errors import LvhError
from lvh.models import Classifier
from lvh.models.training import FitJob, History, OnEpoch, evaluated
from lvh.validation.inner_splits import Subjects

_Scores = npt.NDArray[np.float64]


class EstimatorTrainer:
    """Fits a new classifier to every job; its one epoch is the whole fit."""

    n_parameters = None
    """Not known before a fit."""

    def __init__(self, build: Callable[[int, Subjects], Classifier], threads: int) -> None:
        """Take what is fitted.

        Args:
            build: Makes a new classifier from a random state and the subjects of the training
                records.
            threads: That the libraries below may use.
        """
        self._build = build
        self._threads = threads
        self._fitted: list[Classifier] = []
        self.setup_seconds = 0.0

    def max_parallel(self, sizes: Sequence[int]) -> int:
        """Return 1: nothing is gained side by side."""
        return 1

    def fit(self, jobs: Sequence[FitJob], on_epoch: OnEpoch) -> list[History]:
        """Fit a classifier to each job.

        Raises:
            LvhError: A classifier refuses its training records, such as too few of them.
        """
        self._fitted = [self._fit(job) for job in jobs]
        histories = []
        for at, (job, model) in enumerate(zip(jobs, self._fitted, strict=True)):
            histories.append(self._history(job, model))
            on_epoch(at, 1)
        return histories

    def predict(self, inputs: Sequence[Inputs]) -> list[_Scores]:
        """Return P(label = 1), shape (n_records,), by the classifier of each job."""
        return [self._scores(model, X) for model, X in zip(self._fitted, inputs, strict=True)]

    def state(self) -> list[Classifier]:
        """Return the classifier of each job."""
        return list(self._fitted)

    def _fit(self, job: FitJob) -> Classifier:
        started = time.perf_counter()
        from threadpoolctl import threadpool_limits

        model = self._build(int(job.seed.generate_state(1)[0]), job.subjects)  # imports, at first
        self.setup_seconds += time.perf_counter() - started
        try:
            with threadpool_limits(self._threads):
                model.fit(read(job.X).astype(np.float64), job.y)
        except ValueError as error:
            raise LvhError(f"the model refuses the training records of a fold: {error}") from error
        return model

    def _scores(self, model: Classifier, X: Inputs) -> _Scores:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(self._threads):
            return np.asarray(model.predict_proba(read(X).astype(np.float64))[:, 1], np.float64)

    def _history(self, job: FitJob, model: Classifier) -> History:
        loss, accuracy = evaluated(job.y, self._scores(model, job.X))
        chosen = str(getattr(model, "chosen", ""))
        if not len(job.y_validation):
            return History((loss,), (accuracy,), (), (), 1, chosen)
        y_score = self._scores(model, job.X_validation)
        validation_loss, validation_accuracy = evaluated(job.y_validation, y_score)
        return History((loss,), (accuracy,), (validation_loss,), (validation_accuracy,), 1, chosen)
