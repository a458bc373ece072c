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


def twins(n_in: int, n_out: int, **changes) -> tuple[Conv1D, keras.layers.Conv1D]:
    """Return the fast layer and Keras's with equal weights, the bias among them not zero."""
    random = np.random.default_rng(n_in)
    settings = {"kernel_size": 5, **changes}
    fast, plain = Conv1D(n_out, **settings), keras.layers.Conv1D(n_out, **settings)
    for layer in (fast, plain):
        layer.build((None, None, n_in))
    kernel = random.normal(size=plain.kernel.shape) / np.sqrt(5 * n_in)
    weights = [kernel, random.normal(size=n_out)]
    fast.set_weights(weights)
    plain.set_weights(weights)
    return fast, plain


def of_signal(n_records: int, n_steps: int, n_channels: int) -> np.ndarray:
    random = np.random.default_rng(n_steps)
    return random.normal(size=(n_records, n_steps, n_channels)).astype(np.float32)


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


@pytest.mark.parametrize("n_steps", [*range(5, 14), 31])
@pytest.mark.parametrize(("n_records", "n_in", "n_out"), [(1, 1, 1), (1, 7, 3), (5, 4, 9)])
def test_outputs_and_gradients_are_those_of_keras(n_records, n_in, n_out, n_steps):
    fast, plain = twins(n_in, n_out)
    X = of_signal(n_records, n_steps, n_in)
    for found, expected in zip(results(fast, X), results(plain, X), strict=True):
        assert found.shape == expected.shape
        # sums of at most 250 products of order 1 in float32, and coefficients up to 8
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=3e-5)


def normalizations(
    shape: tuple[int, ...], **settings
) -> tuple[BatchNormalization, keras.layers.Layer]:
    """Return the fast normalization and Keras's with equal weights, none of them blank."""
    random = np.random.default_rng(shape[-1])
    fast, plain = BatchNormalization(**settings), keras.layers.BatchNormalization(**settings)
    weights = random.uniform(0.5, 2, size=(4, shape[-1]))
    for layer in (fast, plain):
        layer.build((None, *shape[1:]))
        layer.set_weights([*weights][: len(layer.weights)])
    return fast, plain


def signal(shape: tuple[int, ...], offset: float = 3.0) -> np.ndarray:
    """Return inputs whose mean is not zero, as that of a voltage."""
    return np.random.default_rng(0).normal(offset, 2, size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(32, 64), (9, 64), (1, 1), (32, 40, 16), (1, 7, 3), (5, 1, 2)])
def test_normalization_is_that_of_keras(shape):
    fast, plain = normalizations(shape, momentum=0.9)
    X = signal(shape)
    for found, expected in zip(
        results(fast, X, training=True), results(plain, X, training=True), strict=True
    ):
        assert found.shape == expected.shape
        # sums of at most 1280 terms of order 1 in float32; a gradient is a difference of such
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=5e-5)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(rate):
    X = np.ones((50, 401, 5), np.float32)  # not a multiple of the four draws of an integer
    outputs = np.asarray(Dropout(rate, seed=1)(X, training=True))
    dropped = outputs == 0
    # five standard deviations of a share of 100250 draws
    assert dropped.mean() == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) / X.size))
    np.testing.assert_allclose(outputs[~dropped], 1 / (1 - rate), rtol=2e-4)  # rates of 1/65536
    neighbours = (dropped[:, 1:] & dropped[:, :-1]).mean()
    assert neighbours == pytest.approx(rate**2, abs=5 * rate / np.sqrt(X.size))
