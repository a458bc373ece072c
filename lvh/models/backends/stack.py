"""Dense networks of one shape, trained side by side on TensorFlow.

The operations of a small network take longer to start than to compute: a stack computes each
once for all of its networks. No number goes from one network to another.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from lvh.models.backends.graph import GraphProgram
from lvh.models.backends.program import Floats, Weights

_MOST = 16  # their weights and moments stay in the cache


class StackProgram(GraphProgram):
    """All weights of the networks are one variable, so that Adam is one operation."""

    def __init__(self, model: keras.Model, batch_size: int, side_by_side: int | None) -> None:
        """Take a model that `is_dense`."""
        super().__init__(model, batch_size)
        self._most = side_by_side or _MOST
        self._groups = model.trainable_variables, model.non_trainable_variables
        momenta = [
            np.full(variable.shape, layer.momentum, np.float32)
            for layer in model.layers
            for variable in layer.non_trainable_variables
        ]
        self._momenta = np.concatenate([*momenta, np.zeros(0, np.float32)])

    def max_parallel(self, sizes: Sequence[int]) -> int:
        """Return how many of the next trainings have equally many steps, so that they fit."""
        steps = [-(-size // self._batch_size) for size in sizes[: self._most]]
        return next((at for at, n in enumerate(steps) if n != steps[0]), len(steps))

    def values(self, at: int) -> Weights:
        """Return copies of all variables of one network, in the order of its model."""
        parts: dict[int, Floats] = {}
        for group, flat in zip(self._groups, self._flat, strict=True):
            ends = np.cumsum([np.prod(variable.shape) for variable in group])[:-1]
            parts |= zip(map(id, group), np.split(flat.numpy()[at], ends), strict=True)
        return [parts[id(variable)].reshape(variable.shape).copy() for variable in self._variables]

    def assign(self, at: int, values: Weights) -> None:
        """Give one network what `values` returned."""
        by_id = dict(zip(map(id, self._variables), values, strict=True))
        for group, flat in zip(self._groups, self._flat, strict=True):
            flat[at].assign(np.concatenate([by_id[id(variable)].ravel() for variable in group]))

    def _make_variables(self) -> None:
        sizes = [sum(int(np.prod(variable.shape)) for variable in group) for group in self._groups]
        self._flat = [tf.Variable(tf.zeros([self.n_networks, size])) for size in sizes]
        self._trained = self._flat[:1]

    def _forward(self, X: Any, shares: Any) -> tuple[Any, Any]:
        scores, moved, squares = self._computed(X, shares)
        moving = self._flat[1]
        moving.assign_add((tf.concat(moved, 1) - moving) * (1.0 - self._momenta))
        return scores, squares

    def _outputs(self, X: Any) -> Any:
        return self._computed(X, None)[0]

    def _computed(self, X: Any, shares: Any) -> tuple[Any, list[Any], Any]:
        """Return scores, means and variances of the batch, and sums of squares for a penalty.

        A row that only fills up the batch has the share 0 in a mean. Without shares, batch
        normalization (Ioffe and Szegedy, 2015) is by the moving averages.
        """
        weights, moving = self._pieces(0), self._pieces(1)
        outputs, moved, squares = X, [], tf.zeros(self.n_networks)
        for layer in self._model.layers:
            if isinstance(layer, layers.Dense):
                kernel, bias = next(weights), next(weights)
                outputs = layer.activation(tf.matmul(outputs, kernel) + bias)
                if layer in self._penalized:
                    squares += tf.reduce_sum(tf.square(kernel), axis=[1, 2])
                continue
            gamma, beta = next(weights), next(weights)
            mean, variance = next(moving), next(moving)
            if shares is not None:
                mean = tf.matmul(shares, outputs)
                variance = tf.matmul(shares, tf.square(outputs - mean))
                moved += [mean[:, 0], variance[:, 0]]
            slope = tf.math.rsqrt(variance + layer.epsilon) * gamma
            outputs = outputs * slope + (beta - mean * slope)
        return outputs[..., 0], moved, squares

    def _pieces(self, number: int) -> Iterator[Any]:
        """Yield the variables of a group, shape (n_networks, ...); a vector is a row."""
        shapes = [(1, *variable.shape)[-2:] for variable in self._groups[number]]
        parts = tf.split(self._flat[number], [int(np.prod(shape)) for shape in shapes], axis=1)
        for part, shape in zip(parts, shapes, strict=True):
            yield tf.reshape(part, (self.n_networks, *shape))


def is_dense(model: keras.Model) -> bool:
    """Return whether a model is a sequence of dense layers and normalizations in float32."""
    n_weights = {layers.Dense: 2, layers.BatchNormalization: 4}
    return isinstance(model, keras.Sequential) and all(
        layer.compute_dtype == "float32"
        and layer.trainable
        and type(layer).__module__.startswith(("keras.", "lvh."))  # no plugin's own
        and any(isinstance(layer, one) and len(layer.weights) == n for one, n in n_weights.items())
        for layer in model.layers
    )
