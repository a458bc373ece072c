"""The original study's models layer by layer, and the residual one."""

import keras
import numpy as np
import pytest
from keras import layers

from lvh.errors import InputError
from lvh.models import MODELS
from lvh.models.networks import CnnSettings, DnnSettings, ResnetSettings, TwoBranchSettings

FILTERS = (256, 512, 512, 128, 64)
REPORT_COUNTS = [256256, 1024, 655872, 2048, 1311232, 2048, 327808, 512, 41024, 256, 65]


def cnn_settings(kernel_size: int = 250, strides: int = 5, **changes) -> CnnSettings:
    values = {"filters": FILTERS, "dropout": 0.5, "bn_momentum": 0.99, **changes}
    return CnnSettings("cnn", kernel_size, strides, **values)


def resnet_settings(**changes) -> ResnetSettings:
    values = {"filters": (6, 8), "blocks": 1, "kernel": 7, "dropout": 0.3, "bn_momentum": 0.9}
    return ResnetSettings("resnet", **{**values, **changes})


def report_cnn(kernel_size: int, strides: int, filters: tuple[int, ...]) -> keras.Model:
    """Build the network as the original study did: 2-D convolutions over (samples, leads, 1)."""
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


def test_cnn_is_that_of_the_report_in_one_dimension():
    model = MODELS["cnn"].build(cnn_settings(), (5000, 4))
    assert [layer.count_params() for layer in model.layers if layer.weights] == REPORT_COUNTS
    assert model.count_params() == 2_598_145
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == 2_595_201
    assert model.layers[0].output.shape == (None, 951, 256)
    # Copied weights, 1-D and 2-D, in inference and with moving statistics that matter.
    filters = (16, 12, 12, 8, 6)
    one = MODELS["cnn"].build(cnn_settings(250, 50, filters=filters), (5000, 4))
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


@pytest.mark.parametrize(
    ("settings", "shape", "message"),
    [
        (cnn_settings(5001, 1), (5000, 4), "kernel_size: expected .* Received: .*5001"),
        (cnn_settings(250, 1000), (5000, 4), "strides: expected .* Received: .*1000"),
        (cnn_settings(4985, 1), (5000, 4), "strides: expected .* Received: .*1"),
        (resnet_settings(filters=(4, 4)), (48, 2), "kernel: expected at most the 6 of 48 samples"),
        (resnet_settings(filters=(4,) * 5), (350, 2), "kernel: expected at most the 6 of 350"),
        # few filters on long inputs end the process: a fault of oneDNN
        (resnet_settings(filters=(12, 8)), (5000, 4), "filters: expected 16 or more"),
    ],
)
def test_networks_that_do_not_fit_their_inputs_are_refused(settings, shape, message):
    with pytest.raises(InputError, match=rf"^model\.{message}"):
        MODELS[settings.name].check(settings, shape)
    MODELS["resnet"].check(resnet_settings(filters=(12, 8)), (350, 12))
    MODELS["resnet"].check(resnet_settings(filters=(16, 8)), (5000, 4))


@pytest.mark.parametrize(
    ("settings", "shape", "n_dropouts"),
    [
        (CnnSettings(strides=125, filters=(4,) * 3, dropout=0.2, bn_momentum=0.7), (5000, 4), 2),
        (DnnSettings(bn_momentum=0.7), (117,), 0),
        (ResnetSettings(filters=(4, 4), dropout=0.2, bn_momentum=0.7), (350, 12), 2),
        (TwoBranchSettings(filters=(4,), dropout=0.2, bn_momentum=0.7, l2=0.05), (7, 50, 3), 2),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_settings_reach_the_layers_of_networks_that_give_probabilities(settings, shape, n_dropouts):
    model = MODELS[settings.name].build(settings, shape)
    momenta = {m.momentum for m in model.layers if isinstance(m, layers.BatchNormalization)}
    assert momenta == {0.7}
    rates = [one.rate for one in model.layers if isinstance(one, layers.Dropout)]
    assert rates == [0.2] * n_dropouts
    penalties = [getattr(one, "kernel_regularizer", None) for one in model.layers]
    l2 = [float(one.l2) for one in penalties if one is not None]
    assert l2 == pytest.approx([settings.l2] if hasattr(settings, "l2") else [])
    X = np.random.default_rng(0).normal(size=(5, *model.input_shape[1:])).astype(np.float32)
    y_score = keras.ops.convert_to_numpy(model(X))
    assert y_score.shape == (5, 1)
    assert ((y_score > 0) & (y_score < 1)).all()
