"""Fit a model on one fold: built and traced once, then made new from a seed for every fold."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field, Strict

from lvh.errors import InputError, LvhError
from lvh.metrics import THRESHOLD, binary_cross_entropy

if TYPE_CHECKING:
    import keras

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
OnEpoch = Callable[[int], None]

_PREDICTION_BATCH = 32  # bounds the activations of the widest convolution
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7  # of Adam, as in Keras
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
        threads: Processor threads; None for all cores, shared among parallel runs.
    """

    epochs: Annotated[int, Strict(), Field(ge=1)]
    batch_size: Annotated[int, Strict(), Field(ge=1)]
    learning_rate: Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]
    patience: Annotated[int, Strict(), Field(ge=1)] | None
    restore_best: Annotated[bool, Strict()]
    threads: Annotated[int, Strict(), Field(ge=1)] | None


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


class Program:
    """A Keras model with the graphs that train and score it.

    Building and tracing cost seconds, so they happen once for all folds, and for all settings
    that do not change the graph: learning rate, penalty, epochs, seed.
    """

    def __init__(self, model: "keras.Model", batch_size: int) -> None:
        """Take a model with one sigmoid output.

        Args:
            model: Freshly built.
            batch_size: Records a step.
        """
        import tensorflow as tf

        self.model = model
        trained = model.trainable_variables
        self._moments = [tf.Variable(tf.zeros(one.shape)) for one in (*trained, *trained)]
        self._steps = tf.Variable(0.0)
        self._penalties = _open_penalties(model)
        self._blank = _values(model.variables)
        self.epochs, self.scores = _traced(model, self._moments, self._steps, batch_size)

    def begin_anew(self, seed: np.random.SeedSequence, l2: float | None) -> None:
        """Give model and optimizer the state that a new build under `seed` has.

        Args:
            seed: Of weights and dropout.
            l2: Weight penalty; None leaves that of the build.
        """
        _assign(self.model.variables, self._blank)
        for state in (*self._moments, self._steps):
            state.assign(state * 0)
        for penalty in self._penalties:
            if l2 is not None:
                penalty.assign(l2)
        draws = iter(seed.generate_state(2 * len(self.model.layers)))
        for layer in self.model.layers:
            of_kernel, of_noise = int(next(draws)), int(next(draws))
            initializer = getattr(layer, "kernel_initializer", None)
            if initializer is not None:
                config = {**initializer.get_config(), "seed": of_kernel}
                layer.kernel.assign(type(initializer).from_config(config)(layer.kernel.shape))
            if getattr(layer, "seed_generator", None) is not None:
                layer.seed_generator.state.assign([of_noise, 0])


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
        self._model = program.model
        self._settings = settings
        self._l2 = l2

    @property
    def n_parameters(self) -> int:
        """Number of parameters, trainable or not."""
        return int(self._model.count_params())

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
        import tensorflow as tf

        # an order of our own: Keras's `fit` under a seed shows the same batches in every epoch
        of_weights, of_order = seed.spawn(2)
        self._program.begin_anew(of_weights, self._l2)
        order = np.random.default_rng(of_order)
        data = tf.constant(X), tf.constant(y.astype(np.float32))
        log: list[tuple[float, float, float, float]] = []
        watch = _BestEpoch(self._settings)
        at_once = 1
        while len(log) < self._settings.epochs and not watch.has_stopped:
            started = time.perf_counter()
            n_epochs = min(at_once, self._settings.epochs - len(log))
            for loss, accuracy in self._train(data, order, n_epochs):
                validation = self._evaluate(X_validation, y_validation)
                log.append((loss, accuracy, *validation))
                self._check(loss, len(log))
                on_epoch(len(log))
            if len(y_validation):
                watch.see(len(log), validation[0], self._model)
            else:  # nothing is looked at between epochs: run as many as a person waits for
                seconds = (time.perf_counter() - started) / n_epochs
                at_once = max(1, min(2 * at_once, int(_BETWEEN_REPORTS / seconds)))
        kept_epoch = watch.restore(len(log), self._model)
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
            self._program.scores(X[at : at + _PREDICTION_BATCH]).numpy()
            for at in range(0, len(X), _PREDICTION_BATCH)
        ]
        return np.concatenate(parts).astype(np.float64)

    def _evaluate(self, X: Floats, y: Labels) -> tuple[float, float]:
        if not len(y):
            return np.nan, np.nan
        y_score = self.predict(X)
        return binary_cross_entropy(y, y_score), float(np.mean((y_score > THRESHOLD) == y))

    def _train(
        self, data: tuple[Any, Any], order: np.random.Generator, n_epochs: int
    ) -> list[tuple[float, float]]:
        """Train some epochs in one call; return loss and accuracy of each."""
        n_records = len(data[1])
        orders = np.stack([order.permutation(n_records) for _ in range(n_epochs)])
        log = self._program.epochs(*data, orders, np.float32(self._settings.learning_rate))
        return [(float(loss), float(accuracy)) for loss, accuracy in log.numpy()]

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

    def see(self, epoch: int, loss: float, model: "keras.Model") -> None:
        if self._settings.patience is None:
            return
        if loss < self._loss:
            self._loss, self._epoch = loss, epoch
            self._weights = _values(model.variables) if self._settings.restore_best else None
        self.has_stopped = epoch - self._epoch >= self._settings.patience

    def restore(self, last_epoch: int, model: "keras.Model") -> int:
        """Put the best weights back, if they were kept, and return their epoch."""
        if self._weights is None:
            return last_epoch
        _assign(model.variables, self._weights)
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


def start_backend(threads: int | None) -> None:
    """Import TensorFlow without its chatter, repeatable to the bit, with so many threads.

    Raises:
        InputError: TensorFlow runs already with another number of threads; it fixes them when
            it starts.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with _native_stderr_held():
        import keras  # noqa: F401
        import tensorflow as tf

        threading = tf.config.threading
        if threading.get_inter_op_parallelism_threads() != 1:
            # one operation after another: handing small ones around takes longer than they do
            with suppress(RuntimeError):  # it runs already
                threading.set_inter_op_parallelism_threads(1)
        if threads is not None and threads != threading.get_intra_op_parallelism_threads():
            try:
                threading.set_intra_op_parallelism_threads(threads)
            except RuntimeError:
                raise InputError(
                    "train.threads: expected one number for all runs of a process. "
                    f"Received: {threads} after another"
                ) from None
        tf.config.experimental.enable_op_determinism()
        tf.get_logger().setLevel("ERROR")  # every model of a sweep is traced, which is no fault
        tf.config.list_logical_devices()  # looks for a GPU now, while nothing is heard


def _open_penalties(model: "keras.Model") -> list[Any]:
    """Make the L2 penalties of a model variables, so that another value needs no new graph."""
    import tensorflow as tf

    penalties = []
    for layer in model.layers:
        regularizer = getattr(layer, "kernel_regularizer", None)
        if regularizer is not None:
            regularizer.l2 = tf.Variable(float(regularizer.l2), dtype=tf.float32)
            penalties.append(regularizer.l2)
    return penalties


def _traced(
    model: "keras.Model", moments: list[Any], steps: Any, batch_size: int
) -> tuple[Any, Any]:
    """Make the two graphs: some epochs of training, and the scores of a batch.

    Numbers of records are left open, so that no fold and no last partial batch traces again.
    The optimizer is Adam (Kingma and Ba, 2015) with Keras's constants, one operation a
    variable: Keras's own takes a dozen, which is most of the time of a small network.
    """
    import keras
    import tensorflow as tf

    shape = [None, *model.input_shape[1:]]
    binary_crossentropy = keras.losses.BinaryCrossentropy()
    weights = model.trainable_variables
    first, second = moments[: len(weights)], moments[len(weights) :]

    def update(gradients: list[Any], learning_rate: Any) -> None:
        steps.assign_add(1.0)
        powers = {"beta1_power": _BETA_1**steps, "beta2_power": _BETA_2**steps}
        constants = {"beta1": _BETA_1, "beta2": _BETA_2, "epsilon": _EPSILON, "lr": learning_rate}
        for weight, m, v, gradient in zip(weights, first, second, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=weight.value.handle,
                m=m.handle,
                v=v.handle,
                grad=gradient,
                **powers,
                **constants,
            )

    @tf.function(
        input_signature=[
            tf.TensorSpec(shape, tf.float32),
            tf.TensorSpec([None], tf.float32),
            tf.TensorSpec([None, None], tf.int64),
            tf.TensorSpec([], tf.float32),
        ]
    )
    def epochs(X: Any, y: Any, orders: Any, learning_rate: Any) -> Any:
        n_epochs, n_records = tf.shape(orders)[0], tf.shape(orders)[1]
        log = tf.TensorArray(tf.float32, n_epochs)
        for epoch in tf.range(n_epochs):
            order = orders[epoch]
            loss_sum, correct = tf.constant(0.0), tf.constant(0.0)
            for start in tf.range(0, n_records, batch_size):
                batch = order[start : start + batch_size]
                labels = tf.gather(y, batch)[:, None]
                with tf.GradientTape() as tape:
                    scores = model(tf.gather(X, batch), training=True)
                    loss = tf.add_n([binary_crossentropy(labels, scores), *model.losses])
                update(tape.gradient(loss, weights), learning_rate)
                loss_sum += loss * tf.cast(tf.shape(batch)[0], tf.float32)
                correct += tf.reduce_sum(
                    tf.cast((scores > THRESHOLD) == (labels > THRESHOLD), tf.float32)
                )
            log = log.write(epoch, tf.stack([loss_sum, correct]))
        return log.stack() / tf.cast(n_records, tf.float32)

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)])
    def scores(X: Any) -> Any:
        return model(X, training=False)[:, 0]

    return epochs, scores


def _values(variables: list[Any]) -> list[npt.NDArray[Any]]:
    # copies: what `numpy` returns may share memory with a variable that changes in place
    return [np.array(variable.value.numpy()) for variable in variables]


def _assign(variables: list[Any], values: list[npt.NDArray[Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


@contextmanager
def _native_stderr_held() -> Iterator[None]:
    """Keep what native code writes to file descriptor 2; show it only if the body fails."""
    try:
        original = os.dup(2)
    except OSError:  # closed by whoever started us
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(original, held.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)
