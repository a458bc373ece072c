"""Dense networks on TensorFlow: several trainings side by side, each as it would be alone.

A small network's operations take longer to begin than to compute, so that one operation on all
trainings costs little more than on one. A training has its own weights, records and order; what
all share is the number of steps. All steps have as many rows: those beyond a batch's records weigh
nothing. So a training comes to the same, to the bit, beside any others.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.models.backends.adam import move
from lvh.models.backends.dense_layers import (
    Backward,
    Rows,
    forward,
    inferred,
    of_binary_crossentropy,
)
from lvh.models.backends.state import Floats, Labels, drawn, leading, penalized, values_of
from lvh.validation.metrics import EPSILON, THRESHOLD

if TYPE_CHECKING:
    import keras

_CAPACITY = 16  # their weights and moments stay in the cache
_ROWS = 32
"""Of a step, and of scoring: a multiple of it. TensorFlow's exponentials and inverses round
otherwise in what is left over when a processor takes 16 numbers at once."""


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


class _Placed(NamedTuple):
    """The records of n trainings, one below the other.

    Attributes:
        X: A tensor of shape (n_records, n_inputs).
        y: Labels, shape (n_records,).
        sizes: Records of each training.
        masks: 1 for each row of a step that is a record, else 0, shape (n_steps, n, n_rows).
    """

    X: Any
    y: Floats
    sizes: npt.NDArray[np.int64]
    masks: Floats


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

    def place(self, parts: Sequence[tuple[Floats, Labels]]) -> _Placed:
        """Put the records of all trainings one below the other."""
        import tensorflow as tf

        parts = _never_alone(parts)
        X = tf.constant(np.concatenate([X for X, _ in parts]))
        y = np.concatenate([y for _, y in parts]).astype(np.float32)
        sizes = np.array([len(y) for _, y in parts])
        return _Placed(X, y, sizes, self._masks(sizes))

    def train(self, data: _Placed, orders: Sequence[Labels], learning_rate: float) -> Floats:
        """Train some epochs of all networks in one call; return the sums of each step."""
        masks = data.masks[:, :, None]
        shares = 1 / masks.sum(axis=3, keepdims=True)
        steps = self._steps_of(data.sizes, len(masks), _never_alone(orders))
        labels = data.y[steps]
        rate = np.float32(learning_rate)
        told = self._epochs(data.X, labels, steps, masks, shares, rate).numpy()[:, :, 0]
        of_rows = _judged(told[..., :-1], labels, told[..., -1:]).reshape(-1, *data.masks.shape, 2)
        of_steps: Floats = (of_rows * data.masks[..., None]).sum(axis=3)
        return of_steps.transpose(2, 0, 1, 3)[: len(orders)]

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
        """Return the mask of each step, shape (n_steps, n_trainings, n_rows)."""
        (n_steps,) = {-(-size // self._batch_size) for size in sizes.tolist()}
        is_record = np.arange(n_steps * self._batch_size) < sizes[:, None]
        masks = np.zeros((n_steps, len(sizes), self._rows), np.float32)
        masks[..., : self._batch_size] = self._by_step(is_record, n_steps)
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
                tf.TensorSpec([None, None, size], tf.float32),
                tf.TensorSpec([None, None, size], tf.int32),
                tf.TensorSpec([None, None, 1, size], tf.float32),
                tf.TensorSpec([None, None, 1, 1], tf.float32),
                tf.TensorSpec([], tf.float32),
            ],
        )
        def epochs(
            X: Any, labels: Any, steps: Any, masks: Any, shares: Any, learning_rate: Any
        ) -> Any:
            n_steps, steps_an_epoch = tf.shape(steps)[0], tf.shape(masks)[0]
            columns = tf.reshape(masks, [steps_an_epoch, -1, size, 1])
            labels = labels[..., None]

            def following(at: Any, log: Any) -> Any:
                of_epoch = at % steps_an_epoch
                rows = Rows(masks[of_epoch], columns[of_epoch], shares[of_epoch])
                told = self._step(tf.gather(X, steps[at]), labels[at], rows, learning_rate)
                return at + 1, log.write(at, told)

            log = tf.TensorArray(tf.float32, n_steps)
            return tf.while_loop(lambda at, log: at < n_steps, following, [0, log])[1].stack()

        @tf.function(  # type: ignore[untyped-decorator]
            autograph=False,
            input_signature=[tf.TensorSpec([None, _ROWS, n_inputs], tf.float32)],
        )
        def scores(X: Any) -> Any:
            for layer, variables in self._layers:
                X = inferred(layer, variables, X)
            return X[..., 0]

        return epochs, scores

    @cached_property
    def _layers(self) -> list[tuple[Any, list[Any]]]:
        """Each layer with its variables, in its own order."""
        of = {id(one): state for one, state in zip(self._model.variables, self._state, strict=True)}
        return [
            (layer, [of[id(variable)] for variable in layer.variables])
            for layer in self._model.layers
        ]

    def _step(self, X: Any, labels: Any, rows: Rows, learning_rate: Any) -> Any:
        """Train a step; return the scores of its rows and the penalty, shape (n, 1, n_rows + 1).

        The loss is made of them after all steps, not by small operations in each.
        """
        import tensorflow as tf

        backwards: list[Backward] = []
        scores = X
        for layer, variables in self._layers:
            scores, backward = forward(layer, variables, scores, rows)
            backwards.append(backward)
        gradient = of_binary_crossentropy(scores, labels, rows)
        gradients: list[Any] = []
        for backward in reversed(backwards):
            gradient, of_weights = backward(gradient)
            gradients = of_weights + gradients
        penalty, of_penalties = self._penalized()
        for weight, of_penalty in of_penalties.items():
            gradients[weight] += of_penalty
        move(self._trained, self._moments, self._steps, gradients, learning_rate)
        of_rows = tf.reshape(scores, [-1, 1, self._rows])
        return tf.concat([of_rows, tf.broadcast_to(penalty, tf.shape(rows.share))], axis=2)

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


def _judged(scores: Floats, labels: Floats, penalties: Floats) -> Floats:
    """Return Keras's loss with its penalty, and 1 for a right answer, of each row, shape (..., 2).

    Args:
        scores: Shape (n_steps, n_networks, n_rows).
        labels: 0 or 1, likewise.
        penalties: Shape (n_steps, n_networks, 1).
    """
    clipped = np.clip(scores, EPSILON, 1 - EPSILON)
    losses = penalties - np.log(np.where(labels > THRESHOLD, clipped, 1 - clipped))
    right = (scores > THRESHOLD) == (labels > THRESHOLD)
    return np.stack([losses, right.astype(np.float32)], axis=-1)


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
