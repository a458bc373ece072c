"""Train networks on folds, each from a state that a seed alone decides."""

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np

from lvh.data.lazy_array import Inputs, LazyArray, prefetch, read
from lvh.errors import LvhError
from lvh.models.augment import augmented
from lvh.models.graph_program import (
    Floats,
    GraphProgram,
    Labels,
    Scores,
    StackProgram,
    Weights,
    assign,
    copies,
    is_dense,
)
from lvh.models.training import (
    Checkpoint,
    FitJob,
    History,
    OnEpoch,
    TrainSettings,
    loss_and_accuracy,
)

_PART_BYTES = 32 * 1024 * 1024  # of lazy records that are read at once
_SCORED_AT_ONCE = 32  # records; bounds the activations of the widest convolution
_CURVES = ("loss", "accuracy", "validation_loss", "validation_accuracy")
_BETWEEN_REPORTS = 0.2  # s; how long a user, or a signal, may wait for the end of an epoch


class KerasTrainer:
    """Trains one program again and again, each time from a state that its seed alone decides."""

    def __init__(
        self,
        program: Any,
        settings: TrainSettings,
        *,
        l2: float | None = None,
        fs: float = 1.0,
        setup_seconds: float = 0.0,
    ) -> None:
        """Take a program, which may be shared; an l2 of None is the build's, fs is in Hz."""
        self._program, self._settings, self._l2, self._fs = program, settings, l2, fs
        self._augments, self.setup_seconds = settings.augment.is_on, setup_seconds
        self.n_parameters, self.max_parallel = program.n_parameters, program.max_parallel

    def fit(self, jobs: Sequence[FitJob], on_epoch: OnEpoch) -> list[History]:
        """Train at most `max_parallel` jobs, or a warm one; LvhError if a loss is not finite."""
        settings, program = self._settings, self._program
        trainings = [_Training(job, settings, self._fs) for job in jobs]
        seeds = [training.seed for training in trainings]
        done, n_epochs = min(len(one.epochs) for one in trainings), 1
        orders = [one.orders(n_epochs) for one in trainings] if done < settings.epochs else []
        in_parts = self._augments or isinstance(jobs[0].X, LazyArray)
        is_watched = in_parts or any(len(job.y_validation) for job in jobs)
        data = None if in_parts else program.place([(np.asarray(job.X), job.y) for job in jobs])
        if not jobs[0].warm_start:
            before = program.setup_seconds
            program.reset(seeds, self._l2)
            self.setup_seconds += program.setup_seconds - before
        for at, job in enumerate(jobs):
            if job.start is not None:
                assign(program.network(at), job.start.variables)
                assign(program.optimizer(at), job.start.optimizer)
        self._n_jobs = len(jobs)
        while orders:
            started = time.perf_counter()
            if in_parts:
                sums = self._train_in_parts(trainings, orders)
            else:
                sums = program.train(data, orders, settings.learning_rate)
            done += n_epochs
            self._log(trainings, sums, on_epoch)
            if done >= settings.epochs or all(one.has_stopped for one in trainings):
                break
            if not is_watched:  # nothing is looked at between epochs
                seconds = (time.perf_counter() - started) / n_epochs
                n_epochs = max(1, min(2 * n_epochs, int(_BETWEEN_REPORTS / seconds)))
            n_epochs = min(n_epochs, settings.epochs - done)
            orders = [one.orders(n_epochs) for one in trainings]
        self._checkpoints = [
            one.checkpoint(program.values(at), copies(program.optimizer(at)))
            for at, one in enumerate(trainings)
            if one.job.keep_checkpoint
        ]
        for at, training in enumerate(trainings):
            if training.weights is not None:
                assign(program.network(at), training.weights)
        if settings.precise_bn:
            program.estimate_statistics([job.X for job in jobs])
        return [training.history() for training in trainings]

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
        return [self._program.values(at) for at in range(self._n_jobs)]

    def checkpoints(self) -> list[Checkpoint]:
        """Return where the training of each job stands that asked for it."""
        return self._checkpoints

    def _train_in_parts(self, trainings: "Sequence[_Training]", orders: Sequence[Labels]) -> Floats:
        """Train an epoch on records that are read or changed; the next ones while it trains."""
        batch_size = self._settings.batch_size
        of_batch = 4 * batch_size * sum(math.prod(one.job.X.shape[1:]) for one in trainings)
        n_at_once = batch_size * max(1, _PART_BYTES // of_batch)

        def part(start: int) -> list[tuple[Floats, Labels]]:
            pairs = zip(trainings, orders, strict=True)
            return [one.records(order[0, start : start + n_at_once]) for one, order in pairs]

        sums = []
        for records in prefetch(range(0, max(order.shape[1] for order in orders), n_at_once), part):
            shown = [np.arange(len(y))[None] for _, y in records]
            data = self._program.place(records)
            sums.append(self._program.train(data, shown, self._settings.learning_rate))
        return np.asarray(np.sum(sums, axis=0))

    def _log(self, trainings: "Sequence[_Training]", sums: Floats, on_epoch: OnEpoch) -> None:
        """Log some epochs, shape (n_jobs, n_epochs, 2); of several, none has validation records."""
        y_scores: list[Scores] = [np.zeros(0)] * len(trainings)
        if any(len(one.job.y_validation) for one in trainings):
            y_scores = self.predict([one.job.X_validation for one in trainings])
        for epoch in range(sums.shape[1]):
            for at, training in enumerate(trainings):
                if training.has_stopped:
                    continue
                if training.add(sums[at, epoch], y_scores[at]):
                    training.weights = self._program.values(at)
                on_epoch(at, len(training.epochs))


class _Training:
    """One job: its draws, its epochs, which of them is best, and when to stop."""

    def __init__(self, job: FitJob, settings: TrainSettings, fs: float) -> None:
        self.job, self._settings, self._fs = job, settings, fs
        self.seed, of_order, of_changes = _children(job.seed)
        # Keras's `fit` under a seed would show the same batches in every epoch
        self._order, self._changes = map(np.random.default_rng, (of_order, of_changes))
        self.epochs: list[tuple[float, ...]] = []  # loss, accuracy; of validation records too
        self._best, self._best_value = 0, math.inf
        if job.start is not None:
            curves = (getattr(job.start.history, name) for name in _CURVES)
            self.epochs = list(zip(*filter(None, curves), strict=True))
            states = json.loads(job.start.random)
            self._order.bit_generator.state, self._changes.bit_generator.state = states
        self.has_stopped = False
        self.weights: Weights | None = None

    def orders(self, n_epochs: int) -> Labels:
        """Draw the order of the records in the next epochs, shape (n_epochs, n_records)."""
        return np.stack([self._order.permutation(len(self.job.y)) for _ in range(n_epochs)])

    def records(self, rows: Labels) -> tuple[Floats, Labels]:
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
        self.has_stopped = len(self.epochs) - self._best >= settings.patience
        # the other networks of its stack train on, and its own weights change with theirs
        return is_best if settings.restore_best else self.has_stopped

    def checkpoint(self, variables: Weights, moments: Weights) -> Checkpoint:
        """Return where the training stands, with the variables of its network and optimizer."""
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


def new_program(
    build: Callable[[], keras.Model],
    batch_size: int,
    precision: str,
    side_by_side: int | None = None,
) -> Any:
    """Build a model with one sigmoid output, and what trains it on the backend that was started."""
    policy = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
        model = build()
    finally:
        keras.config.set_dtype_policy(policy)
    model.layers[-1].dtype_policy = "float32"  # 8 bits of a probability rank nobody
    if keras.backend.backend() != "tensorflow":
        from lvh.models.fit_program import FitProgram

        return FitProgram(model, batch_size)
    if not is_dense(model):
        return GraphProgram(model, batch_size)
    program = StackProgram(model, batch_size)
    program.side_by_side = side_by_side or program.side_by_side
    return program
