"""Trainers: one for each kind of model, made from a registry entry and settings."""

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
from lvh.models import Architecture, Estimator
from lvh.models.backends import cores, start
from lvh.models.training import (
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


class EstimatorTrainer(Trainer):
    """Fits a new classifier to each job, alone; its one epoch is the whole fit."""

    def __init__(
        self, build: Callable[[int, Subjects], Any], threads: int, *, takes_any: bool = False
    ) -> None:
        """Take what makes a classifier; it gets float64, or inputs as they are (`takes_any`)."""
        self._build, self._threads, self._takes_any = build, threads, takes_any

    def fit(self, jobs: Sequence[FitJob], on_epoch: OnEpoch) -> list[History]:
        """Fit a classifier to one job; raise LvhError if it refuses the training records."""
        (job,) = jobs
        started = time.perf_counter()
        self._fitted = self._build(int(job.seed.generate_state(1)[0]), job.subjects)
        self.setup_seconds += time.perf_counter() - started  # of imports, at first
        try:
            with threadpool_limits(self._threads):
                self._fitted.fit(self._inputs(job.X), job.y)
        except ValueError as error:
            raise LvhError(f"the model refuses the training records of a fold: {error}") from error
        curves: list[tuple[float, ...]] = []
        for X, y in ((job.X, job.y), (job.X_validation, job.y_validation)):
            scores = loss_and_accuracy(y, self.predict([X])[0]) if len(y) else ()
            curves += [scores[:1], scores[1:]]
        on_epoch(0, 1)
        loss, accuracy, validation_loss, validation_accuracy = curves
        chosen = str(getattr(self._fitted, "chosen", ""))
        return [History(loss, accuracy, validation_loss, validation_accuracy, 1, chosen)]

    def predict(self, inputs: Sequence[Inputs]) -> list[Floats]:
        """Return P(label = 1), shape (n_records,), of the one part of the inputs."""
        with threadpool_limits(self._threads):
            scores = [self._fitted.predict_proba(self._inputs(X))[:, 1] for X in inputs]
        return [np.asarray(y_score, np.float64) for y_score in scores]

    def state(self) -> list[Any]:
        """Return the classifier."""
        return [self._fitted]

    def _inputs(self, X: Inputs) -> Any:
        return read(X) if self._takes_any else read(X).astype(np.float64)


def make_trainer(
    entry: Architecture | Estimator,
    model: Any,
    *,
    train: TrainSettings,
    backend: str,
    features: FeatureSet,
    fs: float,
) -> Trainer:
    """Return the trainer of a model, by its entry in a registry such as `lvh.models.MODELS`.

    A network of a known shape is built and traced once. `model` has its settings; fs is in Hz.
    """
    if isinstance(entry, Estimator):
        build = partial(entry.build, model, features.names)
        n_threads = train.threads or automatic_threads(entry)
        return EstimatorTrainer(build, n_threads, takes_any=entry.takes_any)
    started = time.perf_counter()
    start(backend, train.threads, automatic_threads(entry))
    from lvh.models.keras_trainer import KerasTrainer

    l2 = getattr(model, "l2", None) if entry.is_own else None
    shared = model if l2 is None else replace(model, l2=0.0)
    how = train.batch_size, train.precision, train.side_by_side
    program = _program(entry, shared, features.input_shape, how)
    setup_seconds = time.perf_counter() - started
    return KerasTrainer(program, train, l2=l2, fs=fs, setup_seconds=setup_seconds)


@lru_cache(maxsize=_PROGRAMS)
def _program(
    entry: Architecture,
    model: Any,
    input_shape: tuple[int, ...],
    how: tuple[int, str, int | None],
) -> Any:
    """Build a model; every fold, and every configuration of its shape, shares it."""
    from lvh.models.programs import new_program

    build = partial(entry.build, model, input_shape)
    batch_size, precision, side_by_side = how
    program = new_program(build, batch_size, precision, side_by_side)
    program.rebuild = None if entry.is_own else build
    return program


def automatic_threads(entry: Architecture | Estimator) -> int:
    """Return the number of threads by default; steps on tabular inputs are too small to share."""
    return 1 if entry.inputs == "tabular" else cores()
