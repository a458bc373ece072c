"""JAX: a step of training as one compiled function of weights, moments and a batch.

Not a whole epoch: on a processor XLA convolves many times slower inside a loop of its own.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.backends.state import (
    BETA_1,
    BETA_2,
    EPSILON,
    Floats,
    Labels,
    assign,
    drawn,
    penalized,
    values_of,
)
from lvh.metrics import THRESHOLD

if TYPE_CHECKING:
    import keras


def start(threads: int) -> int:
    """Import JAX, and return how many threads it has."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # others may share a GPU
    os.environ["XLA_FLAGS"] = " ".join(
        [os.environ.get("XLA_FLAGS", ""), "--xla_gpu_deterministic_ops=true"]
    )
    import jax

    reserved = os.environ.get("NPROC")
    os.environ["NPROC"] = str(threads)  # read by XLA alone, and only here
    jax.devices()
    if reserved is None:
        del os.environ["NPROC"]
    else:
        os.environ["NPROC"] = reserved
    return threads


class _State(NamedTuple):
    """All that a step changes: lists of arrays, and the number of steps.

    Attributes:
        weights: Trained variables.
        others: Moving statistics and seeds of dropout.
        first: Mean of the gradients of each weight.
        second: Mean of their squares.
        steps: So far.
    """

    weights: list[Any]
    others: list[Any]
    first: list[Any]
    second: list[Any]
    steps: Any


class JaxProgram:
    """A model with the functions that train and score it, compiled once a number of records."""

    capacity = 1

    def __init__(self, model: "keras.Model", batch_size: int) -> None:
        """Take a model with one sigmoid output.

        Args:
            model: Freshly built.
            batch_size: Records a step.
        """
        self._model = model
        self._penalties = np.array([float(one.l2) for one in penalized(model)], np.float32)
        self._blank = values_of(model.variables)
        self._batch, self._step, self._scores = _compiled(model)
        self._batch_size = batch_size
        self._state = self._fresh()
        self._l2 = self._penalties

    @property
    def n_parameters(self) -> int:
        """Number of parameters, trainable or not."""
        return int(self._model.count_params())

    def begin_anew(self, seeds: Sequence[np.random.SeedSequence], l2: float | None) -> None:
        """Give model and optimizer the state that a new build under the seed has."""
        (seed,) = seeds
        assign(self._model.variables, drawn(self._model, self._blank, seed))
        self._l2 = self._penalties if l2 is None else np.full_like(self._penalties, l2)
        self._state = self._fresh()

    def place(self, parts: Sequence[tuple[Floats, Labels]]) -> Any:
        """Put arrays on the device."""
        import jax.numpy as jnp

        ((X, y),) = parts
        return jnp.asarray(X), jnp.asarray(y.astype(np.float32))

    def train(self, data: Any, orders: Sequence[Labels], learning_rate: float) -> Floats:
        """Train some epochs; return loss and accuracy of each."""
        import jax

        (of_epochs,) = orders
        rate, size = np.float32(learning_rate), self._batch_size
        sums = []
        for order in of_epochs.astype(np.int32):
            for start in range(0, len(order), size):
                batch = self._batch(*data, order[start : start + size])
                self._state, of_batch = self._step(self._state, *batch, rate, self._l2)
                sums.append(of_batch)
        of_batches = np.array(jax.device_get(sums), np.float32)
        log: Floats = of_batches.reshape(len(of_epochs), -1, 2).sum(axis=1)
        return log[None] / np.float32(of_epochs.shape[1])

    def scores(self, parts: Sequence[Floats]) -> list[Floats]:
        """Return P(label = 1) in inference mode."""
        (X,) = parts
        return [np.asarray(self._scores(self._state.weights, self._state.others, X))]

    def values(self, at: int) -> list[npt.NDArray[Any]]:
        """Return copies of all variables of the model."""
        assign(self._model.trainable_variables, self._state.weights)
        assign(self._model.non_trainable_variables, self._state.others)
        return values_of(self._model.variables)

    def assign(self, at: int, values: list[npt.NDArray[Any]]) -> None:
        """Put back what `values` returned."""
        assign(self._model.variables, values)
        fresh = self._fresh()
        self._state = self._state._replace(weights=fresh.weights, others=fresh.others)

    def _fresh(self) -> _State:
        """Take what the model holds; its own variables stay as they are while it is trained."""
        import jax.numpy as jnp

        weights = [one.value for one in self._model.trainable_variables]
        others = [one.value for one in self._model.non_trainable_variables]
        zeros = [jnp.zeros_like(one) for one in weights]
        return _State(weights, others, zeros, zeros, jnp.float32(0))


def _compiled(model: "keras.Model") -> tuple[Any, Any, Any]:
    """Make three functions: the records of a batch, a step on them, and the scores of a batch.

    Each is compiled when it first meets a number of records. A step does not see how many there
    are beside those of its batch, so that folds of different sizes share it.
    """
    import jax
    import jax.numpy as jnp
    import keras

    binary_crossentropy = keras.losses.BinaryCrossentropy()

    @jax.jit
    def batch(X: Any, y: Any, records: Any) -> tuple[Any, Any]:
        return X[records], y[records, None]

    def loss_of(weights: Any, others: Any, X: Any, labels: Any, l2: Any) -> Any:
        with _penalties_of(model, l2):
            scores, others, penalties = model.stateless_call(
                weights, others, X, training=True, return_losses=True
            )
        return sum(penalties, binary_crossentropy(labels, scores)), (scores, others)

    @jax.jit
    def step(state: _State, X: Any, labels: Any, learning_rate: Any, l2: Any) -> tuple[_State, Any]:
        (loss, (scores, others)), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            state.weights, state.others, X, labels, l2
        )
        correct = jnp.sum((scores > THRESHOLD) == (labels > THRESHOLD))
        following = _updated(state, gradients, learning_rate)._replace(others=others)
        return following, jnp.stack([loss * len(labels), correct])

    @jax.jit
    def scores(weights: Any, others: Any, X: Any) -> Any:
        return model.stateless_call(weights, others, X, training=False)[0][:, 0]

    return batch, step, scores


@contextmanager
def _penalties_of(model: "keras.Model", l2: Any) -> Iterator[None]:
    """Give the L2 penalties of a model other values, which may be those that JAX traces."""
    regularizers = penalized(model)
    before = [regularizer.l2 for regularizer in regularizers]
    try:
        for at, regularizer in enumerate(regularizers):
            regularizer.l2 = l2[at]
        yield
    finally:
        for regularizer, value in zip(regularizers, before, strict=True):
            regularizer.l2 = value


def _updated(state: _State, gradients: list[Any], learning_rate: Any) -> _State:
    """Move by Adam (Kingma and Ba, 2015), with Keras's constants, and epsilon where it has it."""
    import jax.numpy as jnp

    steps = state.steps + 1
    rate = learning_rate * jnp.sqrt(1 - BETA_2**steps) / (1 - BETA_1**steps)
    first = [m + (g - m) * (1 - BETA_1) for m, g in zip(state.first, gradients, strict=True)]
    second = [v + (g * g - v) * (1 - BETA_2) for v, g in zip(state.second, gradients, strict=True)]
    weights = [
        weight - rate * m / (jnp.sqrt(v) + EPSILON)
        for weight, m, v in zip(state.weights, first, second, strict=True)
    ]
    return state._replace(weights=weights, first=first, second=second, steps=steps)
