"""Programs: what trains and scores a Keras model, built once for all folds.

Here on TensorFlow: all steps of some epochs in one graph, and dense networks of one shape side by
side, for the operations of a small network take longer to start than to compute. No number goes
from one network to another. `lvh.models.fit_program` is for the other backends.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from lvh.data.lazy_array import Inputs, read
from lvh.errors import InputError
from lvh.models.fast_layers import BatchNormalization
from lvh.validation.metrics import EPSILON, THRESHOLD

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]
Weights = list[npt.NDArray[Any]]
"""The value of each variable of a model, in the order of `model.variables`."""

_ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-7}  # Keras's


class Program:
    """A Keras model with what trains and scores it, for all folds and settings of its shape.

    It may hold several networks side by side; lists that go in and out have a part for each.
    """

    rebuild: Callable[[], keras.Model] | None = None
    """Builds the model again, with new weights, where its layers are not known."""

    def __init__(self, model: keras.Model, batch_size: int) -> None:
        """Take a new model with one sigmoid output, and the records a step."""
        self._model, self._batch_size = model, batch_size
        self._variables = list(model.variables)  # compiled, a model has others behind them
        self._blank = copies(self._variables)
        self._penalized = [one for one in model.layers if getattr(one, "kernel_regularizer", None)]
        self._built_l2 = float(self._penalized[0].kernel_regularizer.l2) if self._penalized else 0.0
        self.n_parameters = int(model.count_params())
        self.setup_seconds = 0.0

    def max_parallel(self, sizes: Sequence[int]) -> int:
        """Return how many of the next trainings, on so many records each, it holds at once."""
        return 1

    def network(self, at: int) -> Sequence[Any]:
        """Return the variables of one network, in the order of its model."""
        return self._variables

    def optimizer(self, at: int) -> Sequence[Any]:
        """Return the variables of the optimizer of one network; here of Keras's Adam."""
        return list(self._model.optimizer.variables)

    def values(self, at: int) -> Weights:
        """Return copies of all variables of one network."""
        return copies(self.network(at))

    def initial_weights(self, seed: np.random.SeedSequence) -> Weights:
        """Draw the weights that a new network begins with; each layer has draws of its own."""
        if self.rebuild is not None:
            keras.utils.set_random_seed(int(seed.generate_state(1)[0]))
            new = self.rebuild()
            known = {id(one) for one in self._model.trainable_variables}
            if known & {id(one) for one in new.trainable_variables}:  # they know test records
                raise InputError(
                    "expected a new network, with new layers, at each call of the function that "
                    "builds it. Received: trainable weights of the one before"
                )
            return copies(new.variables)
        values = list(self._blank)
        number_of = {id(variable): number for number, variable in enumerate(self._variables)}
        draws = iter(seed.generate_state(2 * len(self._model.layers)))
        for layer in self._model.layers:
            of_kernel, of_dropout = int(next(draws)), next(draws)
            if initializer := getattr(layer, "kernel_initializer", None):
                config = {**initializer.get_config(), "seed": of_kernel}
                kernel = type(initializer).from_config(config)(layer.kernel.shape)
                values[number_of[id(layer.kernel)]] = np.array(kernel)
            if generator := getattr(layer, "seed_generator", None):
                number = number_of[id(generator.state)]
                values[number] = np.array([of_dropout, 0], np.uint32).astype(values[number].dtype)
        return values

    def estimate_statistics(self, parts: Sequence[Inputs], at_once: int | None = None) -> None:
        """Take the statistics of batch normalization from all records, not moving averages.

        They are means over batches (`at_once`), without dropout: Wu and Johnson, `Rethinking
        "Batch" in BatchNorm`, 2021, arXiv:2105.07576.
        """
        layers = self._model.layers
        normalizations = [one for one in layers if hasattr(one, "moving_variance")]
        before = [(one, "momentum", one.momentum) for one in normalizations]
        before += [(one, "rate", one.rate) for one in layers if hasattr(one, "rate")]
        for layer, name, _ in before:
            setattr(layer, name, 0.0)
        for at, X in enumerate(parts):
            assign(self._variables, self.values(at))
            n = at_once or self._batch_size
            for start in range(0, len(X) if normalizations else 0, n):
                batch = read(X[start : start + n])
                for layer in normalizations:  # so that it averages all batches so far
                    layer.momentum = start / (start + len(batch))
                self._model(batch, training=True)
            assign(self.network(at), copies(self._variables))
        for layer, name, value in before:
            setattr(layer, name, value)


class GraphProgram(Program):
    """One network and the graphs that train and score it; their first axis is that of networks."""

    n_networks = 0

    def reset(self, seeds: Sequence[np.random.SeedSequence], l2: float | None) -> None:
        """Draw weights by a seed a network, clear the optimizer; an l2 of None is the build's."""
        if self.n_networks < len(seeds):
            started = time.perf_counter()
            self.n_networks = len(seeds)
            self._trace()
            self.setup_seconds += time.perf_counter() - started
        for at in range(self.n_networks):
            seed = seeds[min(at, len(seeds) - 1)]  # of a network without a training, the last
            assign(self.network(at), self.initial_weights(seed))
        for variable in self._adam:
            variable.assign(tf.zeros_like(variable))
        self._l2 = self._built_l2 if l2 is None else l2

    def optimizer(self, at: int) -> Sequence[Any]:
        """Return the number of steps, and the moments of one network."""
        return self._adam

    def place(self, parts: Sequence[tuple[Floats, Labels]]) -> tuple[Any, Labels, list[int]]:
        """Put inputs and labels of all trainings, one below the other, where it trains."""
        X = tf.constant(np.concatenate([X for X, _ in parts]) if len(parts) > 1 else parts[0][0])
        return X, np.concatenate([y for _, y in parts]), [len(y) for _, y in parts]

    def train(self, data: Any, orders: Sequence[Labels], learning_rate: float) -> Floats:
        """Train some epochs on `data` from `place`, in orders of (n_epochs, n_records) a network.

        Return sums over the records of losses (with penalties) and right answers in training mode,
        shape (n_networks, n_epochs, 2).
        """
        X, y, sizes = data
        rows, is_record = self._steps(sizes, orders)
        n_records = is_record.sum(axis=2)
        shares = (is_record / n_records[..., None])[:, :, None]
        losses, scores = self._train(X, y.astype(np.float32), rows, shares, learning_rate, self._l2)
        right = (scores.numpy() > THRESHOLD) == y[rows]
        sums = np.stack([losses.numpy() * n_records, (right * is_record).sum(axis=2)], axis=2)
        by_epoch = sums.reshape(len(orders[0]), -1, *sums.shape[1:]).sum(axis=1)
        return np.asarray(by_epoch.swapaxes(0, 1)[: len(orders)])

    def scores(self, parts: Sequence[Floats]) -> list[Scores]:
        """Return P(label = 1) in inference mode, of some records of each network."""
        X = np.zeros((self.n_networks, max(map(len, parts)), *parts[0].shape[1:]), np.float32)
        for at, part in enumerate(parts):
            X[at, : len(part)] = part
        y_score = self._score(X).numpy().astype(np.float64)
        return [y_score[at, : len(part)] for at, part in enumerate(parts)]

    def _steps(self, sizes: Sequence[int], orders: Sequence[Labels]) -> tuple[Labels, Floats]:
        """Return the rows of each step, shape (n_epochs * n_steps, n_networks, batch_size).

        Return also 1 for those that are records, 0 for those that fill up. A network without a
        training is trained as the last one.
        """
        n_epochs, n_steps = len(orders[0]), -(-max(sizes) // self._batch_size)
        cut = n_epochs, self.n_networks, n_steps, self._batch_size
        rows = np.full((*cut[:2], n_steps * self._batch_size), -1)
        for at, order in enumerate(orders):
            rows[:, at:] = -1
            rows[:, at:, : sizes[at]] = (order + sum(sizes[:at]))[:, None]
        by_step = rows.reshape(cut).swapaxes(1, 2).reshape(-1, self.n_networks, self._batch_size)
        return np.maximum(by_step, 0), (by_step >= 0).astype(np.float32)

    def _trace(self) -> None:
        """Trace training and scoring for as many networks as there are."""
        shape, n, batch_size = self._model.input_shape[1:], self.n_networks, self._batch_size
        self._held = {id(one): self._make_variable(one) for one in self._variables}
        self._trained = [self._held[id(one)] for one in self._model.trainable_variables]
        moments = [tf.Variable(tf.zeros_like(one)) for one in 2 * self._trained]
        self._adam = [tf.Variable(0.0), *moments]
        traced, spec = partial(tf.function, autograph=False), tf.TensorSpec
        rows, shares = spec([None, n, batch_size], tf.int64), spec([None, n, 1, batch_size])
        signature = [spec([None, *shape]), spec([None]), rows, shares, spec([]), spec([])]
        self._train = traced(self._run_steps, input_signature=signature)
        self._score = traced(
            lambda X: self._forward(X)[0], input_signature=[spec([n, None, *shape])]
        )
        # empty runs, so that the first training costs as much as the next
        X = np.zeros((n, 1, *shape), np.float32)
        none = np.zeros((0, n, batch_size), np.int64)
        self._train(X[0], np.zeros(1, np.float32), none, none[:, :, None].astype("f"), 0, 0)
        self._score(X)

    def _run_steps(self, X: Any, y: Any, rows: Any, shares: Any, rate: Any, l2: Any) -> Any:
        """Take all steps, and return the losses and scores of each."""

        def body(at: Any, losses: Any, scores: Any) -> Any:
            own = rows[at], shares[at]
            with tf.GradientTape() as tape:
                score, squares = self._forward(tf.gather(X, own[0]), own[1])
                of_right_label = tf.abs(1.0 - tf.gather(y, own[0]) - score)
                log = tf.math.log(tf.clip_by_value(of_right_label, EPSILON, 1.0 - EPSILON))
                loss = l2 * squares - tf.matmul(own[1], log[..., None])[:, 0, 0]
                total = tf.reduce_sum(loss)
            self._move(tape.gradient(total, self._trained), rate)
            return at + 1, losses.write(at, loss), scores.write(at, score)

        n_steps, n = tf.shape(rows)[0], self.n_networks
        shapes = [n], [n, self._batch_size]
        logs = [tf.TensorArray(tf.float32, n_steps, element_shape=shape) for shape in shapes]
        _, losses, scores = tf.while_loop(lambda at, *logs: at < n_steps, body, [0, *logs])
        return losses.stack(), scores.stack()

    def _move(self, gradients: Sequence[Any], rate: Any) -> None:
        """Move what is trained by TensorFlow's Adam: one operation, where Keras has a dozen."""
        step = self._adam[0].assign_add(1.0)
        powers = {f"{name}_power": tf.pow(_ADAM[name], step) for name in ("beta1", "beta2")}
        n = len(self._trained)
        moments = self._adam[1 : n + 1], self._adam[n + 1 :]
        for variable, mean, square, gradient in zip(
            self._trained, moments[0], moments[1], gradients, strict=True
        ):
            handles = {"var": variable.handle, "m": mean.handle, "v": square.handle}
            tf.raw_ops.ResourceApplyAdam(**handles, **powers, lr=rate, **_ADAM, grad=gradient)

    def _make_variable(self, variable: Any) -> Any:
        """Return what holds a variable of the model, for all networks."""
        return variable.value

    def _forward(self, X: Any, shares: Any = None) -> tuple[Any, Any]:
        """Return scores, shape (n_networks, n_rows), and sums of squares of what has a penalty.

        In training mode with `shares` of the rows in a mean, shape (n_networks, 1, batch_size).
        """
        if shares is None:
            return self._model(X[0], training=False)[None, :, 0], None
        n_records = tf.math.count_nonzero(shares, dtype=tf.int32)  # no layer knows of other rows
        scores = self._model(X[0, :n_records], training=True)[None, :, 0]
        squares = [tf.reduce_sum(tf.square(layer.kernel.value)) for layer in self._penalized]
        return tf.pad(scores, [[0, 0], [0, self._batch_size - n_records]]), sum(squares)


class StackProgram(GraphProgram):
    """Several networks, whose variables are stacked: the first axis is that of the networks."""

    side_by_side = 16
    """Networks at most: their weights and moments stay in the cache."""

    def max_parallel(self, sizes: Sequence[int]) -> int:
        """Return how many of the next trainings have equally many steps, so that they fit."""
        steps = [-(-size // self._batch_size) for size in sizes[: self.side_by_side]]
        return next((at for at, n in enumerate(steps) if n != steps[0]), len(steps))

    def network(self, at: int) -> Sequence[Any]:
        """Return the variables of one network, in the order of its model."""
        return [variable[at] for variable in self._held.values()]

    def optimizer(self, at: int) -> Sequence[Any]:
        """Return the number of steps, which all have, and the moments of one network."""
        return [self._adam[0], *(variable[at] for variable in self._adam[1:])]

    def estimate_statistics(self, parts: Sequence[Inputs], at_once: int | None = None) -> None:
        """Take them from all records of each network at once."""
        super().estimate_statistics(parts, max(map(len, parts)))

    def _make_variable(self, variable: Any) -> Any:
        return tf.Variable(tf.zeros([self.n_networks, *variable.shape]))

    def _forward(self, X: Any, shares: Any = None) -> tuple[Any, Any]:
        """Batch normalization (Ioffe and Szegedy, 2015) has the weighted mean of the records."""
        squares = tf.zeros(self.n_networks)
        for layer in self._model.layers:
            own = [self._held[id(variable)] for variable in layer.weights]
            if isinstance(layer, layers.Dense):
                X = layer.activation(tf.matmul(X, own[0]) + tf.expand_dims(own[1], 1))
                if layer in self._penalized:
                    squares += tf.reduce_sum(tf.square(own[0]), axis=[1, 2])
                continue
            gamma, beta, mean, variance = (tf.expand_dims(variable, 1) for variable in own)
            if shares is not None:
                before = mean, variance
                mean = tf.matmul(shares, X)
                variance = tf.matmul(shares, tf.square(X - mean))
                for moving, old, now in zip(own[2:], before, (mean, variance), strict=True):
                    moving.assign_add(((now - old) * (1 - np.float32(layer.momentum)))[:, 0])
            slope = tf.math.rsqrt(variance + layer.epsilon) * gamma
            X = X * slope + (beta - mean * slope)
        return X[..., 0], squares


def is_dense(model: keras.Model) -> bool:
    """Return whether a model is a sequence of dense layers and normalizations in float32."""
    n_weights = {layers.Dense: 2, layers.BatchNormalization: 4, BatchNormalization: 4}
    return isinstance(model, keras.Sequential) and all(
        layer.compute_dtype == "float32"
        and layer.trainable
        and len(layer.weights) == n_weights.get(type(layer))  # a layer of a plugin has its own type
        for layer in model.layers
    )


def copies(variables: Sequence[Any]) -> Weights:
    """Return the values of variables, which may share memory with what changes in place."""
    return [np.asarray(variable).copy() for variable in variables]


def assign(variables: Sequence[Any], values: Sequence[Any]) -> None:
    """Give variables their values."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
