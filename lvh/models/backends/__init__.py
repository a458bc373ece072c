"""Backends: the libraries below Keras, each with a program that trains and scores a model.

A process has one backend, with one number of threads: both are fixed when the library starts.
"""

import gc
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from lvh.errors import EnvironmentFault, InputError
from lvh.models.backends import jax, tensorflow, torch
from lvh.models.backends.imports import hidden
from lvh.models.backends.state import Floats, Labels

if TYPE_CHECKING:
    import keras

__all__ = [
    "BACKENDS",
    "NO_BACKEND",
    "Backend",
    "Floats",
    "Labels",
    "Name",
    "Precision",
    "Program",
    "check_installed",
    "cores",
    "distributions",
    "new_program",
    "start",
    "threads_of",
]

Name = Literal["tensorflow", "jax", "torch"]
Precision = Literal["float32", "bfloat16"]


class Program(Protocol):
    """A Keras model with what trains and scores it, built once for all folds.

    It serves all settings that do not change the computation: learning rate, penalty, epochs,
    seed. It may hold several trainings side by side, each of which comes to what it would alone.
    What goes in and out are NumPy's arrays, one a training.
    """

    @property
    def n_parameters(self) -> int:
        """Number of parameters of one model, trainable or not."""

    def together(self, sizes: Sequence[int]) -> int:
        """Return how many of the next trainings, on so many records each, it holds at once."""

    def begin_anew(self, seeds: Sequence[np.random.SeedSequence], l2: float | None) -> None:
        """Give models and optimizers the state that new builds under these seeds have.

        Args:
            seeds: Of weights and dropout, one a training.
            l2: Weight penalty; None leaves that of the build.
        """

    def place(self, parts: Sequence[tuple[Floats, Labels]]) -> Any:
        """Put inputs of shape (n_records, ...) and labels, `together`, where `train` computes."""

    def train(self, data: Any, orders: Sequence[Labels], learning_rate: float) -> Floats:
        """Train some epochs.

        Args:
            data: From `place`.
            orders: Of the records in each epoch, shape (n_epochs, n_records).
            learning_rate: Of Adam.

        Returns:
            Sum of losses (with penalties) and number of right answers of each step, in training
            mode, shape (n_trainings, n_epochs, n_steps, 2).
        """

    def scores(self, parts: Sequence[Floats]) -> list[Floats]:
        """Return P(label = 1) in inference mode, shape (n_records,), by each model of its own."""

    def values(self, at: int) -> list[npt.NDArray[Any]]:
        """Return copies of all variables of the model of one training."""

    def assign(self, at: int, values: list[npt.NDArray[Any]]) -> None:
        """Put back what `values` returned."""


class Backend(NamedTuple):
    """A library below Keras.

    Attributes:
        distributions: The packages whose versions decide what it computes.
        start: Imports it, with so many threads; returns how many it has.
        program: Makes a program of a freshly built model, the records a step, and how many
            trainings it holds at once, at most; None leaves that to it.
    """

    distributions: tuple[str, ...]
    start: Callable[[int], int]
    program: "Callable[[keras.Model, int, int | None], Program]"


BACKENDS = {
    "tensorflow": Backend(("tensorflow",), tensorflow.start, tensorflow.program),
    "jax": Backend(("jax", "jaxlib"), jax.start, jax.JaxProgram),
    "torch": Backend(("torch",), torch.start, torch.TorchProgram),
}


NO_BACKEND = "scikit-learn"
"""Stands for the backend where Keras has no part in a model."""


_UNUSED = frozenset({"jax", "matplotlib", "mpl_toolkits", "pandas", "pyarrow", "sklearn"})
"""What TensorFlow and Keras import where it is installed, for more than a second, and do not use
for anything that is asked of them here."""


class _Started(NamedTuple):
    name: str
    threads: int


_started: _Started | None = None


def cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0))


def distributions(name: str) -> tuple[str, ...]:
    """Return the packages whose versions decide what a backend, or `NO_BACKEND`, computes."""
    if name == NO_BACKEND:
        return ("scipy",)
    return (*BACKENDS[name].distributions, "keras")


def check_installed(name: str) -> None:
    """Refuse a backend whose library is not there, without importing it.

    Raises:
        EnvironmentFault: Says what to install.
    """
    if any(importlib.util.find_spec(one) is None for one in distributions(name)):
        raise EnvironmentFault(f"backend={name} is not installed: pip install 'lvh[{name}]'")


def threads_of(name: str, threads: int | None, automatic: int) -> int:
    """Return how many threads trainings have: those of this process, once it has begun.

    Args:
        name: Of the backend.
        threads: What was asked for; None leaves it to us.
        automatic: What we then take, in a process that has not begun.

    Raises:
        InputError: This process has begun with another backend, or another number than asked for.
    """
    if _started is None:
        return threads or automatic
    if name != _started.name:
        _refuse("backend", name, _started.name)
    if threads not in (None, _started.threads):
        _refuse("train.threads", threads, _started.threads)
    return _started.threads


def start(name: str, threads: int | None, automatic: int) -> None:
    """Import a backend without its chatter, repeatable to the bit, with so many threads.

    Args:
        name: Of the backend; KERAS_BACKEND is of no account.
        threads: What was asked for; None leaves it to us.
        automatic: What we then take, in a process that has not begun.

    Raises:
        InputError: This process has begun with another backend, or another number than asked for.
    """
    global _started
    wanted = threads_of(name, threads, automatic)
    if _started is not None:
        return
    os.environ["KERAS_BACKEND"] = name
    # who has a part of matplotlib gets the rest of it, whole
    unused = _UNUSED - {name} - ({"mpl_toolkits"} if "matplotlib" in sys.modules else set())
    with _native_stderr_held(), hidden(unused):
        found = BACKENDS[name].start(wanted)
        import keras
    gc.freeze()  # a library's objects stay: not to be looked at again
    if keras.backend.backend() != name:
        _refuse("backend", name, keras.backend.backend())
    if threads not in (None, found):
        _refuse("train.threads", threads, found)
    _started = _Started(name, found)


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
        side_by_side: Trainings that it holds at once, at most; None for what pays and fits.
    """
    import keras

    model = _built(build, precision)
    return BACKENDS[keras.backend.backend()].program(model, batch_size, side_by_side)


def _built(build: "Callable[[], keras.Model]", precision: str) -> "keras.Model":
    from keras import config

    policy = config.dtype_policy()
    try:
        config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
        model = build()
    finally:
        config.set_dtype_policy(policy)
    model.layers[-1].dtype_policy = "float32"  # 8 bits of a probability rank nobody
    return model


def _refuse(field: str, value: object, first: object) -> None:
    raise InputError(
        f"{field}: expected one for all runs of a process. Received: {value} after {first}"
    )


@contextmanager
def _native_stderr_held() -> Iterator[None]:
    """Keep what native code writes to file descriptor 2; show it only if the body fails."""
    try:
        original = os.dup(2)
    except OSError:  # closed by whoever started us
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(original, held.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)
