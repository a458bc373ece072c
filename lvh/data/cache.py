"""The user's cache: parsed cohorts, so that a second run need not parse again.

A cohort that fits into memory is one `.npz` file. The signals of a larger one are a folder with a
`.npy` file that is memory-mapped and a `.npz` file with everything else.
"""

import logging
import mmap
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs
from filelock import FileLock, Timeout

from lvh.data.lazy_array import Array, LazyArray, Positions
from lvh.errors import EnvironmentFault, InputError
from lvh.files import written_whole

_log = logging.getLogger(__name__)

Arrays = Mapping[str, npt.NDArray[Any]]
WriteSignals = Callable[[npt.NDArray[np.int16]], object]
"""Takes the ADC values of one record after another, shape (n_samples, n_leads)."""

_SIGNALS, _OTHERS = "signals.npy", "others.npz"


def cache_dir() -> Path:
    """Return the user's cache folder for this package (follows XDG_CACHE_HOME)."""
    return platformdirs.user_cache_path("lvh")


def folder_state(folder: Path) -> list[tuple[str, int, int]]:
    """Return name, size and time of change of each file: it changes when a file does.

    Raises:
        InputError: The folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (entry.name, status.st_size, status.st_mtime_ns)
                for entry in entries
                for status in (entry.stat(),)
            )
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None


@contextmanager
def folder_lock(folder: Path, message: str) -> Iterator[None]:
    """Hold the lock next to a folder; log a message if another process holds it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _log.info("%s", message)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder next to `folder`, whose lock the caller holds.

    It is removed at the end, and so is what a killed process left.
    """
    prefix = f".{folder.name}.partial-"
    for leftover in folder.parent.glob(f"{prefix}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        prefix=prefix, dir=folder.parent, ignore_cleanup_errors=True
    ) as temporary:
        yield Path(temporary)


def load_or_build(path: Path, build: Callable[[], Arrays]) -> Arrays:
    """Return the arrays stored at `path`, or build and store them.

    A damaged file (by its CRC-32) is built again with a warning. Where the cache cannot be
    written the arrays are still returned, with a warning.

    Args:
        path: Archive file; its name must change with everything the arrays depend on.
        build: Makes the arrays; called only if none are stored.
    """
    if os.path.exists(path):  # False, not an error, where the folder may not be entered
        stored = _load(path)
        if stored is not None:
            return stored
        _log.warning("%s: the cached copy is damaged; reading the data set again", path)
    arrays = build()
    try:
        with written_whole(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **dict(arrays))
    except EnvironmentFault as fault:
        _log.warning("%s; the next run reads the data set again", fault)
    return arrays


def load_or_build_signals(
    folder: Path,
    shape: tuple[int, ...],
    build: Callable[[WriteSignals], Arrays],
    digest: Callable[[Arrays, LazyArray], str],
) -> tuple[Arrays, LazyArray, str]:
    """Return stored signals, memory-mapped, with the other arrays; or build both.

    Args:
        folder: Its name must change with everything the signals depend on.
        shape: Of the signals, (n_records, n_samples, n_leads).
        build: Writes the signals of one record after another, and returns the other arrays.
        digest: Hashes all of it; computed once and stored.

    Returns:
        The other arrays, the signals, int16, and the digest.

    Raises:
        EnvironmentFault: The cache cannot be written, or has no room.
    """
    stored = _load_signals(folder)
    if stored is not None:
        return stored
    try:
        with folder_lock(folder, f"{folder}: waiting for another process that is making it"):
            stored = _load_signals(folder)
            if stored is None:
                with temporary_folder(folder) as temporary:
                    new, old = temporary / "new", temporary / "old"
                    new.mkdir()
                    if os.path.lexists(folder):
                        _log.warning("%s: the cached signals are damaged; reading again", folder)
                    _write_signals(new, shape, build, digest)
                    if os.path.lexists(folder):
                        folder.rename(old)
                    new.rename(folder)
                stored = _load_signals(folder)
    except OSError as error:
        raise EnvironmentFault(
            f"cannot write {folder}: {error.strerror or error}. XDG_CACHE_HOME names the "
            "folder of another disk"
        ) from error
    if stored is None:
        raise EnvironmentFault(f"{folder}: expected the signals just written. Received: others")
    return stored


def _write_signals(
    folder: Path,
    shape: tuple[int, ...],
    build: Callable[[WriteSignals], Arrays],
    digest: Callable[[Arrays, LazyArray], str],
) -> None:
    path = folder / _SIGNALS
    with path.open("wb") as file:
        header = {"descr": "<i2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        size = file.tell() + 2 * int(np.prod(shape))
        os.posix_fallocate(file.fileno(), 0, size)  # fails at once where the disk has no room
        arrays = build(lambda digital: file.write(digital.astype("<i2").tobytes()))
        if file.tell() != size:
            raise ValueError(f"expected {size} bytes of signals. Received: {file.tell()}")
        os.fsync(file.fileno())
    more = {"digest": np.array(digest(arrays, _map(path))), "state": np.array(_state(path))}
    with (folder / _OTHERS).open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays, **more)
        os.fsync(file.fileno())


def _load_signals(folder: Path) -> tuple[Arrays, LazyArray, str] | None:
    """Return None where there is nothing, or not what was written."""
    others = _load(folder / _OTHERS)
    try:
        if others is None or others.pop("state").tolist() != _state(folder / _SIGNALS):
            return None
        return others, _map(folder / _SIGNALS), str(others.pop("digest"))
    except (OSError, ValueError, KeyError):
        return None


def _map(path: Path) -> LazyArray:
    """Map a file of signals into memory; pages that were read are given back."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    mapping = array.base
    if array.dtype != np.dtype("<i2") or not isinstance(mapping, mmap.mmap):
        raise ValueError("another array")

    def load(positions: Positions) -> Array:
        records = np.asarray(array[positions])  # a copy
        mapping.madvise(mmap.MADV_DONTNEED)  # they would count as this process's memory
        return records

    return LazyArray(np.arange(len(array)), array.shape[1:], np.dtype(np.int16), load)


def _state(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _load(path: Path) -> dict[str, npt.NDArray[Any]] | None:
    try:
        # Opened here: np.load leaves a torn file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception:  # NumPy, zipfile and zlib raise a dozen kinds for a damaged file
        return None
