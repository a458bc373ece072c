"""Fit models on folds, each from a state that a seed alone decides."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Strict

from lvh.data.lazy_array import Inputs, Unread, made_ahead, read
from lvh.errors import InputError, LvhError
from lvh.models.augment import AugmentSettings, augmented
from lvh.models.backends import Floats, Labels, Precision, Program
from lvh.validation.bounds import Count, Positive, Processes
from lvh.validation.metrics import THRESHOLD, binary_cross_entropy

OnEpoch = Callable[[int, int], None]
"""Takes which training it is, from 0, and how many epochs of it are done."""

_PREDICTION_BATCH = 32  # bounds the activations of the widest convolution
_SENT_AT_ONCE = 32 * 1024 * 1024  # bytes of unread records
_BETWEEN_REPORTS = 0.2  # s; how long a person, or a signal, may wait for the end of an epoch


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a model is trained.

    Attributes:
        epochs: Passes over the training records, at most.
        batch_size: Records a step.
        learning_rate: Of Adam.
        patience: Stop after so many epochs without a lower validation loss; None trains all
            epochs. Needs `cv.validation` above 0: the scored fold never stops a training.
        restore_best: With patience, keep the weights of the lowest validation loss.
        threads: Processor threads; None for one on tabular inputs, and all cores, shared among
            parallel runs, on signals.
        side_by_side: Folds that are trained at once, at most; None for what pays: dense networks
            by the dozen, others one by one, or on a GPU (with JAX) as many as its memory holds.
        augment: How training records are changed in every epoch anew; by default not at all.
        precision: Of what the layers compute; weights, output and loss are float32 always.
    """

    epochs: Count = 100
    batch_size: Count = 32
    learning_rate: Positive = 0.001
    patience: Count | None = None
    restore_best: Annotated[bool, Strict()] = True
    threads: Processes | None = None
    side_by_side: Processes | None = None
    precision: Precision = "float32"
    augment: AugmentSettings = field(default_factory=AugmentSettings)


@dataclass(frozen=True, slots=True)
class History:
    """What happened in each epoch of one training.

    Attributes:
        loss: Mean training loss (with penalties), in training mode, shape (n_epochs,).
        accuracy: Training accuracy, likewise.
        validation_loss: Binary cross-entropy on the validation records, or empty.
        validation_accuracy: Likewise.
        kept_epoch: The epoch, from 1, whose weights were used.
        chosen: What was chosen inside the training records, where anything was.
    """

    loss: tuple[float, ...]
    accuracy: tuple[float, ...]
    validation_loss: tuple[float, ...]
    validation_accuracy: tuple[float, ...]
    kept_epoch: int
    chosen: str = ""


class Lesson(NamedTuple):
    """What one training is given.

    Attributes:
        X: Inputs of shape (n_records, ...), which may be unread.
        y: Labels.
        subjects: Of these records; folds inside of them keep subjects whole.
        X_validation: Records that only stop the training; may be empty.
        y_validation: Their labels.
        seed: Decides the weights, the dropout and the order of the records.
        goes_on: Start where the learner's lesson before this one has ended, optimizer and all,
            instead of anew; such a lesson has none beside it.
        keeps_most_accurate: Use the weights of the epoch that is most accurate on the validation
            records, the first of equals; all epochs are trained.
    """

    X: Inputs
    y: Labels
    subjects: npt.NDArray[np.str_]
    X_validation: Inputs
    y_validation: Labels
    seed: np.random.SeedSequence
    goes_on: bool = False
    keeps_most_accurate: bool = False


class Learner(Protocol):
    """Anything that learns from some records and scores others; several times at once, maybe.

    One that has no weights to go on from, or no epochs to choose from, refuses such lessons.
    """

    @property
    def n_parameters(self) -> int | None:
        """Number of parameters, trainable or not; None where the records decide it."""

    def together(self, sizes: Sequence[int]) -> int:
        """Return how many of the next lessons, with so many records each, go side by side."""

    def fit(self, lessons: Sequence[Lesson], on_epoch: OnEpoch) -> list[History]:
        """Forget everything, unless a lesson goes on, and learn; each lesson on its own."""

    def predict(self, parts: Sequence[Inputs]) -> list[npt.NDArray[np.float64]]:
        """Return P(label = 1), shape (n_records,), by what each lesson taught, of a part each."""

    def taught(self, at: int) -> Any:
        """Return what one lesson taught, to be kept: the values of all variables, or a model."""


class KerasLearner:
    """Trains one program again and again, each time from a state that its seed alone decides."""

    def __init__(
        self,
        program: Program,
        settings: TrainSettings,
        l2: float | None = None,
        fs: float = 1.0,
    ) -> None:
        """Take what is trained and how.

        Args:
            program: May be shared; every training starts anew.
            settings: How it is trained; its batch size is that of the program.
            l2: Weight penalty of the layers that have one; None leaves that of the build.
            fs: Sampling frequency of signals that are augmented, Hz.
        """
        self._program = program
        self._settings = settings
        self._l2 = l2
        self._fs = fs

    @property
    def n_parameters(self) -> int:
        """Number of parameters, trainable or not."""
        return self._program.n_parameters

    def together(self, sizes: Sequence[int]) -> int:
        """Return how many of the next lessons, with so many records each, go side by side."""
        return self._program.together(sizes)

    def fit(self, lessons: Sequence[Lesson], on_epoch: OnEpoch) -> list[History]:
        """Train from new weights, or on from those that are there.

        Args:
            lessons: As many as go `together`; one alone if it goes on.
            on_epoch: Called after every epoch of every training.

        Raises:
            LvhError: A loss is no longer finite.
        """
        # an order of our own: Keras's `fit` under a seed shows the same batches in every epoch
        seeds = [_children(lesson.seed) for lesson in lessons]
        if not any(lesson.goes_on for lesson in lessons):
            self._program.begin_anew([of_weights for of_weights, _, _ in seeds], self._l2)
        orders = [np.random.default_rng(of_order) for _, of_order, _ in seeds]
        changes = [np.random.default_rng(of_changes) for _, _, of_changes in seeds]
        augments = self._settings.augment.is_on
        unread = any(isinstance(lesson.X, Unread) for lesson in lessons)
        n_records = np.array([len(lesson.y) for lesson in lessons], np.float32)[:, None, None]
        data = None if unread or augments else self._placed(lessons)
        watches = [
            _Watched(self._settings, self._program, at, lesson.keeps_most_accurate)
            for at, lesson in enumerate(lessons)
        ]
        done, at_once = 0, 1
        while done < self._settings.epochs and not all(one.has_stopped for one in watches):
            started = time.perf_counter()
            n_epochs = min(at_once, self._settings.epochs - done)
            shown = [
                np.stack([order.permutation(len(lesson.y)) for _ in range(n_epochs)])
                for order, lesson in zip(orders, lessons, strict=True)
            ]
            if unread:
                sums = self._trained_in_parts(lessons, shown, changes)
            else:
                data = self._placed(lessons, changes) if augments else data
                sums = self._program.train(data, shown, self._settings.learning_rate)
            done += n_epochs
            logs = sums.sum(axis=2) / n_records
            if self._see(watches, logs, lessons, on_epoch) and not (augments or unread):
                # nothing is looked at between epochs: run as many as a person waits for
                seconds = (time.perf_counter() - started) / n_epochs
                at_once = max(1, min(2 * at_once, int(_BETWEEN_REPORTS / seconds)))
        return [watch.history() for watch in watches]

    def predict(self, parts: Sequence[Inputs]) -> list[npt.NDArray[np.float64]]:
        """Return P(label = 1) in inference mode, by the model of each training."""

        def batch(start: int) -> list[Floats]:
            return [read(part[start : start + _PREDICTION_BATCH]) for part in parts]

        starts = range(0, max(map(len, parts)), _PREDICTION_BATCH)
        unread = any(isinstance(part, Unread) for part in parts)
        batches = made_ahead(starts, batch) if unread else map(batch, starts)
        chunks = [self._program.scores(one) for one in batches]
        return [np.concatenate(one).astype(np.float64) for one in zip(*chunks, strict=True)]

    def taught(self, at: int) -> list[npt.NDArray[Any]]:
        """Return copies of all variables of the model of one training."""
        return self._program.values(at)

    def _placed(
        self, lessons: Sequence[Lesson], changes: Sequence[np.random.Generator] = ()
    ) -> Any:
        """Place all training records, changed by draws of each lesson's own where there are any."""
        inputs = [read(lesson.X) for lesson in lessons]
        if changes:
            inputs = [self._augmented(*one) for one in zip(inputs, changes, strict=True)]
        return self._program.place(
            [(X, lesson.y) for X, lesson in zip(inputs, lessons, strict=True)]
        )

    def _augmented(self, X: Floats, draws: np.random.Generator) -> Floats:
        return augmented(X, self._settings.augment, self._fs, draws)

    def _trained_in_parts(
        self,
        lessons: Sequence[Lesson],
        orders: Sequence[Labels],
        changes: Sequence[np.random.Generator],
    ) -> Floats:
        """Train an epoch; its next records are read while the program learns from some.

        The same steps on the same batches as with all records in memory. Only what changes them
        is drawn in the order in which they are shown, not in their own.

        Args:
            lessons: With equally many records.
            orders: Of the records of each, shape (1, n_records).
            changes: Draws of each.
        """
        augments, batch_size = self._settings.augment.is_on, self._settings.batch_size
        of_batch = 4 * batch_size * sum(math.prod(lesson.X.shape[1:]) for lesson in lessons)
        n_at_once = batch_size * max(1, _SENT_AT_ONCE // of_batch)

        def part(start: int) -> list[tuple[Floats, Labels]]:
            found = []
            for lesson, (order,), draws in zip(lessons, orders, changes, strict=True):
                own = order[start : start + n_at_once]
                X = read(lesson.X[own])
                found.append((self._augmented(X, draws) if augments else X, lesson.y[own]))
            return found

        sums = []
        for given in made_ahead(range(0, len(orders[0][0]), n_at_once), part):
            shown = [np.arange(len(y))[None] for _, y in given]
            data = self._program.place(given)
            sums.append(self._program.train(data, shown, self._settings.learning_rate))
        return np.concatenate(sums, axis=2)

    def _see(
        self,
        watches: "Sequence[_Watched]",
        logs: Floats,
        lessons: Sequence[Lesson],
        on_epoch: OnEpoch,
    ) -> bool:
        """Take note of some epochs; return whether the next ones may run without a look."""
        validations = self._validations(lessons)
        for epoch in range(logs.shape[1]):
            for at, watch in enumerate(watches):
                if not watch.has_stopped:
                    watch.see(logs[at, epoch], validations[at])
                    on_epoch(at, watch.n_epochs)
        return not any(validations)

    def _validations(self, lessons: Sequence[Lesson]) -> list[tuple[float, float] | None]:
        """Return loss and accuracy on validation records, where there are any."""
        if not any(len(lesson.y_validation) for lesson in lessons):
            return [None] * len(lessons)
        y_scores = self.predict([lesson.X_validation for lesson in lessons])
        return [
            evaluated(lesson.y_validation, y_score) if len(y_score) else None
            for lesson, y_score in zip(lessons, y_scores, strict=True)
        ]


def _children(seed: np.random.SeedSequence) -> tuple[np.random.SeedSequence, ...]:
    """Return what `spawn` would, the first time and every time: of weights, order and changes."""
    key = seed.spawn_key
    return tuple(np.random.SeedSequence(seed.entropy, spawn_key=(*key, n)) for n in range(3))


class _Watched:
    """One training: its log, and the weights of its best epoch if validation records tell it."""

    def __init__(
        self, settings: TrainSettings, program: Program, at: int, keeps_most_accurate: bool
    ) -> None:
        self._settings, self._program, self._at = settings, program, at
        self._keeps_most_accurate = keeps_most_accurate
        self._log: list[tuple[float, float]] = []
        self._validation: list[tuple[float, float]] = []
        self._loss = np.inf
        self._accuracy = -np.inf
        self._best = 0
        self._weights: list[Any] | None = None
        self.has_stopped = False

    @property
    def n_epochs(self) -> int:
        return len(self._log)

    def see(self, log: Floats, validation: tuple[float, float] | None) -> None:
        """Take loss and accuracy of an epoch."""
        loss, accuracy = log.tolist()
        self._log.append((loss, accuracy))
        if not np.isfinite(loss):
            raise LvhError(
                f"the loss became {loss} in epoch {self.n_epochs}. "
                f"A lower train.learning_rate than {self._settings.learning_rate:g} may help"
            )
        if validation is not None:
            self._validation.append(validation)
            if self._keeps_most_accurate:
                self._keep(validation[1])
            elif self._settings.patience is not None:
                self._judge(validation[0], self._settings.patience)

    def _keep(self, accuracy: float) -> None:
        if accuracy > self._accuracy:
            self._accuracy, self._best = accuracy, self.n_epochs
            self._weights = self._program.values(self._at)

    def _judge(self, loss: float, patience: int) -> None:
        is_best = loss < self._loss
        if is_best:
            self._loss, self._best = loss, self.n_epochs
        self.has_stopped = self.n_epochs - self._best >= patience
        # those beside it go on, and this one's weights with them
        if is_best if self._settings.restore_best else self.has_stopped:
            self._weights = self._program.values(self._at)

    def history(self) -> History:
        """Put the weights back that are to be used, and return what happened."""
        kept = self.n_epochs
        if self._weights is not None:
            self._program.assign(self._at, self._weights)
            restores = self._settings.restore_best or self._keeps_most_accurate
            kept = self._best if restores else kept
        loss, accuracy = zip(*self._log, strict=True)
        validation_loss, validation_accuracy = (
            zip(*self._validation, strict=True) if self._validation else ((), ())
        )
        return History(loss, accuracy, validation_loss, validation_accuracy, kept)


def evaluated(y: Labels, y_score: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return loss and accuracy of scores, shape (n_records,)."""
    return binary_cross_entropy(y, y_score), float(np.mean((y_score > THRESHOLD) == y))


def check_train(settings: TrainSettings, validation: float, has_epochs: bool) -> None:
    """Refuse early stopping where nothing can be stopped, or no records say when.

    Args:
        settings: Of the training.
        validation: Share of the training subjects that is set aside for it.
        has_epochs: Whether the model learns in epochs.

    Raises:
        InputError: `patience` is set, but no validation records or no epochs are.
    """
    if settings.patience is not None and not has_epochs:
        raise InputError(
            "train.patience: this model is fitted in one go, there is nothing to stop early. "
            f"Choose train=fixed, or model=dnn. Received: patience={settings.patience}"
        )
    if settings.patience is not None and validation == 0:
        raise InputError(
            "train.patience: needs validation records to stop on, cv.validation above 0 (for "
            f"example cv.validation=0.2). Received: patience={settings.patience}, cv.validation=0"
        )
