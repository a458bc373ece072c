"""The layers of dense networks on TensorFlow, forwards and backwards, several networks at once.

All arrays have the networks along their first axis. Sums over rows are products with a mask.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from lvh.validation.metrics import EPSILON

Backward = Callable[[Any], tuple[Any, list[Any]]]
"""Takes the gradient of a layer's outputs; returns that of its inputs and of its weights."""


class Rows(NamedTuple):
    """Which rows of a step are records, for each of n networks.

    Attributes:
        mask: 1 for a record, else 0; shape (n, 1, n_rows).
        column: The same, shape (n, n_rows, 1).
        share: Of one record in a mean, shape (n, 1, 1).
    """

    mask: Any
    column: Any
    share: Any


def forward(layer: Any, variables: list[Any], inputs: Any, rows: Rows) -> tuple[Any, Backward]:
    """Compute a layer in training mode; return its outputs, and the way back.

    Args:
        layer: Dense or batch normalization.
        variables: Of the layer, in its own order.
        inputs: Shape (n, n_rows, n_inputs).
        rows: Of the step.
    """
    if _normalizes(layer):
        return _normalized(layer, variables, inputs, rows)
    return _dense(layer.activation.__name__, variables, inputs, rows)


def inferred(layer: Any, variables: list[Any], inputs: Any) -> Any:
    """Compute a layer in inference mode."""
    import tensorflow as tf

    if not _normalizes(layer):
        kernel, bias = variables
        return _activated(layer.activation.__name__, tf.matmul(inputs, kernel) + bias)
    gamma, beta, mean, variance = variables
    slope = gamma / tf.sqrt(variance + layer.epsilon)
    return inputs * slope + (beta - mean * slope)


def of_binary_crossentropy(scores: Any, labels: Any, rows: Rows) -> Any:
    """Return the gradient of Keras's loss by what the sigmoid has taken.

    Keras clips the scores; where it does, there is no gradient.

    Args:
        scores: Shape (n, n_rows, 1).
        labels: 0 or 1, likewise.
        rows: Of the step.
    """
    import tensorflow as tf

    clipped = tf.clip_by_value(scores, EPSILON, 1.0 - EPSILON)
    inside = tf.cast(clipped == scores, tf.float32)
    return (scores - labels) * inside * rows.column * rows.share


def _normalizes(layer: Any) -> bool:
    from keras import layers

    return isinstance(layer, layers.BatchNormalization)


def _dense(activation: str, variables: list[Any], inputs: Any, rows: Rows) -> tuple[Any, Backward]:
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


def _normalized(layer: Any, variables: list[Any], inputs: Any, rows: Rows) -> tuple[Any, Backward]:
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


def _activated(activation: str, sums: Any) -> Any:
    import tensorflow as tf

    return {"relu": tf.nn.relu, "sigmoid": tf.sigmoid, "linear": tf.identity}[activation](sums)
