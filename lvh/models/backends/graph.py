"""TensorFlow: all steps of some epochs in one graph, of one network or of a stack of dense ones.

The operations of a small network take longer to start than to compute. A stack of dense networks
of one shape computes each operation once for all of them: arrays have the networks along their
first axis, and no number goes from one network to another.
"""

import time
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers

from lvh.models.backends.program import (
    Floats,
    Labels,
    Weights,
    built_l2,
    initial_weights,
    penalized,
)
from lvh.validation.metrics import EPSILON, THRESHOLD

_MOST_STACKED = 16  # their weights and moments stay in the cache


class GraphProgram:
    """Networks and the graphs that train and score them; see `Program`."""

    def __init__(self, model: keras.Model, batch_size: int, side_by_side: int | None) -> None:
        """Take a new model with one sigmoid output; dense ones are stacked."""
        self._model, self._batch_size = model, batch_size
        self._is_stack = _is_dense(model)
        self._most = (side_by_side or _MOST_STACKED) if self._is_stack else 1
        self._blank = [np.array(variable) for variable in model.variables]
        self._networks: Any = None  # traced for so many as the first training has
        self._l2 = 0.0
        self.n_parameters = int(model.count_params())
        self.setup_seconds = 0.0

    def max_parallel(self, sizes: Sequence[int]) -> int:
        """Return how many of the next trainings have equally many steps, so that they fit."""
        steps = [-(-size // self._batch_size) for size in sizes[: self._most]]
        return next((at for at, n in enumerate(steps) if n != steps[0]), len(steps))

    def reset(self, seeds: Sequence[np.random.SeedSequence], l2: float | None) -> None:
        """Draw weights by a seed a network, and clear the optimizer."""
        started = time.perf_counter()
        if self._networks is None or self._networks.n < len(seeds):
            self._trace(len(seeds))
            self.setup_seconds += time.perf_counter() - started
        for at in range(self._networks.n):
            seed = seeds[min(at, len(seeds) - 1)]  # of a network without a training, the last
            self._networks.assign(at, initial_weights(self._model, self._blank, seed))
        self._optimizer.reset()
        self._l2 = built_l2(self._model) if l2 is None else l2

    def place(self, parts: Sequence[tuple[Floats, Labels]]) -> tuple[Any, Any, list[int]]:
        """Make tensors of the records of all trainings, one below the other."""
        X = tf.constant(np.concatenate([X for X, _ in parts]) if len(parts) > 1 else parts[0][0])
        return X, np.concatenate([y for _, y in parts]), [len(y) for _, y in parts]

    def train(self, data: Any, orders: Sequence[Labels], learning_rate: float) -> Floats:
        """Train some epochs in one call."""
        X, y, sizes = data
        rows, is_record = self._steps(sizes, orders)
        n_records = is_record.sum(axis=2)
        shares = is_record / n_records[..., None]
        losses, y_score = self._train(
            X, y.astype(np.float32), rows, shares[:, :, None], learning_rate, self._l2
        )
        right = (y_score.numpy() > THRESHOLD) == y[rows]
        sums = np.stack([losses.numpy() * n_records, (right * is_record).sum(axis=2)], axis=2)
        by_epoch = sums.reshape(len(orders[0]), -1, *sums.shape[1:]).transpose(2, 0, 1, 3)
        return by_epoch[: len(orders)]

    def scores(self, parts: Sequence[Floats]) -> list[Floats]:
        """Return P(label = 1) in inference mode, of each network's own records."""
        X = np.zeros((self._networks.n, max(map(len, parts)), *parts[0].shape[1:]), np.float32)
        for at, part in enumerate(parts):
            X[at, : len(part)] = part
        found = self._score(X).numpy()
        return [found[at, : len(part)] for at, part in enumerate(parts)]

    def values(self, at: int) -> Weights:
        """Return copies of all variables of one network."""
        found: Weights = self._networks.values(at)
        return found

    def assign(self, at: int, values: Weights) -> None:
        """Give one network what `values` returned."""
        self._networks.assign(at, values)

    def _steps(self, sizes: Sequence[int], orders: Sequence[Labels]) -> tuple[Labels, Floats]:
        """Return the rows of each step, and 1 for those that are records, 0 for those that fill up.

        Both have the shape (n_epochs * n_steps, n_networks, batch_size). A network that no
        training uses is trained as the last one: its numbers go nowhere.
        """
        n_epochs, n_networks = len(orders[0]), self._networks.n
        n_steps = -(-max(sizes) // self._batch_size)
        rows = np.zeros((n_epochs, n_networks, n_steps * self._batch_size), np.int64)
        is_record = np.zeros(rows.shape, np.float32)
        first = 0
        for at, (size, order) in enumerate(zip(sizes, orders, strict=True)):
            rows[:, at:, :size] = (order + first)[:, None]
            is_record[:, at:] = np.arange(rows.shape[2]) < size
            first += size

        def by_step(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            cut = values.reshape(n_epochs, n_networks, n_steps, self._batch_size)
            return cut.transpose(0, 2, 1, 3).reshape(-1, n_networks, self._batch_size)

        return by_step(rows), by_step(is_record)

    def _trace(self, n_networks: int) -> None:
        networks = (_Stack if self._is_stack else _Single)(self._model, n_networks)
        shape = (None, *self._model.input_shape[1:])
        self._networks, self._optimizer = networks, _Adam(networks.trained)
        self._train = _training(networks, self._optimizer, shape, self._batch_size)
        self._score = tf.function(
            networks.scores,
            autograph=False,
            input_signature=[tf.TensorSpec([networks.n, *shape], tf.float32)],
        )
        # an empty run, so that the first training costs as much as the next
        record = np.zeros((1, *shape[1:]), np.float32)
        rows = np.zeros((0, networks.n, self._batch_size), np.int64)
        self._train(
            record, np.zeros(1, np.float32), rows, rows[:, :, None] * np.float32(1), 0.0, 0.0
        )
        self._score(np.stack([record] * networks.n))


def _training(
    networks: "_Single | _Stack", optimizer: "_Adam", shape: tuple[int | None, ...], batch_size: int
) -> Any:
    """Trace the training; the numbers of records and of steps are left open."""

    def step(X: Any, labels: Any, shares: Any, rate: Any, l2: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            scores, squares = networks.forward(X, shares)
            of_right_label = tf.abs(1.0 - labels - scores)
            log = tf.math.log(tf.clip_by_value(of_right_label, EPSILON, 1.0 - EPSILON))
            losses = l2 * squares - tf.matmul(shares, log[..., None])[:, 0, 0]
            loss = tf.reduce_sum(losses)
        optimizer.apply(tape.gradient(loss, networks.trained), rate)
        return losses, scores

    # written with while_loop: to convert Python's `for` takes longer than tracing all else
    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec(shape, tf.float32),
            tf.TensorSpec([None], tf.float32),
            tf.TensorSpec([None, networks.n, batch_size], tf.int64),
            tf.TensorSpec([None, networks.n, 1, batch_size], tf.float32),
            tf.TensorSpec([], tf.float32),
            tf.TensorSpec([], tf.float32),
        ],
    )
    def train(X: Any, y: Any, rows: Any, shares: Any, rate: Any, l2: Any) -> Any:
        def body(at: Any, losses: Any, scores: Any) -> Any:
            own = rows[at]
            loss, score = step(tf.gather(X, own), tf.gather(y, own), shares[at], rate, l2)
            return at + 1, losses.write(at, loss), scores.write(at, score)

        n_steps = tf.shape(rows)[0]
        shapes = [networks.n], [networks.n, batch_size]
        logs = [tf.TensorArray(tf.float32, n_steps, element_shape=one) for one in shapes]
        _, losses, scores = tf.while_loop(lambda at, *logs: at < n_steps, body, [0, *logs])
        return losses.stack(), scores.stack()

    return train


class _Single:
    """A network of any layers; its first axis has the length 1."""

    n = 1

    def __init__(self, model: keras.Model, n_networks: int) -> None:
        self._model = model
        self.trained = [variable.value for variable in model.trainable_variables]
        self._penalized = [layer.kernel for layer in penalized(model)]

    def forward(self, X: Any, shares: Any) -> tuple[Any, Any]:
        """Return scores in training mode, and the sum of squares that a penalty counts."""
        # no layer knows of rows without a record
        n_records = tf.math.count_nonzero(shares, dtype=tf.int32)
        scores = self._model(X[0, :n_records], training=True)[None, :, 0]
        squares = [tf.reduce_sum(tf.square(kernel.value)) for kernel in self._penalized]
        return tf.pad(scores, [[0, 0], [0, tf.shape(X)[1] - n_records]]), sum(squares)

    def scores(self, X: Any) -> Any:
        return self._model(X[0], training=False)[None, :, 0]

    def values(self, at: int) -> Weights:
        return [np.array(variable) for variable in self._model.variables]

    def assign(self, at: int, values: Weights) -> None:
        for variable, value in zip(self._model.variables, values, strict=True):
            variable.assign(value)


class _Stack:
    """Dense networks of one shape; all weights are one variable, so that Adam is one operation.

    A row that only fills up the batch has the share 0 in a mean, and so no part in batch
    normalization (Ioffe and Szegedy, 2015).
    """

    def __init__(self, model: keras.Model, n_networks: int) -> None:
        self.n, self._model = n_networks, model
        self._groups = model.trainable_variables, model.non_trainable_variables
        widths = [sum(int(np.prod(one.shape)) for one in group) for group in self._groups]
        self._flat = [tf.Variable(np.zeros((n_networks, n), np.float32)) for n in widths]
        self.trained = self._flat[:1]
        self._penalized = penalized(model)
        self._momenta = np.concatenate(
            [
                np.full(2 * layer.moving_mean.shape[0], layer.momentum, np.float32)
                for layer in model.layers
                if isinstance(layer, layers.BatchNormalization)
            ]
            or [np.zeros(0, np.float32)]
        )

    def forward(self, X: Any, shares: Any) -> tuple[Any, Any]:
        """Return scores in training mode, and the sums of squares that a penalty counts."""
        scores, moved, squares = self._outputs(X, shares)
        moving = self._flat[1]
        moving.assign_add((tf.concat(moved, 1) - moving) * (1.0 - self._momenta))
        return scores, squares

    def scores(self, X: Any) -> Any:
        return self._outputs(X, None)[0]

    def values(self, at: int) -> Weights:
        """Return the variables of one network, in the order of its model."""
        parts: dict[int, Floats] = {}
        for group, flat in zip(self._groups, self._flat, strict=True):
            ends = np.cumsum([np.prod(one.shape) for one in group])[:-1]
            parts |= zip(map(id, group), np.split(flat.numpy()[at], ends), strict=True)
        return [parts[id(one)].reshape(one.shape).copy() for one in self._model.variables]

    def assign(self, at: int, values: Weights) -> None:
        by_id = dict(zip(map(id, self._model.variables), values, strict=True))
        for group, flat in zip(self._groups, self._flat, strict=True):
            flat[at].assign(np.concatenate([by_id[id(one)].ravel() for one in group]))

    def _outputs(self, X: Any, shares: Any) -> tuple[Any, list[Any], Any]:
        """Return scores, means and variances of the batch, and sums of squares."""
        weights = self._pieces(0)
        moving = self._pieces(1)
        outputs, moved, squares = X, [], tf.zeros(self.n)
        for layer in self._model.layers:
            if isinstance(layer, layers.Dense):
                kernel, bias = next(weights), next(weights)
                outputs = layer.activation(tf.matmul(outputs, kernel) + bias)
                if layer in self._penalized:
                    squares += tf.reduce_sum(tf.square(kernel), axis=[1, 2])
                continue
            gamma, beta, mean, variance = map(next, (weights, weights, moving, moving))
            if shares is not None:
                mean = tf.matmul(shares, outputs)
                variance = tf.matmul(shares, tf.square(outputs - mean))
                moved += [mean[:, 0], variance[:, 0]]
            slope = tf.math.rsqrt(variance + layer.epsilon) * gamma
            outputs = outputs * slope + (beta - mean * slope)
        return outputs[..., 0], moved, squares

    def _pieces(self, number: int) -> Iterator[Any]:
        """Yield the variables of all networks, a vector as a row."""
        shapes = [(1, *one.shape)[-2:] for one in self._groups[number]]
        parts = tf.split(self._flat[number], [a * b for a, b in shapes], axis=1)
        return (
            tf.reshape(part, (self.n, *shape)) for part, shape in zip(parts, shapes, strict=True)
        )


class _Adam:
    """Keras's Adam by TensorFlow's fused operation: one a variable, where Keras has a dozen."""

    _BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7

    def __init__(self, variables: Sequence[Any]) -> None:
        self._variables = variables
        self._steps = tf.Variable(0.0)
        self._moments = [
            (tf.Variable(tf.zeros_like(one)), tf.Variable(tf.zeros_like(one))) for one in variables
        ]

    def reset(self) -> None:
        for variable in chain([self._steps], *self._moments):
            variable.assign(tf.zeros_like(variable))

    def apply(self, gradients: Sequence[Any], learning_rate: Any) -> None:
        """Move all variables."""
        step = self._steps.assign_add(1.0)
        for variable, (m, v), gradient in zip(
            self._variables, self._moments, gradients, strict=True
        ):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=tf.pow(self._BETA_1, step),
                beta2_power=tf.pow(self._BETA_2, step),
                lr=learning_rate,
                beta1=self._BETA_1,
                beta2=self._BETA_2,
                epsilon=self._EPSILON,
                grad=gradient,
            )


def _is_dense(model: keras.Model) -> bool:
    """Return whether a model is a sequence of dense layers and normalizations in float32."""
    n_weights = {layers.Dense: 2, layers.BatchNormalization: 4}
    return isinstance(model, keras.Sequential) and all(
        layer.compute_dtype == "float32"
        and any(
            isinstance(layer, kind) and len(layer.weights) == n for kind, n in n_weights.items()
        )
        for layer in model.layers
    )
