"""A trained network as Keras's own file, for whoever wants it elsewhere; nothing here reads one."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from lvh.backends.state import assign

if TYPE_CHECKING:
    import keras

SUFFIX = ".keras"


class Exporter:
    """Writes the trainings of one build as `.keras` files that need Keras alone."""

    def __init__(self, build: "Callable[[], keras.Model]") -> None:
        """Build the network, and its like of Keras's own layers.

        Args:
            build: From `lvh.models`.
        """
        import keras

        self._own = build()
        self._plain = keras.models.clone_model(self._own, clone_function=_plain)

    def exported(self, values: list[npt.NDArray[Any]]) -> bytes:
        """Return a training as a file that `keras.saving.load_model` reads in safe mode.

        Args:
            values: Of all variables, from `Program.values`.
        """
        assign(self._own.variables, values)
        self._plain.set_weights(self._own.get_weights())
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"network{SUFFIX}"
            self._plain.save(path)
            return path.read_bytes()


def _plain(layer: Any) -> Any:
    """Return a layer of Keras for one of ours, which computes the same, only faster."""
    import keras

    if not isinstance(layer, keras.Layer):
        return layer
    kind: Any = next(one for one in type(layer).__mro__ if one.__module__.startswith("keras."))
    return kind.from_config(layer.get_config())
