"""`resnet`: a small residual network on waveforms; `two_branch`: with a dense layer in parallel.

He et al., "Deep Residual Learning for Image Recognition", 2016; Wang, Yan and Oates, "Time Series
Classification from Scratch with Deep Neural Networks", 2017.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, Strict

from lvh.errors import InputError
from lvh.validation.bounds import NotNegative, Samples, Share, Width, Widths

_LONG, _FEWEST = 1000, 16
"""Fewer filters than these over longer inputs abort TensorFlow 2.21 on a processor (oneDNN)."""

if TYPE_CHECKING:
    import keras


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


def check(settings: "ResnetSettings | TwoBranchSettings", input_shape: tuple[int, ...]) -> None:
    """Raise InputError unless the first stage is wide, and inputs of this shape are long enough."""
    n_samples, n_stages = input_shape[0], len(settings.filters)
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


def build(settings: ResnetSettings, input_shape: tuple[int, ...]) -> "keras.Model":
    """Build the network for inputs of shape (n_samples, n_leads); its output is P(label = 1)."""
    check(settings, input_shape)
    import keras

    inputs = keras.Input(input_shape)
    outputs = keras.layers.Dense(1, activation="sigmoid")(_pooled(settings, inputs))
    return keras.Model(inputs, outputs, name="resnet")


def _pooled(settings: Any, inputs: Any) -> Any:
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


def check_two_branch(settings: TwoBranchSettings, input_shape: tuple[int, ...]) -> None:
    """Raise InputError unless beats of this shape are long enough."""
    check(settings, input_shape[1:])


def build_two_branch(settings: TwoBranchSettings, input_shape: tuple[int, ...]) -> "keras.Model":
    """Build the network for rows of n_measured values, then n_samples of n_leads each."""
    check_two_branch(settings, input_shape)
    import keras
    from keras import layers

    from lvh.models.fast_layers import BatchNormalization, Dropout

    n_measured, n_samples, n_leads = input_shape
    inputs = keras.Input((n_measured + n_samples * n_leads,))
    # of different units, mV, s and points: standardized as they come in
    measured = BatchNormalization(momentum=settings.bn_momentum)(inputs[:, :n_measured])
    measured = layers.Dense(
        settings.units, activation="relu", kernel_regularizer=keras.regularizers.L2(settings.l2)
    )(measured)
    beats = layers.Reshape((n_samples, n_leads))(inputs[:, n_measured:])
    joined = layers.Concatenate()([measured, _pooled(settings, beats)])
    outputs = layers.Dense(1, activation="sigmoid")(Dropout(settings.dropout)(joined))
    return keras.Model(inputs, outputs, name="two_branch")
