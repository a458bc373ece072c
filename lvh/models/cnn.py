"""`cnn`: the original study's convolutional network on waveforms, in one dimension.

The study convolves (samples, leads, 1) in two dimensions with a first kernel that spans all
leads; a 1-D convolution over the leads as channels is the same function with the same weights.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lvh.errors import InputError
from lvh.validation.bounds import Samples, Share, Widths

if TYPE_CHECKING:
    import keras

_LATER_KERNEL = 5


@dataclass(frozen=True, slots=True)
class CnnSettings:
    """Settings of the convolutional network.

    Attributes:
        kernel_size: Samples that the first convolution spans.
        strides: Samples by which it moves.
        filters: Filters of each convolution.
        dropout: Share of activations dropped after each block but the last.
        bn_momentum: Of the moving statistics of batch normalization.
    """

    name: Literal["cnn"] = "cnn"
    kernel_size: Samples = 250
    strides: Samples = 10
    filters: Widths = (256, 512, 512, 128, 64)
    dropout: Share = 0.5
    bn_momentum: Share = 0.99


def check(settings: CnnSettings, input_shape: tuple[int, ...]) -> None:
    """Raise InputError unless the convolutions fit into inputs of this shape."""
    n_samples = input_shape[0]
    if settings.kernel_size > n_samples:
        raise InputError(
            f"model.kernel_size: expected at most the {n_samples} samples of a record. "
            f"Received: {settings.kernel_size}"
        )
    first = (n_samples - settings.kernel_size) // settings.strides + 1
    needed = (len(settings.filters) - 1) * (_LATER_KERNEL - 1) + 1
    if first < needed:
        raise InputError(
            f"model.strides: expected the first convolution to leave {needed} steps or more for "
            f"those behind it. Received: strides={settings.strides}, "
            f"kernel_size={settings.kernel_size}, which leave {first} of {n_samples} samples"
        )


def build(settings: CnnSettings, input_shape: tuple[int, ...]) -> "keras.Model":
    """Build the network for inputs of shape (n_samples, n_leads); its output is P(label = 1)."""
    check(settings, input_shape)
    import keras
    from keras import layers

    from lvh.models.fast_layers import BatchNormalization, Conv1D, Dropout

    model = keras.Sequential([keras.Input(input_shape)], name="cnn")
    for block, filters in enumerate(settings.filters):
        if block == 0:
            model.add(layers.Conv1D(filters, settings.kernel_size, strides=settings.strides))
        else:
            model.add(Dropout(settings.dropout))
            model.add(Conv1D(filters, _LATER_KERNEL))
        model.add(BatchNormalization(momentum=settings.bn_momentum))
        model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling1D())
    model.add(layers.Dense(1, activation="sigmoid"))
    return model
