"""Dense networks of one shape as one Keras model: several folds for little more than one.

The operations of a small network take longer to start than to compute. A stack computes each of
them once for all its networks. All arrays have the networks along their first axis; a network has
its own weights and its own records, and no number goes from one to another.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops


class StackedBatchNormalization(layers.Layer):  # type: ignore[misc]
    """Batch normalization (Ioffe and Szegedy, 2015) of each network's own records.

    It takes activations of shape (n_networks, n_rows, n_units), and weights of shape
    (n_networks, n_rows, 1) that are 1 for a record and 0 for a row to fill up the batch.
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
        activations, weights = inputs
        mean, variance = self.moving_mean, self.moving_variance
        if training:
            # products with a row of shares take less time than sums
            shares = ops.transpose(weights / ops.sum(weights, axis=1, keepdims=True), (0, 2, 1))
            mean = ops.matmul(shares, activations)
            variance = ops.matmul(shares, ops.square(activations - mean))
            for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(self.momentum * moving + (1 - self.momentum) * now)
        slope = ops.rsqrt(variance + self.epsilon) * self.gamma
        return activations * slope + (self.beta - mean * slope)


def is_dense(model: keras.Model) -> bool:
    """Return whether a model is a sequence of dense layers and normalizations in float32."""
    kinds = (layers.Dense, layers.BatchNormalization)
    return isinstance(model, keras.Sequential) and all(
        isinstance(layer, kinds) and layer.compute_dtype == "float32" for layer in model.layers
    )


def stack(model: keras.Model, n_networks: int) -> keras.Model:
    """Build a stack of networks like a model that `is_dense`.

    Its inputs are records, shape (n_networks, n_rows, n_inputs), and their weights, shape
    (n_networks, n_rows, 1). Its variables are those of the model in the same order, with the
    networks along their first axis; a vector of the model is a row of the stack.
    """
    inputs = keras.Input(batch_shape=(n_networks, None, model.input_shape[1]))
    weights = keras.Input(batch_shape=(n_networks, None, 1))
    outputs = inputs
    for layer in model.layers:
        if isinstance(layer, layers.Dense):
            outputs = layers.EinsumDense(
                "nbi,nio->nbo",
                output_shape=(None, layer.units),
                bias_axes="no",
                activation=layer.activation,
            )(outputs)
        else:
            normalization = StackedBatchNormalization(layer.momentum, layer.epsilon)
            outputs = normalization([outputs, weights])
    return keras.Model([inputs, weights], outputs)
