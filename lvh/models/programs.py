"""Programs: what trains and scores a Keras model, built once for all folds.

On TensorFlow all steps of some epochs are one graph. Dense networks of one shape are trained side
by side, for the operations of a small network take longer to start than to compute. No number goes
from one network to another.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers

from lvh.data.lazy_array import Inputs, read
from lvh.errors import InputError
from lvh.models.fast_layers import BatchNormalization
from lvh.validation.metrics import EPSILON, THRESHOLD

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]
Records = tuple[Floats, Labels]
"""Inputs and labels of a training."""
Weights = list[npt.NDArray[Any]]
"""The value of each variable of a model, in the order of `model.variables`."""

_ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-7}  # Keras's
_SIDE_BY_SIDE = 16  # networks: their weights and moments stay in the processor's cache


class Program:
    """A network that Keras's own `fit` trains, on any backend, for all folds and settings.

    A subclass may hold several networks side by side; arguments and results that are lists have
    an item for each.
    """

    rebuild: Callable[[], keras.Model] | None = None
    """Builds the model again, with new weights, where its layers are not known."""
    _l2 = -1.0

    def __init__(self, model: keras.Model, batch_size: int) -> None:
        """Take a new model with one sigmoid output, and the records a step."""
        self._model, self._batch_size = model, batch_size
        self._variables = list(model.variables)  # compiled, a model has others behind them
        self._blank = copies(self._variables)
        self._penalized = [one for one in model.layers if getattr(one, "kernel_regularizer", None)]
        self._built_l2 = float(self._penalized[0].kernel_regularizer.l2) if self._penalized else 0.0
        self.n_parameters = int(model.count_params())

    def max_parallel(self, sizes: Sequence[int]) -> int:
        """Return how many of the next trainings, on so many records each, it holds at once."""
        return 1

    def network(self, at: int) -> Sequence[Any]:
        """Return the variables of one network, in the order of its model."""
        return self._variables

    def optimizer(self, at: int) -> Sequence[Any]:
        """Return the variables of the optimizer of one network."""
        return list(self._model.optimizer.variables)

    def reset(self, seeds: Sequence[np.random.SeedSequence], l2: float | None) -> None:
        """Draw weights by a seed a network, clear the optimizer; an l2 of None is the build's."""
        (seed,) = seeds
        l2 = self._built_l2 if l2 is None else l2
        if l2 != self._l2:  # a compiled step has it as a constant
            for layer in self._penalized:
                layer.kernel_regularizer.l2 = l2
            adam = keras.optimizers.Adam()
            self._model.compile(adam, "binary_crossentropy", metrics=["accuracy"])
            adam.build(self._model.trainable_variables)
            self._l2 = l2
        assign(self.optimizer(0), [keras.ops.zeros_like(one.value) for one in self.optimizer(0)])
        assign(self._variables, self.initial_weights(seed))
        keras.utils.set_random_seed(int(seed.generate_state(1)[0]))  # of dropout, on PyTorch

    def train(self, data: Sequence[Records], orders: Sequence[Labels], rate: float) -> Floats:
        """Train some epochs on records, in orders of (n_epochs, n_records) a network.

        Return sums over the records of losses (with penalties) and right answers in training mode,
        shape (n_networks, n_epochs, 2).
        """
        ((X, y),) = data
        self._model.optimizer.learning_rate.assign(rate)
        sums = []
        for order in orders[0]:
            logs = self._model.fit(
                X[order], y[order], batch_size=self._batch_size, shuffle=False, verbose=0
            ).history
            sums.append((logs["loss"][0], logs["accuracy"][0]))
        return np.array([sums], np.float32) * len(y)

    def scores(self, parts: Sequence[Floats]) -> list[Scores]:
        """Return P(label = 1) in inference mode, of some records of each network."""
        return [self._model.predict_on_batch(parts[0])[:, 0].astype(np.float64)]

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
        values = dict(zip(map(id, self._variables), self._blank, strict=True))
        draws = iter(seed.generate_state(2 * len(self._model.layers)))
        for layer in self._model.layers:
            of_kernel, of_dropout = int(next(draws)), next(draws)
            if initializer := getattr(layer, "kernel_initializer", None):
                config = {**initializer.get_config(), "seed": of_kernel}
                kernel = type(initializer).from_config(config)(layer.kernel.shape)
                values[id(layer.kernel)] = np.array(kernel)
            if generator := getattr(layer, "seed_generator", None):
                dtype = values[id(generator.state)].dtype
                values[id(generator.state)] = np.array([of_dropout, 0], np.uint32).astype(dtype)
        return list(values.values())

    def estimate_statistics(self, parts: Sequence[Inputs], at_once: int | None = None) -> None:
        """Take the statistics of batch normalization from all records, not moving averages.

        They are means over batches (`at_once`), without dropout: Wu and Johnson, `Rethinking
        "Batch" in BatchNorm`, 2021, arXiv:2105.07576.
        """
        own, n = self._model.layers, at_once or self._batch_size
        normalizations = [one for one in own if hasattr(one, "moving_variance")]
        before = [(one, "momentum", one.momentum) for one in normalizations]
        before += [(one, "rate", one.rate) for one in own if hasattr(one, "rate")]
        for layer, name, _ in before:
            setattr(layer, name, 0.0)
        for at, X in enumerate(parts if normalizations else ()):
            assign(self._variables, copies(self.network(at)))
            for start in range(0, len(X), n):
                batch = read(X[start : start + n])
                for layer in normalizations:  # so that it averages all batches so far
                    layer.momentum = start / (start + len(batch))
                self._model(batch, training=True)
            assign(self.network(at), copies(self._variables))
        for layer, name, value in before:
            setattr(layer, name, value)


def copies(variables: Sequence[Any]) -> Weights:
    """Return the values of variables, which may share memory with what changes in place."""
    return [np.asarray(variable).copy() for variable in variables]


def assign(variables: Sequence[Any], values: Sequence[Any]) -> None:
    """Give variables their values."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


class _GraphProgram(Program):
    """One network and the graphs that train and score it; their first axis is that of networks."""

    n_networks = 0
    _held: dict[int, Any]
    _trained: list[Any]
    _adam: list[Any]
    _train: Any
    _score: Any

    def __init__(self, model: keras.Model, batch_size: int) -> None:
        super().__init__(model, batch_size)
        self._traced: dict[int, tuple[Any, ...]] = {}  # by the number of networks

    def optimizer(self, at: int) -> Sequence[Any]:
        return self._adam  # the number of steps, and moments

    def reset(self, seeds: Sequence[np.random.SeedSequence], l2: float | None) -> None:
        # a spare network costs as much as any other, tracing as much as a short training
        fitting = [n for n in self._traced if len(seeds) <= n <= 2 * len(seeds)]
        self.n_networks = n = min(fitting, default=len(seeds))
        if n not in self._traced:
            self._trace()
            self._traced[n] = self._held, self._trained, self._adam, self._train, self._score
        self._held, self._trained, self._adam, self._train, self._score = self._traced[n]
        for at in range(self.n_networks):
            seed = seeds[min(at, len(seeds) - 1)]  # a spare network repeats the last
            assign(self.network(at), self.initial_weights(seed))
        for variable in self._adam:
            variable.assign(tf.zeros_like(variable))
        self._l2 = self._built_l2 if l2 is None else l2

    def train(self, data: Sequence[Records], orders: Sequence[Labels], rate: float) -> Floats:
        X = np.concatenate([X for X, _ in data]) if len(data) > 1 else data[0][0]
        y = np.concatenate([y for _, y in data])
        sizes, n_epochs, n_networks = [len(y) for _, y in data], len(orders[0]), self.n_networks
        n_steps = -(-max(sizes) // self._batch_size)
        rows = np.full((n_epochs, n_networks, n_steps * self._batch_size), -1)
        for at in range(n_networks):
            own = min(at, len(data) - 1)  # a spare network repeats the last
            rows[:, at, : sizes[own]] = orders[own] + sum(sizes[:own])
        # by step; -1 fills the last batch: it is no record, and has no share in a mean
        cut = n_epochs, n_networks, n_steps, self._batch_size
        by_step = rows.reshape(cut).swapaxes(1, 2).reshape(-1, n_networks, self._batch_size)
        is_record, by_step = (by_step >= 0).astype(np.float32), np.maximum(by_step, 0)
        n_records = is_record.sum(axis=2)
        shares = (is_record / n_records[..., None])[:, :, None]
        losses, scores = self._train(X, y.astype(np.float32), by_step, shares, rate, self._l2)
        right = (scores.numpy() > THRESHOLD) == y[by_step]
        sums = np.stack([losses.numpy() * n_records, (right * is_record).sum(axis=2)], axis=2)
        by_epoch = sums.reshape(n_epochs, -1, n_networks, 2).sum(axis=1)
        return np.asarray(by_epoch.swapaxes(0, 1)[: len(orders)])

    def scores(self, parts: Sequence[Floats]) -> list[Scores]:
        X = np.zeros((self.n_networks, max(map(len, parts)), *parts[0].shape[1:]), np.float32)
        for at, part in enumerate(parts):
            X[at, : len(part)] = part
        y_score = self._score(X).numpy().astype(np.float64)
        return [y_score[at, : len(part)] for at, part in enumerate(parts)]

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
            gradients = tape.gradient(total, self._trained)
            # TensorFlow's Adam is one operation, where Keras has a dozen
            step = self._adam[0].assign_add(1.0)
            powers = {f"{name}_power": tf.pow(_ADAM[name], step) for name in ("beta1", "beta2")}
            n = len(self._trained)
            for variable, mean, square, gradient in zip(
                self._trained, self._adam[1 : n + 1], self._adam[n + 1 :], gradients, strict=True
            ):
                handles = {"var": variable.handle, "m": mean.handle, "v": square.handle}
                tf.raw_ops.ResourceApplyAdam(**handles, **powers, lr=rate, **_ADAM, grad=gradient)
            return at + 1, losses.write(at, loss), scores.write(at, score)

        n_steps, n = tf.shape(rows)[0], self.n_networks
        shapes = [n], [n, self._batch_size]
        logs = [tf.TensorArray(tf.float32, n_steps, element_shape=shape) for shape in shapes]
        _, losses, scores = tf.while_loop(lambda at, *logs: at < n_steps, body, [0, *logs])
        return losses.stack(), scores.stack()

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


class _StackProgram(_GraphProgram):
    """Several dense networks, whose variables are stacked."""

    def __init__(self, model: keras.Model, batch_size: int, side_by_side: int | None) -> None:
        super().__init__(model, batch_size)
        self._side_by_side = side_by_side or _SIDE_BY_SIDE

    def max_parallel(self, sizes: Sequence[int]) -> int:
        # only trainings of equally many steps run side by side
        steps = [-(-size // self._batch_size) for size in sizes[: self._side_by_side]]
        return next((at for at, n in enumerate(steps) if n != steps[0]), len(steps))

    def network(self, at: int) -> Sequence[Any]:
        return [variable[at] for variable in self._held.values()]

    def optimizer(self, at: int) -> Sequence[Any]:
        return [self._adam[0], *(variable[at] for variable in self._adam[1:])]

    def estimate_statistics(self, parts: Sequence[Inputs], at_once: int | None = None) -> None:
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


def new_program(
    build: Callable[[], keras.Model],
    batch_size: int,
    precision: str,
    side_by_side: int | None = None,
) -> Any:
    """Build a model with one sigmoid output, and what trains it on the backend that was started."""
    policy = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
        model = build()
    finally:
        keras.config.set_dtype_policy(policy)
    model.layers[-1].dtype_policy = "float32"  # 8 bits have too few values to rank by
    if keras.backend.backend() != "tensorflow":
        return Program(model, batch_size)
    if not _is_dense(model):
        return _GraphProgram(model, batch_size)
    return _StackProgram(model, batch_size, side_by_side)


def _is_dense(model: keras.Model) -> bool:
    """Return whether a model is a sequence of dense layers and normalizations in float32."""
    n_weights = {layers.Dense: 2, layers.BatchNormalization: 4, BatchNormalization: 4}
    return isinstance(model, keras.Sequential) and all(
        layer.compute_dtype == "float32"
        and layer.trainable
        and len(layer.weights) == n_weights.get(type(layer))  # a layer of a plugin has its own type
        for layer in model.layers
    )
