"""`resnet`: a small residual convolutional network on waveforms.

Blocks of two convolutions with a shortcut (He et al., "Deep Residual Learning for Image
Recognition", 2016), in one dimension over the leads as channels (Wang, Yan and Oates, "Time Series
Classification from Scratch with Deep Neural Networks", 2017).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, Strict

from lvh.errors import InputError
from lvh.validation.bounds import Samples, Share, Widths

_LONG, _FEWEST = 1000, 16
"""TensorFlow 2.21 on a processor (oneDNN) writes where it may not, and aborts, when fewer filters
than these move over 5000 samples in strides of 2; over some hundreds it was not seen to."""

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True)
class ResnetSettings:
    """Settings of the residual network.

    Attributes:
        filters: Filters of each stage; the first also of the stem. The stem and every stage halve
            the number of steps.
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


def check(settings: ResnetSettings, input_shape: tuple[int, ...]) -> None:
    """Raise InputError unless inputs of this shape are long enough, and the first stage is wide.

    Padding keeps any input long enough to compute, but a kernel that is longer than what it moves
    over sees zeros for the most part.
    """
    n_samples, n_stages = input_shape[0], len(settings.filters)
    if settings.kernel > n_samples:
        raise InputError(
            f"model.kernel: expected at most the {n_samples} samples of a record. "
            f"Received: {settings.kernel}"
        )
    left = -(-n_samples // 2 ** (1 + n_stages))  # the stem and every stage halve it
    if left < settings.kernel:
        raise InputError(
            f"model.filters: expected so few stages that the last leaves a kernel its "
            f"{settings.kernel} steps. Received: {n_stages} stages, which leave "
            f"{left} of {n_samples} samples"
        )
    if n_samples > _LONG and settings.filters[0] < _FEWEST:
        raise InputError(
            f"model.filters: expected {_FEWEST} or more in the first stage, on inputs of "
            f"{n_samples} samples. Received: {settings.filters[0]}"
        )


def build(settings: ResnetSettings, input_shape: tuple[int, ...]) -> "keras.Model":
    """Build the network for inputs of shape (n_samples, n_leads); its output is P(LVH).

    All its layers are the model's own, not those of a model inside: what draws the weights looks
    for them there.
    """
    check(settings, input_shape)
    import keras
    from keras import layers

    inputs = keras.Input(input_shape)
    outputs = layers.Dense(1, activation="sigmoid")(pooled(settings, inputs))
    return keras.Model(inputs, outputs, name="resnet")


def pooled(settings: ResnetSettings, inputs: Any) -> Any:
    """Return the mean over time of the last stage's outputs, shape (n_records, n_filters)."""
    from keras import layers

    steps = layers.ReLU()(_convolved(settings, inputs, settings.filters[0], strides=2))
    for filters in settings.filters:
        for block in range(settings.blocks):
            steps = _residual(settings, steps, filters, strides=2 if block == 0 else 1)
    return layers.GlobalAveragePooling1D()(steps)


def _residual(settings: ResnetSettings, inputs: Any, filters: int, strides: int) -> Any:
    """Add two convolutions to a shortcut, itself a convolution where the shape changes."""
    from keras import layers

    from lvh.models.fast_layers import Dropout

    branch = layers.ReLU()(_convolved(settings, inputs, filters, strides))
    branch = Dropout(settings.dropout)(branch)
    branch = _convolved(settings, branch, filters)
    if strides > 1 or inputs.shape[-1] != filters:
        inputs = _convolved(settings, inputs, filters, strides, kernel=1)
    return layers.ReLU()(layers.Add()([branch, inputs]))


def _convolved(
    settings: ResnetSettings, inputs: Any, filters: int, strides: int = 1, kernel: int | None = None
) -> Any:
    """Convolve and normalize; the normalization has the bias."""
    from keras import layers

    from lvh.models.fast_layers import BatchNormalization

    convolution = layers.Conv1D(
        filters, kernel or settings.kernel, strides=strides, padding="same", use_bias=False
    )
    return BatchNormalization(momentum=settings.bn_momentum)(convolution(inputs))
