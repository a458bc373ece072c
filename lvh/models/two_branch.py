"""`two_branch`: a residual network on beats and a dense layer on what is measured, side by side.

Each half becomes a few numbers on its own, and a single unit weighs them together.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lvh.models import resnet
from lvh.models.resnet import ResnetSettings
from lvh.validation.bounds import NotNegative, Samples, Share, Width, Widths

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True)
class TwoBranchSettings:
    """Settings of the network of two branches.

    Attributes:
        filters: Filters of each stage of the convolutional branch, which is `resnet` with one
            block a stage.
        kernel: Steps that its convolutions span.
        units: Width of the dense branch.
        l2: Weight penalty of the dense branch.
        dropout: Share of activations dropped inside each block, and of what both branches give.
        bn_momentum: Of the moving statistics of batch normalization.
    """

    name: Literal["two_branch"] = "two_branch"
    filters: Widths = (16, 32, 64)
    kernel: Samples = 7
    units: Width = 32
    l2: NotNegative = 0.001
    dropout: Share = 0.3
    bn_momentum: Share = 0.9


def check(settings: TwoBranchSettings, input_shape: tuple[int, ...]) -> None:
    """Raise InputError unless beats of this shape are long enough."""
    resnet.check(_of_beats(settings), input_shape[1:])


def build(settings: TwoBranchSettings, input_shape: tuple[int, ...]) -> "keras.Model":
    """Build the network; its output is P(LVH).

    Args:
        settings: Of the network.
        input_shape: (n_measured, n_samples, n_leads). A record is one row of all of them, what is
            measured first: it is cut inside.
    """
    check(settings, input_shape)
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
    joined = layers.Concatenate()([measured, resnet.pooled(_of_beats(settings), beats)])
    outputs = layers.Dense(1, activation="sigmoid")(Dropout(settings.dropout)(joined))
    return keras.Model(inputs, outputs, name="two_branch")


def _of_beats(settings: TwoBranchSettings) -> ResnetSettings:
    return ResnetSettings(
        name="resnet",
        filters=settings.filters,
        blocks=1,
        kernel=settings.kernel,
        dropout=settings.dropout,
        bn_momentum=settings.bn_momentum,
    )
