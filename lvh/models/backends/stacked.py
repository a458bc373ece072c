"""Dense networks of one shape as one Keras model: several folds for little more than one.

The operations of a small network take longer to start than to compute. A stack computes each of
them once for all its networks. All arrays have the networks along their first axis; a network has
its own weights and its own records, and no number goes from one to another.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops


class StackedDense(layers.Layer):  # type: ignore[misc]
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


class StackedBatchNormalization(layers.Layer):  # type: ignore[misc]
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


def is_dense(model: keras.Model) -> bool:
    """Return whether a model is a sequence of dense layers and normalizations in float32."""
    kinds = (layers.Dense, layers.BatchNormalization)
    return isinstance(model, keras.Sequential) and all(
        isinstance(layer, kinds) and layer.compute_dtype == "float32" for layer in model.layers
    )


def stack(model: keras.Model, n_networks: int) -> keras.Model:
    """Build a stack of networks like a model that `is_dense`.

    Its inputs are records, shape (n_networks, n_rows, n_inputs), and their shares in a mean, shape
    (n_networks, 1, n_rows). Its variables are those of the model in the same order, with the
    networks along their first axis; a vector of the model is a row of the stack.
    """
    inputs = keras.Input(batch_shape=(n_networks, None, model.input_shape[1]))
    shares = keras.Input(batch_shape=(n_networks, 1, None))
    outputs = inputs
    for layer in model.layers:
        if isinstance(layer, layers.Dense):
            outputs = StackedDense(layer.units, layer.activation)(outputs)
        else:
            normalization = StackedBatchNormalization(layer.momentum, layer.epsilon)
            outputs = normalization([outputs, shares])
    return keras.Model([inputs, shares], outputs)
