"""The models are the report's, layer by layer."""

import keras
import numpy as np
import pytest
from keras import layers

from lvh.errors import InputError
from lvh.models import MODELS
from lvh.models.cnn import CnnSettings, build, output_lengths
from lvh.models.dnn import DnnSettings

FILTERS = (256, 512, 512, 128, 64)
REPORT_COUNTS = [256256, 1024, 655872, 2048, 1311232, 2048, 327808, 512, 41024, 256, 65]


def cnn_settings(kernel_size: int = 250, strides: int = 5, **changes) -> CnnSettings:
    values = {"filters": FILTERS, "dropout": 0.5, "bn_momentum": 0.99, **changes}
    return CnnSettings("cnn", kernel_size, strides, **values)


def dnn_settings() -> DnnSettings:
    return DnnSettings("dnn", (64, 32, 8), 0.001, 0.99)


def report_cnn(kernel_size: int, strides: int, filters: tuple[int, ...]) -> keras.Model:
    """Build the network as the report did: 2-D convolutions over (samples, leads, 1)."""
    model = keras.Sequential([keras.Input((5000, 4, 1))])
    for block, width in enumerate(filters):
        if block == 0:
            model.add(layers.Conv2D(width, (kernel_size, 4), strides=(strides, 1)))
        else:
            model.add(layers.Conv2D(width, (5, 1)))
        model.add(layers.BatchNormalization())
        model.add(layers.ReLU())
        model.add(layers.Dropout(0.5))
    model.pop()  # the last block has no dropout
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(1, activation="sigmoid"))
    return model


def test_cnn_has_the_reports_parameters_in_every_layer():
    model = build(cnn_settings(), (5000, 4))
    assert [layer.count_params() for layer in model.layers if layer.weights] == REPORT_COUNTS
    assert model.count_params() == 2_598_145
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == 2_595_201
    assert model.layers[0].output.shape == (None, 951, 256)


def test_cnn_has_the_reports_layers_in_order():
    model = build(cnn_settings(), (5000, 4))
    block = ["Conv1D", "BatchNormalization", "ReLU", "Dropout"]
    expected = [*[*(block * 5)][:-1], "GlobalAveragePooling1D", "Dense"]
    assert [type(layer).__name__ for layer in model.layers] == expected
    assert {layer.rate for layer in model.layers if isinstance(layer, layers.Dropout)} == {0.5}


def test_cnn_is_the_same_function_as_two_dimensional_convolutions():
    """Copied weights, 1-D and 2-D, in inference and with moving statistics that matter."""
    filters = (16, 12, 12, 8, 6)
    one = build(cnn_settings(250, 50, filters=filters), (5000, 4))
    two = report_cnn(250, 50, filters)
    random = np.random.default_rng(0)
    weights = [
        random.uniform(0.5, 2, w.shape)
        if "variance" in w.path
        else 0.1 * random.normal(size=w.shape)
        for w in one.weights
    ]
    one.set_weights(weights)
    two.set_weights([a.reshape(w.shape) for a, w in zip(weights, two.weights, strict=True)])
    X = random.normal(size=(3, 5000, 4)).astype(np.float32)
    pooled = []
    for model, inputs in ((one, X), (two, X[..., None])):
        for layer in model.layers[:-1]:
            inputs = layer(inputs, training=False)
        pooled.append(keras.ops.convert_to_numpy(inputs))
    assert pooled[0].shape == (3, 6)
    assert np.ptp(pooled[0]) > 0.1  # the comparison is not one of zeros
    # float32 sums of up to 1000 products in another order: relative errors near 1e-6
    np.testing.assert_allclose(pooled[0], pooled[1], rtol=1e-4, atol=1e-5)
    y = [keras.ops.convert_to_numpy(scores) for scores in (one(X), two(X[..., None]))]
    np.testing.assert_allclose(*y, atol=1e-5)


def test_dnn_has_the_reports_layers():
    model = MODELS["dnn"].build(dnn_settings(), (117,))
    assert [layer.count_params() for layer in model.layers] == [
        117 * 64 + 64,
        4 * 64,
        64 * 32 + 32,
        4 * 32,
        32 * 8 + 8,
        9,
    ]
    penalized = [layer for layer in model.layers if getattr(layer, "kernel_regularizer", None)]
    assert [layer.units for layer in penalized] == [32]
    assert float(penalized[0].kernel_regularizer.l2) == pytest.approx(0.001)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_models_give_probabilities(name):
    settings, shape = {
        "cnn": (cnn_settings(100, 125, filters=(4, 4)), (5000, 4)),
        "dnn": (dnn_settings(), (117,)),
    }[name]
    model = MODELS[name].build(settings, shape)
    X = np.random.default_rng(0).normal(size=(5, *shape)).astype(np.float32)
    y = keras.ops.convert_to_numpy(model(X))
    assert y.shape == (5, 1)
    assert ((y > 0) & (y < 1)).all()


def test_momentum_reaches_every_batch_normalization():
    model = build(cnn_settings(bn_momentum=0.9), (5000, 4))
    found = [m.momentum for m in model.layers if isinstance(m, layers.BatchNormalization)]
    assert found == [0.9] * 5


@pytest.mark.parametrize(
    ("kernel", "stride", "lengths"),
    [
        (250, 5, [951, 947, 943, 939, 935]),
        (500, 125, [37, 33, 29, 25, 21]),
        (4984, 1, [17, 13, 9, 5, 1]),
    ],
)
def test_output_lengths(kernel, stride, lengths):
    assert output_lengths(cnn_settings(kernel, stride), 5000) == lengths


@pytest.mark.parametrize(
    ("kernel", "stride", "field"),
    [(5001, 1, "model.kernel_size"), (250, 1000, "model.strides"), (4985, 1, "model.strides")],
)
def test_convolutions_that_do_not_fit_are_refused(kernel, stride, field):
    with pytest.raises(InputError, match=f"^{field}: expected .* Received: .*{kernel}|{stride}"):
        MODELS["cnn"].check(cnn_settings(kernel, stride), (5000, 4))
