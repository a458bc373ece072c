"""Programs: what trains and scores a Keras model, built once for all folds."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Weights = list[npt.NDArray[Any]]
"""The value of each variable of a model, in the order of `model.variables`."""


class Program(Protocol):
    """A Keras model with what trains and scores it; it may hold several networks side by side.

    It serves all settings that do not change the computation: learning rate, penalty, epochs,
    seed. Lists that go in and out have one part a network.
    """

    n_parameters: int
    """Of one network, trainable or not."""
    setup_seconds: float
    """Spent so far on building, tracing and compiling, after the program was made."""

    def max_parallel(self, sizes: Sequence[int]) -> int:
        """Return how many of the next trainings, on so many records each, it holds at once."""

    def reset(self, seeds: Sequence[np.random.SeedSequence], l2: float | None) -> None:
        """Draw weights by a seed a network, clear the optimizer, and set the weight penalty.

        None stands for the penalty of the build.
        """

    def place(self, parts: Sequence[tuple[Floats, Labels]]) -> Any:
        """Put inputs of shape (n_records, ...) and labels where it trains."""

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

    def scores(self, parts: Sequence[Floats]) -> list[Floats]:
        """Return P(label = 1) in inference mode, shape (n_records,), of each network's records."""

    def values(self, at: int) -> Weights:
        """Return copies of all variables of one network."""

    def assign(self, at: int, values: Weights) -> None:
        """Give one network what `values` returned."""


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
    if backend.backend() == "tensorflow":
        from lvh.models.backends.graph import GraphProgram

        return GraphProgram(model, batch_size, side_by_side)
    from lvh.models.backends.keras_fit import FitProgram

    return FitProgram(model, batch_size)


def initial_weights(model: "keras.Model", blank: Weights, seed: np.random.SeedSequence) -> Weights:
    """Draw the weights that a new network begins with; the model stays as it is.

    Args:
        model: Whose layers have the initializers. No layer is a model itself.
        blank: What its variables held when it was built; kernels, and the seeds of dropout, are
            replaced.
        seed: Decides all draws; each layer has draws of its own.
    """
    values = list(blank)
    number_of = {id(variable): number for number, variable in enumerate(model.variables)}
    draws = iter(seed.generate_state(2 * len(model.layers)))
    for layer in model.layers:
        of_kernel, of_dropout = int(next(draws)), next(draws)
        if (initializer := getattr(layer, "kernel_initializer", None)) is not None:
            config = {**initializer.get_config(), "seed": of_kernel}
            kernel = type(initializer).from_config(config)(layer.kernel.shape)
            values[number_of[id(layer.kernel)]] = np.array(kernel)
        if getattr(layer, "seed_generator", None) is not None:
            number = number_of[id(layer.seed_generator.state)]
            values[number] = np.array([of_dropout, 0], np.uint32).astype(values[number].dtype)
    return values


def penalized(model: "keras.Model") -> list[Any]:
    """Return the layers whose kernel has a penalty."""
    return [one for one in model.layers if getattr(one, "kernel_regularizer", None) is not None]


def built_l2(model: "keras.Model") -> float:
    """Return the weight penalty that a model was built with; 0 for none."""
    return float(next((layer.kernel_regularizer.l2 for layer in penalized(model)), 0.0))
