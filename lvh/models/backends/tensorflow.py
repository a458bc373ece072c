"""TensorFlow: all epochs of a training in one graph."""

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.models.backends.adam import move
from lvh.models.backends.dense import DenseProgram, is_dense
from lvh.models.backends.state import Floats, Labels, assign, drawn, penalized, values_of
from lvh.validation.metrics import THRESHOLD

if TYPE_CHECKING:
    import keras

    from lvh.models.backends import Program


def start(threads: int) -> int:
    """Import TensorFlow, and return how many threads it has: it may run already with others."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
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


def program(model: "keras.Model", batch_size: int, side_by_side: int | None) -> "Program":
    """Make what trains and scores a freshly built model: dense networks by the dozen.

    Args:
        model: With one sigmoid output.
        batch_size: Records a step.
        side_by_side: How many dense networks are trained at once, at most.
    """
    if is_dense(model):
        return DenseProgram(model, batch_size, side_by_side)
    return TensorflowProgram(model, batch_size)


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
        self._blank = values_of(model.variables)
        self._epochs, self._scores = _traced(model, self._moments, self._steps, batch_size)

    @property
    def n_parameters(self) -> int:
        """Number of parameters, trainable or not."""
        return int(self._model.count_params())

    def together(self, sizes: Sequence[int]) -> int:
        """Hold one training."""
        return 1

    def begin_anew(self, seeds: Sequence[np.random.SeedSequence], l2: float | None) -> None:
        """Give model and optimizer the state that a new build under the seed has."""
        (seed,) = seeds
        assign(self._model.variables, drawn(self._model, self._blank, seed))
        for state in (*self._moments, self._steps):
            state.assign(state * 0)
        for penalty in self._penalties:
            if l2 is not None:
                penalty.assign(l2)

    def place(self, parts: Sequence[tuple[Floats, Labels]]) -> Any:
        """Make tensors, which no call has to copy again."""
        import tensorflow as tf

        ((X, y),) = parts
        return tf.constant(X), tf.constant(y.astype(np.float32))

    def train(self, data: Any, orders: Sequence[Labels], learning_rate: float) -> Floats:
        """Train some epochs in one call; return the sums of each step."""
        (order,) = orders
        sums: Floats = self._epochs(*data, order, np.float32(learning_rate)).numpy()
        return sums.reshape(1, len(order), -1, 2)

    def scores(self, parts: Sequence[Floats]) -> list[Floats]:
        """Return P(label = 1) in inference mode."""
        (X,) = parts
        return [self._scores(X).numpy()]

    def values(self, at: int) -> list[npt.NDArray[Any]]:
        """Return copies of all variables of the model."""
        return values_of(self._model.variables)

    def assign(self, at: int, values: list[npt.NDArray[Any]]) -> None:
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
    """
    import keras
    import tensorflow as tf

    shape = [None, *model.input_shape[1:]]
    binary_crossentropy = keras.losses.BinaryCrossentropy()
    weights = model.trainable_variables

    def step(X: Any, labels: Any, learning_rate: Any) -> Any:
        with tf.GradientTape() as tape:
            scores = model(X, training=True)
            loss = tf.add_n([binary_crossentropy(labels, scores), *model.losses])
        gradients = tape.gradient(loss, weights)
        values = [weight.value for weight in weights]
        move(values, moments, steps, gradients, learning_rate)
        right = tf.cast((scores > THRESHOLD) == (labels > THRESHOLD), tf.float32)
        n_records = tf.cast(tf.shape(X)[0], tf.float32)
        return tf.stack([loss * n_records, tf.reduce_sum(right)])

    # written with while_loop: to convert Python's `for` takes longer than tracing all else
    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec(shape, tf.float32),
            tf.TensorSpec([None], tf.float32),
            tf.TensorSpec([None, None], tf.int64),
            tf.TensorSpec([], tf.float32),
        ],
    )
    def epochs(X: Any, y: Any, orders: Any, learning_rate: Any) -> Any:
        n_epochs, n_records = tf.shape(orders)[0], tf.shape(orders)[1]
        steps_an_epoch = -(-n_records // batch_size)
        n_steps = n_epochs * steps_an_epoch

        def following(at: Any, log: Any) -> Any:
            start = at % steps_an_epoch * batch_size
            batch = orders[at // steps_an_epoch, start : start + batch_size]
            sums = step(tf.gather(X, batch), tf.gather(y, batch)[:, None], learning_rate)
            return at + 1, log.write(at, sums)

        log = tf.TensorArray(tf.float32, n_steps)
        return tf.while_loop(lambda at, log: at < n_steps, following, [0, log])[1].stack()

    @tf.function(autograph=False, input_signature=[tf.TensorSpec(shape, tf.float32)])
    def scores(X: Any) -> Any:
        return model(X, training=False)[:, 0]

    return epochs, scores
