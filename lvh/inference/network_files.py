"""A trained network as Keras's own file, for whoever wants it elsewhere; nothing here reads one."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from lvh.models.backends.state import assign

if TYPE_CHECKING:
    import keras

SUFFIX = ".keras"


def exported(
    build: "Callable[[], keras.Model]", trainings: Iterable[list[npt.NDArray[Any]]]
) -> Iterator[bytes]:
    """Yield each training as a file that `keras.saving.load_model` reads in safe mode.

    It needs no layer of this package.

    Args:
        build: From `lvh.models`.
        trainings: The values of all variables, each from `Program.values`.
    """
    import keras

    own = build()
    plain = keras.models.clone_model(own, clone_function=_plain)
    for values in trainings:
        assign(own.variables, values)
        plain.set_weights(own.get_weights())
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"network{SUFFIX}"
            plain.save(path)
            yield path.read_bytes()


def _plain(layer: Any) -> Any:
    """Return a layer of Keras for one of ours, which computes the same, only faster."""
    import keras

    if not isinstance(layer, keras.Layer):
        return layer
    kind: Any = next(one for one in type(layer).__mro__ if one.__module__.startswith("keras."))
    return kind.from_config(layer.get_config())
