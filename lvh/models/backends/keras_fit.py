"""JAX and PyTorch: networks trained and scored by Keras's own `compile`, `fit` and `predict`."""

import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from lvh.models.backends.program import Floats, Labels, Program


class FitProgram(Program):
    """One network that Keras trains, epoch by epoch, in an order that is given."""

    _l2 = -1.0
    _warm_sizes: frozenset[int] = frozenset()

    def max_parallel(self, sizes: Sequence[int]) -> int:
        """Return 1."""
        return 1

    def reset(self, seeds: Sequence[np.random.SeedSequence], l2: float | None) -> None:
        """Begin a training."""
        (seed,) = seeds
        l2 = self._built_l2 if l2 is None else l2
        if l2 != self._l2:  # a compiled step has it as a constant
            for layer in self._penalized:
                layer.kernel_regularizer.l2 = l2
            adam = keras.optimizers.Adam()
            self._model.compile(adam, "binary_crossentropy", metrics=["accuracy"])
            adam.build(self._model.trainable_variables)
            self._l2, self._warm_sizes = l2, frozenset()
        for variable in self._model.optimizer.variables:
            variable.assign(keras.ops.zeros_like(variable.value))
        self.assign(0, self.initial_weights(seed))
        keras.utils.set_random_seed(int(seed.generate_state(1)[0]))  # of dropout, on PyTorch

    def place(self, parts: Sequence[tuple[Floats, Labels]]) -> tuple[Floats, Labels]:
        """Leave the records in memory."""
        return parts[0]

    def train(self, data: Any, orders: Sequence[Labels], learning_rate: float) -> Floats:
        """Train some epochs. What Keras logs are means: an epoch is one step."""
        X, y = data
        self._warm_up(X, y)
        self._model.optimizer.learning_rate.assign(learning_rate)
        means = [self._fit(X[order], y[order]) for order in orders[0]]
        return np.array(means, np.float32)[None, :, None] * len(y)

    def scores(self, parts: Sequence[Floats]) -> list[Floats]:
        """Return P(label = 1) in inference mode."""
        return [self._model.predict(parts[0], batch_size=self._batch_size, verbose=0)[:, 0]]

    def _fit(self, X: Floats, y: Labels) -> tuple[float, float]:
        log = self._model.fit(X, y, batch_size=self._batch_size, shuffle=False, verbose=0).history
        return log["loss"][0], log["accuracy"][0]

    def _warm_up(self, X: Floats, y: Labels) -> None:
        """Compile for a full and the last partial batch; that is no time of a training."""
        n_needed = min(len(y), self._batch_size + len(y) % self._batch_size)
        if n_needed in self._warm_sizes:
            return
        started = time.perf_counter()
        optimizer = self._model.optimizer.variables
        state = self.values(0), [keras.ops.copy(variable.value) for variable in optimizer]
        self._fit(np.zeros_like(X[:n_needed]), y[:n_needed])
        self.assign(0, state[0])
        for variable, value in zip(optimizer, state[1], strict=True):
            variable.assign(value)
        self._warm_sizes |= {n_needed}
        self.setup_seconds += time.perf_counter() - started
