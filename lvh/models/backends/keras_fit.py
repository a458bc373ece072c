"""JAX and PyTorch: networks trained and scored by Keras's own `compile`, `fit` and `predict`."""

import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from lvh.models.backends.program import (
    Floats,
    Labels,
    Weights,
    built_l2,
    initial_weights,
    penalized,
)


class FitProgram:
    """One network that Keras trains, epoch by epoch, in an order that is given; see `Program`."""

    def __init__(self, model: keras.Model, batch_size: int) -> None:
        """Take a new model with one sigmoid output, and the records a step."""
        self._model, self._batch_size = model, batch_size
        self._variables = list(model.variables)  # a compiled model has others, of its metrics, too
        self._blank = self.values(0)
        self._built_l2, self._l2 = built_l2(model), -1.0
        self._sizes: set[int] = set()
        self.n_parameters = sum(value.size for value in self._blank if value.dtype == np.float32)
        self.setup_seconds = 0.0

    def max_parallel(self, sizes: Sequence[int]) -> int:
        """Return 1."""
        return 1

    def reset(self, seeds: Sequence[np.random.SeedSequence], l2: float | None) -> None:
        """Begin a training: draw weights by the seed, and clear the optimizer."""
        (seed,) = seeds
        l2 = self._built_l2 if l2 is None else l2
        if l2 != self._l2:  # a compiled step has it as a constant
            for layer in penalized(self._model):
                layer.kernel_regularizer.l2 = l2
            self._model.compile(
                keras.optimizers.Adam(), "binary_crossentropy", metrics=["accuracy"]
            )
            self._model.optimizer.build(self._model.trainable_variables)
            self._l2, self._sizes = l2, set()
        for variable in self._model.optimizer.variables:
            variable.assign(keras.ops.zeros_like(variable.value))
        self.assign(0, initial_weights(self._model, self._blank, seed))
        keras.utils.set_random_seed(int(seed.generate_state(1)[0]))  # of dropout, on PyTorch

    def place(self, parts: Sequence[tuple[Floats, Labels]]) -> tuple[Floats, Labels]:
        """Leave the records in memory."""
        return parts[0]

    def train(self, data: Any, orders: Sequence[Labels], learning_rate: float) -> Floats:
        """Train some epochs. What Keras logs are means: an epoch is one part."""
        X, y = data
        self._warm_up(X, y)
        self._model.optimizer.learning_rate.assign(learning_rate)
        means = [self._fit(X[order], y[order]) for order in orders[0]]
        return np.array(means, np.float32)[None, :, None] * len(y)

    def scores(self, parts: Sequence[Floats]) -> list[Floats]:
        """Return P(label = 1) in inference mode."""
        return [self._model.predict(parts[0], batch_size=self._batch_size, verbose=0)[:, 0]]

    def values(self, at: int) -> Weights:
        """Return copies of all variables of the model."""
        return _values(self._variables)

    def assign(self, at: int, values: Weights) -> None:
        """Give the model what `values` returned."""
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)

    def _fit(self, X: Floats, y: Labels) -> tuple[float, float]:
        log = self._model.fit(X, y, batch_size=self._batch_size, shuffle=False, verbose=0).history
        return log["loss"][0], log["accuracy"][0]

    def _warm_up(self, X: Floats, y: Labels) -> None:
        """Compile for a full and the last partial batch; that is no time of a training."""
        n_needed = min(len(y), self._batch_size + len(y) % self._batch_size)
        if n_needed in self._sizes:
            return
        started = time.perf_counter()
        variables = [*self._variables, *self._model.optimizer.variables]
        held = _values(variables)
        self._fit(np.zeros_like(X[:n_needed]), y[:n_needed])
        for variable, value in zip(variables, held, strict=True):
            variable.assign(value)
        self._sizes.add(n_needed)
        self.setup_seconds += time.perf_counter() - started


def _values(variables: Sequence[Any]) -> Weights:
    # copied: a converted variable may share memory with one that changes in place
    return [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in variables]
