"""Trainers from settings: of a network, on the backend that it starts, or of a classifier."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from lvh.data.lazy_array import Inputs, read
from lvh.errors import LvhError
from lvh.features import FeatureSet
from lvh.models import Architecture, Classifier, Estimator
from lvh.models.backends import NO_BACKEND, cores, start, threads_of
from lvh.models.training import (
    Checkpoint,
    FitJob,
    History,
    OnEpoch,
    Trainer,
    TrainSettings,
    loss_and_accuracy,
)
from lvh.validation.inner_splits import Subjects
from lvh.validation.metrics import Floats

_PROGRAMS = 16  # for trials that take turns


def automatic_threads(entry: Architecture | Estimator) -> int:
    """Return the number of threads by default; steps on tabular inputs are too small to share."""
    return 1 if entry.inputs == "tabular" else cores()


def threads(entry: Architecture | Estimator, train: TrainSettings, backend: str) -> int:
    """Return how many threads the trainings of this process have."""
    automatic = automatic_threads(entry)
    if backend == NO_BACKEND:
        return train.threads or automatic
    return threads_of(backend, train.threads, automatic)


def make_trainer(
    entry: Architecture | Estimator,
    model: Any,
    *,
    train: TrainSettings,
    backend: str,
    features: FeatureSet,
    fs: float,
) -> Trainer:
    """Return the trainer of a model; a network of a known shape is built and traced once.

    The entry is that of a registry, such as `lvh.models.MODELS`, the model its settings, and fs is
    in Hz.
    """
    if isinstance(entry, Estimator):
        build = partial(entry.build, model, features.names)
        n_threads = threads(entry, train, backend)
        return EstimatorTrainer(build, n_threads, is_given=entry.is_given)
    started = time.perf_counter()
    start(backend, train.threads, automatic_threads(entry))
    from lvh.models.keras_trainer import KerasTrainer

    l2 = getattr(model, "l2", None) if entry.is_own else None
    shared = model if l2 is None else replace(model, l2=0.0)
    shape = features.input_shape
    program = _program(entry, shared, shape, train.batch_size, train.precision, train.side_by_side)
    setup_seconds = time.perf_counter() - started
    return KerasTrainer(program, train, l2=l2, fs=fs, setup_seconds=setup_seconds)


@lru_cache(maxsize=_PROGRAMS)
def _program(
    entry: Architecture,
    model: Any,
    input_shape: tuple[int, ...],
    batch_size: int,
    precision: str,
    side_by_side: int | None,
) -> Any:
    """Build a model; every fold, and every configuration of its shape, shares it."""
    from lvh.models.keras_trainer import new_program

    build = partial(entry.build, model, input_shape)
    program = new_program(build, batch_size, precision, side_by_side)
    program.rebuild = None if entry.is_own else build
    return program


class EstimatorTrainer:
    """Fits a new classifier to each job, alone; its one epoch is the whole fit."""

    n_parameters = None
    setup_seconds = 0.0

    def __init__(
        self,
        build: Callable[[int, Subjects], Classifier],
        threads: int,
        *,
        is_given: bool = False,
    ) -> None:
        """Take what makes a classifier from a random state and the training records' subjects.

        It gets numbers in double precision, or inputs as they are (`is_given`).
        """
        self._build, self._threads, self._is_given = build, threads, is_given

    def max_parallel(self, sizes: Sequence[int]) -> int:
        """Return 1."""
        return 1

    def fit(self, jobs: Sequence[FitJob], on_epoch: OnEpoch) -> list[History]:
        """Fit a classifier to one job; raise LvhError if it refuses the training records."""
        (job,) = jobs
        self._fitted = self._fit(job)
        parts = [(job.X, job.y), (job.X_validation, job.y_validation)]
        of_parts = [loss_and_accuracy(y, self._scores(X)) for X, y in parts if len(y)]
        curves = [*(((loss,), (accuracy,)) for loss, accuracy in of_parts), ((), ())]
        (loss, accuracy), (validation_loss, validation_accuracy) = curves[:2]
        chosen = str(getattr(self._fitted, "chosen", ""))
        on_epoch(0, 1)
        return [History(loss, accuracy, validation_loss, validation_accuracy, 1, chosen)]

    def predict(self, inputs: Sequence[Inputs]) -> list[Floats]:
        """Return P(label = 1), shape (n_records,), of the one part of the inputs."""
        return [self._scores(X) for X in inputs]

    def state(self) -> list[Classifier]:
        """Return the classifier."""
        return [self._fitted]

    def checkpoints(self) -> list[Checkpoint]:
        """Return none: a fit cannot be continued."""
        return []

    def _inputs(self, X: Inputs) -> Any:
        return read(X) if self._is_given else read(X).astype(np.float64)

    def _fit(self, job: FitJob) -> Classifier:
        started = time.perf_counter()
        model = self._build(int(job.seed.generate_state(1)[0]), job.subjects)  # imports, at first
        self.setup_seconds += time.perf_counter() - started
        try:
            with threadpool_limits(self._threads):
                model.fit(self._inputs(job.X), job.y)
        except ValueError as error:
            raise LvhError(f"the model refuses the training records of a fold: {error}") from error
        return model

    def _scores(self, X: Inputs) -> Floats:
        with threadpool_limits(self._threads):
            y_score = self._fitted.predict_proba(self._inputs(X))[:, 1]
        return np.asarray(y_score, np.float64)
