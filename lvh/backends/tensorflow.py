"""TensorFlow: all epochs of a training in one graph."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.backends.state import BETA_1, BETA_2, EPSILON, assign, draw, penalized, values_of
from lvh.metrics import THRESHOLD

if TYPE_CHECKING:
    import keras


def start(threads: int) -> int:
    """Import TensorFlow, and return how many threads it has: it may run already with others."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _without_jax():
        import tensorflow as tf

    threading = tf.config.threading
    with suppress(RuntimeError):  # it runs already
        # one operation after another: handing small ones around takes longer than they do
        threading.set_inter_op_parallelism_threads(1)
        threading.set_intra_op_parallelism_threads(threads)
        for device in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(device, True)  # others may share it
    tf.config.experimental.enable_op_determinism()
    tf.get_logger().setLevel("ERROR")  # every model of a sweep is traced, which is no fault
    tf.config.list_logical_devices()  # looks for a GPU now, while nothing is heard
    return int(threading.get_intra_op_parallelism_threads()) or len(os.sched_getaffinity(0))


@contextmanager
def _without_jax() -> Iterator[None]:
    """Hide JAX: a part of TensorFlow that we do not use imports it, which takes long."""
    if "jax" in sys.modules:
        yield
        return
    sys.modules["jax"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["jax"]


class TensorflowProgram:
    """A model with the graphs that train and score it, traced once."""

    def __init__(self, model: "keras.Model", batch_size: int) -> None:
        """Take a model with one sigmoid output.

        Args:
            model: Freshly built.
            batch_size: Records a step.
        """
        import tensorflow as tf

        self._model = model
        trained = model.trainable_variables
        self._moments = [tf.Variable(tf.zeros(one.shape)) for one in (*trained, *trained)]
        self._steps = tf.Variable(0.0)
        self._penalties = _open_penalties(model)
        self._blank = self.values()
        self._epochs, self._scores = _traced(model, self._moments, self._steps, batch_size)

    @property
    def n_parameters(self) -> int:
        """Number of parameters, trainable or not."""
        return int(self._model.count_params())

    def begin_anew(self, seed: np.random.SeedSequence, l2: float | None) -> None:
        """Give model and optimizer the state that a new build under `seed` has."""
        self.assign(self._blank)
        for state in (*self._moments, self._steps):
            state.assign(state * 0)
        for penalty in self._penalties:
            if l2 is not None:
                penalty.assign(l2)
        draw(self._model, seed)

    def place(self, X: npt.NDArray[np.float32], y: npt.NDArray[np.int64]) -> Any:
        """Make tensors, which no call has to copy again."""
        import tensorflow as tf

        return tf.constant(X), tf.constant(y.astype(np.float32))

    def train(
        self, data: Any, orders: npt.NDArray[np.int64], learning_rate: float
    ) -> npt.NDArray[np.float32]:
        """Train some epochs in one call; return loss and accuracy of each."""
        log: npt.NDArray[np.float32] = self._epochs(
            *data, orders, np.float32(learning_rate)
        ).numpy()
        return log

    def scores(self, X: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return P(label = 1) in inference mode."""
        scores: npt.NDArray[np.float32] = self._scores(X).numpy()
        return scores

    def values(self) -> list[npt.NDArray[Any]]:
        """Return copies of all variables of the model."""
        return values_of(self._model.variables)

    def assign(self, values: list[npt.NDArray[Any]]) -> None:
        """Put back what `values` returned."""
        assign(self._model.variables, values)


def _open_penalties(model: "keras.Model") -> list[Any]:
    """Make the L2 penalties of a model variables, so that another value needs no new graph."""
    import tensorflow as tf

    for regularizer in penalized(model):
        regularizer.l2 = tf.Variable(float(regularizer.l2), dtype=tf.float32)
    return [regularizer.l2 for regularizer in penalized(model)]


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
        powers = {"beta1_power": BETA_1**steps, "beta2_power": BETA_2**steps}
        constants = {"beta1": BETA_1, "beta2": BETA_2, "epsilon": EPSILON, "lr": learning_rate}
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
