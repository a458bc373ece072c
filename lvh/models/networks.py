"""Networks: `dnn` and `cnn` of the original study, the residual `resnet`, and `two_branch`.

The study convolves (samples, leads, 1) in two dimensions with a first kernel that spans all
leads; a 1-D convolution over the leads as channels is the same function with the same weights.
Residual networks: He et al., "Deep Residual Learning for Image Recognition", 2016; Wang, Yan and
Oates, "Time Series Classification from Scratch with Deep Neural Networks", 2017.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, Strict

from lvh.errors import InputError
from lvh.validation.bounds import NotNegative, Samples, Share, Width, Widths

if TYPE_CHECKING:
    import keras

Shape = tuple[int, ...]
"""Of the inputs of one record."""

_LATER_KERNEL = 5
_LONG, _FEWEST = 1000, 16
"""Fewer filters than these over longer inputs abort TensorFlow 2.21 on a processor (oneDNN)."""


@dataclass(frozen=True, slots=True)
class DnnSettings:
    """Settings of the dense network.

    Attributes:
        units: Width of each hidden layer.
        l2: Weight penalty of the second hidden layer.
        bn_momentum: Of the moving statistics of batch normalization.
    """

    name: Literal["dnn"] = "dnn"
    units: tuple[Width, Width, Width] = (64, 32, 8)
    l2: NotNegative = 0.001
    bn_momentum: Share = 0.99


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


@dataclass(frozen=True, slots=True)
class ResnetSettings:
    """Settings of the residual network.

    Attributes:
        filters: Of each stage; the first also of the stem. Each halves the number of steps.
        blocks: Residual blocks a stage.
        kernel: Steps that a convolution spans.
        dropout: Share of activations dropped inside each block.
        bn_momentum: Of the moving statistics of batch normalization.
    """

    name: Literal["resnet"] = "resnet"
    filters: Widths = (32, 64, 128)
    blocks: Annotated[int, Strict(), Field(ge=1, le=100)] = 1
    kernel: Samples = 7
    dropout: Share = 0.3
    bn_momentum: Share = 0.9


@dataclass(frozen=True, slots=True)
class TwoBranchSettings:
    """Settings of the network of two branches, whose outputs a single unit weighs together.

    `units` and `l2`, a weight penalty, are of the dense branch; the others are those of a `resnet`
    of one block a stage. `dropout` is also that of what both branches give.
    """

    name: Literal["two_branch"] = "two_branch"
    blocks: ClassVar[int] = 1
    filters: Widths = (16, 32, 64)
    kernel: Samples = 7
    units: Width = 32
    l2: NotNegative = 0.001
    dropout: Share = 0.3
    bn_momentum: Share = 0.9


def check_cnn(settings: CnnSettings, input_shape: Shape) -> None:
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


def check_residual(settings: ResnetSettings | TwoBranchSettings, input_shape: Shape) -> None:
    """Raise InputError unless the first stage is wide, and the signals are long enough."""
    n_samples, n_stages = input_shape[-2], len(settings.filters)
    left = -(-n_samples // 2 ** (1 + n_stages))  # the stem and every stage halve it
    if left < settings.kernel:
        raise InputError(
            f"model.kernel: expected at most the {left} of {n_samples} samples that {n_stages} "
            f"stages (model.filters) leave. Received: {settings.kernel}"
        )
    if n_samples > _LONG and settings.filters[0] < _FEWEST:
        raise InputError(
            f"model.filters: expected {_FEWEST} or more in the first stage, on inputs of "
            f"{n_samples} samples. Received: {settings.filters[0]}"
        )


def build_dnn(settings: DnnSettings, input_shape: Shape) -> "keras.Model":
    """Build the network for inputs of shape (n_inputs,); its output is P(label = 1), shape (1,)."""
    import keras
    from keras import layers

    from lvh.models.fast_layers import BatchNormalization

    first, second, third = settings.units
    penalty = keras.regularizers.L2(settings.l2)
    steps = [
        keras.Input(input_shape),
        layers.Dense(first, activation="relu"),
        BatchNormalization(momentum=settings.bn_momentum),
        layers.Dense(second, activation="relu", kernel_regularizer=penalty),
        BatchNormalization(momentum=settings.bn_momentum),
        layers.Dense(third, activation="relu"),
        layers.Dense(1, activation="sigmoid"),
    ]
    return keras.Sequential(steps, name="dnn")


def build_cnn(settings: CnnSettings, input_shape: Shape) -> "keras.Model":
    """Build the network for inputs of shape (n_samples, n_leads)."""
    import keras
    from keras import layers

    from lvh.models.fast_layers import BatchNormalization, Conv1D, Dropout

    model = keras.Sequential([keras.Input(input_shape)], name="cnn")
    for block, filters in enumerate(settings.filters):
        if block == 0:
            model.add(Conv1D(filters, settings.kernel_size, strides=settings.strides))
        else:
            model.add(Dropout(settings.dropout))
            model.add(Conv1D(filters, _LATER_KERNEL))
        model.add(BatchNormalization(momentum=settings.bn_momentum))
        model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling1D())
    model.add(layers.Dense(1, activation="sigmoid"))
    return model


def build_resnet(settings: ResnetSettings, input_shape: Shape) -> "keras.Model":
    """Build the network for inputs of shape (n_samples, n_leads)."""
    import keras

    inputs = keras.Input(input_shape)
    outputs = keras.layers.Dense(1, activation="sigmoid")(_pooled(settings, inputs))
    return keras.Model(inputs, outputs, name="resnet")


def build_two_branch(settings: TwoBranchSettings, input_shape: Shape) -> "keras.Model":
    """Build the network for rows of n_measured values, then n_samples of n_leads each."""
    import keras
    from keras import layers

    from lvh.models.fast_layers import BatchNormalization, Dropout

    n_measured, n_samples, n_leads = input_shape
    inputs = keras.Input((n_measured + n_samples * n_leads,))
    # of different units, mV, s and points: standardized as they come in
    measured = BatchNormalization(momentum=settings.bn_momentum)(inputs[:, :n_measured])
    penalty = keras.regularizers.L2(settings.l2)
    dense = layers.Dense(settings.units, activation="relu", kernel_regularizer=penalty)
    measured = dense(measured)
    beats = layers.Reshape((n_samples, n_leads))(inputs[:, n_measured:])
    joined = layers.Concatenate()([measured, _pooled(settings, beats)])
    outputs = layers.Dense(1, activation="sigmoid")(Dropout(settings.dropout)(joined))
    return keras.Model(inputs, outputs, name="two_branch")


def _pooled(settings: ResnetSettings | TwoBranchSettings, inputs: Any) -> Any:
    """Return the mean over time of the last stage's outputs, shape (n_records, n_filters)."""
    from keras import layers

    from lvh.models.fast_layers import BatchNormalization, Dropout

    def convolved(inputs: Any, filters: int, strides: int = 1, kernel: int | None = None) -> Any:
        """Convolve and normalize; the normalization has the bias."""
        width = kernel or settings.kernel
        convolution = layers.Conv1D(filters, width, strides, padding="same", use_bias=False)
        return BatchNormalization(momentum=settings.bn_momentum)(convolution(inputs))

    def residual(inputs: Any, filters: int, strides: int) -> Any:
        """Add two convolutions to a shortcut, itself a convolution where the shape changes."""
        branch = layers.ReLU()(convolved(inputs, filters, strides))
        branch = convolved(Dropout(settings.dropout)(branch), filters)
        if strides > 1 or inputs.shape[-1] != filters:
            inputs = convolved(inputs, filters, strides, kernel=1)
        return layers.ReLU()(layers.Add()([branch, inputs]))

    steps = layers.ReLU()(convolved(inputs, settings.filters[0], strides=2))
    for filters in settings.filters:
        for block in range(settings.blocks):
            steps = residual(steps, filters, strides=2 if block == 0 else 1)
    return layers.GlobalAveragePooling1D()(steps)
