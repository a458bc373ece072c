"""The network of two branches is a model of two inputs written by hand."""

import keras
import numpy as np
import pytest
from conftest import BACKEND
from keras import layers

from lvh.models.backends import cores, start
from lvh.models.resnet import TwoBranchSettings
from lvh.models.resnet import build_two_branch as build

SHAPE = (5, 64, 3)
SETTINGS = TwoBranchSettings("two_branch", (8,), 7, 6, 0.01, 0.3, 0.9)


@pytest.fixture(scope="module", autouse=True)
def _backend():
    start(BACKEND, None, cores())


def flat(measured: np.ndarray, beats: np.ndarray) -> np.ndarray:
    return np.concatenate([measured, beats.reshape(len(beats), -1)], axis=1)


def noise(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return both halves of some records, in which nothing is to be found."""
    random = np.random.default_rng(seed)
    shapes = (n, SHAPE[0]), (n, *SHAPE[1:])
    return tuple(random.normal(size=shape).astype(np.float32) for shape in shapes)


def of_two_inputs() -> keras.Model:
    """Write the same network down with an input for each half, by Keras's own layers."""
    measured, beats = keras.Input((5,)), keras.Input((64, 3))

    def convolved(inputs, kernel, strides):
        convolution = layers.Conv1D(8, kernel, strides, "same", use_bias=False)
        return layers.BatchNormalization()(convolution(inputs))

    stem = layers.ReLU()(convolved(beats, 7, 2))
    branch = convolved(layers.ReLU()(convolved(stem, 7, 2)), 7, 1)
    block = layers.ReLU()(layers.Add()([branch, convolved(stem, 1, 2)]))
    pooled = layers.GlobalAveragePooling1D()(block)
    dense = layers.Dense(6, activation="relu")(layers.BatchNormalization()(measured))
    outputs = layers.Dense(1, activation="sigmoid")(layers.Concatenate()([dense, pooled]))
    return keras.Model([measured, beats], outputs)


def of_a_kind(model: keras.Model) -> dict[tuple, list]:
    """Group the layers that have weights by their type and shapes, in their order."""
    found: dict[tuple, list] = {}
    for layer in model.layers:
        if layer.count_params():
            shapes = tuple(one.shape for one in layer.get_weights())
            kind = "norm" if len(shapes) == 4 else "product"
            found.setdefault((kind, shapes), []).append(layer)
    return found


def test_it_equals_a_model_of_two_inputs_written_by_hand():
    """Copied weights, with moving statistics that matter."""
    one, two = build(SETTINGS, SHAPE), of_two_inputs()
    random = np.random.default_rng(0)
    ours, theirs = of_a_kind(one), of_a_kind(two)
    assert ours.keys() == theirs.keys()
    for kind, own in ours.items():
        for layer, twin in zip(own, theirs[kind], strict=True):
            weights = [random.uniform(0.5, 1.5, value.shape) for value in layer.get_weights()]
            if kind[0] == "product":
                weights = [value - 1 for value in weights]
            layer.set_weights(weights)
            twin.set_weights(weights)
    measured, beats = noise(20)
    found = keras.ops.convert_to_numpy(one(flat(measured, beats)))
    expected = keras.ops.convert_to_numpy(two([measured, beats]))
    assert found.shape == (20, 1)
    assert np.ptp(found) > 0.03
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)  # float32
