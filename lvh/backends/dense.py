"""Dense networks on TensorFlow: several trainings side by side, each as it would be alone.

A small network's operations take longer to begin than to compute, so that one operation on all
trainings costs little more than on one. A training has its own weights, records and order; what
all share is the number of steps. All steps have as many rows: those beyond a batch's records weigh
nothing. So a training comes to the same, to the bit, beside any others.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.backends.state import (
    BETA_1,
    BETA_2,
    EPSILON,
    Floats,
    Labels,
    drawn,
    leading,
    penalized,
    values_of,
)
from lvh.metrics import THRESHOLD

if TYPE_CHECKING:
    import keras

_CAPACITY = 16  # their weights and moments stay in the cache
_ROWS = 32
"""Of a step, and of scoring: a multiple of it. TensorFlow's exponentials, logarithms and inverses
round otherwise in what is left over when a processor takes 16 numbers at once."""


def is_dense(model: "keras.Model") -> bool:
    """Return whether a model is a stack of what is computed here, in float32."""
    from keras import Sequential, activations, layers, regularizers

    known = (activations.relu, activations.linear)
    if not isinstance(model, Sequential) or len(model.input_shape) != 2:
        return False
    *hidden, last = model.layers
    return all(
        layer.compute_dtype == "float32"
        and layer.trainable
        and (
            (isinstance(layer, layers.BatchNormalization) and layer.center and layer.scale)
            or (
                isinstance(layer, layers.Dense)
                and layer.use_bias
                and layer.activation in (known if layer is not last else (activations.sigmoid,))
                and type(layer.kernel_regularizer) in (type(None), regularizers.L2)
            )
        )
        for layer in (*hidden, last)
    ) and isinstance(last, layers.Dense)


class _Rows(NamedTuple):
    """Which rows of a step are records, for each of n trainings.

    Attributes:
        mask: 1 for a record, else 0; shape (n, 1, n_rows).
        column: The same, shape (n, n_rows, 1).
        share: Of one record in a mean, shape (n, 1, 1).
    """

    mask: Any
    column: Any
    share: Any


_Backward = Callable[[Any], tuple[Any, list[Any]]]
"""Takes the gradient of a layer's outputs; returns that of its inputs and of its weights."""


class DenseProgram:
    """Dense networks of one shape, with the graphs that train and score them, traced once."""

    def __init__(
        self, model: "keras.Model", batch_size: int, side_by_side: int | None = None
    ) -> None:
        """Take a model that `is_dense`.

        Args:
            model: Freshly built.
            batch_size: Records a step.
            side_by_side: Networks that are trained at once, at most.
        """
        import tensorflow as tf

        self._model = model
        self._batch_size = batch_size
        self._capacity = side_by_side or _CAPACITY
        self._rows = -(-batch_size // _ROWS) * _ROWS
        self._blank = values_of(model.variables)
        self._state = [_stacked([value]) for value in self._blank]
        trained = {id(one) for one in model.trainable_variables}
        self._trained = [
            state
            for one, state in zip(model.variables, self._state, strict=True)
            if id(one) in trained
        ]
        self._moments = [_stacked([one.numpy()[0] * 0]) for one in self._trained * 2]
        self._steps = tf.Variable(0.0)
        built = [float(one.l2) for one in penalized(model)]
        self._penalties = tf.Variable(np.array(built, np.float32))
        self._built_penalties = np.array(built, np.float32)
        self._epochs, self._scores = self._traced()

    @property
    def n_parameters(self) -> int:
        """Number of parameters of one network, trainable or not."""
        return int(self._model.count_params())

    def together(self, sizes: Sequence[int]) -> int:
        """Hold trainings of as many steps."""
        return leading([-(-size // self._batch_size) for size in sizes], self._capacity)

    def begin_anew(self, seeds: Sequence[np.random.SeedSequence], l2: float | None) -> None:
        """Give each network and its optimizer the state that a new build under its seed has."""
        builds = [drawn(self._model, self._blank, seed) for seed in _never_alone(seeds)]
        for state, values in zip(self._state, zip(*builds, strict=True), strict=True):
            state.assign(_rows_of(values))
        for moment, weight in zip(self._moments, self._trained * 2, strict=True):
            moment.assign(np.zeros(weight.value().shape, np.float32))
        self._steps.assign(0.0)
        given = self._built_penalties if l2 is None else np.full_like(self._built_penalties, l2)
        self._penalties.assign(given)

    def place(self, parts: Sequence[tuple[Floats, Labels]]) -> Any:
        """Put the records of all trainings one below the other."""
        import tensorflow as tf

        parts = _never_alone(parts)
        sizes = np.array([len(y) for _, y in parts])
        X = tf.constant(np.concatenate([X for X, _ in parts]))
        y = tf.constant(np.concatenate([y for _, y in parts]).astype(np.float32))
        masks = self._masks(sizes)
        return X, y, sizes, masks, 1 / masks.sum(axis=3, keepdims=True)

    def train(self, data: Any, orders: Sequence[Labels], learning_rate: float) -> Floats:
        """Train some epochs of all networks in one call; return loss and accuracy of each."""
        X, y, sizes, masks, shares = data
        steps = self._steps_of(sizes, len(masks), _never_alone(orders))
        sums = self._epochs(X, y, steps, masks, shares, np.float32(learning_rate)).numpy()
        of_epochs = sums.reshape(-1, len(masks), 2, len(sizes)).sum(axis=1)
        log: Floats = (of_epochs / sizes.astype(np.float32)).transpose(2, 0, 1)
        return log[: len(orders)]

    def scores(self, parts: Sequence[Floats]) -> list[Floats]:
        """Return P(label = 1) in inference mode, for each network of its own records."""
        given = _never_alone(parts)
        rows = -(-max(1, *map(len, given)) // _ROWS) * _ROWS
        X = np.zeros((len(given), rows, self._model.input_shape[1]), np.float32)
        for at, part in enumerate(given):
            X[at, : len(part)] = part
        chunks = [
            self._scores(X[:, start : start + _ROWS]).numpy() for start in range(0, rows, _ROWS)
        ]
        scores: Floats = np.concatenate(chunks, axis=1)
        return [scores[at, : len(part)] for at, part in enumerate(parts)]

    def values(self, at: int) -> list[npt.NDArray[Any]]:
        """Return copies of all variables of one network."""
        shapes = (value.shape for value in self._blank)
        return [
            state.numpy()[at].reshape(shape)
            for state, shape in zip(self._state, shapes, strict=True)
        ]

    def assign(self, at: int, values: list[npt.NDArray[Any]]) -> None:
        """Put back what `values` returned."""
        for state, value in zip(self._state, values, strict=True):
            held = state.numpy()
            held[at] = value if value.ndim > 1 else value[None]
            state.assign(held)

    def _masks(self, sizes: npt.NDArray[np.int64]) -> Floats:
        """Return the mask of each step, shape (n_steps, n_trainings, 1, n_rows)."""
        (n_steps,) = {-(-size // self._batch_size) for size in sizes.tolist()}
        is_record = np.arange(n_steps * self._batch_size) < sizes[:, None]
        masks = np.zeros((n_steps, len(sizes), 1, self._rows), np.float32)
        masks[:, :, 0, : self._batch_size] = self._by_step(is_record, n_steps)
        return masks

    def _steps_of(
        self, sizes: npt.NDArray[np.int64], n_steps: int, orders: Sequence[Labels]
    ) -> npt.NDArray[np.int32]:
        """Return the rows of each step, shape (n_epochs * n_steps, n_trainings, n_rows).

        Where no record is left stands the first one of that training, which is as good as any.
        """
        n_epochs = len(orders[0])
        firsts = np.cumsum(sizes) - sizes
        shown = np.zeros((n_epochs, len(sizes), n_steps * self._batch_size), np.int32)
        for at, (size, order) in enumerate(zip(sizes, orders, strict=True)):
            shown[:, at, :size] = order
        steps = np.zeros((n_epochs, n_steps, len(sizes), self._rows), np.int32)
        steps[..., : self._batch_size] = self._by_step(shown, n_steps)
        return (steps + firsts[:, None].astype(np.int32)).reshape(-1, len(sizes), self._rows)

    def _by_step(self, rows: npt.NDArray[Any], n_steps: int) -> npt.NDArray[Any]:
        """Cut what has shape (..., n_trainings, n_steps * batch_size); steps come first."""
        cut = rows.reshape(*rows.shape[:-1], n_steps, self._batch_size)
        return np.moveaxis(cut, -2, -3)

    def _traced(self) -> tuple[Any, Any]:
        """Make the two graphs; the number of networks is left open."""
        import tensorflow as tf

        size, n_inputs = self._rows, self._model.input_shape[1]

        @tf.function(  # type: ignore[untyped-decorator]
            autograph=False,
            input_signature=[
                tf.TensorSpec([None, n_inputs], tf.float32),
                tf.TensorSpec([None], tf.float32),
                tf.TensorSpec([None, None, size], tf.int32),
                tf.TensorSpec([None, None, 1, size], tf.float32),
                tf.TensorSpec([None, None, 1, 1], tf.float32),
                tf.TensorSpec([], tf.float32),
            ],
        )
        def epochs(X: Any, y: Any, steps: Any, masks: Any, shares: Any, learning_rate: Any) -> Any:
            n_steps, steps_an_epoch = tf.shape(steps)[0], tf.shape(masks)[0]
            columns = tf.reshape(masks, [steps_an_epoch, -1, size, 1])

            def following(at: Any, log: Any) -> Any:
                batch, of_epoch = steps[at], at % steps_an_epoch
                rows = _Rows(masks[of_epoch], columns[of_epoch], shares[of_epoch])
                labels = tf.gather(y, batch)[..., None]
                sums = self._step(tf.gather(X, batch), labels, rows, learning_rate)
                return at + 1, log.write(at, sums)

            log = tf.TensorArray(tf.float32, n_steps)
            return tf.while_loop(lambda at, log: at < n_steps, following, [0, log])[1].stack()

        @tf.function(  # type: ignore[untyped-decorator]
            autograph=False,
            input_signature=[tf.TensorSpec([None, _ROWS, n_inputs], tf.float32)],
        )
        def scores(X: Any) -> Any:
            for layer, variables in self._layers():
                X = _inferred(layer, variables, X)
            return X[..., 0]

        return epochs, scores

    def _layers(self) -> list[tuple[Any, list[Any]]]:
        """Return each layer with its variables, in its own order."""
        of = {id(one): state for one, state in zip(self._model.variables, self._state, strict=True)}
        return [
            (layer, [of[id(variable)] for variable in layer.variables])
            for layer in self._model.layers
        ]

    def _step(self, X: Any, labels: Any, rows: _Rows, learning_rate: Any) -> Any:
        """Train a step; return the sum of losses and of right answers, shape (2, n)."""
        backwards: list[_Backward] = []
        outputs = X
        for layer, variables in self._layers():
            outputs, backward = _forward(layer, variables, outputs, rows)
            backwards.append(backward)
        loss, gradient = _binary_crossentropy(outputs, labels, rows)
        gradients: list[Any] = []
        for backward in reversed(backwards):
            gradient, of_weights = backward(gradient)
            gradients = of_weights + gradients
        return self._updated(outputs, labels, rows, loss, gradients, learning_rate)

    def _updated(
        self,
        outputs: Any,
        labels: Any,
        rows: _Rows,
        loss: Any,
        gradients: list[Any],
        learning_rate: Any,
    ) -> Any:
        import tensorflow as tf

        penalty, of_penalties = self._penalized()
        for weight, gradient in of_penalties.items():
            gradients[weight] += gradient
        move(self._trained, self._moments, self._steps, gradients, learning_rate)
        right = tf.cast((outputs > THRESHOLD) == (labels > THRESHOLD), tf.float32)
        n_right = tf.matmul(rows.mask, right)
        return tf.stack([((loss + penalty) / rows.share)[:, 0, 0], n_right[:, 0, 0]])

    def _penalized(self) -> tuple[Any, dict[int, Any]]:
        """Return the sum of the penalties, and their gradients by the position of the weight."""
        import tensorflow as tf

        positions = {id(one): at for at, one in enumerate(self._model.trainable_variables)}
        kernels = [
            positions[id(layer.kernel)]
            for layer in self._model.layers
            if getattr(layer, "kernel_regularizer", None) is not None
        ]
        total, gradients = tf.constant(0.0), {}
        for number, at in enumerate(kernels):
            weight, l2 = self._trained[at].read_value(), self._penalties[number]
            column = tf.reshape(weight, [-1, math.prod(weight.shape[1:]), 1])
            total += l2 * tf.matmul(column, column, transpose_a=True)
            gradients[at] = 2.0 * l2 * weight
        return total, gradients


def _forward(layer: Any, variables: list[Any], inputs: Any, rows: _Rows) -> tuple[Any, _Backward]:
    from keras import layers

    if isinstance(layer, layers.Dense):
        return _dense(layer.activation.__name__, variables, inputs, rows)
    return _normalized(layer, variables, inputs, rows)


def _dense(
    activation: str, variables: list[Any], inputs: Any, rows: _Rows
) -> tuple[Any, _Backward]:
    """Multiply by the kernels; the gradient of the last layer is that of its sum, not output."""
    import tensorflow as tf

    kernel, bias = (variable.read_value() for variable in variables)
    outputs = _activated(activation, tf.matmul(inputs, kernel) + bias)

    def backward(gradient: Any) -> tuple[Any, list[Any]]:
        if activation == "relu":
            gradient = tf.raw_ops.ReluGrad(gradients=gradient, features=outputs)
        of_kernel = tf.matmul(inputs, gradient, transpose_a=True)
        of_inputs = tf.matmul(gradient, kernel, transpose_b=True)
        return of_inputs, [of_kernel, tf.matmul(rows.mask, gradient)]

    return outputs, backward


def _normalized(
    layer: Any, variables: list[Any], inputs: Any, rows: _Rows
) -> tuple[Any, _Backward]:
    """Normalize a batch, and move the averages: see `lvh.models.layers.BatchNormalization`."""
    import tensorflow as tf

    gamma, beta, moving_mean, moving_variance = variables
    mean = tf.matmul(rows.mask, inputs) * rows.share
    variance = tf.matmul(rows.mask, tf.math.squared_difference(inputs, mean)) * rows.share
    for moving, now in ((moving_mean, mean), (moving_variance, variance)):
        moving.assign(moving * layer.momentum + now * (1.0 - layer.momentum))
    deviation = tf.sqrt(variance + layer.epsilon)
    slope = gamma / deviation

    def backward(gradient: Any) -> tuple[Any, list[Any]]:
        of_beta = tf.matmul(rows.mask, gradient)
        of_gamma = (tf.matmul(rows.mask, gradient * inputs) - mean * of_beta) / deviation
        tilt = -slope / deviation * of_gamma * rows.share
        of_inputs = gradient * slope + inputs * tilt - (slope * of_beta * rows.share + mean * tilt)
        return of_inputs * rows.column, [of_gamma, of_beta]

    return inputs * slope + (beta - mean * slope), backward


def _inferred(layer: Any, variables: list[Any], inputs: Any) -> Any:
    import tensorflow as tf
    from keras import layers

    if isinstance(layer, layers.Dense):
        kernel, bias = variables
        return _activated(layer.activation.__name__, tf.matmul(inputs, kernel) + bias)
    gamma, beta, mean, variance = variables
    slope = gamma / tf.sqrt(variance + layer.epsilon)
    return inputs * slope + (beta - mean * slope)


def _activated(activation: str, sums: Any) -> Any:
    import tensorflow as tf

    return {"relu": tf.nn.relu, "sigmoid": tf.sigmoid, "linear": tf.identity}[activation](sums)


def _binary_crossentropy(scores: Any, labels: Any, rows: _Rows) -> tuple[Any, Any]:
    """Return Keras's loss, and its gradient by what the sigmoid has taken.

    Keras clips the scores; where it does, there is no gradient.
    """
    import keras
    import tensorflow as tf

    epsilon = keras.config.epsilon()
    clipped = tf.clip_by_value(scores, epsilon, 1.0 - epsilon)
    chosen = tf.where(labels > THRESHOLD, clipped, 1.0 - clipped)
    loss = -tf.matmul(rows.mask, tf.math.log(chosen)) * rows.share
    inside = tf.cast(clipped == scores, tf.float32)
    return loss, (scores - labels) * inside * rows.column * rows.share


def move(
    weights: list[Any], moments: list[Any], steps: Any, gradients: list[Any], learning_rate: Any
) -> None:
    """Move by Adam (Kingma and Ba, 2015) with Keras's constants, one operation a variable.

    Keras's own takes a dozen, which is most of the time of a small network.

    Args:
        weights: TensorFlow's variables.
        moments: Of all weights, the mean of the gradients, then that of their squares.
        steps: How many were made.
        gradients: Of the weights.
        learning_rate: Step size.
    """
    import tensorflow as tf

    steps.assign_add(1.0)
    powers = {"beta1_power": BETA_1**steps, "beta2_power": BETA_2**steps}
    constants = {"beta1": BETA_1, "beta2": BETA_2, "epsilon": EPSILON, "lr": learning_rate}
    first, second = moments[: len(weights)], moments[len(weights) :]
    for weight, m, v, gradient in zip(weights, first, second, gradients, strict=True):
        tf.raw_ops.ResourceApplyAdam(
            var=weight.handle, m=m.handle, v=v.handle, grad=gradient, **powers, **constants
        )


def _never_alone(given: Sequence[Any]) -> Sequence[Any]:
    """Double what is given for one training: products of one pair of matrices round otherwise."""
    return [*given, *given] if len(given) == 1 else given


def _rows_of(values: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Stack values of several networks; a vector becomes a row, to be added to rows."""
    return np.stack([value if value.ndim > 1 else value[None] for value in values])


def _stacked(values: Sequence[npt.NDArray[Any]]) -> Any:
    """Make a variable for as many networks as there may be."""
    import tensorflow as tf

    stacked = _rows_of(_never_alone(values))
    return tf.Variable(stacked, shape=[None, *stacked.shape[1:]])
