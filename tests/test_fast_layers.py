"""The fast layers are Keras's: outputs, gradients, moving statistics, shares of dropout."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from lvh.models.backends import cores, start
from lvh.models.fast_layers import BatchNormalization, Conv1D, Dropout


@pytest.fixture(scope="module", autouse=True)
def _backend():
    start("tensorflow", None, cores())


def twins(name: str, shape: tuple[int, ...]) -> list[keras.layers.Layer]:
    """Return the fast layer and Keras's with equal weights, none of them blank."""
    random = np.random.default_rng(shape[-1])
    if name == "normalization":
        both = [BatchNormalization(momentum=0.9), keras.layers.BatchNormalization(momentum=0.9)]
    else:
        sizes = {"convolution": (5, 1), "five strides": (50, 10), "more strides": (23, 2)}[name]
        both = [kind(9, *sizes) for kind in (Conv1D, keras.layers.Conv1D)]
    for layer in both:
        layer.build((None, *shape[1:]))
    weights = [random.uniform(0.5, 2, size=weight.shape) for weight in both[0].weights]
    for layer in both:
        layer.set_weights(weights)
    return both


def results(layer: keras.layers.Layer, X: np.ndarray, **mode) -> list[np.ndarray]:
    """Return outputs, gradients by inputs and weights, and what else the layer holds afterwards."""
    trained = [variable.value for variable in layer.trainable_variables]

    @tf.function(input_signature=[tf.TensorSpec([None, *X.shape[1:]], tf.float32)])
    def run(X):
        with tf.GradientTape() as tape:
            tape.watch(X)
            outputs = layer(X, **mode)
            # another factor for every output: none may stand in for another
            factors = tf.cos(tf.cast(tf.range(tf.size(outputs)), tf.float32))
            loss = tf.reduce_sum(outputs * tf.reshape(factors, tf.shape(outputs)))
        return outputs, *tape.gradient(loss, [X, *trained])

    found = [np.asarray(value) for value in run(X)]
    return [*found, *(np.asarray(one.value) for one in layer.non_trainable_variables)]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        *[("convolution", (2, n_steps, 7)) for n_steps in (*range(5, 14), 31)],
        *[("convolution", (1, 31, 1)), ("normalization", (32, 64)), ("normalization", (1, 1))],
        *[("normalization", (32, 40, 16)), ("normalization", (5, 1, 2))],
        *[("five strides", (2, n, 3)) for n in (50, 137)],
        *[("more strides", (2, n, 3)) for n in (23, 24, 64)],
    ],
)
def test_outputs_gradients_and_statistics_are_those_of_keras(name, shape):
    X = np.random.default_rng(0).normal(3, 2, size=shape).astype(np.float32)  # a voltage's mean
    mode = {"training": True} if name == "normalization" else {}
    fast, plain = (results(layer, X, **mode) for layer in twins(name, shape))
    for found, expected in zip(fast, plain, strict=True):
        assert found.shape == expected.shape
        # sums of at most 1280 terms of order 1 in float32; a gradient is a difference of such
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-4)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9, 1 - 1e-9])
def test_dropout_drops_its_share_and_keeps_the_mean(rate):
    X = np.ones((50, 401, 5), np.float32)  # not a multiple of the four draws of an integer
    outputs = np.asarray(Dropout(rate, seed=1)(X, training=True))
    dropped = outputs == 0
    # five standard deviations of a share of 100250 draws
    assert dropped.mean() == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) / X.size))
    np.testing.assert_allclose(outputs[~dropped], 1 / (1 - rate), rtol=2e-4)  # rates of 1/65536
    neighbours = (dropped[:, 1:] & dropped[:, :-1]).mean()
    assert neighbours == pytest.approx(rate**2, abs=5 * rate / np.sqrt(X.size))
