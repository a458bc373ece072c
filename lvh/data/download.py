"""Download a published archive and unpack it safely: all of it, verified, or nothing."""

import logging
import re
import shutil
import struct
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from lvh.data.cache import lock_of
from lvh.errors import EnvironmentFault, InputError, excerpt
from lvh.files import made_whole

_SUMS = "SHA256SUMS.txt"
_SUM_LINE = re.compile(r"^([0-9a-f]{64})  ?(?:\./)?(\S.*)$", re.I | re.M)  # as of `find .`
_TIMEOUT = 30.0  # seconds a server may stay silent
# all that zipfile and zlib raise on damaged input, but OSError: that one is the disk's
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError)

_log = logging.getLogger(__name__)


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


def fetch(archive: Archive, into: Path) -> Path:
    """Return `into`, holding the verified data set; download it if it is not there.

    `into` appears by a rename once everything in it is verified, so if it exists, it is whole.
    Of several processes one downloads; the others wait for it.
    """
    if into.is_dir():
        return into
    with lock_of(into):
        if into.is_dir():  # another process has fetched it
            return into
        for leftover in into.parent.glob(f".{into.name}-*"):  # of a killed process
            shutil.rmtree(leftover, ignore_errors=True)
        with made_whole(into) as whole:
            _fetch(archive, whole.parent).rename(whole)
    return into


def _fetch(archive: Archive, folder: Path) -> Path:
    """Download, unpack and verify an archive; return the folder at its top."""
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    _log.info("%s: downloading %s%s", archive.title, archive.url, archive.warning)
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=_TIMEOUT)
    try:
        # makes no links, leaves no folder, writes no more bytes than a member declares
        files = pooch.retrieve(
            archive.url,
            known_hash=None,  # each file has its own
            fname="archive.zip",
            path=folder,
            processor=pooch.Unzip(extract_dir="unpacked"),
            downloader=downloader,
        )
    except requests.RequestException as error:
        raise EnvironmentFault(
            f"{archive.title}: cannot fetch {archive.url} ({error}).\n"
            "By hand: download and unpack it, then give its folder by data.root=FOLDER or "
            f"by the environment variable {archive.variable}.\n"
            "Without any download: data=synthetic."
        ) from error
    except _BROKEN_ZIP as error:
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
