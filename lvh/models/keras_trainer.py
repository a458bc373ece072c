"""Train networks on folds, each from a state that a seed alone decides."""

import json
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np

from lvh.data.lazy_array import Inputs, LazyArray, prefetch, read
from lvh.errors import LvhError
from lvh.models.programs import Floats, Labels, Program, Records, Scores, Weights, assign, copies
from lvh.models.training import (
    Checkpoint,
    FitJob,
    History,
    OnEpoch,
    TrainSettings,
    augmented,
    loss_and_accuracy,
)

_PART_BYTES = 32 * 1024 * 1024  # of lazy records that are read at once
_SCORED_AT_ONCE = 32  # records; bounds the activations of the widest convolution
_BETWEEN_REPORTS = 0.2  # s; how long a user, or a signal, may wait for the end of an epoch


class KerasTrainer:
    """Trains one program again and again, each time from a state that its seed alone decides."""

    def __init__(
        self,
        program: Program,
        settings: TrainSettings,
        *,
        l2: float | None = None,
        fs: float = 1.0,
        setup_seconds: float = 0.0,
    ) -> None:
        """Take a program, which may be shared; an l2 of None is the build's, fs is in Hz."""
        self._program, self._settings, self._l2, self._fs = program, settings, l2, fs
        self.n_parameters: int | None = program.n_parameters
        self.max_parallel, self.setup_seconds = program.max_parallel, setup_seconds
        self._is_augmented = settings.augment.is_on

    def fit(self, jobs: Sequence[FitJob], on_epoch: OnEpoch) -> list[History]:
        """Train at most `max_parallel` jobs, or a warm one; LvhError if a loss is not finite."""
        settings, program = self._settings, self._program
        self._trainings = [_Training(job, settings, self._fs) for job in jobs]
        in_parts = self._is_augmented or isinstance(jobs[0].X, LazyArray)
        is_watched = in_parts or any(len(job.y_validation) for job in jobs)
        data = [(np.asarray(job.X), job.y) for job in jobs] if not in_parts else []
        if not jobs[0].warm_start:
            started = time.perf_counter()
            program.reset([training.seed for training in self._trainings], self._l2)
            self.setup_seconds += time.perf_counter() - started
        for at, job in enumerate(jobs):
            if job.start is not None:
                assign(program.network(at), job.start.variables)
                assign(program.optimizer(at), job.start.optimizer)
        n_epochs = 1
        while not all(training.is_done for training in self._trainings):
            started = time.perf_counter()
            orders = [training.orders(n_epochs) for training in self._trainings]
            if in_parts:
                sums = self._train_in_parts(orders)
            else:
                sums = program.train(data, orders, settings.learning_rate)
            self._log(sums, on_epoch)
            if not is_watched:  # nothing is looked at between epochs
                seconds = (time.perf_counter() - started) / n_epochs
                n_epochs = max(1, min(2 * n_epochs, int(_BETWEEN_REPORTS / seconds)))
            n_epochs = min(n_epochs, settings.epochs - len(self._trainings[0].epochs))
        self._checkpoints = [
            training.checkpoint(copies(program.network(at)), copies(program.optimizer(at)))
            for at, training in enumerate(self._trainings)
            if training.job.keep_checkpoint
        ]
        for at, training in enumerate(self._trainings):
            if training.weights is not None:
                assign(program.network(at), training.weights)
        if settings.precise_bn:
            program.estimate_statistics([job.X for job in jobs])
        return [training.history() for training in self._trainings]

    def predict(self, inputs: Sequence[Inputs]) -> list[Scores]:
        """Return P(label = 1) in inference mode, by the network of each job."""
        starts = range(0, max(map(len, inputs)), _SCORED_AT_ONCE)
        cuts = [slice(start, start + _SCORED_AT_ONCE) for start in starts]
        batches: Iterable[Any] = [[part[cut] for part in inputs] for cut in cuts]
        if isinstance(inputs[0], LazyArray):  # the next ones are read while these are scored
            batches = prefetch(batches, lambda parts: list(map(read, parts)))
        chunks = map(self._program.scores, batches)
        return list(map(np.concatenate, zip(*chunks, strict=True)))

    def state(self) -> list[Weights]:
        """Return copies of the variables of each job's network, in the order of the model."""
        return [copies(self._program.network(at)) for at in range(len(self._trainings))]

    def checkpoints(self) -> list[Checkpoint]:
        """Return the checkpoint of each job that asked for one."""
        return self._checkpoints

    def _train_in_parts(self, orders: Sequence[Labels]) -> Floats:
        """Train an epoch on records that are read or changed; the next ones while it trains."""
        batch_size, trainings = self._settings.batch_size, self._trainings
        of_batch = 4 * batch_size * sum(math.prod(one.job.X.shape[1:]) for one in trainings)
        n_at_once = batch_size * max(1, _PART_BYTES // of_batch)

        def part(start: int) -> list[Records]:
            pairs = zip(trainings, orders, strict=True)
            return [one.records(order[0, start : start + n_at_once]) for one, order in pairs]

        sums = []
        for records in prefetch(range(0, max(order.shape[1] for order in orders), n_at_once), part):
            shown = [np.arange(len(y))[None] for _, y in records]
            sums.append(self._program.train(records, shown, self._settings.learning_rate))
        return np.asarray(np.sum(sums, axis=0))

    def _log(self, sums: Floats, on_epoch: OnEpoch) -> None:
        """Log some epochs, shape (n_jobs, n_epochs, 2); of several, none has validation records."""
        y_scores: list[Scores] = [np.zeros(0)] * len(self._trainings)
        if any(len(one.job.y_validation) for one in self._trainings):
            y_scores = self.predict([one.job.X_validation for one in self._trainings])
        for epoch in range(sums.shape[1]):
            for at, training in enumerate(self._trainings):
                if not training.is_done:
                    if training.add(sums[at, epoch], y_scores[at]):
                        training.weights = copies(self._program.network(at))
                    on_epoch(at, len(training.epochs))


class _Training:
    """One job: its draws, its epochs, which of them is best, and when to stop."""

    def __init__(self, job: FitJob, settings: TrainSettings, fs: float) -> None:
        self.job, self._settings, self._fs = job, settings, fs
        self.seed, of_order, of_changes = _children(job.seed)
        # Keras's `fit` under a seed would show the same batches in every epoch
        self._order, self._changes = map(np.random.default_rng, (of_order, of_changes))
        self.epochs: list[tuple[float, ...]] = []  # loss, accuracy; of validation records too
        if job.start is not None:
            self.epochs = list(zip(*filter(None, astuple(job.start.history)[:4]), strict=True))
            states = json.loads(job.start.random)
            self._order.bit_generator.state, self._changes.bit_generator.state = states
        self.is_done = len(self.epochs) >= settings.epochs
        self._best, self._best_value = 0, math.inf
        self.weights: Weights | None = None

    def orders(self, n_epochs: int) -> Labels:
        """Draw the order of the records in the next epochs, shape (n_epochs, n_records)."""
        return np.stack([self._order.permutation(len(self.job.y)) for _ in range(n_epochs)])

    def records(self, rows: Labels) -> Records:
        """Read some records, and change them."""
        X = read(self.job.X[rows])
        return augmented(X, self._settings.augment, self._fs, self._changes), self.job.y[rows]

    def add(self, sums: Floats, y_score: Scores) -> bool:
        """Take an epoch, and its scores of the validation records; return whether to keep it."""
        job, settings = self.job, self._settings
        values = (sums / np.float32(len(job.y))).tolist()
        if len(job.y_validation):
            values += loss_and_accuracy(job.y_validation, y_score)
        self.epochs.append(tuple(values))
        self.is_done = len(self.epochs) >= settings.epochs
        if not math.isfinite(values[0]):
            raise LvhError(
                f"the loss became {values[0]} in epoch {len(self.epochs)}. "
                f"A lower train.learning_rate than {settings.learning_rate:g} may help"
            )
        if not len(job.y_validation):
            return False
        value = -values[3] if job.keep_most_accurate else values[2]
        is_best = value < self._best_value
        if is_best:
            self._best, self._best_value = len(self.epochs), value
        if job.keep_most_accurate or settings.patience is None:
            return is_best and job.keep_most_accurate
        has_stopped = len(self.epochs) - self._best >= settings.patience
        self.is_done |= has_stopped
        # the other networks of its stack train on, and its own weights change with theirs
        return is_best if settings.restore_best else has_stopped

    def checkpoint(self, variables: Weights, moments: Weights) -> Checkpoint:
        """Return a checkpoint, with the variables of the network and of its optimizer."""
        states = [one.bit_generator.state for one in (self._order, self._changes)]
        return Checkpoint(variables, moments, json.dumps(states), self.history())

    def history(self) -> History:
        """Return what happened."""
        restores = self._settings.restore_best or self.job.keep_most_accurate
        kept_epoch = self._best if self.weights is not None and restores else len(self.epochs)
        curves = [*zip(*self.epochs, strict=True), (), (), (), ()]
        return History(curves[0], curves[1], curves[2], curves[3], kept_epoch)


def _children(seed: np.random.SeedSequence) -> list[np.random.SeedSequence]:
    """Return the seeds of weights, order and changes, equal ones in every call."""
    return [np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, n)) for n in range(3)]
