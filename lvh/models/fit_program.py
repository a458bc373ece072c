"""The program of JAX and PyTorch: one network that Keras's own `fit` trains."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from lvh.models.graph_program import Floats, Labels, Program, Scores, assign


class FitProgram(Program):
    """One network that Keras's `compile`, `fit` and `predict` train and score."""

    _l2 = -1.0

    def reset(self, seeds: Sequence[np.random.SeedSequence], l2: float | None) -> None:
        """Begin a training; see `GraphProgram.reset`."""
        (seed,) = seeds
        l2 = self._built_l2 if l2 is None else l2
        if l2 != self._l2:  # a compiled step has it as a constant
            for layer in self._penalized:
                layer.kernel_regularizer.l2 = l2
            adam = keras.optimizers.Adam()
            self._model.compile(adam, "binary_crossentropy", metrics=["accuracy"])
            adam.build(self._model.trainable_variables)
            self._l2 = l2
        assign(self.optimizer(0), [keras.ops.zeros_like(one.value) for one in self.optimizer(0)])
        assign(self._variables, self.initial_weights(seed))
        keras.utils.set_random_seed(int(seed.generate_state(1)[0]))  # of dropout, on PyTorch

    def place(self, parts: Sequence[tuple[Floats, Labels]]) -> tuple[Floats, Labels]:
        """Leave the records in memory."""
        return parts[0]

    def train(self, data: Any, orders: Sequence[Labels], learning_rate: float) -> Floats:
        """Train some epochs; see `GraphProgram.train`."""
        X, y = data
        self._model.optimizer.learning_rate.assign(learning_rate)
        sums = []
        for order in orders[0]:
            logs = self._model.fit(
                X[order], y[order], batch_size=self._batch_size, shuffle=False, verbose=0
            ).history
            sums.append((logs["loss"][0], logs["accuracy"][0]))
        return np.array([sums], np.float32) * len(y)

    def scores(self, parts: Sequence[Floats]) -> list[Scores]:
        """Return P(label = 1) in inference mode, of some records."""
        return [self._model.predict_on_batch(parts[0])[:, 0].astype(np.float64)]
