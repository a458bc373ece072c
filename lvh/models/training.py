"""Training of models: settings, jobs, histories, and the interface of trainers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Strict

from lvh.data.lazy_array import Inputs
from lvh.errors import InputError
from lvh.models.augment import AugmentSettings
from lvh.models.backends import Precision
from lvh.validation.bounds import Count, Positive, Processes
from lvh.validation.metrics import THRESHOLD, Floats, Labels, cross_entropies

OnEpoch = Callable[[int, int], None]
"""Takes the number of the job, from 0, and how many of its epochs are done."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a network is trained.

    Attributes:
        epochs: Passes over the training records, at most.
        batch_size: Records a step.
        learning_rate: Of Adam.
        patience: Stop after so many epochs without a lower validation loss (`cv.validation`).
        restore_best: With patience, use the weights of the lowest validation loss.
        threads: Processor threads; None for one on tabular inputs, and all cores on signals.
        side_by_side: Largest number of dense networks that are trained at once; None for 16.
        augment: How training records are changed in every epoch; by default not at all.
        precise_bn: Take the statistics of batch normalization from all training records at the end.
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
    precise_bn: Annotated[bool, Strict()] = False


@dataclass(frozen=True, slots=True)
class History:
    """What happened in each epoch of one training.

    Attributes:
        loss: Mean training loss (with penalties), in training mode.
        validation_loss: Binary cross-entropy on the validation records, or empty.
        kept_epoch: The epoch, from 1, whose weights are used.
        chosen: What the model selected by the training records, if it selects anything.
    """

    loss: tuple[float, ...]
    accuracy: tuple[float, ...]
    validation_loss: tuple[float, ...]
    validation_accuracy: tuple[float, ...]
    kept_epoch: int
    chosen: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Where a training stands: from here it continues as if it had not stopped.

    `random` has the states of the generators of order and of changes of the records, as JSON.
    """

    variables: Sequence[npt.NDArray[Any]]
    optimizer: Sequence[npt.NDArray[Any]]
    random: str
    history: History
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class FitJob:
    """One training.

    Attributes:
        subjects: Of the training records.
        X_validation: Records that only stop the training; may have none.
        seed: Decides the weights, the dropout and the order of the records.
        warm_start: Go on, alone, from the weights and optimizer of the trainer's last job.
        keep_most_accurate: Train all epochs, and use the weights of the one that is most accurate
            on the validation records, the first of equals.
        start: Continue from here, to the epochs of the settings; without patience.
        keep_checkpoint: For `Trainer.checkpoints`.
    """

    X: Inputs
    y: Labels
    subjects: npt.NDArray[np.str_]
    X_validation: Inputs
    y_validation: Labels
    seed: np.random.SeedSequence
    warm_start: bool = False
    keep_most_accurate: bool = False
    start: Checkpoint | None = None
    keep_checkpoint: bool = False


class Trainer(Protocol):
    """Fits a model to the records of some jobs, and scores records by what it fitted."""

    n_parameters: int | None = None
    """Number of parameters, trainable or not; None where the records decide it."""
    setup_seconds: float = 0.0
    """Seconds spent so far on importing, building, tracing and compiling."""

    def max_parallel(self, sizes: Sequence[int]) -> int:
        """Return how many of the next jobs, with so many records each, may be fitted at once."""
        return 1

    def fit(self, jobs: Sequence[FitJob], on_epoch: OnEpoch) -> list[History]:
        """Fit each job on its own, from a state that its seed decides unless it is warm."""

    def predict(self, inputs: Sequence[Inputs]) -> list[Floats]:
        """Return P(label = 1), shape (n_records,), one part of the inputs for each job."""

    def state(self) -> list[Any]:
        """Return what each job fitted: the variables of a network, or a classifier."""

    def checkpoints(self) -> list[Checkpoint]:
        """Return where the training of each job stands that asked for it."""
        return []


def loss_and_accuracy(y: Labels, y_score: Floats) -> tuple[float, float]:
    """Return the mean cross-entropy and the accuracy at .5."""
    return float(cross_entropies(y, y_score).mean()), float(np.mean((y_score > THRESHOLD) == y))


def check_train(settings: TrainSettings, validation: float, has_epochs: bool) -> None:
    """Raise InputError where `patience` is set, but no epochs or no validation records are."""
    if settings.patience is not None and not (has_epochs and validation):
        needed = (
            "cv.validation above 0, to stop on" if has_epochs else "null: this model has no epochs"
        )
        raise InputError(f"train.patience: expected {needed}. Received: {settings.patience}")
