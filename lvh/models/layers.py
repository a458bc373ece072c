"""Keras's batch normalization and dropout, in fewer passes over the activations.

A pass over the activations of a wide convolution is short, but Keras needs dozens of them.
Weights, configuration and results are Keras's, up to the last digits (and, of dropout, the draws).
Everything but training in float32 on TensorFlow is left to Keras.
"""

from collections.abc import Callable
from typing import Any

import keras

_LEVELS = 2**16  # of a draw of dropout


class BatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras's `BatchNormalization` over the last axis, with its gradient written out."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize inputs of shape (..., n_channels)."""
        if not (training and self._applies(inputs, mask)):
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = _normalized(inputs, self.gamma, self.beta, self.epsilon)
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + now * (1.0 - self.momentum))
        return outputs

    def _applies(self, inputs: Any, mask: Any) -> bool:
        return (
            _is_plain(self, inputs)
            and mask is None
            and all((self.trainable, self.center, self.scale))
            and not (self.synchronized or self.renorm)
            and self.axis in (-1, len(inputs.shape) - 1)
        )


class Dropout(keras.layers.Dropout):  # type: ignore[misc]
    """Keras's `Dropout`, with draws of 16 bits: the rate is a multiple of 1/65536."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drop some of the inputs and enlarge the others."""
        n_dropped = round(self.rate * _LEVELS)
        if not (training and n_dropped and self.noise_shape is None and _is_plain(self, inputs)):
            return super().call(inputs, training=training)
        return _dropped(inputs, self.seed_generator.next(), n_dropped)


def _is_plain(layer: Any, inputs: Any) -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    return {keras.backend.standardize_dtype(inputs.dtype), layer.compute_dtype} == {"float32"}


def _normalized(inputs: Any, gamma: Any, beta: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """Return normalized inputs, and the mean and variance of each channel.

    Ioffe and Szegedy, "Batch Normalization", 2015. Sums over records and steps are products with
    a row of ones, which take less time than TensorFlow's own sums.
    """
    import tensorflow as tf

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def normalize(inputs: Any, gamma: Any, beta: Any) -> tuple[Any, Callable[..., Any]]:
        flat = tf.reshape(inputs, [-1, inputs.shape[-1]])
        ones = tf.ones([1, tf.shape(flat)[0]])
        share = 1.0 / tf.cast(tf.shape(flat)[0], tf.float32)
        mean = tf.matmul(ones, flat)[0] * share
        variance = tf.matmul(ones, tf.math.squared_difference(flat, mean))[0] * share
        inverse = tf.math.rsqrt(variance + epsilon)
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

    # tensors, not variables: TensorFlow asks for gradients of variables in another way
    outputs: tuple[Any, Any, Any] = normalize(
        inputs, tf.convert_to_tensor(gamma), tf.convert_to_tensor(beta)
    )
    return outputs


def _dropped(inputs: Any, seed: Any, n_dropped: int) -> Any:
    """Keep each input with probability 1 - n_dropped / 65536, enlarged by its inverse."""
    import tensorflow as tf

    of_an_int64 = 4
    n_draws = tf.size(inputs)
    bits = tf.random.stateless_uniform(
        [-(-n_draws // of_an_int64)], tf.cast(seed, tf.int32), None, None, tf.int64
    )
    draws = tf.reshape(tf.bitcast(bits, tf.uint16), [-1])[:n_draws]
    kept = tf.cast(draws >= n_dropped, tf.float32) * (_LEVELS / (_LEVELS - n_dropped))
    return inputs * tf.reshape(kept, tf.shape(inputs))
