"""Programs: what trains and scores a Keras model, built once for all folds."""

from collections.abc import Callable, Sequence
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
    """A Keras model with what trains and scores it.

    It serves all settings that do not change the computation: learning rate, penalty, epochs,
    seed. It may hold several networks side by side; lists that go in and out have a part for each.

    Attributes:
        n_parameters: Of one network, trainable or not.
        setup_seconds: Spent so far on tracing and compiling.
    """

    def __init__(self, model: "keras.Model", batch_size: int) -> None:
        """Take a new model with one sigmoid output, and the records a step."""
        self._model, self._batch_size = model, batch_size
        self._variables = list(model.variables)  # compiled, a model has others behind them
        self._blank = Program.values(self, 0)
        self._penalized = [one for one in model.layers if getattr(one, "kernel_regularizer", None)]
        self._built_l2 = float(self._penalized[0].kernel_regularizer.l2) if self._penalized else 0.0
        self.n_parameters = int(model.count_params())
        self.setup_seconds = 0.0

    def max_parallel(self, sizes: Sequence[int]) -> int:
        """Return how many of the next trainings, on so many records each, it holds at once."""
        return 1

    def reset(self, seeds: Sequence[np.random.SeedSequence], l2: float | None) -> None:
        """Draw weights by a seed a network, clear the optimizer, and set the weight penalty.

        A penalty of None is that of the build.
        """
        raise NotImplementedError

    def place(self, parts: Sequence[tuple[Floats, Labels]]) -> Any:
        """Put inputs of shape (n_records, ...) and labels where it trains."""
        raise NotImplementedError

    def train(self, data: Any, orders: Sequence[Labels], learning_rate: float) -> Floats:
        """Train some epochs.

        Args:
            data: From `place`.
            orders: Of the records in each epoch, shape (n_epochs, n_records), one a network.
            learning_rate: Of Adam.

        Returns:
            Sums of losses (with penalties) and right answers in training mode, shape
            (n_networks, n_epochs, n_parts, 2), where the parts of an epoch make all its records.
        """
        raise NotImplementedError

    def scores(self, parts: Sequence[Floats]) -> list[Floats]:
        """Return P(label = 1) in inference mode, shape (n_records,), of each network's records."""
        raise NotImplementedError

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


def new_program(
    build: "Callable[[], keras.Model]",
    batch_size: int,
    precision: str,
    side_by_side: int | None = None,
) -> Program:
    """Build a model, and what trains and scores it, on the backend that was started.

    Args:
        build: Returns a new model with one sigmoid output.
        batch_size: Records a step.
        precision: In which its layers compute. Weights, output and loss are float32 in any case.
        side_by_side: Networks that it trains at once, at most; None for what pays.
    """
    from keras import backend, config

    policy = config.dtype_policy()
    try:
        config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
        model = build()
    finally:
        config.set_dtype_policy(policy)
    model.layers[-1].dtype_policy = "float32"  # 8 bits of a probability rank nobody
    if backend.backend() != "tensorflow":
        from lvh.models.backends.keras_fit import FitProgram

        return FitProgram(model, batch_size)
    from lvh.models.backends.graph import GraphProgram
    from lvh.models.backends.stack import StackProgram, is_dense

    if is_dense(model):
        return StackProgram(model, batch_size, side_by_side)
    return GraphProgram(model, batch_size)
