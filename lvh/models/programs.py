"""Programs: what trains and scores a Keras model, built once for all folds."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from lvh.data.lazy_array import Inputs, read
from lvh.errors import InputError

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]
Records = tuple[Floats, Labels]
"""Inputs and labels of a training."""
Weights = list[npt.NDArray[Any]]
"""The value of each variable of a model, in the order of `model.variables`."""


class Program:
    """A network that Keras's own `fit` trains, on any backend, for all folds and settings.

    A subclass may hold several networks side by side; arguments and results that are lists have
    an item for each.
    """

    rebuild: Callable[[], keras.Model] | None = None
    """Builds the model again, with new weights, where its layers are not known."""
    _l2 = -1.0

    def __init__(self, model: keras.Model, batch_size: int) -> None:
        """Take a new model with one sigmoid output, and the records a step."""
        self._model, self._batch_size = model, batch_size
        self._variables = list(model.variables)  # compiled, a model has others behind them
        self._blank = copies(self._variables)
        self._penalized = [one for one in model.layers if getattr(one, "kernel_regularizer", None)]
        self._built_l2 = float(self._penalized[0].kernel_regularizer.l2) if self._penalized else 0.0
        self.n_parameters = int(model.count_params())

    def max_parallel(self, sizes: Sequence[int]) -> int:
        """Return how many of the next trainings, on so many records each, it holds at once."""
        return 1

    def network(self, at: int) -> Sequence[Any]:
        """Return the variables of one network, in the order of its model."""
        return self._variables

    def optimizer(self, at: int) -> Sequence[Any]:
        """Return the variables of the optimizer of one network."""
        return list(self._model.optimizer.variables)

    def reset(self, seeds: Sequence[np.random.SeedSequence], l2: float | None) -> None:
        """Draw weights by a seed a network, clear the optimizer; an l2 of None is the build's."""
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

    def train(self, data: Sequence[Records], orders: Sequence[Labels], rate: float) -> Floats:
        """Train some epochs on records, in orders of (n_epochs, n_records) a network.

        Return sums over the records of losses (with penalties) and right answers in training mode,
        shape (n_networks, n_epochs, 2).
        """
        ((X, y),) = data
        self._model.optimizer.learning_rate.assign(rate)
        sums = []
        for order in orders[0]:
            logs = self._model.fit(
                X[order], y[order], batch_size=self._batch_size, shuffle=False, verbose=0
            ).history
            sums.append((logs["loss"][0], logs["accuracy"][0]))
        return np.array([sums], np.float32) * len(y)

    def scores(self, parts: Sequence[Floats]) -> list[Scores]:
        """Return P(label = 1) in inference mode, of some records of each network."""
        return [self._model.predict_on_batch(parts[0])[:, 0].astype(np.float64)]

    def initial_weights(self, seed: np.random.SeedSequence) -> Weights:
        """Draw the weights that a new network begins with; each layer has draws of its own."""
        if self.rebuild is not None:
            keras.utils.set_random_seed(int(seed.generate_state(1)[0]))
            new = self.rebuild()
            known = {id(one) for one in self._model.trainable_variables}
            if known & {id(one) for one in new.trainable_variables}:  # they know test records
                raise InputError(
                    "expected a new network, with new layers, at each call of the function that "
                    "builds it. Received: trainable weights of the one before"
                )
            return copies(new.variables)
        values = dict(zip(map(id, self._variables), self._blank, strict=True))
        draws = iter(seed.generate_state(2 * len(self._model.layers)))
        for layer in self._model.layers:
            of_kernel, of_dropout = int(next(draws)), next(draws)
            if initializer := getattr(layer, "kernel_initializer", None):
                config = {**initializer.get_config(), "seed": of_kernel}
                kernel = type(initializer).from_config(config)(layer.kernel.shape)
                values[id(layer.kernel)] = np.array(kernel)
            if generator := getattr(layer, "seed_generator", None):
                dtype = values[id(generator.state)].dtype
                values[id(generator.state)] = np.array([of_dropout, 0], np.uint32).astype(dtype)
        return list(values.values())

    def estimate_statistics(self, parts: Sequence[Inputs], at_once: int | None = None) -> None:
        """Take the statistics of batch normalization from all records, not moving averages.

        They are means over batches (`at_once`), without dropout: Wu and Johnson, `Rethinking
        "Batch" in BatchNorm`, 2021, arXiv:2105.07576.
        """
        layers, n = self._model.layers, at_once or self._batch_size
        normalizations = [one for one in layers if hasattr(one, "moving_variance")]
        before = [(one, "momentum", one.momentum) for one in normalizations]
        before += [(one, "rate", one.rate) for one in layers if hasattr(one, "rate")]
        for layer, name, _ in before:
            setattr(layer, name, 0.0)
        for at, X in enumerate(parts if normalizations else ()):
            assign(self._variables, copies(self.network(at)))
            for start in range(0, len(X), n):
                batch = read(X[start : start + n])
                for layer in normalizations:  # so that it averages all batches so far
                    layer.momentum = start / (start + len(batch))
                self._model(batch, training=True)
            assign(self.network(at), copies(self._variables))
        for layer, name, value in before:
            setattr(layer, name, value)


def copies(variables: Sequence[Any]) -> Weights:
    """Return the values of variables, which may share memory with what changes in place."""
    return [np.asarray(variable).copy() for variable in variables]


def assign(variables: Sequence[Any], values: Sequence[Any]) -> None:
    """Give variables their values."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
