"""What is kept in the user's cache: a parsed cohort, so that a second run need not parse again."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs
from filelock import FileLock, Timeout

from lvh.errors import EnvironmentFault, InputError
from lvh.files import written_whole

_log = logging.getLogger(__name__)

Arrays = Mapping[str, npt.NDArray[Any]]


def cache_dir() -> Path:
    """Return the user's cache folder for this package (follows XDG_CACHE_HOME)."""
    return platformdirs.user_cache_path("lvh")


def seen_in(folder: Path) -> list[tuple[str, int, int]]:
    """Return name, size and time of change of each file, which tell a changed folder unread.

    Raises:
        InputError: It cannot be read.
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
def exclusive(folder: Path, waiting: str) -> Iterator[None]:
    """Hold the lock of a folder that is to be made, beside it; say if another process has it."""
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _log.info("%s", waiting)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def cached_arrays(
    path: Path, build: Callable[[], Arrays], digest: Callable[[Arrays], str]
) -> Arrays:
    """Return the arrays kept at `path`, or build and keep them.

    A file that is torn, altered or not ours is built again with a warning. Where the cache
    cannot be written the arrays are still returned, with a warning. Of two processes that
    build at once, the last to finish wins: each moves a whole file into place.

    Args:
        path: Archive file; its name must change with everything the arrays depend on.
        build: Makes the arrays; called only if they are not kept.
        digest: Hash of the arrays' content, kept beside them and checked on reading.
    """
    if os.path.exists(path):  # False, not an error, where the folder may not be entered
        kept = _read(path, digest)
        if kept is not None:
            return kept
        _log.warning("%s: the cached copy is damaged; reading the data set again", path)
    arrays = build()
    try:
        with written_whole(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, digest=np.array(digest(arrays)), **dict(arrays))
    except EnvironmentFault as fault:
        _log.warning("%s; the next run reads the data set again", fault)
    return arrays


def _read(path: Path, digest: Callable[[Arrays], str]) -> Arrays | None:
    try:
        # Opened here: np.load leaves a torn file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        kept = str(arrays.pop("digest"))
        return arrays if digest(arrays) == kept else None
    except Exception:  # NumPy, zipfile and zlib raise a dozen kinds for a damaged file
        return None
