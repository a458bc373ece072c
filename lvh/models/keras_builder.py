"""Trains networks that a function of a person builds: a new one for each fold, by Keras's `fit`."""

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from lvh.data.lazy_array import Inputs, read
from lvh.errors import InputError, LvhError
from lvh.models.training import FitJob, History, OnEpoch, TrainSettings
from lvh.validation.metrics import Floats

if TYPE_CHECKING:
    import keras

Build = Callable[[tuple[int, ...]], "keras.Model"]
"""Takes the shape of one record's input; returns a network with one sigmoid output."""


class BuilderTrainer:
    """Builds and fits a network for every job, one by one; the backend must have started.

    One that is compiled keeps its optimizer and its loss; any other gets Adam and the binary
    cross-entropy.
    """

    n_parameters = None
    setup_seconds = 0.0

    def __init__(self, build: Build, settings: TrainSettings) -> None:
        """Take the function, and how its networks are trained."""
        self._build, self._settings = build, settings
        self._last: keras.Model | None = None

    def max_parallel(self, sizes: Sequence[int]) -> int:
        """Return 1."""
        return 1

    def fit(self, jobs: Sequence[FitJob], on_epoch: OnEpoch) -> list[History]:
        """Fit a new network to each job, from a state that its seed decides.

        Raises:
            InputError: The function returns no network with one output.
            LvhError: A loss is not finite.
        """
        self._fitted: list[keras.Model] = []
        return [self._fit(at, job, on_epoch) for at, job in enumerate(jobs)]

    def predict(self, inputs: Sequence[Inputs]) -> list[Floats]:
        """Return P(label = 1), shape (n_records,), by the network of each job.

        Raises:
            LvhError: An output is not from 0 to 1.
        """
        return [_scores(model, X) for model, X in zip(self._fitted, inputs, strict=True)]

    def state(self) -> list[Any]:
        """Return the network of each job."""
        return self._fitted

    def _fit(self, at: int, job: FitJob, on_epoch: OnEpoch) -> History:
        import keras

        started, settings = time.perf_counter(), self._settings
        of_weights, of_order = (int(seed) for seed in job.seed.generate_state(2))
        with _seeded(of_weights):
            model = _compiled(self._build(job.X.shape[1:]), settings)
            self._check_new(model)
            self.setup_seconds += time.perf_counter() - started
            callbacks = [keras.callbacks.LambdaCallback(lambda epoch, _: on_epoch(at, epoch + 1))]
            if settings.patience is not None:
                stopping = keras.callbacks.EarlyStopping(
                    patience=settings.patience, restore_best_weights=settings.restore_best
                )
                callbacks.append(stopping)
            epochs = model.fit(
                _batches(job, settings.batch_size, np.random.default_rng(of_order)),
                epochs=settings.epochs,
                validation_data=(read(job.X_validation), job.y_validation)
                if len(job.y_validation)
                else None,
                callbacks=callbacks,
                verbose=0,
            ).history
        if not np.isfinite(epochs["loss"]).all():
            raise LvhError("the loss is not finite. A lower learning rate may help")
        self._fitted.append(model)
        losses = tuple(epochs.get("val_loss", ()))
        restores = settings.patience is not None and settings.restore_best
        kept = int(np.argmin(losses)) + 1 if restores else len(epochs["loss"])
        accuracies = (tuple(epochs.get(name, ())) for name in ("accuracy", "val_accuracy"))
        accuracy, validation_accuracy = accuracies
        return History(tuple(epochs["loss"]), accuracy, losses, validation_accuracy, kept)

    def _check_new(self, model: "keras.Model") -> None:
        """Refuse weights that an earlier fold has trained: they may know the test records."""
        before = [] if self._last is None else self._last.trainable_variables
        if {id(one) for one in before} & {id(one) for one in model.trainable_variables}:
            raise InputError(
                "estimator: expected a new model, with new layers, at each call of the function. "
                "Received: trainable weights of the model before"
            )
        self._last = model


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed Keras, and give NumPy and Python back the random state that a person had."""
    import keras

    of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        keras.utils.set_random_seed(seed)
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002


def _compiled(model: Any, settings: TrainSettings) -> "keras.Model":
    import keras

    shape = getattr(model, "output_shape", None)
    if not isinstance(model, keras.Model) or shape != (None, 1):
        raise InputError(
            "estimator: expected a function that returns a Keras model with one sigmoid output. "
            f"Received: {type(model).__name__} with outputs of shape {shape}"
        )
    if not model.compiled:
        accuracy = keras.metrics.BinaryAccuracy(name="accuracy")
        optimizer = keras.optimizers.Adam(settings.learning_rate)
        model.compile(optimizer, "binary_crossentropy", metrics=[accuracy])
    elif settings.learning_rate != TrainSettings().learning_rate:
        raise InputError(
            "train.learning_rate: the function compiles its model with an optimizer of its own. "
            f"Received: {settings.learning_rate:g}"
        )
    return model


def _batches(job: FitJob, size: int, generator: np.random.Generator) -> Any:
    """Return the batches of an epoch, in a new order in each: `fit` under a seed repeats one."""
    import keras

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        order = generator.permutation(len(job.y))

        def __len__(self) -> int:
            return math.ceil(len(job.y) / size)

        def __getitem__(self, number: int) -> Any:
            rows = self.order[number * size : (number + 1) * size]
            return read(job.X[rows]), job.y[rows]

        def on_epoch_end(self) -> None:
            self.order = generator.permutation(len(job.y))

    return Batches()


def _scores(model: "keras.Model", X: Inputs) -> Floats:
    y_score = np.asarray(model.predict(read(X), verbose=0), np.float64)[:, 0]
    if ((y_score < 0) | (y_score > 1)).any():
        raise LvhError(
            "estimator: expected a Keras model whose last layer has the activation sigmoid. "
            f"Received: outputs from {y_score.min():.3g} to {y_score.max():.3g}"
        )
    return y_score
