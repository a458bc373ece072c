"""What the variables of a Keras model hold, on any backend, as NumPy arrays."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.models.backends.draws import glorot_uniform

if TYPE_CHECKING:
    import keras

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def values_of(variables: list[Any]) -> list[npt.NDArray[Any]]:
    """Return copies of what some variables hold."""
    import keras

    # copies: what is returned may share memory with a variable that changes in place
    return [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in variables]


def assign(variables: list[Any], values: list[npt.NDArray[Any]]) -> None:
    """Give some variables values."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def drawn(
    model: "keras.Model", blank: list[npt.NDArray[Any]], seed: np.random.SeedSequence
) -> list[npt.NDArray[Any]]:
    """Return what the variables of a new build under a seed hold; the model stays as it is.

    Kernels are the same on every backend.

    Args:
        model: Whose layers say what is drawn.
        blank: What its variables held when it was built; kernels are replaced, and seeds of
            dropout.
        seed: Of all draws.
    """
    import keras

    values = list(blank)
    at = {id(variable): number for number, variable in enumerate(model.variables)}
    draws = iter(seed.generate_state(2 * len(model.layers)))
    for layer in model.layers:
        of_kernel, of_noise = int(next(draws)), next(draws)
        initializer = getattr(layer, "kernel_initializer", None)
        if isinstance(initializer, keras.initializers.GlorotUniform):
            values[at[id(layer.kernel)]] = glorot_uniform(tuple(layer.kernel.shape), of_kernel)
        elif initializer is not None:  # Keras's numbers differ from backend to backend
            config = {**initializer.get_config(), "seed": of_kernel}
            kernel = type(initializer).from_config(config)(layer.kernel.shape)
            values[at[id(layer.kernel)]] = np.array(keras.ops.convert_to_numpy(kernel))
        if getattr(layer, "seed_generator", None) is not None:
            number = at[id(layer.seed_generator.state)]
            values[number] = np.array([of_noise, 0], np.uint32).astype(values[number].dtype)
    return values


def leading(keys: Sequence[int], at_most: int) -> int:
    """Return how many of the first keys are equal, or `at_most`."""
    return min(len(list(itertools.takewhile(lambda key: key == keys[0], keys))), at_most)


def penalized(model: "keras.Model") -> list[Any]:
    """Return the L2 regularizer of each layer that has one."""
    from keras import regularizers

    found = (getattr(layer, "kernel_regularizer", None) for layer in model.layers)
    return [one for one in found if isinstance(one, regularizers.L2)]
