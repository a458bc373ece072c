"""Training of models: settings, jobs, histories, and trainers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Strict

from lvh.data.lazy_array import Inputs
from lvh.errors import InputError
from lvh.models.backends import Precision
from lvh.validation.bounds import Count, NotNegative, Positive, Processes, Share
from lvh.validation.inner_splits import Subjects
from lvh.validation.metrics import THRESHOLD, Floats, Labels, cross_entropies

OnEpoch = Callable[[int, int], None]
"""Takes the number of the job, from 0, and how many of its epochs are done."""
Batch = npt.NDArray[np.float32]

_SINUSOIDS = 3  # of the baseline: enough that no two records wander alike


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """How training records are changed, which leaves their label as it was; by default not at all.

    Noise and wander are drawn for every lead: Einthoven's law (I + III = II) no longer holds.

    Attributes:
        noise: Standard deviation of white noise, mV.
        wander: Standard deviation of the baseline's wander, mV.
        wander_frequency: Its highest frequency, Hz; 0 makes it a constant of each lead.
        shift: Seconds by which a record is moved at most, to either side.
        amplitude: Share by which a record's voltages are enlarged or lessened at most.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    noise: NotNegative = 0.0
    wander: NotNegative = 0.0
    wander_frequency: NotNegative = 0.5
    shift: NotNegative = 0.0
    amplitude: Share = 0.0

    @property
    def is_on(self) -> bool:
        """Whether anything is changed."""
        return self.is_in_mv or bool(self.shift)

    @property
    def is_in_mv(self) -> bool:
        """Whether a change is in mV, so that the signals must be in mV."""
        return any((self.noise, self.wander, self.amplitude))


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
        augment: How training records are changed in every epoch.
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
    """The state of a training, from which it continues as if it had not stopped.

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
        seed: Decides the weights, the dropout and the order of the records.
        X_validation: Records that only stop the training; by default none.
        warm_start: Go on, alone, from the weights and optimizer of the trainer's last job.
        keep_most_accurate: Train all epochs, and use the weights of the one that is most accurate
            on the validation records, the first of equals.
        start: Continue from here, to the epochs of the settings; without patience.
        keep_checkpoint: For `Trainer.checkpoints`.
    """

    X: Inputs
    y: Labels
    subjects: Subjects
    seed: np.random.SeedSequence
    X_validation: Inputs = field(default_factory=lambda: np.zeros(0, np.float32))
    y_validation: Labels = field(default_factory=lambda: np.zeros(0, np.int64))
    warm_start: bool = False
    keep_most_accurate: bool = False
    start: Checkpoint | None = None
    keep_checkpoint: bool = False


class Trainer(Protocol):
    """Fits a model to the records of some jobs, and scores records by what it fitted."""

    n_parameters: int | None = None
    """Number of parameters, trainable or not; None where the records decide it."""
    setup_seconds: float = 0.0
    """Seconds spent so far on importing, building, tracing and drawing weights."""

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
        """Return the checkpoint of each job that asked for one."""
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


def augmented(
    X: Batch, settings: AugmentSettings, fs: float, generator: np.random.Generator
) -> Batch:
    """Return changed signals, in mV, shape (n_records, n_samples, n_leads); fs is in Hz."""
    n_records, n_samples, n_leads = X.shape
    most = round(settings.shift * fs)
    if most:  # the first or last sample of a record fills the gap
        steps = generator.integers(-most, most, (n_records, 1), endpoint=True)
        source = np.clip(np.arange(n_samples) - steps, 0, n_samples - 1)
        X = np.take_along_axis(X, source[:, :, None], axis=1)
    if settings.amplitude:
        low, high = 1 - settings.amplitude, 1 + settings.amplitude
        X = X * generator.uniform(low, high, (n_records, 1, 1)).astype(np.float32)
    if settings.wander:  # slow sinusoids, of other amplitudes in each lead
        shape = n_records, 1, _SINUSOIDS
        cycles = generator.uniform(0, settings.wander_frequency / fs, shape)
        phases = generator.uniform(0, 2 * np.pi, shape)
        # a sinusoid of a random phase has the variance 1/2
        size = settings.wander * np.sqrt(2 / _SINUSOIDS)
        amplitudes = generator.normal(0, size, (n_records, _SINUSOIDS, n_leads))
        waves = np.sin(2 * np.pi * cycles * np.arange(n_samples)[:, None] + phases)
        X = X + (waves @ amplitudes).astype(np.float32)
    if settings.noise:
        X = X + np.float32(settings.noise) * generator.standard_normal(X.shape, dtype=np.float32)
    return X
