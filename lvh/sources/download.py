"""Fetch a published archive and unpack it safely: all of it, verified, or nothing."""

import hashlib
import logging
import os
import re
import shutil
import stat
import struct
import sys
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from filelock import FileLock, Timeout

from lvh.errors import EnvironmentFault, InputError

SUMS = "SHA256SUMS.txt"
TIMEOUT = 30.0
"""Seconds a server may stay silent."""
MAX_MEMBERS = 200_000
MAX_PATH_BYTES = 255
CHUNK = 1 << 16
ENCRYPTED = 0x2041
"""Zip flag bits: encrypted, strongly encrypted, masked headers."""
# All that zipfile and zlib raise on damaged input, bar OSError: that one is the disk's.
BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip archive in PhysioNet's layout.

    Attributes:
        title: Name for messages, such as "LUDB 1.0.1".
        url: Address of the zip.
        top: The one folder at the top of the archive.
        sums_sha256: SHA-256 of its SHA256SUMS.txt, pinned.
        max_bytes: A download, or unpacked content, beyond this is refused.
    """

    title: str
    url: str
    top: str
    sums_sha256: str
    max_bytes: int


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
        with _exclusive(into, archive.title):
            if not into.is_dir():
                _make(archive, into)
    except OSError as error:
        raise EnvironmentFault(
            f"{into.parent}: expected a writable folder with room for {archive.title}. "
            f"Received: {error.strerror or error}"
        ) from error
    return into


def verify(root: Path, sums_sha256: str) -> None:
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


@contextmanager
def _exclusive(into: Path, title: str) -> Iterator[None]:
    lock = FileLock(into.parent / f".{into.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("%s: waiting for another process that is fetching it", title)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


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
        log.info("%s: downloading %s", archive.title, archive.url)
        _download(archive, packed)
        members = _unpack(archive, packed, unpacked)
        packed.unlink()
        root = unpacked / archive.top
        listed = _verify(root, archive.sums_sha256, archive.url)
        unlisted = sorted(members - listed - {SUMS})
        if unlisted:
            raise _bad(archive.url, f"only files that {SUMS} lists", unlisted[0])
        os.replace(root, into)


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
        chunk_size=CHUNK,
        timeout=TIMEOUT,
        hooks={"response": lambda response, **_: opened.append(response)},
    )
    try:
        with open(to, "wb") as file:
            download(archive.url, _Capped(file, archive), None)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise EnvironmentFault(
            f"{archive.title}: cannot fetch {archive.url} ({_reason(error)}).\n"
            "By hand: download and unpack it, then give its folder by data.root=FOLDER or, "
            "for LUDB, by the environment variable LVH_LUDB_ROOT.\n"
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


def _unpack(archive: Archive, packed: Path, into: Path) -> set[str]:
    """Write the members under `into`; return the paths of its files, relative to `top`."""
    files = set()
    room = archive.max_bytes
    name = ""
    try:
        with zipfile.ZipFile(packed) as source:
            _check_members(archive, source.infolist())
            for member in source.infolist():
                name = member.orig_filename
                target = into / name
                if name.endswith("/"):
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with source.open(member) as data, open(target, "xb") as file:
                    room -= _copy(data, file, room)
                files.add(name.removeprefix(f"{archive.top}/"))
    except BROKEN_ZIP as error:
        where = f"{archive.url}: member {name!r}" if name else archive.url
        raise _bad(where, "a whole zip archive", str(error)[:120]) from error
    return files


def _copy(source: IO[bytes], target: IO[bytes], room: int) -> int:
    """Copy at most `room` bytes, whatever the headers promised; return how many."""
    copied = 0
    while chunk := source.read(CHUNK):
        copied += len(chunk)
        if copied > room:
            raise zipfile.BadZipFile("more bytes than the archive may unpack to")
        target.write(chunk)
    return copied


def _check_members(archive: Archive, members: list[zipfile.ZipInfo]) -> None:
    """Refuse the archive, before anything is written, if any member is not a plain one.

    Raises:
        InputError: Names the first bad member.
    """
    if len(members) > MAX_MEMBERS:
        raise _bad(archive.url, f"at most {MAX_MEMBERS:,} members", f"{len(members):,}")
    size = sum(member.file_size for member in members)
    if size > archive.max_bytes:
        raise _bad(archive.url, f"at most {archive.max_bytes:,} bytes unpacked", f"{size:,}")
    # Some file systems fold case and accents: names that differ only so are one file there.
    keys = [
        unicodedata.normalize("NFC", member.orig_filename.removesuffix("/")).casefold()
        for member in members
    ]
    parents = {str(parent) for key in keys for parent in PurePosixPath(key).parents}
    seen = set()
    for member, key in zip(members, keys, strict=True):
        fault = _member_fault(member, archive.top)
        if not fault and key in seen:
            fault = "a name that occurs twice"
        if not fault and key in parents and not member.orig_filename.endswith("/"):
            fault = "a file where another member needs a folder"
        if fault:
            where = f"{archive.url}: member {member.orig_filename[:MAX_PATH_BYTES]!r}"
            raise _bad(where, f"a plain file or folder under {archive.top}/", fault)
        seen.add(key)


def _member_fault(member: zipfile.ZipInfo, top: str) -> str:
    """Say what is wrong with a member by itself, or return an empty text."""
    # Not `filename`: zipfile has already cut that one at a NUL.
    name = member.orig_filename
    if fault := _path_fault(name.removesuffix("/")):
        return fault
    if not name.startswith(f"{top}/"):
        return "a path outside that folder"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if name.endswith("/") else stat.S_IFREG):
        return "a link or special file"
    if member.flag_bits & ENCRYPTED:
        return "an encrypted file"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"compression method {member.compress_type}"
    if member.header_offset < 0:
        return "an offset before the archive's start"
    return ""


def _path_fault(path: str) -> str:
    """Say why a path from outside is not plain and relative, or return an empty text."""
    if any(char in "\\:" or not char.isprintable() for char in path):
        return "a backslash, colon or unprintable character in the path"
    if path.startswith("/"):
        return "an absolute path"
    if any(not part or part[-1] in ". " for part in path.split("/")):
        return "a part of the path that is empty, '.' or '..' or ends in a dot or blank"
    if len(path.encode()) > MAX_PATH_BYTES:
        return f"a path of more than {MAX_PATH_BYTES} bytes"
    return ""


def _verify(root: Path, sums_sha256: str, shown: str) -> set[str]:
    """Check everything under `root`, called `shown` in messages; return the paths listed."""
    real = root.resolve()
    _expect(real, SUMS, sums_sha256, shown)
    listed = set()
    text = (real / SUMS).read_text("utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        match = re.fullmatch(r"([0-9a-fA-F]{64})  ?(\S.*)", line)
        if match is None or _path_fault(match[2]):
            where = f"{shown}: {SUMS}, line {number}"
            raise _bad(where, "a SHA-256 and a plain relative path", repr(line[:120]))
        _expect(real, match[2], match[1], shown)
        listed.add(match[2])
    return listed


def _expect(root: Path, path: str, sha256: str, shown: str) -> None:
    """Check that one file is there, inside `root`, with this SHA-256."""
    file = root / path
    if not file.is_file():
        raise _bad(f"{shown}: {path}", "a file", "none")
    if not file.resolve().is_relative_to(root):
        raise _bad(f"{shown}: {path}", "a file inside the folder", "a link")
    with open(file, "rb") as data:
        found = hashlib.file_digest(data, "sha256").hexdigest()
    if found != sha256.lower():
        expected = f"a SHA-256 that starts with {sha256[:12].lower()}"
        raise _bad(f"{shown}: {path}", expected, found[:12])


def _bad(where: str | Path, expected: str, received: str) -> InputError:
    return InputError(f"{where}: expected {expected}. Received: {received}")
