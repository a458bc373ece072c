"""Files that are written whole or not at all, and read only inside their folder."""

import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from lvh.errors import EnvironmentFault, InputError


@contextmanager
def written_whole(path: Path, *, is_locked: bool = False) -> Iterator[Path]:
    """Give a temporary path next to `path`; move it there once the body has succeeded.

    Even after a crash there is the old file or the new one, never a part. Where a lock keeps other
    processes from writing `path`, the temporary one replaces what a killed process left.
    """
    temporary = path.with_name(f".{path.name if is_locked else uuid4().hex + path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise EnvironmentFault(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    """Write text files into a folder, by their names; each whole or not at all."""
    for name, text in texts.items():
        write_text(folder / name, text)


@contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """Give a folder next to a new `folder`, which takes its name once the body has succeeded."""
    if os.path.lexists(folder):
        raise InputError(f"expected a folder that is not there yet. Received: {folder}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as parent:
            temporary = Path(parent) / folder.name
            temporary.mkdir()
            yield temporary
            temporary.rename(folder)
            _sync(folder.parent)
    except OSError as error:
        raise EnvironmentFault(f"cannot make {folder}: {error.strerror or error}") from error


def read_bytes(path: Path, root: Path, limit: int, *, exact: bool = False) -> bytes:
    """Read a file of `limit` bytes at most (or exactly), refusing links out of `root`."""
    try:
        status = path.stat()  # a link that leads in a circle ends here
        if not path.resolve().is_relative_to(root.resolve()):
            raise InputError(f"{path}: expected a file inside {root}. Received: a link to outside")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path}: expected a regular file. Received: something else")
        if status.st_size > limit or (exact and status.st_size != limit):
            bound = f"{limit} bytes" if exact else f"at most {limit} bytes"
            raise InputError(f"{path}: expected {bound}. Received: {status.st_size}")
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: expected a file. Received: nothing there") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def write_fault(folder: Path) -> str:
    """Return why nothing can be written into a folder; empty if something can.

    It tries: permissions do not say it, for root has them on a read-only file system too.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:  # has no name where Linux can do that
            probe.write(b"x")
            probe.flush()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def made_in(folder: Path) -> Path:
    """Return the nearest folder that exists, at or above a folder that may have to be made."""
    return next((path for path in (folder, *folder.parents) if os.path.lexists(path)), Path())


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
