"""The user's cache: parsed cohorts, and published archives, verified as a whole or not there."""

import hashlib
import logging
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import platformdirs
from filelock import FileLock
from rich.console import Console
from rich.progress import track

from lvh.errors import EnvironmentFault, InputError, excerpt
from lvh.files import made_whole, write_fault, written_whole

_SUMS = "SHA256SUMS.txt"
_SUM_LINE = re.compile(r"^([0-9a-f]{64})  ?(?:\./)?(\S.*)$", re.I | re.M)  # as of `find .`
_DATABASE = re.compile(r"\.(?:db|sqlite3?)(?:-\w+)?$")
_TIMEOUT = 30.0  # seconds a server may stay silent

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


def file_state(path: str | os.PathLike[str]) -> tuple[int, ...]:
    """Return size and time of change of a file; nothing where there is none, or a folder."""
    try:
        state = os.stat(path)
    except (OSError, ValueError):  # a name may have a null
        return ()
    return (state.st_size, state.st_mtime_ns) if stat.S_ISREG(state.st_mode) else ()


def folder_state(folder: Path) -> list[tuple[object, ...]]:
    """Return name, size and time of change of each file: it changes when a file does.

    Databases do not count: in the working directory MLflow's and Optuna's change with every run.
    """
    try:
        names = [name for name in os.listdir(folder) if not _DATABASE.search(name)]
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None
    states = [(name, *file_state(folder / name)) for name in sorted(names)]
    return [state for state in states if len(state) > 1]


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
    """Give a function that takes record after record of a `.npy` file, int16, of a known shape.

    The caller holds the lock of the file.
    """
    with written_whole(path, is_locked=True) as temporary, temporary.open("wb") as file:
        header = {"descr": "<i2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        size = file.tell() + 2 * int(np.prod(shape))
        os.posix_fallocate(file.fileno(), 0, size)  # fails at once where the disk has no room
        yield lambda digital: file.write(digital.astype("<i2").tobytes())


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip archive in PhysioNet's layout."""

    title: str  # for messages, such as "LUDB 1.0.1"
    url: str
    top: str  # the one folder at its top
    # of its SHA256SUMS.txt, pinned; where it is not known (None), that list detects what was
    # damaged on the way, but not what somebody has replaced
    sums_sha256: str | None
    variable: str = "LVH_LUDB_ROOT"  # names its folder, where it is on the disk already
    warning: str = ""  # what a user should know before the download


def folder_of(archive: Archive, root: str | None, name: str) -> Path:
    """Return the folder of a data set: the one that is given, or one of the cache."""
    return Path(os.path.expanduser(root)) if root else fetch(archive, cache_dir() / name)


def fetch(archive: Archive, into: Path) -> Path:
    """Return `into`, holding the verified data set; download it if it is not there.

    `into` appears by a rename once everything in it is verified, so if it exists, it is complete.
    Of several processes one downloads; the others wait for it.
    """
    if not into.is_dir():
        with lock_of(into):
            for leftover in into.parent.glob(f".{into.name}-*"):  # of a killed process
                shutil.rmtree(leftover, ignore_errors=True)
            if not into.is_dir():  # another process may have downloaded it
                with made_whole(into) as whole:
                    _fetch(archive, whole.parent).rename(whole)
    return into


def _fetch(archive: Archive, folder: Path) -> Path:
    """Download, unpack and verify an archive; return the folder at its top."""
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    _log.info("%s: downloading %s%s", archive.title, archive.url, archive.warning)
    try:
        # makes no links, leaves no folder, writes no more bytes than a member declares
        files = pooch.retrieve(
            archive.url,
            known_hash=None,  # each file has its own
            fname="archive.zip",
            path=folder,
            processor=pooch.Unzip(extract_dir="unpacked"),
            downloader=pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=_TIMEOUT),
        )
    except requests.RequestException as error:
        raise EnvironmentFault(
            f"{archive.title}: cannot fetch {archive.url} ({error}).\n"
            "By hand: download and unpack it, then give its folder by data.root=FOLDER or "
            f"by the environment variable {archive.variable}.\n"
            "Without any download: data=synthetic."
        ) from error
    except OSError:  # the disk failed
        raise
    except Exception as error:  # zipfile and zlib raise half a dozen kinds for a damaged archive
        raise InputError(
            f"{archive.url}: expected a whole zip archive. Received: {excerpt(str(error))}"
        ) from error
    unpacked = folder / "unpacked"
    _verify(archive, {Path(file).relative_to(unpacked).as_posix(): Path(file) for file in files})
    return unpacked / archive.top


def _verify(archive: Archive, files: dict[str, Path]) -> None:
    """Check that the list of SHA-256 sums, if pinned the pinned one, lists every file as it is."""
    import pooch

    listing = f"{archive.top}/{_SUMS}"
    text = files[listing].read_text("utf-8", errors="replace") if listing in files else ""
    actual = {name: pooch.file_hash(str(file)) for name, file in files.items()}
    expected = {f"{archive.top}/{name}": sha256.lower() for sha256, name in _SUM_LINE.findall(text)}
    expected[listing] = archive.sums_sha256 or actual.get(listing, "unknown")
    for name in sorted({*expected, *actual}, key=lambda name: (name != listing, name)):
        if expected.get(name) != actual.get(name):
            raise InputError(
                f"{archive.url}: expected {excerpt(name)} with the SHA-256 that {_SUMS} lists, "
                f"{expected.get(name)}. Received: {actual.get(name, 'no such file')}"
            )
