"""JAX: a step of training as one compiled function of weights, moments and a batch.

Not a whole epoch: on a processor XLA convolves many times slower inside a loop of its own.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from lvh.models.backends.adam import BETA_1, BETA_2, EPSILON
from lvh.models.backends.state import (
    Floats,
    Labels,
    assign,
    drawn,
    leading,
    penalized,
    values_of,
)
from lvh.validation.metrics import THRESHOLD

if TYPE_CHECKING:
    import keras


_CAPACITY = 16  # trainings at once; more folds than that are rare


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

    def __init__(self, model: "keras.Model", batch_size: int, side_by_side: int | None) -> None:
        """Take a model with one sigmoid output.

        Args:
            model: Freshly built.
            batch_size: Records a step.
            side_by_side: Trainings that are held at once, at most; None for one on a processor,
                and on a GPU as many as its memory holds.
        """
        self._model = model
        self._penalties = np.array([float(one.l2) for one in penalized(model)], np.float32)
        self._blank = values_of(model.variables)
        self._alone = _compiled(model)
        self._beside = _beside(self._alone)
        self._batch_size = batch_size
        self._state = self._of([self._blank])
        self._l2 = self._penalties
        self._capacity = side_by_side or self._fitting(_memory())

    @property
    def n_parameters(self) -> int:
        """Number of parameters, trainable or not."""
        return int(self._model.count_params())

    def together(self, sizes: Sequence[int]) -> int:
        """Hold trainings of as many records."""
        return leading(sizes, self._capacity)

    def begin_anew(self, seeds: Sequence[np.random.SeedSequence], l2: float | None) -> None:
        """Give models and optimizers the state that new builds under these seeds have."""
        self._state = self._of([drawn(self._model, self._blank, seed) for seed in seeds])
        self._l2 = self._penalties if l2 is None else np.full_like(self._penalties, l2)

    def place(self, parts: Sequence[tuple[Floats, Labels]]) -> Any:
        """Put arrays on the device."""
        import jax.numpy as jnp

        X, y = (_joined(one) for one in zip(*parts, strict=True))
        return jnp.asarray(X), jnp.asarray(y.astype(np.float32))

    def train(self, data: Any, orders: Sequence[Labels], learning_rate: float) -> Floats:
        """Train some epochs; return the sums of each step."""
        import jax

        rate, size, functions = np.float32(learning_rate), self._batch_size, self._functions(orders)
        sums = []
        for order in _joined(orders, axis=1).astype(np.int32):  # of an epoch: (..., n_records)
            for start in range(0, order.shape[-1], size):
                batch = functions.batch(*data, order[..., start : start + size])
                self._state, of_batch = functions.step(self._state, *batch, rate, self._l2)
                sums.append(of_batch)
        of_batches: Floats = np.array(jax.device_get(sums), np.float32)
        return of_batches.reshape(len(orders[0]), -1, len(orders), 2).transpose(2, 0, 1, 3)

    def scores(self, parts: Sequence[Floats]) -> list[Floats]:
        """Return P(label = 1) in inference mode."""
        longest = max(map(len, parts))
        given = [np.pad(X, [(0, longest - len(X)), *[(0, 0)] * (X.ndim - 1)]) for X in parts]
        score = self._functions(parts).scores
        found = np.asarray(score(self._state.weights, self._state.others, _joined(given)))
        return [one[: len(X)] for one, X in zip(found.reshape(len(parts), -1), parts, strict=True)]

    def values(self, at: int) -> list[npt.NDArray[Any]]:
        """Return copies of all variables of one model."""
        state = self._state if self._state.steps.ndim == 0 else _member(self._state, at)
        assign(self._model.trainable_variables, state.weights)
        assign(self._model.non_trainable_variables, state.others)
        return values_of(self._model.variables)

    def assign(self, at: int, values: list[npt.NDArray[Any]]) -> None:
        """Put back what `values` returned."""
        held = self._of([values])
        if self._state.steps.ndim == 0:
            self._state = self._state._replace(weights=held.weights, others=held.others)
            return
        for name in ("weights", "others"):
            pairs = zip(getattr(self._state, name), getattr(held, name), strict=True)
            put = [stacked.at[at].set(one) for stacked, one in pairs]
            self._state = self._state._replace(**{name: put})

    def _functions(self, given: Sequence[Any]) -> "_Functions":
        return self._alone if len(given) == 1 else self._beside

    def _of(self, builds: Sequence[list[npt.NDArray[Any]]]) -> _State:
        """Return the state of new builds; the model's own variables are of no account later."""
        import jax
        import jax.numpy as jnp

        states = []
        for values in builds:
            assign(self._model.variables, values)
            weights = [jnp.array(one.value) for one in self._model.trainable_variables]
            others = [jnp.array(one.value) for one in self._model.non_trainable_variables]
            zeros = [jnp.zeros_like(one) for one in weights]
            states.append(_State(weights, others, zeros, zeros, jnp.float32(0)))
        if len(states) == 1:
            return states[0]
        return cast(_State, jax.tree.map(lambda *leaves: jnp.stack(leaves), *states))

    def _fitting(self, memory: int | None) -> int:
        """Return how many trainings fit into so many bytes, of which half are left to records."""
        import jax

        if memory is None:
            return 1
        X = jax.ShapeDtypeStruct((self._batch_size, *self._model.input_shape[1:]), np.float32)
        labels = jax.ShapeDtypeStruct((self._batch_size, 1), np.float32)
        step = self._alone.step.lower(self._state, X, labels, np.float32(0), self._l2)
        needs = step.compile().memory_analysis()
        bytes_ = needs.temp_size_in_bytes + needs.argument_size_in_bytes
        bytes_ += needs.output_size_in_bytes
        return max(1, min(_CAPACITY, memory // 2 // int(bytes_)))


class _Functions(NamedTuple):
    """What is compiled: the records of a batch, a step on them, and the scores of a batch."""

    batch: Any
    step: Any
    scores: Any


def _beside(alone: _Functions) -> _Functions:
    """Return the same functions for several trainings, along the first axis of all."""
    import jax

    return _Functions(
        jax.jit(jax.vmap(alone.batch)),
        jax.jit(jax.vmap(alone.step, in_axes=(0, 0, 0, None, None))),
        jax.jit(jax.vmap(alone.scores)),
    )


def _joined(arrays: Sequence[npt.NDArray[Any]], axis: int = 0) -> npt.NDArray[Any]:
    """Stack what several trainings are given; what one is given stays as it is."""
    return arrays[0] if len(arrays) == 1 else np.stack(arrays, axis=axis)


def _member(state: _State, at: int) -> _State:
    import jax

    return cast(_State, jax.tree.map(lambda leaf: leaf[at], state))


def _memory() -> int | None:
    """Return the bytes of a GPU; None for a processor, where one training takes all of it."""
    import jax

    device = jax.devices()[0]
    if device.platform == "cpu":
        return None
    return int((device.memory_stats() or {}).get("bytes_limit", 0)) or None


def _compiled(model: "keras.Model") -> _Functions:
    """Make the functions for one training.

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

    return _Functions(batch, step, scores)


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
