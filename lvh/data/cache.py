"""The user's cache: parsed cohorts, so that a second run need not parse again."""

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import platformdirs
from filelock import FileLock
from rich.console import Console
from rich.progress import track

from lvh.errors import EnvironmentFault, InputError
from lvh.files import write_fault, written_whole

_log = logging.getLogger(__name__)

Arrays = Mapping[str, npt.NDArray[Any]]
Item = TypeVar("Item")


def cache_dir() -> Path:
    """Return the user's cache folder for this package (follows XDG_CACHE_HOME)."""
    return platformdirs.user_cache_path("lvh")


def cohort_path(source: str, *state: object) -> Path:
    """Return where a source keeps what it parsed; the name changes with the state."""
    digest = hashlib.sha256(repr(state).encode()).hexdigest()
    return cache_dir() / "cohorts" / f"{source}-{digest[:16]}.npz"


def shown(items: Iterable[Item], action: str) -> Iterable[Item]:
    """Return items whose progress a terminal shows."""
    console = Console(stderr=True)
    return track([*items], action, console=console, transient=True, disable=not console.is_terminal)


def folder_state(folder: Path) -> list[tuple[str, int, int]]:
    """Return name, size and time of change of each file: it changes when a file does."""
    try:
        with os.scandir(folder) as entries:
            states = [(entry.name, entry.stat()) for entry in entries]
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None
    return sorted((name, state.st_size, state.st_mtime_ns) for name, state in states)


def lock_of(path: Path) -> FileLock:
    """Return the lock next to a folder or file; an EnvironmentFault if it cannot be written."""
    with suppress(OSError):  # what is wrong is said below
        path.parent.mkdir(parents=True, exist_ok=True)
    if fault := write_fault(path.parent):
        raise EnvironmentFault(f"{path.parent}: expected a folder to write to. Received: {fault}")
    return FileLock(path.parent / f".{path.name}.lock")


def load_or_build(path: Path, build: Callable[[], Arrays]) -> Arrays:
    """Return the arrays stored at `path`, whose name says all they depend on, or build them.

    A damaged file (by its CRC-32) is built again; where nothing can be written, nothing is stored.
    """
    if os.path.exists(path):  # False, not an error, where the folder may not be entered
        try:
            # opened here: np.load leaves a torn file open
            with path.open("rb") as stored, np.load(stored, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except Exception:  # NumPy, zipfile and zlib raise a dozen kinds for a damaged file
            _log.warning("%s: the cached copy is damaged; reading the data set again", path)
    arrays = build()
    try:
        with written_whole(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **dict(arrays))
    except EnvironmentFault as fault:
        _log.warning("%s; the next run reads the data set again", fault)
    return arrays


@contextmanager
def signals_written(
    path: Path, shape: tuple[int, ...]
) -> Iterator[Callable[[npt.NDArray[np.int16]], object]]:
    """Give a function that takes record after record of a `.npy` file, int16, of a known shape."""
    with written_whole(path) as temporary, temporary.open("wb") as file:
        header = {"descr": "<i2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        size = file.tell() + 2 * int(np.prod(shape))
        os.posix_fallocate(file.fileno(), 0, size)  # fails at once where the disk has no room
        yield lambda digital: file.write(digital.astype("<i2").tobytes())
