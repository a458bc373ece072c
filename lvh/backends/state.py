"""What the variables of a Keras model hold, on any backend, as NumPy arrays."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.backends.draws import glorot_uniform

if TYPE_CHECKING:
    import keras

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7  # of Adam, as in Keras


def values_of(variables: list[Any]) -> list[npt.NDArray[Any]]:
    """Return copies of what some variables hold."""
    import keras

    # copies: what is returned may share memory with a variable that changes in place
    return [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in variables]


def assign(variables: list[Any], values: list[npt.NDArray[Any]]) -> None:
    """Give some variables values."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def draw(model: "keras.Model", seed: np.random.SeedSequence) -> None:
    """Draw the kernels and the seeds of dropout; kernels are the same on every backend."""
    import keras

    draws = iter(seed.generate_state(2 * len(model.layers)))
    for layer in model.layers:
        of_kernel, of_noise = int(next(draws)), next(draws)
        initializer = getattr(layer, "kernel_initializer", None)
        if isinstance(initializer, keras.initializers.GlorotUniform):
            layer.kernel.assign(glorot_uniform(tuple(layer.kernel.shape), of_kernel))
        elif initializer is not None:  # Keras's numbers differ from backend to backend
            config = {**initializer.get_config(), "seed": of_kernel}
            layer.kernel.assign(type(initializer).from_config(config)(layer.kernel.shape))
        if getattr(layer, "seed_generator", None) is not None:
            state = layer.seed_generator.state
            state.assign(np.array([of_noise, 0], np.uint32).astype(state.dtype))


def penalized(model: "keras.Model") -> list[Any]:
    """Return the regularizer of each layer that has one."""
    found = (getattr(layer, "kernel_regularizer", None) for layer in model.layers)
    return [regularizer for regularizer in found if regularizer is not None]
