"""Download a published archive and unpack it safely: all of it, verified, or nothing."""

import hashlib
import logging
import re
import shutil
import struct
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lvh.data.cache import folder_lock, temporary_folder
from lvh.errors import EnvironmentFault, InputError

_SUMS = "SHA256SUMS.txt"
_TIMEOUT = 30.0  # seconds a server may stay silent
_MAX_MEMBERS = 200_000
_MAX_PATH_BYTES = 255
# all that zipfile and zlib raise on damaged input, but OSError: that one is the disk's
_BROKEN_ZIP = (
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(EOFError, RuntimeError, ValueError, NotImplementedError),
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip archive in PhysioNet's layout.

    Attributes:
        title: Name for messages, such as "LUDB 1.0.1".
        url: Address of the zip.
        top: The one folder at the top of the archive.
        sums_sha256: SHA-256 of its SHA256SUMS.txt, pinned; None where it is not known: then that
            list detects what was damaged on the way, but not what somebody has replaced.
        max_bytes: A download, or unpacked content, beyond this is refused.
        variable: Environment variable that names its folder, where it is on the disk already.
        warning: What a user should know before the download, or empty.
        needed_bytes: Disk that it takes while it is unpacked; 0 where that is little.
    """

    title: str
    url: str
    top: str
    sums_sha256: str | None
    max_bytes: int
    variable: str = "LVH_LUDB_ROOT"
    warning: str = ""
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
        with folder_lock(into, f"{archive.title}: waiting for another process that is fetching it"):
            if not into.is_dir():
                _check_room(archive, into.parent)
                with temporary_folder(into) as temporary:
                    _fetch(archive, temporary).rename(into)
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


def _fetch(archive: Archive, folder: Path) -> Path:
    """Download, unpack and verify an archive; return the folder at its top."""
    from pooch import Unzip, get_logger

    get_logger().setLevel("WARNING")  # it prints one line a file otherwise
    packed, unpacked = folder / "archive.zip", folder / "unpacked"
    _log.info("%s: downloading %s%s", archive.title, archive.url, archive.warning)
    _download(archive, packed)
    try:
        with zipfile.ZipFile(packed) as source:
            members = source.infolist()
        _check_members(archive, members)
        Unzip(extract_dir=str(unpacked))(str(packed), "download", None)
    except _BROKEN_ZIP as error:
        raise _bad(archive.url, "a whole zip archive", str(error)[:120]) from error
    packed.unlink()
    root = unpacked / archive.top
    listed = _verify(root, archive.sums_sha256, archive.url)
    files = {one.filename.removeprefix(f"{archive.top}/") for one in members if not one.is_dir()}
    unlisted = sorted(files - listed - {_SUMS})
    if unlisted:
        raise _bad(archive.url, f"only files that {_SUMS} lists", unlisted[0])
    return root


def _check_members(archive: Archive, members: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive, before anything is unpacked, that is a bomb or leaves its folder.

    zipfile itself neither makes links nor writes more bytes than a member declares.
    """
    if len(members) > _MAX_MEMBERS:
        raise _bad(archive.url, f"at most {_MAX_MEMBERS:,} members", f"{len(members):,}")
    size = sum(member.file_size for member in members)
    if size > archive.max_bytes:
        raise _bad(archive.url, f"at most {archive.max_bytes:,} bytes unpacked", f"{size:,}")
    names = [member.orig_filename for member in members]  # filename ends at a NUL
    for member, name in zip(members, names, strict=True):
        fault = path_fault(name.removesuffix("/"))
        if not name.startswith(f"{archive.top}/"):
            fault = fault or "a path outside that folder"
        elif (member.external_attr >> 28) not in (0, 4, 8):
            fault = fault or "a link or special file"
        if fault:
            where = f"{archive.url}: member {name[:_MAX_PATH_BYTES]!r}"
            raise _bad(where, f"a plain file or folder under {archive.top}/", fault)
    if len(set(names)) < len(names):
        raise _bad(archive.url, "members of different names", "a name that occurs twice")


def path_fault(path: str) -> str:
    """Say why a path from outside is not plain and relative, or return an empty text."""
    if any(char in "\\:" or not char.isprintable() for char in path):
        return "a backslash, colon or unprintable character in the path"
    if path.startswith("/"):
        return "an absolute path"
    if any(not part or part[-1] in ". " for part in path.split("/")):
        return "a part of the path that is empty, '.' or '..' or ends in a dot or blank"
    if len(path.encode()) > _MAX_PATH_BYTES:
        return f"a path of more than {_MAX_PATH_BYTES} bytes"
    return ""


def _check_room(archive: Archive, folder: Path) -> None:
    """Refuse before a long download, not after it, where the disk has no room."""
    free = shutil.disk_usage(folder).free
    if free < archive.needed_bytes:
        raise EnvironmentFault(
            f"{folder}: expected {archive.needed_bytes / 1e9:.1f} GB of free disk for "
            f"{archive.title} and its archive. Received: {free / 1e9:.1f} GB. XDG_CACHE_HOME names "
            "the folder of another disk"
        )


class _LimitedFile:
    """A file that does not grow beyond a limit, so that no server can fill the disk."""

    def __init__(self, file: IO[bytes], archive: Archive) -> None:
        self.file = file
        self.archive = archive
        self.flush = file.flush

    def write(self, chunk: bytes) -> int:
        if self.file.tell() + len(chunk) > self.archive.max_bytes:
            raise _bad(self.archive.url, f"at most {self.archive.max_bytes:,} bytes", "more")
        return self.file.write(chunk)


def _download(archive: Archive, to: Path) -> None:
    # slow to import, and most runs never download
    import requests
    import urllib3
    from pooch import HTTPDownloader

    responses: list[requests.Response] = []

    def keep(response: requests.Response, **_: Any) -> None:
        responses.append(response)

    download = HTTPDownloader(
        progressbar=sys.stderr.isatty(), timeout=_TIMEOUT, hooks={"response": keep}
    )
    try:
        with open(to, "wb") as file:
            download(archive.url, _LimitedFile(file, archive), None)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise EnvironmentFault(
            f"{archive.title}: cannot fetch {archive.url} ({_reason(error)}).\n"
            "By hand: download and unpack it, then give its folder by data.root=FOLDER or "
            f"by the environment variable {archive.variable}.\n"
            "Without any download: data=synthetic."
        ) from error
    finally:
        for response in responses:  # pooch leaves the connection of a failed download open
            response.close()


def _reason(error: BaseException) -> str:
    """Say in a few words why a request failed: the innermost error says it best."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answered {response.status_code}"
    # not by __context__: that may lead to an error the caller was handling before
    for inner in (error.__cause__, getattr(error, "reason", None), *error.args):
        if isinstance(inner, BaseException):
            return _reason(inner)
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:120]


def _verify(root: Path, sums_sha256: str | None, name: str) -> set[str]:
    """Check everything under `root`, called `name` in messages; return the paths listed."""
    root = root.resolve()
    _check_file(root, _SUMS, sums_sha256, name)
    listed = set()
    text = (root / _SUMS).read_text("utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        match = re.fullmatch(r"([0-9a-fA-F]{64})  ?(?:\./)?(\S.*)", line)  # as `find .` names
        if match is None or path_fault(match[2]):
            where = f"{name}: {_SUMS}, line {number}"
            raise _bad(where, "a SHA-256 and a plain relative path", repr(line[:120]))
        _check_file(root, match[2], match[1], name)
        listed.add(match[2])
    return listed


def _check_file(root: Path, path: str, sha256: str | None, name: str) -> None:
    """Check that a file is there, inside `root`, with this SHA-256 or, if None, with any."""
    file = root / path
    if not file.is_file():
        raise _bad(f"{name}: {path}", "a file", "none")
    if not file.resolve().is_relative_to(root):
        raise _bad(f"{name}: {path}", "a file inside the folder", "a link")
    if sha256 is None:
        return
    with open(file, "rb") as data:
        actual = hashlib.file_digest(data, "sha256").hexdigest()
    if actual != sha256.lower():
        expected = f"a SHA-256 that starts with {sha256[:12].lower()}"
        raise _bad(f"{name}: {path}", expected, actual[:12])


def _bad(where: str | Path, expected: str, received: str) -> InputError:
    return InputError(f"{where}: expected {expected}. Received: {received}")
