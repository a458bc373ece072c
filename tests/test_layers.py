"""The fast layers are Keras's: outputs, gradients, moving statistics, shares of dropout."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from lvh.models.backends import cores, start
from lvh.models.layers import BatchNormalization, Dropout


@pytest.fixture(scope="module", autouse=True)
def _backend():
    start("tensorflow", None, cores())


def twins(shape: tuple[int, ...], **settings) -> tuple[BatchNormalization, keras.layers.Layer]:
    """Return the fast normalization and Keras's with equal weights, none of them blank."""
    random = np.random.default_rng(shape[-1])
    fast, plain = BatchNormalization(**settings), keras.layers.BatchNormalization(**settings)
    weights = random.uniform(0.5, 2, size=(4, shape[-1]))
    for layer in (fast, plain):
        layer.build((None, *shape[1:]))
        layer.set_weights([*weights][: len(layer.weights)])
    return fast, plain


def results(layer: keras.layers.Layer, X: np.ndarray, training: bool = True) -> list[np.ndarray]:
    """Return outputs, gradients by inputs and weights, and the statistics afterwards."""
    trained = [variable.value for variable in layer.trainable_variables]

    @tf.function(input_signature=[tf.TensorSpec([None, *X.shape[1:]], tf.float32)])
    def run(X):
        with tf.GradientTape() as tape:
            tape.watch(X)
            outputs = layer(X, training=training)
            # another factor for every output: none may stand in for another
            factors = tf.cos(tf.cast(tf.range(tf.size(outputs)), tf.float32))
            loss = tf.reduce_sum(outputs * tf.reshape(factors, tf.shape(outputs)))
        return outputs, *tape.gradient(loss, [X, *trained])

    found = [np.asarray(value) for value in run(X)]
    return [*found, *(np.asarray(one.value) for one in layer.non_trainable_variables)]


def signal(shape: tuple[int, ...], offset: float = 3.0) -> np.ndarray:
    """Return inputs whose mean is not zero, as that of a voltage."""
    return np.random.default_rng(0).normal(offset, 2, size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(32, 64), (9, 64), (1, 1), (32, 40, 16), (1, 7, 3), (5, 1, 2)])
def test_normalization_is_that_of_keras(shape):
    fast, plain = twins(shape, momentum=0.9)
    X = signal(shape)
    for found, expected in zip(results(fast, X), results(plain, X), strict=True):
        assert found.shape == expected.shape
        # sums of at most 1280 terms of order 1 in float32; a gradient is a difference of such
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=5e-5)


@pytest.mark.parametrize("changes", [{"center": False}, {"scale": False}, {"axis": 1}])
def test_other_normalizations_are_left_to_keras(changes):
    fast, plain = BatchNormalization(**changes), keras.layers.BatchNormalization(**changes)
    X = signal((8, 6, 4))
    for layer in (fast, plain):
        layer.build(X.shape)
    for found, expected in zip(results(fast, X), results(plain, X), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_what_is_not_trained_normalizes_by_its_averages():
    fast, plain = twins((8, 4))
    X = signal((8, 4))
    for found, expected in zip(results(fast, X, False), results(plain, X, False), strict=True):
        np.testing.assert_array_equal(found, expected)
    fast.trainable = plain.trainable = False
    np.testing.assert_array_equal(fast(X, training=True), plain(X, training=True))


def test_layers_can_be_saved_by_their_configuration():
    fast, plain = twins((8, 4), momentum=0.7)
    assert fast.get_config().keys() == plain.get_config().keys()
    assert BatchNormalization.from_config(fast.get_config()).momentum == 0.7
    assert Dropout.from_config(Dropout(0.3, seed=1).get_config()).rate == 0.3


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


def test_dropout_draws_anew_each_time_and_alike_from_a_seed():
    X = np.ones((4, 33), np.float32)

    def two(seed: int) -> list[np.ndarray]:
        layer = Dropout(0.5, seed=seed)
        return [np.asarray(layer(X, training=True)) for _ in range(2)]

    first, second = two(1)
    assert (first != second).any()
    np.testing.assert_array_equal([first, second], two(1))
    assert (first != two(2)[0]).any()


def test_the_gradient_of_dropout_is_what_it_kept():
    layer = Dropout(0.5, seed=1)
    X = tf.constant(signal((6, 7)))
    with tf.GradientTape() as tape:
        tape.watch(X)
        outputs = layer(X, training=True)
    np.testing.assert_allclose(tape.gradient(outputs, X) * X, outputs, rtol=1e-6)


@pytest.mark.parametrize(("rate", "training"), [(0.5, False), (0.0, True)])
def test_nothing_is_dropped_where_nothing_should_be(rate, training):
    X = signal((6, 7))
    np.testing.assert_array_equal(Dropout(rate, seed=1)(X, training=training), X)
