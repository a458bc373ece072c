"""From settings to a trainer: the backend is started, and programs are shared, at need."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from lvh.models import MODELS, Estimator
from lvh.models.backends import NO_BACKEND, Program, cores, new_program, start, threads_of
from lvh.models.estimators import EstimatorTrainer
from lvh.models.training import Trainer, TrainSettings

_PROGRAMS = 16  # for trials that take turns


def automatic_threads(model: str) -> int:
    """Return how many threads a process has where no number was asked for.

    Steps on tabular inputs are too small to share: handing the parts to threads takes longer than
    they do.
    """
    return 1 if MODELS[model].inputs == "tabular" else cores()


def threads(model: str, train: TrainSettings, backend: str) -> int:
    """Return how many threads the trainings of this process have.

    Args:
        model: Name in `lvh.models.MODELS`.
        train: Says how many are asked for.
        backend: Name, or `NO_BACKEND`.
    """
    automatic = automatic_threads(model)
    if backend == NO_BACKEND:
        return train.threads or automatic
    return threads_of(backend, train.threads, automatic)


def make_trainer(
    model: Any,
    train: TrainSettings,
    *,
    backend: str,
    input_shape: tuple[int, ...],
    names: tuple[str, ...],
    fs: float,
) -> Trainer:
    """Return what fits and scores a model; a network of a known shape is built and traced once.

    Args:
        model: Settings of a model in `lvh.models.MODELS`.
        train: How a network is trained.
        backend: Name, or `NO_BACKEND`.
        input_shape: Of one record.
        names: Of tabular inputs.
        fs: Sampling frequency of the records, Hz.
    """
    entry = MODELS[model.name]
    if isinstance(entry, Estimator):
        return EstimatorTrainer(
            partial(entry.build, model, names), threads(model.name, train, backend)
        )
    from lvh.models.keras_trainer import KerasTrainer

    started = time.perf_counter()
    start(backend, train.threads, automatic_threads(model.name))
    l2 = getattr(model, "l2", None)
    shared = model if l2 is None else replace(model, l2=0.0)
    program = _program(
        entry.build, shared, input_shape, train.batch_size, train.precision, train.side_by_side
    )
    setup_seconds = time.perf_counter() - started
    return KerasTrainer(program, train, l2=l2, fs=fs, setup_seconds=setup_seconds)


@lru_cache(maxsize=_PROGRAMS)
def _program(
    build: Callable[[Any, tuple[int, ...]], Any],
    model: Any,
    input_shape: tuple[int, ...],
    batch_size: int,
    precision: str,
    side_by_side: int | None,
) -> Program:
    """Build a model; every fold, and every configuration of its shape, shares it."""
    return new_program(lambda: build(model, input_shape), batch_size, precision, side_by_side)
