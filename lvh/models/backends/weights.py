"""The variables of Keras models as NumPy arrays: initial ones by a seed, and trained ones."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras

Weights = list[npt.NDArray[Any]]
"""The value of each variable of a model, in the order of `model.variables`."""


def values_of(variables: Iterable[Any]) -> Weights:
    """Return copies of the values of some variables."""
    import keras

    # a converted variable may share memory with one that changes in place
    return [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in variables]


def assign(variables: Iterable[Any], values: Iterable[npt.NDArray[Any]]) -> None:
    """Give some variables values."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def initial_weights(model: "keras.Model", blank: Weights, seed: np.random.SeedSequence) -> Weights:
    """Draw the weights that a new network begins with; the model stays as it is.

    Args:
        model: Whose layers have the initializers. No layer is a model itself.
        blank: What its variables held when it was built; kernels, and the seeds of dropout, are
            replaced.
        seed: Decides all draws; each layer has draws of its own.
    """
    import keras

    values = list(blank)
    number_of = {id(variable): number for number, variable in enumerate(model.variables)}
    draws = iter(seed.generate_state(2 * len(model.layers)))
    for layer in model.layers:
        of_kernel, of_dropout = int(next(draws)), next(draws)
        initializer = getattr(layer, "kernel_initializer", None)
        if initializer is not None:
            config = {**initializer.get_config(), "seed": of_kernel}
            kernel = type(initializer).from_config(config)(layer.kernel.shape)
            values[number_of[id(layer.kernel)]] = np.array(keras.ops.convert_to_numpy(kernel))
        if getattr(layer, "seed_generator", None) is not None:
            number = number_of[id(layer.seed_generator.state)]
            values[number] = np.array([of_dropout, 0], np.uint32).astype(values[number].dtype)
    return values


def built_l2(model: "keras.Model") -> float:
    """Return the weight penalty that a model was built with; 0 for none."""
    penalties = (getattr(layer, "kernel_regularizer", None) for layer in model.layers)
    return float(next((one.l2 for one in penalties if one is not None), 0.0))
