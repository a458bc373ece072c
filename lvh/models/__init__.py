"""Models: each builds a Keras model for one input shape. A new one adds a line here."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lvh.models import cnn, dnn, resnet

if TYPE_CHECKING:
    import keras

Kind = Literal["tabular", "signal"]

__all__ = ["MODELS", "Architecture"]


class Architecture(NamedTuple):
    """A model: its settings and what they decide for one input shape."""

    settings: type
    build: Callable[[Any, tuple[int, ...]], "keras.Model"]
    check: Callable[[Any, tuple[int, ...]], object]
    """Raises InputError where the shape does not fit; costs nothing."""
    inputs: Kind


MODELS = {
    "cnn": Architecture(cnn.CnnSettings, cnn.build, cnn.check, "signal"),
    "dnn": Architecture(dnn.DnnSettings, dnn.build, dnn.check, "tabular"),
    "resnet": Architecture(resnet.ResnetSettings, resnet.build, resnet.check, "signal"),
}
