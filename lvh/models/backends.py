"""Backends: the libraries below Keras.

A process has one backend, with one number of threads: both are fixed when the library starts.
"""

import importlib.metadata
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from lvh.errors import EnvironmentFault, InputError

Name = Literal["tensorflow", "jax", "torch"]
Precision = Literal["float32", "bfloat16"]

NO_BACKEND = "scikit-learn"
"""Backend of a model that is not a network."""

_started: tuple[str, int] | None = None  # name and threads


def cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0))


def distributions(name: str) -> tuple[str, ...]:
    """Return the packages whose versions decide what a backend, or `NO_BACKEND`, computes."""
    if name == NO_BACKEND:
        return ("scipy",)
    return ("jax", "jaxlib", "keras") if name == "jax" else (name, "keras")


def version(package: str) -> str:
    """Return the version of a package, or of its build for processors; empty if there is none."""
    for name in (package, f"{package}-cpu"):
        with suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return ""


def check_installed(name: str) -> None:
    """Raise EnvironmentFault if the library of a backend is not installed; import nothing."""
    if any(importlib.util.find_spec(package) is None for package in distributions(name)):
        wanted = name if name == "tensorflow" else f"'lvh[{name}]'"
        raise EnvironmentFault(f"backend={name} is not installed: pip install {wanted}")


def threads_of(name: str, threads: int | None, automatic: int) -> int:
    """Return how many threads trainings have: those of this process, once a backend has started.

    InputError if it has started with another backend, or another number than asked for.
    """
    if _started is None or name == NO_BACKEND:
        return threads or automatic
    first, n_threads = _started
    if (name, threads or n_threads) != _started:
        raise InputError(
            f"backend and train.threads: expected one for all runs of a process, {first} and "
            f"{n_threads}. Received: {name} and {threads or n_threads}"
        )
    return n_threads


def start(name: str, threads: int | None, automatic: int) -> None:
    """Import a backend, repeatable to the bit and without its messages; see `threads_of`."""
    global _started
    wanted = threads_of(name, threads, automatic)
    if _started is not None:
        return
    os.environ["KERAS_BACKEND"] = name
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _native_stderr_held():
        n_threads = BACKENDS[name](wanted)
        import keras
        import tensorflow  # noqa: F401  # Keras's own fit does, on every backend
    _started = keras.backend.backend(), n_threads
    threads_of(name, threads, automatic)  # of a library that a user has started


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
    tf.config.list_logical_devices()  # looks for a GPU now, while messages are held back
    return int(threading.get_intra_op_parallelism_threads()) or cores()


def _start_jax(threads: int) -> int:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # others may share a GPU
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
    import jax

    os.environ["NPROC"] = str(threads)  # XLA asks for it
    jax.devices()
    return threads


def _start_torch(threads: int) -> int:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else a GPU does not repeat
    import torch

    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    return int(torch.get_num_threads())


BACKENDS = {"tensorflow": _start_tensorflow, "jax": _start_jax, "torch": _start_torch}
"""Functions that start a backend with a number of threads, and return the number it has."""


@contextmanager
def _native_stderr_held() -> Iterator[None]:
    """Drop what native code writes to file descriptor 2; Python's errors are raised."""
    original = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(original, 2)
        os.close(original)
