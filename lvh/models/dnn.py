"""`dnn`: the original study's dense network on tabular inputs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lvh.validation.bounds import NotNegative, Share, Width

if TYPE_CHECKING:
    import keras


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


def check(settings: DnnSettings, input_shape: tuple[int, ...]) -> None:
    """Accept any number of inputs."""


def build(settings: DnnSettings, input_shape: tuple[int, ...]) -> "keras.Model":
    """Build the network for inputs of shape (n_inputs,); its output is P(label = 1), shape (1,)."""
    import keras
    from keras import layers

    from lvh.models.fast_layers import BatchNormalization

    first, second, third = settings.units
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Dense(first, activation="relu"),
            BatchNormalization(momentum=settings.bn_momentum),
            layers.Dense(
                second, activation="relu", kernel_regularizer=keras.regularizers.L2(settings.l2)
            ),
            BatchNormalization(momentum=settings.bn_momentum),
            layers.Dense(third, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ],
        name="dnn",
    )
