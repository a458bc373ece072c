"""Weights of trained networks as `.keras` files, and networks that predict with them.

Any Keras reads such a file in safe mode, without this package. This package takes only the weights
from it: it builds the architecture itself, from the settings in `model.json`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.errors import InputError
from lvh.models import MODELS
from lvh.models.backends import check_installed, cores, start

if TYPE_CHECKING:
    import keras

SUFFIX = ".keras"
_BATCH = 32  # limits the memory of the widest convolution's output


def write(
    path: Path, settings: Any, input_shape: tuple[int, ...], state: Sequence[npt.NDArray[Any]]
) -> None:
    """Write a network whose layers are Keras's own; it computes the same as ours.

    Args:
        path: File to write, which ends in `.keras`.
        settings: Settings of the model.
        input_shape: Shape of one record's input.
        state: Value of each variable of the network, from the trainer.
    """
    import keras

    model = _build(settings, input_shape)
    for variable, value in zip(model.variables, state, strict=True):
        variable.assign(value)
    plain = keras.models.clone_model(model, clone_function=_keras_layer)
    plain.set_weights(model.get_weights())
    plain.save(path)


class Networks:
    """The members of a final model: one network, which predicts with the weights of each."""

    def __init__(
        self, settings: Any, input_shape: tuple[int, ...], backend: str, paths: Sequence[Path]
    ) -> None:
        """Build the network, and read the weights of each member.

        Raises:
            EnvironmentFault: The backend is not installed.
            InputError: The process already uses another backend, or a file does not hold the
                weights of this network.
        """
        check_installed(backend)
        start(backend, None, cores())
        self._network = _build(settings, input_shape)
        self._weights: list[list[npt.NDArray[Any]]] = []
        for path in paths:
            try:
                self._network.load_weights(path)
            except Exception as error:  # an altered file makes HDF5 and Keras raise anything
                raise InputError(
                    f"expected the weights of this network. Received: {type(error).__name__} when "
                    "Keras reads them"
                ) from None
            self._weights.append(self._network.get_weights())

    def __call__(self, X: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return P(LVH) of each record by each member, shape (n_records, n_members)."""
        from keras import ops

        scores = []
        batches = [X[at : at + _BATCH] for at in range(0, len(X), _BATCH)]
        for weights in self._weights:
            self._network.set_weights(weights)
            outputs = [ops.convert_to_numpy(self._network(one, training=False)) for one in batches]
            scores.append(np.concatenate(outputs)[:, 0].astype(np.float64))
        return np.column_stack(scores)


def _build(settings: Any, input_shape: tuple[int, ...]) -> "keras.Model":
    architecture: Any = MODELS[settings.name]
    return architecture.build(settings, input_shape)


def _keras_layer(layer: Any) -> Any:
    """Return a layer of Keras in place of a faster one of ours that computes the same."""
    import keras

    if not isinstance(layer, keras.Layer):
        return layer
    kind: Any = next(one for one in type(layer).__mro__ if one.__module__.startswith("keras."))
    return kind.from_config(layer.get_config())
