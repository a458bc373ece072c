"""Fit a model on one fold, from a state that a seed alone decides."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field, Strict

from lvh.backends import Floats, Labels, Precision, Program
from lvh.errors import InputError, LvhError
from lvh.metrics import THRESHOLD, binary_cross_entropy

OnEpoch = Callable[[int], None]

_PREDICTION_BATCH = 32  # bounds the activations of the widest convolution
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
        precision: Of what the layers compute; weights, output and loss are float32 always.
    """

    epochs: Annotated[int, Strict(), Field(ge=1)]
    batch_size: Annotated[int, Strict(), Field(ge=1)]
    learning_rate: Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]
    patience: Annotated[int, Strict(), Field(ge=1)] | None
    restore_best: Annotated[bool, Strict()]
    threads: Annotated[int, Strict(), Field(ge=1)] | None
    precision: Precision


@dataclass(frozen=True, slots=True)
class History:
    """What happened in each epoch of one training.

    Attributes:
        loss: Mean training loss (with penalties), in training mode, shape (n_epochs,).
        accuracy: Training accuracy, likewise.
        validation_loss: Binary cross-entropy on the validation records, or empty.
        validation_accuracy: Likewise.
        kept_epoch: The epoch, from 1, whose weights were used.
    """

    loss: tuple[float, ...]
    accuracy: tuple[float, ...]
    validation_loss: tuple[float, ...]
    validation_accuracy: tuple[float, ...]
    kept_epoch: int


class Learner(Protocol):
    """Anything that learns from some records and scores others."""

    @property
    def n_parameters(self) -> int:
        """Number of parameters, trainable or not."""

    def fit(
        self,
        X: Floats,
        y: Labels,
        X_validation: Floats,
        y_validation: Labels,
        seed: np.random.SeedSequence,
        on_epoch: OnEpoch,
    ) -> History:
        """Forget everything and learn from X of shape (n_records, ...) and y."""

    def predict(self, X: Floats) -> npt.NDArray[np.float64]:
        """Return P(label = 1), shape (n_records,)."""


class KerasLearner:
    """Trains one program again and again, each time from a state that its seed alone decides."""

    def __init__(self, program: Program, settings: TrainSettings, l2: float | None = None) -> None:
        """Take what is trained and how.

        Args:
            program: May be shared; every training starts anew.
            settings: How it is trained; its batch size is that of the program.
            l2: Weight penalty of the layers that have one; None leaves that of the build.
        """
        self._program = program
        self._settings = settings
        self._l2 = l2

    @property
    def n_parameters(self) -> int:
        """Number of parameters, trainable or not."""
        return self._program.n_parameters

    def fit(
        self,
        X: Floats,
        y: Labels,
        X_validation: Floats,
        y_validation: Labels,
        seed: np.random.SeedSequence,
        on_epoch: OnEpoch,
    ) -> History:
        """Train from new weights.

        Args:
            X: Inputs of shape (n_records, ...).
            y: Labels.
            X_validation: Records that only stop the training; may be empty.
            y_validation: Their labels.
            seed: Decides the weights, the dropout and the order of the records.
            on_epoch: Called with the number of epochs done.

        Raises:
            LvhError: The loss is no longer finite.
        """
        # an order of our own: Keras's `fit` under a seed shows the same batches in every epoch
        of_weights, of_order = seed.spawn(2)
        self._program.begin_anew(of_weights, self._l2)
        order = np.random.default_rng(of_order)
        data = self._program.place(X, y)
        log: list[tuple[float, float, float, float]] = []
        watch = _BestEpoch(self._settings)
        at_once = 1
        while len(log) < self._settings.epochs and not watch.has_stopped:
            started = time.perf_counter()
            n_epochs = min(at_once, self._settings.epochs - len(log))
            for loss, accuracy in self._train(data, len(y), order, n_epochs):
                validation = self._evaluate(X_validation, y_validation)
                log.append((loss, accuracy, *validation))
                self._check(loss, len(log))
                on_epoch(len(log))
            if len(y_validation):
                watch.see(len(log), validation[0], self._program)
            else:  # nothing is looked at between epochs: run as many as a person waits for
                seconds = (time.perf_counter() - started) / n_epochs
                at_once = max(1, min(2 * at_once, int(_BETWEEN_REPORTS / seconds)))
        kept_epoch = watch.restore(len(log), self._program)
        loss_, accuracy_, validation_loss, validation_accuracy = zip(*log, strict=True)
        has_validation = len(y_validation) > 0
        return History(
            loss=loss_,
            accuracy=accuracy_,
            validation_loss=validation_loss if has_validation else (),
            validation_accuracy=validation_accuracy if has_validation else (),
            kept_epoch=kept_epoch,
        )

    def predict(self, X: Floats) -> npt.NDArray[np.float64]:
        """Return P(label = 1) in inference mode, shape (n_records,)."""
        parts = [
            self._program.scores(X[at : at + _PREDICTION_BATCH])
            for at in range(0, len(X), _PREDICTION_BATCH)
        ]
        return np.concatenate(parts).astype(np.float64)

    def _evaluate(self, X: Floats, y: Labels) -> tuple[float, float]:
        if not len(y):
            return np.nan, np.nan
        y_score = self.predict(X)
        return binary_cross_entropy(y, y_score), float(np.mean((y_score > THRESHOLD) == y))

    def _train(
        self, data: Any, n_records: int, order: np.random.Generator, n_epochs: int
    ) -> list[tuple[float, float]]:
        """Train some epochs in one call; return loss and accuracy of each."""
        orders = np.stack([order.permutation(n_records) for _ in range(n_epochs)])
        log = self._program.train(data, orders, self._settings.learning_rate)
        return [(float(loss), float(accuracy)) for loss, accuracy in log]

    def _check(self, loss: float, epoch: int) -> None:
        if not np.isfinite(loss):
            raise LvhError(
                f"the loss became {loss} in epoch {epoch}. "
                f"A lower train.learning_rate than {self._settings.learning_rate:g} may help"
            )


class _BestEpoch:
    """Remembers the epoch with the lowest validation loss, and its weights."""

    def __init__(self, settings: TrainSettings) -> None:
        self._settings = settings
        self._loss = np.inf
        self._epoch = 0
        self._weights: list[Any] | None = None
        self.has_stopped = False

    def see(self, epoch: int, loss: float, program: Program) -> None:
        if self._settings.patience is None:
            return
        if loss < self._loss:
            self._loss, self._epoch = loss, epoch
            self._weights = program.values() if self._settings.restore_best else None
        self.has_stopped = epoch - self._epoch >= self._settings.patience

    def restore(self, last_epoch: int, program: Program) -> int:
        """Put the best weights back, if they were kept, and return their epoch."""
        if self._weights is None:
            return last_epoch
        program.assign(self._weights)
        return self._epoch


def check_train(settings: TrainSettings, validation: float) -> None:
    """Refuse early stopping without records to stop on.

    Raises:
        InputError: `patience` is set, but no validation records are.
    """
    if settings.patience is not None and validation == 0:
        raise InputError(
            "train.patience: needs validation records to stop on, cv.validation above 0 (for "
            f"example cv.validation=0.2). Received: patience={settings.patience}, cv.validation=0"
        )
