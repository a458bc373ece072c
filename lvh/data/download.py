"""Fetch a published archive and unpack it safely: all of it, verified, or nothing."""

import hashlib
import logging
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lvh.data.cache import exclusive
from lvh.data.unpacking import path_fault, unpack
from lvh.errors import EnvironmentFault, InputError

_SUMS = "SHA256SUMS.txt"
_TIMEOUT = 30.0  # seconds a server may stay silent
_CHUNK = 1 << 16

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip archive in PhysioNet's layout.

    Attributes:
        title: Name for messages, such as "LUDB 1.0.1".
        url: Address of the zip.
        top: The one folder at the top of the archive.
        sums_sha256: SHA-256 of its SHA256SUMS.txt, pinned; None where it is not known: that list
            then tells what was damaged or left out on the way, not what somebody has replaced.
        max_bytes: A download, or unpacked content, beyond this is refused.
        variable: Environment variable that names its folder, where it lies on the disk already.
        told: What a person should know before the download, or empty.
        needed_bytes: Disk that it takes while it is unpacked; 0 where that is no matter.
    """

    title: str
    url: str
    top: str
    sums_sha256: str | None
    max_bytes: int
    variable: str = "LVH_LUDB_ROOT"
    told: str = ""
    needed_bytes: int = 0


def fetch(archive: Archive, into: Path) -> Path:
    """Return `into`, holding the verified data set; download it if it is not there.

    `into` appears by a rename once everything in it is verified, so if it exists, it is whole.
    Of several processes one downloads; the others wait for it.

    Raises:
        InputError: The archive is not what it should be; nothing of it is kept.
        EnvironmentFault: The network or the disk failed.
    """
    if into.is_dir():
        return into
    if into.exists():
        raise _bad(into, "a folder or nothing yet", "a file")
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        waiting = f"{archive.title}: waiting for another process that is fetching it"
        with exclusive(into, waiting):
            if not into.is_dir():
                _make(archive, into)
    except OSError as error:
        raise EnvironmentFault(
            f"{into.parent}: expected a writable folder with room for {archive.title}. "
            f"Received: {error.strerror or error}"
        ) from error
    return into


def verify(root: Path, sums_sha256: str | None) -> None:
    """Check SHA256SUMS.txt against the pin and every file it lists.

    Raises:
        InputError: A file is missing, differs, or is a link that leaves `root`.
        EnvironmentFault: A file cannot be read.
    """
    try:
        _verify(root, sums_sha256, str(root))
    except OSError as error:
        raise EnvironmentFault(
            f"{error.filename or root}: expected a readable file. "
            f"Received: {error.strerror or error}"
        ) from error


def _make(archive: Archive, into: Path) -> None:
    """Download, unpack and verify beside `into`, then rename; the caller holds the lock."""
    prefix = f".{into.name}.partial-"
    for dead in into.parent.iterdir():  # we hold the lock: nobody alive is using these
        if dead.name.startswith(prefix):
            shutil.rmtree(dead, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        prefix=prefix, dir=into.parent, ignore_cleanup_errors=True
    ) as folder:
        packed, unpacked = Path(folder, "archive.zip"), Path(folder, "unpacked")
        _check_room(archive, into.parent)
        _log.info("%s: downloading %s%s", archive.title, archive.url, archive.told)
        _download(archive, packed)
        members = unpack(
            packed, unpacked, top=archive.top, max_bytes=archive.max_bytes, shown=archive.url
        )
        packed.unlink()
        root = unpacked / archive.top
        listed = _verify(root, archive.sums_sha256, archive.url)
        unlisted = sorted(members - listed - {_SUMS})
        if unlisted:
            raise _bad(archive.url, f"only files that {_SUMS} lists", unlisted[0])
        os.replace(root, into)


def _check_room(archive: Archive, folder: Path) -> None:
    """Tell before a long download, not after it, that there is no room."""
    free = shutil.disk_usage(folder).free
    if free < archive.needed_bytes:
        raise EnvironmentFault(
            f"{folder}: expected {archive.needed_bytes / 1e9:.1f} GB of free disk for "
            f"{archive.title} and its archive. Received: {free / 1e9:.1f} GB. XDG_CACHE_HOME names "
            "the folder of another disk"
        )


class _Capped:
    """A file that does not grow beyond a limit, so that no server can fill the disk."""

    def __init__(self, file: IO[bytes], archive: Archive) -> None:
        self.file = file
        self.archive = archive

    def write(self, chunk: bytes) -> int:
        if self.file.tell() + len(chunk) > self.archive.max_bytes:
            raise _bad(self.archive.url, f"at most {self.archive.max_bytes:,} bytes", "more")
        return self.file.write(chunk)

    def flush(self) -> None:
        self.file.flush()


def _download(archive: Archive, to: Path) -> None:
    # Slow to import, and most runs never download.
    import pooch
    import requests
    import urllib3

    # Not pooch.retrieve: it logs a hash and advice on pinning it; the pin here is on the content.
    opened: list[requests.Response] = []
    download = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(),
        chunk_size=_CHUNK,
        timeout=_TIMEOUT,
        hooks={"response": lambda response, **_: opened.append(response)},
    )
    try:
        with open(to, "wb") as file:
            download(archive.url, _Capped(file, archive), None)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise EnvironmentFault(
            f"{archive.title}: cannot fetch {archive.url} ({_reason(error)}).\n"
            "By hand: download and unpack it, then give its folder by data.root=FOLDER or "
            f"by the environment variable {archive.variable}.\n"
            "Without any download: data=synthetic."
        ) from error
    finally:
        for response in opened:  # pooch leaves the connection of a failed download open
            response.close()


def _reason(error: BaseException) -> str:
    """Say in a few words why a request failed: the innermost error says it best."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answered {response.status_code}"
    # Not by __context__: that may lead to an error the caller was handling before.
    for inner in (error.__cause__, getattr(error, "reason", None), *error.args):
        if isinstance(inner, BaseException):
            return _reason(inner)
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:120]


def _verify(root: Path, sums_sha256: str | None, shown: str) -> set[str]:
    """Check everything under `root`, called `shown` in messages; return the paths listed."""
    real = root.resolve()
    _expect(real, _SUMS, sums_sha256, shown)
    listed = set()
    text = (real / _SUMS).read_text("utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        match = re.fullmatch(r"([0-9a-fA-F]{64})  ?(?:\./)?(\S.*)", line)  # as `find .` names
        if match is None or path_fault(match[2]):
            where = f"{shown}: {_SUMS}, line {number}"
            raise _bad(where, "a SHA-256 and a plain relative path", repr(line[:120]))
        _expect(real, match[2], match[1], shown)
        listed.add(match[2])
    return listed


def _expect(root: Path, path: str, sha256: str | None, shown: str) -> None:
    """Check that one file is there, inside `root`, with this SHA-256 or, if None, with any."""
    file = root / path
    if not file.is_file():
        raise _bad(f"{shown}: {path}", "a file", "none")
    if not file.resolve().is_relative_to(root):
        raise _bad(f"{shown}: {path}", "a file inside the folder", "a link")
    if sha256 is None:
        return
    with open(file, "rb") as data:
        found = hashlib.file_digest(data, "sha256").hexdigest()
    if found != sha256.lower():
        expected = f"a SHA-256 that starts with {sha256[:12].lower()}"
        raise _bad(f"{shown}: {path}", expected, found[:12])


def _bad(where: str | Path, expected: str, received: str) -> InputError:
    return InputError(f"{where}: expected {expected}. Received: {received}")
