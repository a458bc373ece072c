"""Backends: the libraries below Keras, and the programs that train and score a model on them.

A process has one backend, with one number of threads: both are fixed when the library starts.
"""

import gc
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from lvh.errors import EnvironmentFault, InputError

if TYPE_CHECKING:
    import keras

Name = Literal["tensorflow", "jax", "torch"]
Precision = Literal["float32", "bfloat16"]
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

NO_BACKEND = "scikit-learn"
"""Stands for the backend where Keras has no part in a model."""


class Backend(NamedTuple):
    """A library below Keras.

    Attributes:
        distributions: The packages whose versions decide what it computes.
        start: Imports it with so many threads; returns how many it has.
    """

    distributions: tuple[str, ...]
    start: Callable[[int], int]


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
    """Refuse a backend whose library is not installed, without importing it.

    Raises:
        EnvironmentFault: Says what to install.
    """
    if any(importlib.util.find_spec(one) is None for one in distributions(name)):
        raise EnvironmentFault(f"backend={name} is not installed: pip install 'lvh[{name}]'")


def threads_of(name: str, threads: int | None, automatic: int) -> int:
    """Return how many threads trainings have: those of this process, once it has started.

    Args:
        name: Of the backend.
        threads: The number that was asked for; None for `automatic`.
        automatic: Number of a process that has not started, where none was asked for.

    Raises:
        InputError: This process started with another backend, or another number than asked for.
    """
    if _started is None:
        return threads or automatic
    if name != _started.name:
        _refuse("backend", name, _started.name)
    if threads not in (None, _started.threads):
        _refuse("train.threads", threads, _started.threads)
    return _started.threads


def start(name: str, threads: int | None, automatic: int) -> None:
    """Import a backend, repeatable to the bit and without its chatter; once in a process.

    Args:
        name: Of the backend; the environment's KERAS_BACKEND does not count.
        threads: See `threads_of`.
        automatic: See `threads_of`.

    Raises:
        InputError: This process started with another backend, or another number than asked for.
    """
    global _started
    wanted = threads_of(name, threads, automatic)
    if _started is not None:
        return
    os.environ["KERAS_BACKEND"] = name
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    gc.disable()  # what a library makes stays: to look through it for garbage takes a second
    try:
        with _native_stderr_held():
            found = BACKENDS[name].start(wanted)
            import keras

            with suppress(ImportError):
                import tensorflow  # noqa: F401  # Keras's own fit does, on every backend
    finally:
        gc.freeze()
        gc.enable()
    if keras.backend.backend() != name:
        _refuse("backend", name, keras.backend.backend())
    if threads not in (None, found):
        _refuse("train.threads", threads, found)
    _started = _Started(name, found)


def _start_tensorflow(threads: int) -> int:
    import tensorflow as tf

    threading = tf.config.threading
    with suppress(RuntimeError):  # it runs already, maybe with other threads
        # one operation after another: handing small ones around takes longer than they do
        threading.set_inter_op_parallelism_threads(1)
        threading.set_intra_op_parallelism_threads(threads)
        gpus = tf.config.list_physical_devices("GPU")
        for device in gpus:
            tf.config.experimental.set_memory_growth(device, True)  # others may share it
        if not gpus:  # on a processor the passes over a graph take longer than they save
            tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    tf.config.experimental.enable_op_determinism()
    tf.get_logger().setLevel("ERROR")  # every model of a sweep is traced, which is no fault
    tf.config.list_logical_devices()  # looks for a GPU now, while nothing is heard
    return int(threading.get_intra_op_parallelism_threads()) or cores()


def _start_jax(threads: int) -> int:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # others may share a GPU
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
    import jax

    reserved = os.environ.get("NPROC")
    os.environ["NPROC"] = str(threads)  # read by XLA alone, and only here
    jax.devices()
    if reserved is None:
        del os.environ["NPROC"]
    else:
        os.environ["NPROC"] = reserved
    return threads


def _start_torch(threads: int) -> int:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else a GPU does not repeat
    import torch

    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    return int(torch.get_num_threads())


BACKENDS = {
    "tensorflow": Backend(("tensorflow",), _start_tensorflow),
    "jax": Backend(("jax", "jaxlib"), _start_jax),
    "torch": Backend(("torch",), _start_torch),
}


def _refuse(field: str, value: object, first: object) -> None:
    raise InputError(
        f"{field}: expected one for all runs of a process. Received: {value} after {first}"
    )


@contextmanager
def _native_stderr_held() -> Iterator[None]:
    """Keep what native code writes to file descriptor 2; show it only if the body fails."""
    try:
        original = os.dup(2)
    except OSError:  # the parent process closed it
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
