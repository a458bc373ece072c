"""Keras's convolution, batch normalization and dropout, in less time on a processor.

Weights and configuration are Keras's. Outputs and gradients differ from Keras's by about 1e-5 of
their standard deviation, and dropout has other draws. Everything but float32 on TensorFlow, and
settings that no network here has, are left to Keras.

Twelve products decide eight outputs of a convolution of five taps, not forty (Winograd, "Arithmetic
Complexity of Computations", 1980; Lavin and Gray, "Fast Algorithms for Convolutional Neural
Networks", 2016): outputs = A' [(G filter) * (B' inputs)] at eleven points and at infinity. The
points have small rounding errors (Barabasz and others, "Error Analysis and Improving the Accuracy
of Winograd Convolution for Deep Neural Networks", 2020).
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

_Floats = npt.NDArray[np.float32]

_TAPS = 5
_POINTS = np.array([0, 1, -1, 3 / 8, -3 / 8, 3 / 4, -3 / 4, 3 / 2, -3 / 2, 5 / 2, -5 / 2])
_WINDOW = len(_POINTS) + 1  # inputs of one tile, and its products
_TILE = _WINDOW - _TAPS + 1  # outputs of one tile


def _transforms() -> tuple[_Floats, _Floats, _Floats]:
    """Return A' of shape (8, 12), G of shape (12, 5) and B' of shape (12, 12), rows near 1."""
    of_outputs = np.zeros((_TILE, _WINDOW))
    of_filter = np.zeros((_WINDOW, _TAPS))
    of_inputs = np.zeros((_WINDOW, _WINDOW))
    of_outputs[:, :-1] = _POINTS ** np.arange(_TILE)[:, None]
    of_outputs[-1, -1] = of_filter[-1, -1] = 1
    of_inputs[-1] = np.poly(_POINTS)[::-1]
    for row, point in enumerate(_POINTS):
        others = np.delete(_POINTS, row)
        of_filter[row] = point ** np.arange(_TAPS) / np.prod(point - others)
        of_inputs[row, :-1] = np.poly(others)[::-1]
    scale = 2.0 ** np.round(np.log2(np.abs(of_inputs).max(axis=1, keepdims=True)))
    matrices = of_outputs, of_filter * scale, of_inputs / scale
    return tuple(matrix.astype(np.float32) for matrix in matrices)  # type: ignore[return-value]


_OF_OUTPUTS, _OF_FILTER, _OF_INPUTS = _transforms()


class Conv1D(keras.layers.Conv1D):  # type: ignore[misc]
    """Keras's `Conv1D`, faster with five taps, stride 1 and valid padding."""

    def call(self, inputs: Any) -> Any:
        """Convolve inputs of shape (n_records, n_steps, n_channels)."""
        shape = (self.kernel_size, self.strides, self.dilation_rate, self.groups)
        is_usual = shape == ((_TAPS,), (1,), (1,), 1) and self.padding == "valid"
        if not (is_usual and self.data_format == "channels_last" and _is_plain(self, inputs)):
            return super().call(inputs)
        # a tensor, not a variable: TensorFlow asks for gradients of variables in another way
        outputs = _convolve(inputs, tf.convert_to_tensor(self.kernel))
        if self.use_bias:
            outputs = outputs + self.bias
        return outputs if self.activation is None else self.activation(outputs)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _convolve(inputs: Any, kernel: Any) -> tuple[Any, Callable[[Any], tuple[Any, Any]]]:
    """Correlate inputs of shape (n_records, n_steps, n_in) with a kernel (5, n_in, n_out)."""
    n_steps, (_, n_in, n_out) = inputs.shape[1], kernel.shape
    n_outputs = n_steps - _TAPS + 1
    n_tiles = -(-n_outputs // _TILE)
    at_inputs = _TILE * np.arange(n_tiles) + np.arange(_WINDOW)[:, None]
    at_outputs = at_inputs[:_TILE]
    windows = _transform(_OF_INPUTS, _gather(inputs, at_inputs))
    flat = tf.matmul(_OF_FILTER, tf.reshape(kernel, [_TAPS, -1]))
    kernels = tf.reshape(flat, [_WINDOW, n_in, n_out])
    tiles = _transform(_OF_OUTPUTS, tf.matmul(windows, kernels))
    outputs = _place(tiles, n_tiles, n_outputs)

    def gradients(gradient: Any) -> tuple[Any, Any]:
        # each step backwards is that forwards with its matrix transposed
        of_tiles = _transform(_OF_OUTPUTS.T, _gather(gradient, at_outputs))
        of_windows = tf.matmul(of_tiles, kernels, transpose_b=True)
        of_steps = _transform(_OF_INPUTS.T, of_windows)
        of_inputs = _place(of_steps, n_tiles, n_steps)
        products = tf.matmul(windows, of_tiles, transpose_a=True)
        of_kernel = tf.matmul(_OF_FILTER.T, tf.reshape(products, [_WINDOW, -1]))
        return of_inputs, tf.reshape(of_kernel, kernel.shape)

    return outputs, gradients


def _transform(matrix: _Floats, values: Any) -> Any:
    """Multiply a matrix with values of shape (n, n_rows, n_channels), along their first axis."""
    flat = tf.matmul(matrix, tf.reshape(values, [matrix.shape[1], -1]))
    return tf.reshape(flat, [len(matrix), -1, values.shape[2]])


def _gather(values: Any, at: Any) -> Any:
    """Return values (n_records, n_steps, n_channels) at steps (n, n_tiles); zeros beyond them.

    The result has the shape (n, n_records * n_tiles, n_channels).
    """
    n_steps, n_channels = max(values.shape[1], int(at.max()) + 1), values.shape[2]
    padded = tf.pad(values, [[0, 0], [0, n_steps - values.shape[1]], [0, 0]])
    records = tf.range(tf.shape(values)[0])[:, None] * n_steps
    rows = tf.gather(tf.reshape(padded, [-1, n_channels]), records + at[:, None])
    return tf.reshape(rows, [len(at), -1, n_channels])


def _place(tiles: Any, n_tiles: int, n_steps: int) -> Any:
    """Put tiles (n, n_records * n_tiles, n_channels), eight steps apart, in their order.

    Where tiles of more than eight steps overlap, they are added: (n_records, n_steps, n_channels).
    """
    width, n_channels = tiles.shape[0], tiles.shape[2]
    if width > _TILE:
        apart = tf.reshape(tiles, [width, -1, n_tiles, n_channels])
        first = tf.pad(apart[:_TILE], [[0, 0], [0, 0], [0, 1], [0, 0]])
        beyond = tf.pad(apart[_TILE:], [[0, 2 * _TILE - width], [0, 0], [1, 0], [0, 0]])
        n_tiles += 1
        tiles = tf.reshape(first + beyond, [_TILE, -1, n_channels])
    step, n_rows = np.arange(n_steps), tf.shape(tiles)[1]
    records = tf.range(n_rows // n_tiles)[:, None] * n_tiles
    at = records + (step % _TILE * n_rows + step // _TILE)
    return tf.gather(tf.reshape(tiles, [-1, n_channels]), at)


class BatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras's `BatchNormalization`, whose sums are products with a row of ones, which is faster."""

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        """Normalize inputs of shape (n_records, ..., n_channels)."""
        is_usual = self.trainable and self.center and self.scale and self.axis == -1
        if not (training and mask is None and is_usual and _is_plain(self, inputs)):
            return super().call(inputs, training=training, mask=mask)

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def normalize(inputs: Any, gamma: Any, beta: Any) -> tuple[Any, Callable[..., Any]]:
            flat = tf.reshape(inputs, [-1, inputs.shape[-1]])
            ones = tf.ones([1, tf.shape(flat)[0]])
            share = 1.0 / tf.cast(tf.shape(flat)[0], tf.float32)
            mean = tf.matmul(ones, flat)[0] * share
            variance = tf.matmul(ones, tf.math.squared_difference(flat, mean))[0] * share
            inverse = tf.math.rsqrt(variance + self.epsilon)
            slope = gamma * inverse
            outputs = tf.reshape(flat * slope + (beta - mean * slope), tf.shape(inputs))

            def gradients(gradient: Any, *of_statistics: Any) -> tuple[Any, Any, Any]:
                # nothing is asked of the statistics: they only move the averages
                of_outputs = tf.reshape(gradient, tf.shape(flat))
                of_beta = tf.matmul(ones, of_outputs)[0]
                of_gamma = (tf.matmul(ones, of_outputs * flat)[0] - mean * of_beta) * inverse
                tilt = -slope * inverse * of_gamma * share
                of_inputs = of_outputs * slope + flat * tilt
                of_inputs -= slope * of_beta * share + mean * tilt
                return tf.reshape(of_inputs, tf.shape(inputs)), of_gamma, of_beta

            return (outputs, mean, variance), gradients

        gamma, beta = map(tf.convert_to_tensor, (self.gamma, self.beta))
        outputs, mean, variance = normalize(inputs, gamma, beta)
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + now * (1.0 - self.momentum))
        return outputs


class Dropout(keras.layers.Dropout):  # type: ignore[misc]
    """Keras's `Dropout`, with draws of 8 or 16 bits: the rate is a multiple of 1/65536."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drop some of the inputs and enlarge the others."""
        n_bits = 8 if float(2**8 * self.rate).is_integer() else 16
        n_levels, n_dropped = 2**n_bits, round(self.rate * 2**n_bits)
        is_usual = 0 < n_dropped < n_levels and self.noise_shape is None
        if not (training and is_usual and _is_plain(self, inputs)):
            return super().call(inputs, training=training)
        n_draws, of_an_int64 = tf.size(inputs), 64 // n_bits
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        shape = [-(-n_draws // of_an_int64)]
        bits = tf.random.stateless_uniform(shape, seed, None, None, tf.int64)
        kind = tf.uint8 if n_bits == 8 else tf.uint16
        draws = tf.reshape(tf.bitcast(bits, kind), [-1])[:n_draws]
        mask = tf.cast(draws >= n_dropped, tf.float32) * (n_levels / (n_levels - n_dropped))
        return inputs * tf.reshape(mask, tf.shape(inputs))


def _is_plain(layer: Any, inputs: Any) -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    return {keras.backend.standardize_dtype(inputs.dtype), layer.compute_dtype} == {"float32"}
