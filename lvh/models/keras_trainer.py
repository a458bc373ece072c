"""Train networks on folds, each from a state that a seed alone decides."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lvh.data.lazy_array import Inputs, LazyArray, prefetch, read
from lvh.errors import LvhError
from lvh.models.augment import augmented
from lvh.models.backends.program import Floats, Labels, Weights
from lvh.models.training import FitJob, History, OnEpoch, TrainSettings, loss_and_accuracy

if TYPE_CHECKING:
    import keras

    from lvh.models.backends.graph import GraphProgram
    from lvh.models.backends.keras_fit import FitProgram

_PREDICTION_BATCH = 32  # bounds the activations of the widest convolution
_PART_BYTES = 32 * 1024 * 1024  # of lazy records that are read at once
_BETWEEN_REPORTS = 0.2  # s; how long a person, or a signal, may wait for the end of an epoch


def new_program(
    build: "Callable[[], keras.Model]",
    batch_size: int,
    precision: str,
    side_by_side: int | None = None,
) -> "GraphProgram | FitProgram":
    """Build a model with one sigmoid output, and what trains it on the backend that was started.

    The other arguments are fields of `lvh.models.training.TrainSettings`.
    """
    from keras import backend, config

    policy = config.dtype_policy()
    try:
        config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
        model = build()
    finally:
        config.set_dtype_policy(policy)
    model.layers[-1].dtype_policy = "float32"  # 8 bits of a probability rank nobody
    if backend.backend() != "tensorflow":
        from lvh.models.backends.keras_fit import FitProgram

        return FitProgram(model, batch_size)
    from lvh.models.backends.graph import GraphProgram
    from lvh.models.backends.stack import StackProgram, is_dense

    if is_dense(model):
        return StackProgram(model, batch_size, side_by_side)
    return GraphProgram(model, batch_size)


class KerasTrainer:
    """Trains one program again and again, each time from a state that its seed alone decides."""

    def __init__(
        self,
        program: "GraphProgram | FitProgram",
        settings: TrainSettings,
        *,
        l2: float | None = None,
        fs: float = 1.0,
        setup_seconds: float = 0.0,
    ) -> None:
        """Take a program, which may be shared, and how it is trained.

        A penalty of None is that of the build; fs, in Hz, is that of signals that are augmented;
        the seconds were spent on the program before.
        """
        self._program, self._settings = program, settings
        self._l2, self._fs = l2, fs
        self._spent_before = setup_seconds - program.setup_seconds
        self._n_jobs = 0
        self.n_parameters = program.n_parameters

    @property
    def setup_seconds(self) -> float:
        """Seconds spent so far on importing, building, tracing and compiling."""
        return self._spent_before + self._program.setup_seconds

    def max_parallel(self, sizes: Sequence[int]) -> int:
        """Return how many of the next jobs, with so many records each, may be fitted at once."""
        return self._program.max_parallel(sizes)

    def fit(self, jobs: Sequence[FitJob], on_epoch: OnEpoch) -> list[History]:
        """Train from new weights; a warm job, alone, goes on from those of the last job.

        Args:
            jobs: At most `max_parallel`.
            on_epoch: Called after every epoch of every job.

        Raises:
            LvhError: A loss is no longer finite.
        """
        settings, program = self._settings, self._program
        seeds = [_children(job.seed) for job in jobs]
        if not jobs[0].warm_start:
            program.reset([of_weights for of_weights, _, _ in seeds], self._l2)
        self._n_jobs = len(jobs)
        # Keras's `fit` under a seed would show the same batches in every epoch
        orders = [np.random.default_rng(of_order) for _, of_order, _ in seeds]
        draws = [np.random.default_rng(of_changes) for _, _, of_changes in seeds]
        logs = [_Log(settings, job) for job in jobs]
        in_parts = settings.augment.is_on or any(isinstance(job.X, LazyArray) for job in jobs)
        one_by_one = in_parts or any(log.validates for log in logs)
        data = None if in_parts else program.place([(read(job.X), job.y) for job in jobs])
        done, at_once = 0, 1
        while done < settings.epochs and not all(log.has_stopped for log in logs):
            started = time.perf_counter()
            n_epochs = min(at_once, settings.epochs - done)
            shown = [
                np.stack([order.permutation(len(job.y)) for _ in range(n_epochs)])
                for order, job in zip(orders, jobs, strict=True)
            ]
            if in_parts:
                sums = self._train_in_parts(jobs, [order for (order,) in shown], draws)
            else:
                sums = program.train(data, shown, settings.learning_rate)
            done += n_epochs
            self._log(logs, sums.sum(axis=2), on_epoch)
            if not one_by_one:  # nothing is looked at between epochs
                seconds = (time.perf_counter() - started) / n_epochs
                at_once = max(1, min(2 * at_once, int(_BETWEEN_REPORTS / seconds)))
        for at, log in enumerate(logs):
            if log.weights is not None:
                program.assign(at, log.weights)
        return [log.history() for log in logs]

    def predict(self, inputs: Sequence[Inputs]) -> list[npt.NDArray[np.float64]]:
        """Return P(label = 1) in inference mode, by the network of each job."""
        is_lazy = any(isinstance(part, LazyArray) for part in inputs)
        array_of = read if is_lazy else np.asarray

        def batch(start: int) -> list[Floats]:
            return [array_of(part[start : start + _PREDICTION_BATCH]) for part in inputs]

        starts = range(0, max(map(len, inputs)), _PREDICTION_BATCH)
        batches = prefetch(starts, batch) if is_lazy else map(batch, starts)
        chunks = [self._program.scores(batch) for batch in batches]
        return [np.concatenate(parts).astype(np.float64) for parts in zip(*chunks, strict=True)]

    def state(self) -> list[Weights]:
        """Return copies of the variables of each job's network, in the order of the model."""
        return [self._program.values(at) for at in range(self._n_jobs)]

    def _train_in_parts(
        self,
        jobs: Sequence[FitJob],
        orders: Sequence[Labels],
        draws: Sequence[np.random.Generator],
    ) -> Floats:
        """Train an epoch on records that are read or changed; the next ones while it trains."""
        settings = self._settings
        of_record = 4 * sum(math.prod(job.X.shape[1:]) for job in jobs)
        n_batches = max(1, _PART_BYTES // (settings.batch_size * of_record))
        n_at_once = settings.batch_size * n_batches

        def part(start: int) -> list[tuple[Floats, Labels]]:
            parts = []
            for job, order, own in zip(jobs, orders, draws, strict=True):
                rows = order[start : start + n_at_once]
                X = read(job.X[rows])
                if settings.augment.is_on:
                    X = augmented(X, settings.augment, self._fs, own)
                parts.append((X, job.y[rows]))
            return parts

        def sums() -> Iterator[Floats]:
            for records in prefetch(range(0, max(map(len, orders)), n_at_once), part):
                shown = [np.arange(len(y))[None] for _, y in records]
                data = self._program.place(records)
                yield self._program.train(data, shown, settings.learning_rate)

        return np.concatenate(list(sums()), axis=2)

    def _log(self, logs: "Sequence[_Log]", sums: Floats, on_epoch: OnEpoch) -> None:
        """Log some epochs, shape (n_jobs, n_epochs, 2); of several, none has validation records."""
        y_scores: list[npt.NDArray[np.float64]] = [np.zeros(0)] * len(logs)
        if any(log.validates for log in logs):
            y_scores = self.predict([log.job.X_validation for log in logs])
        for epoch in range(sums.shape[1]):
            for at, log in enumerate(logs):
                if log.has_stopped:
                    continue
                log.add(sums[at, epoch], y_scores[at])
                if log.keeps_weights:
                    log.weights = self._program.values(at)
                on_epoch(at, len(log.epochs))


class _Log:
    """The epochs of one training, which of them is best, and when to stop."""

    def __init__(self, settings: TrainSettings, job: FitJob) -> None:
        self.job, self._settings = job, settings
        self.validates = len(job.y_validation) > 0
        self.epochs: list[tuple[float, float]] = []
        self._validations: list[tuple[float, float]] = []
        self._best, self._best_value = 0, math.inf
        self.has_stopped = self.keeps_weights = False
        self.weights: Weights | None = None

    def add(self, sums: Floats, y_score: npt.NDArray[np.float64]) -> None:
        """Take an epoch, and its scores of the validation records.

        Raises:
            LvhError: The loss is not finite.
        """
        job, settings = self.job, self._settings
        loss, accuracy = (sums / np.float32(len(job.y))).tolist()
        self.epochs.append((loss, accuracy))
        if not math.isfinite(loss):
            raise LvhError(
                f"the loss became {loss} in epoch {len(self.epochs)}. "
                f"A lower train.learning_rate than {settings.learning_rate:g} may help"
            )
        if not self.validates:
            return
        self._validations.append(loss_and_accuracy(job.y_validation, y_score))
        validation_loss, validation_accuracy = self._validations[-1]
        value = -validation_accuracy if job.keep_most_accurate else validation_loss
        is_best = value < self._best_value
        if is_best:
            self._best, self._best_value = len(self.epochs), value
        if job.keep_most_accurate:
            self.keeps_weights = is_best
        elif settings.patience is not None:
            self.has_stopped = len(self.epochs) - self._best >= settings.patience
            # the other networks of its stack train on, and its own weights change with theirs
            self.keeps_weights = is_best if settings.restore_best else self.has_stopped

    def history(self) -> History:
        """Return what happened."""
        restores = self._settings.restore_best or self.job.keep_most_accurate
        kept = self._best if self.weights is not None and restores else len(self.epochs)
        loss, accuracy = zip(*self.epochs, strict=True)
        validation = tuple(zip(*self._validations, strict=True)) or ((), ())
        return History(loss, accuracy, validation[0], validation[1], kept)


def _children(seed: np.random.SeedSequence) -> list[np.random.SeedSequence]:
    """Return the seeds of weights, order and changes, equal ones in every call."""
    keys = [(*seed.spawn_key, number) for number in range(3)]
    return [np.random.SeedSequence(seed.entropy, spawn_key=key) for key in keys]
