"""JAX and PyTorch: networks trained and scored by Keras's own `compile`, `fit` and `predict`."""

import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from lvh.models.backends.weights import Weights, assign, built_l2, initial_weights, values_of

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


class FitProgram:
    """One network that Keras trains, epoch by epoch, in an order that is given."""

    def __init__(self, model: keras.Model, batch_size: int) -> None:
        """Take a new model with one sigmoid output, and the records a step."""
        self._model, self._batch_size = model, batch_size
        self._blank = values_of(model.variables)
        self._built_l2, self._compiled_l2 = built_l2(model), -1.0
        self._sizes: set[int] = set()
        self.setup_seconds = 0.0

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        return int(sum(value.size for value in self._blank if value.dtype == np.float32))

    def max_parallel(self, sizes: Sequence[int]) -> int:
        """Return 1."""
        return 1

    def reset(self, seeds: Sequence[np.random.SeedSequence], l2: float | None) -> None:
        """Begin a training: draw weights by the seed, and clear the optimizer."""
        (seed,) = seeds
        self._compile(self._built_l2 if l2 is None else l2)
        for variable in self._model.optimizer.variables:
            variable.assign(keras.ops.zeros_like(variable.value))
        assign(self._variables, initial_weights(self._model, self._blank, seed))
        keras.utils.set_random_seed(int(seed.generate_state(1)[0]))  # of dropout, on PyTorch

    def place(self, parts: Sequence[tuple[Floats, Labels]]) -> tuple[Floats, Labels]:
        """Leave the records in memory."""
        ((X, y),) = parts
        return X, y

    def train(self, data: Any, orders: Sequence[Labels], learning_rate: float) -> Floats:
        """Train some epochs; see `Program`. What Keras logs are means: an epoch is one step."""
        (X, y), (of_epochs,) = data, orders
        self._warm_up(X, len(y))
        self._model.optimizer.learning_rate.assign(learning_rate)
        means = [self._fit(X[order], y[order]) for order in of_epochs]
        return np.array(means, np.float32)[None, :, None] * len(y)

    def scores(self, parts: Sequence[Floats]) -> list[Floats]:
        """Return P(label = 1) in inference mode."""
        (X,) = parts
        return [self._model.predict(X, batch_size=self._batch_size, verbose=0)[:, 0]]

    def values(self, at: int) -> Weights:
        """Return copies of all variables of the model."""
        return values_of(self._variables)

    def assign(self, at: int, values: Weights) -> None:
        """Give the model what `values` returned."""
        assign(self._variables, values)

    @property
    def _variables(self) -> Any:
        """Those of the network: a compiled model has others, of its metrics, behind them."""
        return self._model.variables[: len(self._blank)]

    def _fit(self, X: Floats, y: Labels) -> tuple[float, float]:
        log = self._model.fit(
            X, y, batch_size=self._batch_size, epochs=1, shuffle=False, verbose=0
        ).history
        return log["loss"][0], log["accuracy"][0]

    def _compile(self, l2: float) -> None:
        """Compile at first, and where the penalty changes: a compiled step has it as a constant."""
        if l2 == self._compiled_l2:
            return
        for layer in self._model.layers:
            if getattr(layer, "kernel_regularizer", None) is not None:
                layer.kernel_regularizer.l2 = l2
        self._model.compile(keras.optimizers.Adam(), "binary_crossentropy", metrics=["accuracy"])
        self._model.optimizer.build(self._model.trainable_variables)
        self._compiled_l2 = l2
        self._sizes.clear()

    def _warm_up(self, X: Floats, n_records: int) -> None:
        """Compile for a full and the last partial batch; that is no time of a training."""
        partial = n_records % self._batch_size
        n_needed = min(n_records, self._batch_size + partial)
        if n_needed in self._sizes:
            return
        started = time.perf_counter()
        variables = [*self._variables, *self._model.optimizer.variables]
        held = values_of(variables)
        self._fit(np.zeros_like(X[:n_needed]), np.zeros(n_needed, np.int64))
        assign(variables, held)
        self._sizes.add(n_needed)
        self.setup_seconds += time.perf_counter() - started
