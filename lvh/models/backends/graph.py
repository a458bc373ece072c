"""TensorFlow: all steps of some epochs in one graph, of one network or of a stack of dense ones.

The operations of a small network take longer to start than to compute. A stack is one Keras model
of several dense networks of one shape: it computes each operation once for all of them. All its
arrays have the networks along their first axis; a network has its own weights and its own records,
and no number goes from one to another.
"""

import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers, ops

from lvh.models.backends.weights import Weights, assign, built_l2, initial_weights, values_of
from lvh.validation.metrics import EPSILON, THRESHOLD

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

_MOST_STACKED = 16  # their weights and moments stay in the cache
_NO_RECORD = -1  # a row beyond the records of a batch


class GraphProgram:
    """A network and the graphs that train and score it; they serve every training of its shape."""

    def __init__(self, model: keras.Model, batch_size: int, side_by_side: int | None) -> None:
        """Take a new model with one sigmoid output.

        Args:
            model: Dense networks are stacked; another one is trained alone.
            batch_size: Records a step.
            side_by_side: Networks in a stack, at most.
        """
        self._model, self._batch_size = model, batch_size
        self._most = (side_by_side or _MOST_STACKED) if _is_dense(model) else 1
        self._blank = values_of(model.variables)
        self._graphs: _Graphs | None = None
        self._l2 = self._built_l2 = built_l2(model)
        self.setup_seconds = 0.0

    @property
    def n_parameters(self) -> int:
        """Number of parameters of one network, trainable or not."""
        return int(self._model.count_params())

    def max_parallel(self, sizes: Sequence[int]) -> int:
        """Return how many of the next trainings have equally many steps, so that they fit."""
        steps = [-(-size // self._batch_size) for size in sizes[: self._most]]
        return next((at for at, n in enumerate(steps) if n != steps[0]), len(steps))

    def reset(self, seeds: Sequence[np.random.SeedSequence], l2: float | None) -> None:
        """Begin trainings: draw weights by a seed each, and clear the optimizer."""
        started = time.perf_counter()
        if self._graphs is None or self._graphs.n_networks < len(seeds):
            self._graphs = _Graphs(self._model, len(seeds), self._batch_size)
            self.setup_seconds += time.perf_counter() - started
        drawn = [initial_weights(self._model, self._blank, seed) for seed in seeds]
        drawn += drawn[-1:] * (self._graphs.n_networks - len(drawn))
        self._graphs.reset(drawn)
        self._l2 = self._built_l2 if l2 is None else l2

    def place(self, parts: Sequence[tuple[Floats, Labels]]) -> tuple[Any, Any, list[int]]:
        """Make tensors of the records of all trainings, one below the other."""
        X = tf.constant(np.concatenate([X for X, _ in parts]) if len(parts) > 1 else parts[0][0])
        y = tf.constant(np.concatenate([y for _, y in parts]).astype(np.float32))
        return X, y, [len(y) for _, y in parts]

    def train(self, data: Any, orders: Sequence[Labels], learning_rate: float) -> Floats:
        """Train some epochs in one call; see `Program`."""
        X, y, sizes = data
        steps = self._steps(sizes, orders)
        sums = self._running.train(X, y, steps, learning_rate, self._l2)
        found: Floats = sums.reshape(len(orders[0]), -1, *sums.shape[1:]).transpose(2, 0, 1, 3)
        return found[: len(orders)]

    def scores(self, parts: Sequence[Floats]) -> list[Floats]:
        """Return P(label = 1) in inference mode, of each network's own records."""
        n_networks = self._running.n_networks
        rows = max(map(len, parts))
        X = np.zeros((n_networks, rows, *parts[0].shape[1:]), np.float32)
        for at, part in enumerate(parts):
            X[at, : len(part)] = part
        found = self._running.score(X).numpy()
        return [found[at, : len(part)] for at, part in enumerate(parts)]

    def values(self, at: int) -> Weights:
        """Return copies of all variables of one network."""
        values = zip(self._running.values(), self._blank, strict=True)
        return [value[at].reshape(blank.shape).copy() for value, blank in values]

    def assign(self, at: int, values: Weights) -> None:
        """Give one network what `values` returned."""
        held = self._running.values()
        for one, value in zip(held, values, strict=True):
            one[at] = value
        self._running.assign(held)

    @property
    def _running(self) -> "_Graphs":
        if self._graphs is None:  # scores and values of a network that no training began
            self.reset([np.random.SeedSequence(0)], None)
            assert self._graphs is not None
        return self._graphs

    def _steps(self, sizes: Sequence[int], orders: Sequence[Labels]) -> npt.NDArray[np.int32]:
        """Return the rows of each step, shape (n_epochs * n_steps, n_networks, batch_size).

        Networks that no training uses are trained as the last one: their numbers go nowhere.
        """
        n_networks, n_epochs = self._running.n_networks, len(orders[0])
        n_steps = -(-max(sizes) // self._batch_size)
        rows = np.full((n_epochs, n_networks, n_steps * self._batch_size), _NO_RECORD, np.int32)
        first = 0
        for at, (size, order) in enumerate(zip(sizes, orders, strict=True)):
            rows[:, at, :size] = order + first
            first += size
        rows[:, len(sizes) :] = rows[:, [len(sizes) - 1]]
        cut = rows.reshape(n_epochs, n_networks, n_steps, self._batch_size)
        return cut.transpose(0, 2, 1, 3).reshape(-1, n_networks, self._batch_size)


class _Graphs:
    """Variables, optimizer and traced functions of one network, or of a stack of dense ones.

    The first axis of all that goes in and out is that of the networks.
    """

    def __init__(self, model: keras.Model, n_networks: int, batch_size: int) -> None:
        self.n_networks = n_networks
        self._is_stack = _is_dense(model)
        self._networks = _stack(model, n_networks) if self._is_stack else model
        self._shape = tuple(model.input_shape[1:])
        penalized = [getattr(one, "kernel_regularizer", None) is not None for one in model.layers]
        own = [one for one in self._networks.layers if not isinstance(one, keras.layers.InputLayer)]
        if not self._is_stack:
            own = model.layers
        self._penalized = [one.kernel for one, has in zip(own, penalized, strict=True) if has]
        self._optimizer = _Adam()
        self._optimizer.build(self._networks.trainable_variables)
        self._train = self._traced(batch_size)
        self.score = tf.function(
            lambda X: self._forward(X, tf.zeros([n_networks, 1, tf.shape(X)[1]]), training=False),
            input_signature=[tf.TensorSpec([n_networks, None, *self._shape], tf.float32)],
            autograph=False,
        )
        self.score.get_concrete_function()
        # an empty run optimizes the graph, so that the first training costs as much as the next
        nothing = np.zeros((0, n_networks, batch_size), np.int32)
        self.train(np.zeros((1, *self._shape), np.float32), np.zeros(1, np.float32), nothing, 0, 0)

    def train(self, X: Any, y: Any, steps: Any, learning_rate: float, l2: float) -> Floats:
        """Return sums of losses and right answers of each step, shape (n_steps, n_networks, 2)."""
        self._optimizer.learning_rate.assign(learning_rate)
        sums: Floats = self._train(X, y, steps, np.float32(l2)).numpy()
        return sums

    def reset(self, networks: Sequence[Weights]) -> None:
        """Give each network its weights, and clear the optimizer."""
        joined = [np.stack(values) for values in zip(*networks, strict=True)]
        self.assign(joined)
        for variable in self._optimizer.variables:
            variable.assign(tf.zeros(variable.shape, variable.dtype))

    def values(self) -> Weights:
        """Return copies of all variables, shape (n_networks, ...)."""
        values = values_of(self._networks.variables)
        return values if self._is_stack else [value[None] for value in values]

    def assign(self, values: Weights) -> None:
        """Give all variables values, shape (n_networks, ...)."""
        shapes = [tuple(variable.shape) for variable in self._networks.variables]
        shaped = [value.reshape(shape) for value, shape in zip(values, shapes, strict=True)]
        assign(self._networks.variables, shaped)

    def _forward(self, X: Any, shares: Any, *, training: bool) -> Any:
        """Return scores, shape (n_networks, n_rows)."""
        if self._is_stack:
            return self._networks([X, shares], training=training)[..., 0]
        return self._networks(X[0], training=training)[None, :, 0]

    def _step(self, X: Any, labels: Any, shares: Any, l2: Any) -> tuple[Any, Any]:
        """Train one step.

        Args:
            X: Shape (n_networks, n_rows, ...).
            labels: Shape (n_networks, n_rows).
            shares: Of each row in a mean, shape (n_networks, 1, n_rows).
            l2: Weight penalty.

        Returns:
            Losses, shape (n_networks,), and scores, shape (n_networks, n_rows).
        """
        trained = self._networks.trainable_variables
        with tf.GradientTape() as tape:
            scores = self._forward(X, shares, training=True)
            of_right_label = tf.abs(1.0 - labels - scores)
            log = tf.math.log(tf.clip_by_value(of_right_label, EPSILON, 1.0 - EPSILON))
            losses = -tf.matmul(shares, log[..., None])[:, 0, 0]
            for kernel in self._penalized:
                axes = range(1 if self._is_stack else 0, len(kernel.shape))
                losses += l2 * tf.reduce_sum(tf.square(kernel.value), axis=list(axes))
            loss = tf.reduce_sum(losses)
        self._optimizer.apply(tape.gradient(loss, trained), trained)
        return losses, scores

    def _traced(self, batch_size: int) -> Any:
        """Trace the training; the numbers of records and of steps are left open."""

        # written with while_loop: to convert Python's `for` takes longer than tracing all else
        @tf.function(
            autograph=False,
            input_signature=[
                tf.TensorSpec([None, *self._shape], tf.float32),
                tf.TensorSpec([None], tf.float32),
                tf.TensorSpec([None, self.n_networks, batch_size], tf.int32),
                tf.TensorSpec([], tf.float32),
            ],
        )
        def train(X: Any, y: Any, steps: Any, l2: Any) -> Any:
            is_record = tf.cast(steps != _NO_RECORD, tf.float32)
            sizes = tf.reduce_sum(is_record, axis=2)
            shares = (is_record / sizes[..., None])[:, :, None]
            rows = tf.maximum(steps, 0)
            labels = tf.gather(y, rows)
            n_steps = tf.shape(steps)[0]

            def body(at: Any, losses: Any, scores: Any) -> Any:
                own, own_labels, own_shares = rows[at], labels[at], shares[at]
                if not self._is_stack:  # no layer of it knows of rows without a record
                    n = tf.cast(sizes[at, 0], tf.int32)
                    own, own_labels = own[:, :n], own_labels[:, :n]
                    own_shares = own_shares[..., :n]
                loss, score = self._step(tf.gather(X, own), own_labels, own_shares, l2)
                if not self._is_stack:
                    score = tf.pad(score, [[0, 0], [0, batch_size - n]])
                return at + 1, losses.write(at, loss), scores.write(at, score)

            shapes = [self.n_networks], [self.n_networks, batch_size]
            logs = [tf.TensorArray(tf.float32, n_steps, element_shape=one) for one in shapes]
            _, losses, scores = tf.while_loop(lambda at, *logs: at < n_steps, body, [0, *logs])
            right = tf.cast((scores.stack() > THRESHOLD) == (labels > THRESHOLD), tf.float32)
            sums = [losses.stack() * sizes, tf.reduce_sum(is_record * right, axis=2)]
            return tf.stack(sums, axis=2)

        train.get_concrete_function()
        return train


class _StackedDense(layers.Layer):  # type: ignore[misc]
    """A dense layer of each network; `EinsumDense` computes the same and takes longer."""

    def __init__(self, units: int, activation: Any) -> None:
        """Take what Keras's `Dense` takes, under the same names."""
        super().__init__()
        self.units, self.activation = units, activation

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the variables of `keras.layers.Dense`, in its order."""
        n_networks, _, n_inputs = input_shape
        self.kernel = self.add_weight(shape=(n_networks, n_inputs, self.units))
        self.bias = self.add_weight(shape=(n_networks, 1, self.units), initializer="zeros")

    def call(self, inputs: Any) -> Any:
        """Multiply by the kernels, shape (n_networks, n_rows, n_inputs)."""
        return self.activation(ops.matmul(inputs, self.kernel) + self.bias)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape, which Keras would trace `call` for."""
        return (*input_shape[:-1], self.units)


class _StackedBatchNormalization(layers.Layer):  # type: ignore[misc]
    """Batch normalization (Ioffe and Szegedy, 2015) of each network's own records.

    It takes activations of shape (n_networks, n_rows, n_units), and the share of each row in a
    mean, shape (n_networks, 1, n_rows): 0 for a row that only fills up the batch.
    """

    def __init__(self, momentum: float, epsilon: float) -> None:
        """Take what Keras's layer takes, under the same names."""
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, input_shapes: Sequence[tuple[int | None, ...]]) -> None:
        """Make the variables of `keras.layers.BatchNormalization`, in its order."""
        n_networks, _, n_units = input_shapes[0]
        shape = (n_networks, 1, n_units)
        self.gamma = self.add_weight(shape=shape, initializer="ones")
        self.beta = self.add_weight(shape=shape, initializer="zeros")
        self.moving_mean = self.add_weight(shape=shape, initializer="zeros", trainable=False)
        self.moving_variance = self.add_weight(shape=shape, initializer="ones", trainable=False)

    def call(self, inputs: Sequence[Any], training: bool = False) -> Any:
        """Normalize by the batch in training, else by the moving averages."""
        activations, shares = inputs
        mean, variance = self.moving_mean, self.moving_variance
        if training:
            mean = ops.matmul(shares, activations)
            variance = ops.matmul(shares, ops.square(activations - mean))
            for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign_add((now - moving) * (1 - self.momentum))
        slope = ops.rsqrt(variance + self.epsilon) * self.gamma
        return activations * slope + (self.beta - mean * slope)

    def compute_output_shape(
        self, input_shapes: Sequence[tuple[int | None, ...]]
    ) -> tuple[int | None, ...]:
        """Return the shape, which Keras would trace `call` for."""
        return input_shapes[0]


def _is_dense(model: keras.Model) -> bool:
    """Return whether a model is a sequence of dense layers and normalizations in float32."""
    kinds = (layers.Dense, layers.BatchNormalization)
    return isinstance(model, keras.Sequential) and all(
        isinstance(layer, kinds) and layer.compute_dtype == "float32" for layer in model.layers
    )


def _stack(model: keras.Model, n_networks: int) -> keras.Model:
    """Build a stack of networks like a model that `_is_dense`.

    Its inputs are records, shape (n_networks, n_rows, n_inputs), and their shares in a mean, shape
    (n_networks, 1, n_rows). Its variables are those of the model in the same order, with the
    networks along their first axis; a vector of the model is a row of the stack.
    """
    inputs = keras.Input(batch_shape=(n_networks, None, model.input_shape[1]))
    shares = keras.Input(batch_shape=(n_networks, 1, None))
    outputs = inputs
    for layer in model.layers:
        if isinstance(layer, layers.Dense):
            outputs = _StackedDense(layer.units, layer.activation)(outputs)
        else:
            normalization = _StackedBatchNormalization(layer.momentum, layer.epsilon)
            outputs = normalization([outputs, shares])
    return keras.Model([inputs, shares], outputs)


class _Adam(keras.optimizers.Adam):  # type: ignore[misc]
    """Keras's Adam by TensorFlow's fused operation: one a variable, where Keras has a dozen."""

    def apply(self, gradients: Any, variables: Any) -> None:
        """Move all variables."""
        step = tf.cast(self.iterations.value + 1, tf.float32)
        self._powers = tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)
        super().apply(gradients, variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable."""
        number = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[number].value.handle,
            v=self._velocities[number].value.handle,
            beta1_power=self._powers[0],
            beta2_power=self._powers[1],
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )
