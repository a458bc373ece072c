"""A Keras model on TensorFlow with the graphs that train and score it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.errors import InputError
from lvh.metrics import THRESHOLD

if TYPE_CHECKING:
    import keras

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7  # of Adam, as in Keras


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
        self._blank = values_of(model.variables)
        self.epochs, self.scores = _traced(model, self._moments, self._steps, batch_size)

    def begin_anew(self, seed: np.random.SeedSequence, l2: float | None) -> None:
        """Give model and optimizer the state that a new build under `seed` has.

        Args:
            seed: Of weights and dropout.
            l2: Weight penalty; None leaves that of the build.
        """
        assign(self.model.variables, self._blank)
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


def values_of(variables: list[Any]) -> list[npt.NDArray[Any]]:
    """Return copies of what some variables hold."""
    # copies: what `numpy` returns may share memory with a variable that changes in place
    return [np.array(variable.value.numpy()) for variable in variables]


def assign(variables: list[Any], values: list[npt.NDArray[Any]]) -> None:
    """Give some variables values."""
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
