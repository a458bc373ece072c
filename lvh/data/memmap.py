"""Signals of more records than memory should hold, kept in a file that is mapped.

A store is a folder: `signals.npy`, ADC values of all records, and `known.npz`, what else is known
of them, with hashes. It is made beside its place and moved there whole; of several processes one
makes it while the others wait. What is left of one that was killed is removed by the next.

Trust: to open a store, the hash of what is known is checked, and that the file of signals has the
size and time of change that it was made with. Where these differ, and where `is_whole` is asked,
the signals are hashed too. Someone who means to deceive may write into their own cache at will.
"""

import hashlib
import io
import logging
import mmap
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lvh.data.cache import exclusive
from lvh.data.lazy_array import Array, Positions, Unread
from lvh.errors import EnvironmentFault

Known = Mapping[str, npt.NDArray[Any]]
Digest = Callable[[Known, Unread], str]
"""Hashes everything: what is known, and the signals."""

SIGNALS, KNOWN = "signals.npy", "known.npz"
_SPARE = 64 * 1024 * 1024  # bytes of disk beside the signals
_log = logging.getLogger(__name__)


class Sink:
    """A file that takes the ADC values of one record after another."""

    def __init__(self, path: Path, n_records: int) -> None:
        """Take the file to make, and how many records will come."""
        self._file = path.open("wb")
        self._n_records = n_records
        self._shape: tuple[int, ...] = ()

    def __call__(self, digital: npt.NDArray[np.int16]) -> None:
        """Write a record, shape (n_samples, n_leads) as of the first.

        Raises:
            OSError: The disk has not enough room for all of them, or failed.
        """
        if not self._shape:
            self._begin(digital)
        if digital.shape != self._shape:
            raise ValueError(f"expected shape {self._shape}. Received: {digital.shape}")
        self._file.write(digital.astype("<i2").tobytes())

    def close(self) -> None:
        """Let everything reach the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def _begin(self, digital: npt.NDArray[np.int16]) -> None:
        self._shape = digital.shape
        needed = self._n_records * digital.nbytes + _SPARE
        free = shutil.disk_usage(self._file.name).free
        if free < needed:
            told = f"{needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free"
            raise OSError(28, f"no room: {told}", self._file.name)
        shape = (self._n_records, *digital.shape)
        described = {"descr": "<i2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, described)


def stored(
    folder: Path, n_records: int, build: Callable[[Sink], Known], digest: Digest
) -> tuple[Known, Unread, str]:
    """Open a store, or make it.

    Args:
        folder: Its name must change with everything that it depends on.
        n_records: In it.
        build: Gives the signals of one record after another to the sink, and returns what is
            known of them; called only if there is no store, or a damaged one.
        digest: See `Digest`.

    Returns:
        What is known, the signals, unread, int16, and the digest of both.

    Raises:
        EnvironmentFault: The store cannot be written.
    """
    found = _opened(folder, digest)
    if found is None:
        if os.path.lexists(folder):
            _log.warning("%s: the kept signals are damaged; reading the data set again", folder)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with exclusive(folder, f"{folder}: waiting for another process that is making it"):
                found = _opened(folder, digest)
                if found is None:
                    _make(folder, n_records, build, digest)
                    found = _opened(folder, digest)
        except OSError as error:
            raise EnvironmentFault(
                f"cannot write {folder}: {error.strerror or error}. XDG_CACHE_HOME names the "
                "folder of another disk"
            ) from error
    if found is None:
        raise EnvironmentFault(f"{folder}: expected the store just made. Received: a damaged one")
    return found


def is_whole(folder: Path, digest: Digest) -> bool:
    """Return whether a store is what was made, by the hash of all of it."""
    return _opened(folder, digest, hashed=True) is not None


def _opened(
    folder: Path, digest: Digest, *, hashed: bool = False
) -> tuple[Known, Unread, str] | None:
    """Open a store; None if there is none that can be used."""
    try:
        with (folder / KNOWN).open("rb") as file, np.load(file, allow_pickle=False) as archive:
            known = {name: archive[name] for name in archive.files}
        if str(known.pop("hash")) != _hash(known):
            raise ValueError("another hash")
        whole, seen = str(known.pop("digest")), known.pop("seen").tolist()
        signals = _mapped(folder / SIGNALS)
        if (hashed or seen != _seen(folder / SIGNALS)) and digest(known, signals) != whole:
            raise ValueError("other signals")
    except Exception:  # NumPy, zipfile and zlib raise a dozen kinds for a damaged file
        return None
    return known, signals, whole


def _make(folder: Path, n_records: int, build: Callable[[Sink], Known], digest: Digest) -> None:
    """Make a store beside its place, then move it there; the caller holds the lock."""
    prefix = f".{folder.name}.partial-"
    for dead in folder.parent.iterdir():  # we hold the lock: nobody alive is using these
        if dead.name.startswith(prefix):
            shutil.rmtree(dead, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        prefix=prefix, dir=folder.parent, ignore_cleanup_errors=True
    ) as name:
        new = Path(name, "store")
        new.mkdir()
        sink = Sink(new / SIGNALS, n_records)
        try:
            known = dict(build(sink))
        finally:
            sink.close()
        known["digest"] = np.array(digest(known, _mapped(new / SIGNALS)))
        known["seen"] = np.array(_seen(new / SIGNALS))
        with (new / KNOWN).open("wb") as file:
            np.savez(file, allow_pickle=False, hash=np.array(_hash(known)), **known)
            file.flush()
            os.fsync(file.fileno())
        if os.path.lexists(folder):  # damaged; who has it open keeps what they have
            os.replace(folder, Path(name, "damaged"))
        os.replace(new, folder)


def _mapped(path: Path) -> Unread:
    """Map a file; what is read of it does not stay in the memory of this process."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    mapping = array.base
    if array.dtype != np.dtype("<i2") or not isinstance(mapping, mmap.mmap):
        raise ValueError("another array")

    def make(at: Positions) -> Array:
        found = np.asarray(array[at])  # a copy, as numbered records are
        # the system keeps the pages as long as it has room; here they would count as ours
        mapping.madvise(mmap.MADV_DONTNEED)
        return found

    return Unread(np.arange(len(array)), array.shape[1:], np.dtype(np.int16), make)


def _seen(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _hash(known: Known) -> str:
    """Hash what is known, as it lies in the archive."""
    whole = hashlib.sha256()
    for name in sorted(known):
        data = io.BytesIO()
        np.save(data, known[name], allow_pickle=False)
        whole.update(name.encode() + b"\0" + data.getbuffer())
    return whole.hexdigest()
