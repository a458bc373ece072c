"""Programs: what trains and scores a Keras model, built once for all folds."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Weights = list[npt.NDArray[Any]]
"""The value of each variable of a model, in the order of `model.variables`."""


class Program:
    """A Keras model with what trains and scores it, for all folds and settings of its shape.

    It may hold several networks side by side; lists that go in and out have a part for each.
    """

    rebuild: "Callable[[], keras.Model] | None" = None
    """Builds the model again, with new weights, where its layers are not known."""

    def __init__(self, model: "keras.Model", batch_size: int) -> None:
        """Take a new model with one sigmoid output, and the records a step."""
        self._model, self._batch_size = model, batch_size
        self._variables = list(model.variables)  # compiled, a model has others behind them
        self._blank = Program.values(self, 0)
        self._penalized = [one for one in model.layers if getattr(one, "kernel_regularizer", None)]
        self._built_l2 = float(self._penalized[0].kernel_regularizer.l2) if self._penalized else 0.0
        self.n_parameters = int(model.count_params())
        self.setup_seconds = 0.0

    def values(self, at: int) -> Weights:
        """Return copies of all variables of one network."""
        from keras.ops import convert_to_numpy

        # copied: a converted variable may share memory with one that changes in place
        return [np.array(convert_to_numpy(variable.value)) for variable in self._variables]

    def assign(self, at: int, values: Weights) -> None:
        """Give one network what `values` returned."""
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)

    def initial_weights(self, seed: np.random.SeedSequence) -> Weights:
        """Draw the weights that a new network begins with; each layer has draws of its own."""
        if self.rebuild is not None:
            from keras import ops, utils

            utils.set_random_seed(int(seed.generate_state(1)[0]))
            new = self.rebuild()
            return [np.array(ops.convert_to_numpy(variable.value)) for variable in new.variables]
        values = list(self._blank)
        number_of = {id(variable): number for number, variable in enumerate(self._variables)}
        draws = iter(seed.generate_state(2 * len(self._model.layers)))
        for layer in self._model.layers:
            of_kernel, of_dropout = int(next(draws)), next(draws)
            if initializer := getattr(layer, "kernel_initializer", None):
                config = {**initializer.get_config(), "seed": of_kernel}
                kernel = type(initializer).from_config(config)(layer.kernel.shape)
                values[number_of[id(layer.kernel)]] = np.array(kernel)
            if generator := getattr(layer, "seed_generator", None):
                number = number_of[id(generator.state)]
                values[number] = np.array([of_dropout, 0], np.uint32).astype(values[number].dtype)
        return values
