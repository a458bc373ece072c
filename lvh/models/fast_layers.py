"""Keras's convolution, batch normalization and dropout, in less time on a processor.

Weights, configuration and results are Keras's, up to the last digits (and, of dropout, the draws).
Everything but float32 on TensorFlow, and settings that no network here has, are left to Keras.

Eight products decide four outputs of a convolution of five taps, not twenty (Winograd, "Arithmetic
Complexity of Computations", 1980; Lavin and Gray, "Fast Algorithms for Convolutional Neural
Networks", 2016): outputs = A' [(G filter) * (B' inputs)] at 0, 1, -1, 2, -2, 1/2, -1/2, inf.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

_LEVELS = 2**16  # of a draw of dropout
_Floats = npt.NDArray[np.float32]

_TAPS = 5
_TILE = 4  # outputs of one product
_WINDOW = _TILE + _TAPS - 1  # inputs of one product, and its multiplications


def _transforms() -> tuple[_Floats, _Floats, _Floats]:
    """Return A' of shape (4, 8), G of shape (8, 5) and B' of shape (8, 8), with rows near 1."""
    points = np.array([0, 1, -1, 2, -2, 0.5, -0.5])
    of_outputs = np.zeros((_TILE, _WINDOW))
    of_filter = np.zeros((_WINDOW, _TAPS))
    of_inputs = np.zeros((_WINDOW, _WINDOW))
    of_outputs[:, :-1] = points ** np.arange(_TILE)[:, None]
    of_outputs[-1, -1] = of_filter[-1, -1] = 1
    of_inputs[-1] = np.poly(points)[::-1]
    for row, point in enumerate(points):
        others = np.delete(points, row)
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
    n_steps = inputs.shape[1]
    n_outputs = n_steps - _TAPS + 1
    windows = _tiled(inputs, _OF_INPUTS, 0, n_outputs)
    outputs = _outputs(windows, _of_filter(kernel), n_outputs)

    def gradients(gradient: Any) -> tuple[Any, Any]:
        # the gradient of the inputs is a convolution too, of the reversed kernel; that of
        # the kernel follows from the same evaluations, so they serve twice
        windows = _tiled(gradient, _OF_INPUTS, _TAPS - 1, n_steps)
        kernels = tf.transpose(_of_filter(tf.reverse(kernel, [0])), [0, 2, 1])
        of_inputs = _outputs(windows, kernels, n_steps)
        tiles = _tiled(inputs, _OF_OUTPUTS.T, 0, n_steps)
        pairs = zip(map(_rows, tiles), map(_rows, windows), strict=True)
        products = tf.stack([tf.matmul(a, b, transpose_a=True) for a, b in pairs])
        flat = tf.matmul(_OF_FILTER.T, tf.reshape(products, [_WINDOW, -1]))
        return of_inputs, tf.reverse(tf.reshape(flat, kernel.shape), [0])

    return outputs, gradients


def _tiled(values: Any, matrix: _Floats, n_before: int, n_outputs: int) -> list[Any]:
    """Multiply every window of `values`, four steps apart, by each row of a matrix.

    `n_before` zeros precede `values`, of shape (n_records, n_steps, n_channels). The result of a
    row has the shape (n_records, 1, n_windows, n_channels).
    """
    width = matrix.shape[1]
    n_windows = -(-n_outputs // _TILE)
    n_after = (n_windows - 1) * _TILE + width - n_before - values.shape[1]
    image = values[:, None]
    # as a convolution of each channel with itself: one pass over the values for a row
    return [
        tf.raw_ops.DepthwiseConv2dNative(
            input=image,
            filter=np.tile(row[None, :, None, None], (1, 1, values.shape[2], 1)),
            strides=[1, _TILE, _TILE, 1],
            padding="EXPLICIT",
            explicit_paddings=[0, 0, 0, 0, n_before, n_after, 0, 0],
        )
        for row in matrix
    ]


def _of_filter(kernel: Any) -> Any:
    """Evaluate a kernel (5, n_in, n_out) at the points: shape (8, n_in, n_out)."""
    flat = tf.matmul(_OF_FILTER, tf.reshape(kernel, [_TAPS, -1]))
    return tf.reshape(flat, [_WINDOW, *kernel.shape[1:]])


def _outputs(windows: list[Any], kernels: Any, n_outputs: int) -> Any:
    """Multiply evaluations and interpolate: shape (n_records, n_outputs, n_out)."""
    n_windows = windows[0].shape[2]
    zero, one, minus_one, two, minus_two, half, minus_half, infinity = (
        tf.reshape(_rows(window) @ kernel, [-1, n_windows, kernels.shape[2]])
        for window, kernel in zip(windows, tf.unstack(kernels), strict=True)
    )
    # the rows of A', even and odd powers apart
    even_1, odd_1 = one + minus_one, one - minus_one
    even_2, odd_2 = two + minus_two, two - minus_two
    even_half, odd_half = half + minus_half, half - minus_half
    steps = [
        tf.add_n([zero, even_1, even_2, even_half]),
        tf.add_n([odd_1, 2 * odd_2, odd_half / 2]),
        tf.add_n([even_1, 4 * even_2, even_half / 4]),
        tf.add_n([odd_1, 8 * odd_2, odd_half / 8, infinity]),
    ]
    outputs = tf.reshape(tf.stack(steps, axis=2), [-1, n_windows * _TILE, kernels.shape[2]])
    return outputs[:, :n_outputs]


def _rows(values: Any) -> Any:
    return tf.reshape(values, [-1, values.shape[-1]])


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
    """Keras's `Dropout`, with draws of 16 bits: the rate is a multiple of 1/65536."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drop some of the inputs and enlarge the others."""
        n_dropped = round(self.rate * _LEVELS)
        if not (training and n_dropped and self.noise_shape is None and _is_plain(self, inputs)):
            return super().call(inputs, training=training)
        n_draws, of_an_int64 = tf.size(inputs), 4
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        shape = [-(-n_draws // of_an_int64)]
        bits = tf.random.stateless_uniform(shape, seed, None, None, tf.int64)
        draws = tf.reshape(tf.bitcast(bits, tf.uint16), [-1])[:n_draws]
        mask = tf.cast(draws >= n_dropped, tf.float32) * (_LEVELS / (_LEVELS - n_dropped))
        return inputs * tf.reshape(mask, tf.shape(inputs))


def _is_plain(layer: Any, inputs: Any) -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    return {keras.backend.standardize_dtype(inputs.dtype), layer.compute_dtype} == {"float32"}
