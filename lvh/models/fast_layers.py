"""Keras's convolution, batch normalization and dropout, in less time on a processor.

Weights and configuration are Keras's. Outputs and gradients differ from Keras's by about 1e-5 of
their standard deviation, and dropout has other draws. Everything but float32 on TensorFlow, and
settings that no network here has, are left to Keras. So are convolutions whose products would be
more than half as many as before.

Twelve products decide eight outputs of a convolution of five taps, not forty (Winograd, "Arithmetic
Complexity of Computations", 1980; Lavin and Gray, "Fast Algorithms for Convolutional Neural
Networks", 2016): outputs = A' [(G filter) * (B' inputs)] at eleven points and at infinity. The
points have small rounding errors (Barabasz and others, "Error Analysis and Improving the Accuracy
of Winograd Convolution for Deep Neural Networks", 2020).
"""

import math
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
    """Keras's `Conv1D`, faster with valid padding and a kernel that spans a few strides or more."""

    def call(self, inputs: Any) -> Any:
        """Convolve inputs of shape (n_records, n_samples, n_channels)."""
        (n_taps,), (stride,) = self.kernel_size, self.strides
        n_products = _WINDOW * stride * _n_groups(n_taps, stride)  # of a tile
        is_cheaper = 2 * n_products <= _TILE * n_taps
        is_usual = (self.dilation_rate, self.groups, self.padding) == ((1,), 1, "valid")
        is_usual &= self.data_format == "channels_last"
        if not (is_cheaper and is_usual and _is_plain(self, inputs)):
            return super().call(inputs)
        bias = self.bias if self.use_bias else tf.zeros([self.filters])
        # tensors, not variables: TensorFlow asks for gradients of variables in another way
        kernel, bias = map(tf.convert_to_tensor, (self.kernel, bias))
        outputs = _convolution(stride)(inputs, kernel, bias)
        return outputs if self.activation is None else self.activation(outputs)


def _n_groups(n_taps: int, stride: int) -> int:
    """Return how many times five strides a kernel spans, with zeros at its end."""
    return -(-n_taps // (_TAPS * stride))


def _convolution(stride: int) -> Callable[..., Any]:
    """Return the correlation of inputs (n_records, n_samples, n_in) with a kernel, plus a bias.

    The kernel has the shape (n_taps, n_in, n_out). The samples of a stride are the channels of one
    step; each five steps of a kernel are a group, whose channels stand beside those of the others.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def convolve(inputs: Any, kernel: Any, bias: Any) -> tuple[Any, Callable[[Any], Any]]:
        n_samples, (n_taps, n_in, n_out) = inputs.shape[1], kernel.shape
        n_outputs, n_groups = (n_samples - n_taps) // stride + 1, _n_groups(n_taps, stride)
        n_used = (n_outputs - 1) * stride + n_taps
        n_steps, n_tiles = -(-n_used // stride), -(-n_outputs // _TILE)
        at = _TILE * np.arange(n_tiles) + np.arange(_WINDOW)[:, None]
        of_groups = at[:, :, None] + _TAPS * np.arange(n_groups)
        steps = _padded(inputs[:, :n_used], n_steps * stride)
        steps = tf.reshape(steps, [-1, n_steps, stride * n_in])
        # what stands beyond the last step decides no output
        windows = _transform(_OF_INPUTS, _gather(steps, np.minimum(of_groups, n_steps - 1)))
        whole = _padded(tf.reshape(kernel, [1, n_taps, -1]), n_groups * _TAPS * stride)
        taps = tf.matmul(_OF_FILTER, _swapped(whole, n_groups, _TAPS))
        kernels = tf.reshape(taps, [_WINDOW, -1, n_out])
        tiles = _transform(_OF_OUTPUTS, tf.matmul(windows, kernels))

        def gradients(gradient: Any) -> tuple[Any, Any, Any]:
            # each step backwards is that forwards with its matrix transposed
            of_tiles = _transform(_OF_OUTPUTS.T, _gather(gradient, at[:_TILE]))
            of_windows = _transform(_OF_INPUTS.T, tf.matmul(of_tiles, kernels, transpose_b=True))
            of_steps, reach = [], _TILE * (n_tiles - 1) + _WINDOW
            for number, one in enumerate(tf.split(of_windows, n_groups, axis=2)):
                first = _TAPS * number
                placed = _place(one, n_tiles, min(reach, n_steps - first))
                of_steps.append(_padded(placed, n_steps, first))
            of_samples = tf.reshape(tf.add_n(of_steps), [-1, n_steps * stride, n_in])
            products = tf.matmul(windows, of_tiles, transpose_a=True)
            of_taps = tf.matmul(_OF_FILTER.T, tf.reshape(products, [_WINDOW, -1]))
            of_whole = tf.reshape(_swapped(of_taps, _TAPS, n_groups), [-1, n_in, n_out])
            flat = tf.reshape(gradient, [-1, n_out])
            of_bias = tf.matmul(tf.ones([1, tf.shape(flat)[0]]), flat)[0]  # faster than its sum
            return _padded(of_samples[:, :n_used], n_samples), of_whole[:n_taps], of_bias

        return _place(tiles, n_tiles, n_outputs) + bias, gradients

    return convolve  # type: ignore[no-any-return]


def _padded(values: Any, n: int, start: int = 0) -> Any:
    """Return values (n_records, n_steps, n_channels) from `start` on in `n` steps, else zeros."""
    left = n - start - values.shape[1]
    return tf.pad(values, [[0, 0], [start, left], [0, 0]]) if start or left else values


def _swapped(values: Any, n_rows: int, n_columns: int) -> Any:
    """Return values that count rows, then columns, in the order of columns: (n_columns, ...)."""
    by_row = tf.reshape(values, [n_rows, n_columns, -1])
    return tf.reshape(tf.transpose(by_row, [1, 0, 2]), [n_columns, -1])


def _transform(matrix: _Floats, values: Any) -> Any:
    """Multiply a matrix with values of shape (n, n_rows, n_channels), along their first axis."""
    flat = tf.matmul(matrix, tf.reshape(values, [matrix.shape[1], -1]))
    return tf.reshape(flat, [len(matrix), -1, values.shape[2]])


def _gather(values: Any, at: Any) -> Any:
    """Return values (n_records, n_steps, n_channels) at steps (n, n_tiles); zeros beyond them.

    The result has the shape (n, n_records * n_tiles, n_channels). For steps (n, n_tiles, n_groups)
    the channels of the groups are side by side.
    """
    n_steps, n_channels = max(values.shape[1], int(at.max()) + 1), values.shape[2]
    padded = _padded(values, n_steps)
    records = tf.range(tf.shape(values)[0])[:, None] * n_steps
    flat = at.reshape(len(at), 1, -1)
    rows = tf.gather(tf.reshape(padded, [-1, n_channels]), records + flat)
    return tf.reshape(rows, [len(at), -1, n_channels * math.prod(at.shape[2:])])


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
    """Keras's `BatchNormalization` by TensorFlow's fused operation, which is faster."""

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        """Normalize inputs of shape (n_records, ..., n_channels)."""
        is_usual = self.trainable and self.center and self.scale and self.axis == -1
        if not (training and mask is None and is_usual and _is_plain(self, inputs)):
            return super().call(inputs, training=training, mask=mask)
        flat = tf.reshape(inputs, [1, 1, -1, inputs.shape[-1]])
        gamma, beta = map(tf.convert_to_tensor, (self.gamma, self.beta))
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            flat, gamma, beta, epsilon=self.epsilon
        )
        n = tf.cast(tf.shape(flat)[2], tf.float32)
        biased = variance * ((n - 1.0) / n)  # the operation divides by n - 1
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, biased)):
            moving.assign(moving * self.momentum + now * (1.0 - self.momentum))
        return tf.reshape(outputs, tf.shape(inputs))


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
