"""TensorFlow: all steps of some epochs in one graph, whose operations Python does not start."""

import time
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lvh.models.backends.program import Floats, Labels, Program
from lvh.validation.metrics import EPSILON, THRESHOLD


class GraphProgram(Program):
    """Networks and the graphs that train and score them; of this class, one network.

    The first axis of all arrays in a graph is that of the networks.
    """

    n_networks = 0

    def max_parallel(self, sizes: Sequence[int]) -> int:
        """Return how many of the next trainings, on so many records each, it holds at once."""
        return 1

    def reset(self, seeds: Sequence[np.random.SeedSequence], l2: float | None) -> None:
        """Draw weights by a seed a network, and clear the optimizer.

        A weight penalty of None is that of the build.
        """
        if self.n_networks < len(seeds):
            started = time.perf_counter()
            self.n_networks = len(seeds)
            self._trace()
            self.setup_seconds += time.perf_counter() - started
        for at in range(self.n_networks):
            seed = seeds[min(at, len(seeds) - 1)]  # of a network without a training, the last
            self.assign(at, self.initial_weights(seed))
        self._optimizer.reset()
        self._l2 = self._built_l2 if l2 is None else l2

    def place(self, parts: Sequence[tuple[Floats, Labels]]) -> tuple[Any, Labels, list[int]]:
        """Put inputs and labels of all trainings, one below the other, where it trains."""
        X = tf.constant(np.concatenate([X for X, _ in parts]) if len(parts) > 1 else parts[0][0])
        return X, np.concatenate([y for _, y in parts]), [len(y) for _, y in parts]

    def train(self, data: Any, orders: Sequence[Labels], learning_rate: float) -> Floats:
        """Train some epochs.

        Args:
            data: From `place`.
            orders: Of the records in each epoch, shape (n_epochs, n_records), one a network.
            learning_rate: Of Adam.

        Returns:
            Sums of losses (with penalties) and right answers in training mode, shape
            (n_networks, n_epochs, n_steps, 2).
        """
        X, y, sizes = data
        rows, is_record = self._steps(sizes, orders)
        n_records = is_record.sum(axis=2)
        shares = (is_record / n_records[..., None])[:, :, None]
        losses, scores = self._train(X, y.astype(np.float32), rows, shares, learning_rate, self._l2)
        right = (scores.numpy() > THRESHOLD) == y[rows]
        sums = np.stack([losses.numpy() * n_records, (right * is_record).sum(axis=2)], axis=2)
        by_epoch = sums.reshape(len(orders[0]), -1, *sums.shape[1:]).transpose(2, 0, 1, 3)
        return by_epoch[: len(orders)]

    def scores(self, parts: Sequence[Floats]) -> list[Floats]:
        """Return P(label = 1) in inference mode, of each network's own records."""
        X = np.zeros((self.n_networks, max(map(len, parts)), *parts[0].shape[1:]), np.float32)
        for at, part in enumerate(parts):
            X[at, : len(part)] = part
        y_score = self._score(X).numpy()
        return [y_score[at, : len(part)] for at, part in enumerate(parts)]

    def _steps(self, sizes: Sequence[int], orders: Sequence[Labels]) -> tuple[Labels, Floats]:
        """Return the rows of each step, and 1 for those that are records, 0 for those that fill up.

        Both have the shape (n_epochs * n_steps, n_networks, batch_size). A network that no
        training uses is trained as the last one: its numbers are not used.
        """
        n_epochs, n_steps = len(orders[0]), -(-max(sizes) // self._batch_size)
        rows = np.zeros((n_epochs, self.n_networks, n_steps * self._batch_size), np.int64)
        is_record = np.zeros(rows.shape, np.float32)
        first = 0
        for at, (size, order) in enumerate(zip(sizes, orders, strict=True)):
            rows[:, at:, :size] = (order + first)[:, None]
            is_record[:, at:] = np.arange(rows.shape[2]) < size
            first += size

        def by_step(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            cut = values.reshape(n_epochs, self.n_networks, n_steps, self._batch_size)
            return cut.swapaxes(1, 2).reshape(-1, self.n_networks, self._batch_size)

        return by_step(rows), by_step(is_record)

    def _trace(self) -> None:
        """Trace training and scoring for so many networks as there are."""
        shape, n = self._model.input_shape[1:], self.n_networks
        self._make_variables()
        self._optimizer = _Adam(self._trained)
        self._train = self._traced_training((None, *shape))
        self._score = tf.function(
            self._outputs,
            autograph=False,
            input_signature=[tf.TensorSpec([n, None, *shape], tf.float32)],
        )
        # empty runs, so that the first training costs as much as the next
        X = np.zeros((n, 1, *shape), np.float32)
        rows = np.zeros((0, n, self._batch_size), np.int64)
        shares = np.zeros((0, n, 1, self._batch_size), np.float32)
        self._train(X[0], np.zeros(1, np.float32), rows, shares, 0, 0)
        self._score(X)

    def _traced_training(self, shape: tuple[int | None, ...]) -> Any:
        """Trace the training; the numbers of records and of steps are left open."""
        n, batch_size = self.n_networks, self._batch_size

        # written with while_loop: to convert Python's `for` takes longer than tracing all else
        @tf.function(
            autograph=False,
            input_signature=[
                tf.TensorSpec(shape, tf.float32),
                tf.TensorSpec([None], tf.float32),
                tf.TensorSpec([None, n, batch_size], tf.int64),
                tf.TensorSpec([None, n, 1, batch_size], tf.float32),
                tf.TensorSpec([], tf.float32),
                tf.TensorSpec([], tf.float32),
            ],
        )
        def train(X: Any, y: Any, rows: Any, shares: Any, rate: Any, l2: Any) -> Any:
            def body(at: Any, losses: Any, scores: Any) -> Any:
                own = rows[at], shares[at]
                with tf.GradientTape() as tape:
                    score, squares = self._forward(tf.gather(X, own[0]), own[1])
                    of_right_label = tf.abs(1.0 - tf.gather(y, own[0]) - score)
                    log = tf.math.log(tf.clip_by_value(of_right_label, EPSILON, 1.0 - EPSILON))
                    loss = l2 * squares - tf.matmul(own[1], log[..., None])[:, 0, 0]
                    total = tf.reduce_sum(loss)
                self._optimizer.apply(tape.gradient(total, self._trained), rate)
                return at + 1, losses.write(at, loss), scores.write(at, score)

            n_steps = tf.shape(rows)[0]
            shapes = [n], [n, batch_size]
            logs = [tf.TensorArray(tf.float32, n_steps, element_shape=shape) for shape in shapes]
            _, losses, scores = tf.while_loop(lambda at, *logs: at < n_steps, body, [0, *logs])
            return losses.stack(), scores.stack()

        return train

    def _make_variables(self) -> None:
        self._trained = [variable.value for variable in self._model.trainable_variables]

    def _forward(self, X: Any, shares: Any) -> tuple[Any, Any]:
        """Return scores in training mode, and the sums of squares of what has a penalty.

        Shares, of each row in a mean, have the shape (n_networks, 1, batch_size).
        """
        # no layer knows of rows without a record
        n_records = tf.math.count_nonzero(shares, dtype=tf.int32)
        scores = self._model(X[0, :n_records], training=True)[None, :, 0]
        squares = [tf.reduce_sum(tf.square(layer.kernel.value)) for layer in self._penalized]
        return tf.pad(scores, [[0, 0], [0, self._batch_size - n_records]]), sum(squares)

    def _outputs(self, X: Any) -> Any:
        """Return scores in inference mode, shape (n_networks, n_rows)."""
        return self._model(X[0], training=False)[None, :, 0]


class _Adam:
    """Keras's Adam by TensorFlow's fused operation: one a variable, where Keras has a dozen."""

    BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7

    def __init__(self, variables: Sequence[Any]) -> None:
        self._variables = variables
        self._n_steps = tf.Variable(0.0)
        self._moments = [[tf.Variable(tf.zeros_like(one)) for _ in "mv"] for one in variables]

    def reset(self) -> None:
        for variable in chain([self._n_steps], *self._moments):
            variable.assign(tf.zeros_like(variable))

    def apply(self, gradients: Sequence[Any], learning_rate: Any) -> None:
        """Move all variables."""
        step = self._n_steps.assign_add(1.0)
        for variable, (m, v), gradient in zip(
            self._variables, self._moments, gradients, strict=True
        ):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=tf.pow(self.BETA_1, step),
                beta2_power=tf.pow(self.BETA_2, step),
                lr=learning_rate,
                beta1=self.BETA_1,
                beta2=self.BETA_2,
                epsilon=self.EPSILON,
                grad=gradient,
            )
