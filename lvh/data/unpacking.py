"""Unpack a zip archive from outside: only plain files, all under one folder."""

import stat
import struct
import unicodedata
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from lvh.errors import InputError

_MAX_MEMBERS = 200_000
_MAX_PATH_BYTES = 255
_CHUNK = 1 << 16
_ENCRYPTED = 0x2041  # flag bits: encrypted, strongly encrypted, masked headers
# All that zipfile and zlib raise on damaged input, bar OSError: that one is the disk's.
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError)


def unpack(packed: Path, into: Path, *, top: str, max_bytes: int, shown: str) -> set[str]:
    """Write the files of an archive under `into`; nothing if one of its members is not plain.

    Args:
        packed: The archive.
        into: Folder to make; holds a part if the archive's data turn out to be damaged.
        top: The one folder at the top of the archive.
        max_bytes: Content beyond this is refused.
        shown: The archive's name in messages.

    Returns:
        The paths of the files, relative to `top`.

    Raises:
        InputError: The archive is damaged, too large, or holds anything but plain files.
        OSError: The disk failed.
    """
    files = set()
    room = max_bytes
    where = shown
    try:
        with zipfile.ZipFile(packed) as source:
            _check_members(source.infolist(), top, max_bytes, shown)
            for member in source.infolist():
                name = member.orig_filename
                where = f"{shown}: member {name!r}"
                target = into / name
                if name.endswith("/"):
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with source.open(member) as data, open(target, "xb") as file:
                    room -= _copy(data, file, room)
                files.add(name.removeprefix(f"{top}/"))
    except _BROKEN_ZIP as error:
        raise _bad(where, "a whole zip archive", str(error)[:120]) from error
    return files


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


def _copy(source: IO[bytes], target: IO[bytes], room: int) -> int:
    """Copy at most `room` bytes, whatever the headers promised; return how many."""
    copied = 0
    while chunk := source.read(_CHUNK):
        copied += len(chunk)
        if copied > room:
            raise zipfile.BadZipFile("more bytes than the archive may unpack to")
        target.write(chunk)
    return copied


def _check_members(members: list[zipfile.ZipInfo], top: str, max_bytes: int, shown: str) -> None:
    """Refuse the archive, before anything is written, if any member is not a plain one."""
    if len(members) > _MAX_MEMBERS:
        raise _bad(shown, f"at most {_MAX_MEMBERS:,} members", f"{len(members):,}")
    size = sum(member.file_size for member in members)
    if size > max_bytes:
        raise _bad(shown, f"at most {max_bytes:,} bytes unpacked", f"{size:,}")
    # Some file systems fold case and accents: names that differ only so are one file there.
    keys = [
        unicodedata.normalize("NFC", member.orig_filename.removesuffix("/")).casefold()
        for member in members
    ]
    parents = {str(parent) for key in keys for parent in PurePosixPath(key).parents}
    seen = set()
    for member, key in zip(members, keys, strict=True):
        fault = _member_fault(member, top)
        if not fault and key in seen:
            fault = "a name that occurs twice"
        if not fault and key in parents and not member.orig_filename.endswith("/"):
            fault = "a file where another member needs a folder"
        if fault:
            where = f"{shown}: member {member.orig_filename[:_MAX_PATH_BYTES]!r}"
            raise _bad(where, f"a plain file or folder under {top}/", fault)
        seen.add(key)


def _member_fault(member: zipfile.ZipInfo, top: str) -> str:
    """Say what is wrong with a member by itself, or return an empty text."""
    # Not `filename`: zipfile has already cut that one at a NUL.
    name = member.orig_filename
    if fault := path_fault(name.removesuffix("/")):
        return fault
    if not name.startswith(f"{top}/"):
        return "a path outside that folder"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if name.endswith("/") else stat.S_IFREG):
        return "a link or special file"
    if member.flag_bits & _ENCRYPTED:
        return "an encrypted file"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"compression method {member.compress_type}"
    if member.header_offset < 0:
        return "an offset before the archive's start"
    return ""


def _bad(where: str, expected: str, received: str) -> InputError:
    return InputError(f"{where}: expected {expected}. Received: {received}")
