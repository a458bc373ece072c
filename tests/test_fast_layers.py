"""The fast convolution is Keras's `Conv1D`: outputs, gradients, weights and configuration."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from lvh.models.backends import cores, start
from lvh.models.convolution import Conv1D


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


def results(layer: keras.layers.Layer, X: np.ndarray) -> list[np.ndarray]:
    """Return outputs and gradients by inputs, kernel and bias, traced with an open batch size."""
    trained = [variable.value for variable in layer.trainable_variables]

    @tf.function(input_signature=[tf.TensorSpec([None, *X.shape[1:]], tf.float32)])
    def run(X):
        with tf.GradientTape() as tape:
            tape.watch(X)
            outputs = layer(X)
            # another factor for every output: none may stand in for another
            factors = tf.cos(tf.cast(tf.range(tf.size(outputs)), tf.float32))
            loss = tf.reduce_sum(outputs * tf.reshape(factors, tf.shape(outputs)))
        return outputs, *tape.gradient(loss, [X, *trained])

    return [np.asarray(value) for value in run(X)]


def in_float64(layer: keras.layers.Layer, X: np.ndarray) -> list[np.ndarray]:
    """Return the same by definition, in float64."""
    kernel, bias = (np.asarray(weight, np.float64) for weight in layer.get_weights())
    X = X.astype(np.float64)
    n_outputs = X.shape[1] - len(kernel) + 1
    parts = [X[:, tap : tap + n_outputs] for tap in range(len(kernel))]
    outputs = sum(part @ of_tap for part, of_tap in zip(parts, kernel, strict=True)) + bias
    gradient = np.cos(np.arange(outputs.size)).reshape(outputs.shape)
    of_inputs = np.zeros_like(X)
    for tap, of_tap in enumerate(kernel):
        of_inputs[:, tap : tap + n_outputs] += gradient @ of_tap.T
    of_kernel = [np.einsum("nti,nto->io", part, gradient) for part in parts]
    return [outputs, of_inputs, np.stack(of_kernel), gradient.sum((0, 1))]


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@pytest.mark.parametrize("n_steps", [*range(5, 14), 31, 50])
@pytest.mark.parametrize(("n_records", "n_in", "n_out"), [(1, 1, 1), (1, 7, 3), (5, 4, 9)])
def test_outputs_and_gradients_are_those_of_keras(n_records, n_in, n_out, n_steps):
    fast, plain = twins(n_in, n_out)
    X = of_signal(n_records, n_steps, n_in)
    for found, expected in zip(results(fast, X), results(plain, X), strict=True):
        assert found.shape == expected.shape
        # sums of at most 250 products of order 1 in float32, and coefficients up to 8
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=3e-5)


def test_rounding_is_that_of_float32_on_wide_layers():
    fast, plain = twins(256, 64)
    X = of_signal(4, 54, 256)
    exact = in_float64(plain, X)
    errors = [distance(a, b) for a, b in zip(results(fast, X), exact, strict=True)]
    direct = [distance(a, b) for a, b in zip(results(plain, X), exact, strict=True)]
    # what the points cost: 3 to 5 times the rounding of the direct sums, which is 2e-7
    assert max(errors) < 3e-6
    assert max(direct) < 3e-6


def test_results_repeat_to_the_bit():
    fast, _ = twins(33, 17)
    X = of_signal(8, 45, 33)
    first = results(fast, X)
    for _ in range(3):
        for a, b in zip(results(fast, X), first, strict=True):
            np.testing.assert_array_equal(a, b)


def test_no_inputs_give_no_outputs_and_no_gradient():
    outputs, of_inputs, of_kernel, _ = results(twins(3, 2)[0], of_signal(0, 13, 3))
    assert (outputs.shape, of_inputs.shape) == ((0, 9, 2), (0, 13, 3))
    assert not of_kernel.any()


def test_the_activation_and_the_missing_bias_are_kept():
    fast = Conv1D(3, 5, use_bias=False, activation="relu")
    plain = keras.layers.Conv1D(3, 5, use_bias=False, activation="relu")
    X = of_signal(2, 22, 4)
    fast(X)
    plain(X)
    plain.set_weights(fast.get_weights())
    assert len(fast.weights) == 1
    np.testing.assert_allclose(fast(X), plain(X), atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"kernel_size": 4},
        {"strides": 2},
        {"padding": "same"},
        {"padding": "causal"},
        {"dilation_rate": 2},
    ],
)
def test_other_convolutions_are_left_to_keras(changes):
    fast, plain = twins(3, 2, **changes)
    X = of_signal(2, 23, 3)
    for found, expected in zip(results(fast, X), results(plain, X), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_another_backend_is_left_to_keras(monkeypatch):
    fast, plain = twins(3, 2)
    X = of_signal(2, 23, 3)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    np.testing.assert_array_equal(fast(X), plain(X))


def test_a_model_can_be_cloned_with_its_weights():
    model = keras.Sequential([keras.Input((30, 3)), Conv1D(4, 5), Conv1D(2, 5)])
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    assert [type(layer) for layer in clone.layers] == [Conv1D, Conv1D]
    X = of_signal(2, 30, 3)
    np.testing.assert_array_equal(clone(X), model(X))


def test_configuration_and_initial_weights_are_those_of_keras():
    initializer = keras.initializers.GlorotUniform(seed=1)
    fast = Conv1D(4, 5, kernel_initializer=initializer, name="one")
    plain = keras.layers.Conv1D(4, 5, kernel_initializer=initializer, name="one")
    assert fast.get_config() == plain.get_config()
    for layer in (fast, plain):
        layer.build((None, 30, 3))
    assert [w.path for w in fast.weights] == [w.path for w in plain.weights]
    for a, b in zip(fast.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
