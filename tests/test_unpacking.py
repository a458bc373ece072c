"""Unpacking: plain files under one folder, or a refusal before anything is written."""

import io
import os
import stat
import struct
import warnings
import zipfile
from pathlib import Path

import pytest

from lvh.errors import InputError
from lvh.sources import unpacking
from lvh.sources.unpacking import path_fault, unpack

TOP = "tiny-1.0"
FILES = {"RECORDS": b"1\n2\n", "data/1.dat": bytes(range(256)) * 40, "data/2.dat": b""}
SHOWN = "https://example.org/tiny-1.0.zip"
Member = tuple[str | zipfile.ZipInfo, bytes]
MEMBERS: list[Member] = [
    (f"{TOP}/", b""),
    (f"{TOP}/data/", b""),
    *((f"{TOP}/{path}", data) for path, data in FILES.items()),
]


def zipped(members: list[Member], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Duplicate name")
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def with_extra(name: str | zipfile.ZipInfo, data: bytes = b"x") -> bytes:
    return zipped([*MEMBERS, (name, data)])


def special(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def patched(data: bytes, local: int, central: int, value: bytes) -> bytes:
    """Overwrite a field in the local and the central header of a zip's last member."""
    raw = bytearray(data)
    for magic, offset in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        at = raw.rindex(magic) + offset
        raw[at : at + len(value)] = value
    return bytes(raw)


def broken_stream(data: bytes, name_length: int) -> bytes:
    """Spoil the data of a zip's last member."""
    raw = bytearray(data)
    raw[raw.rindex(b"PK\x03\x04") + 30 + name_length] = 0xFF  # no such deflate block
    return bytes(raw)


def unpack_bytes(data: bytes, folder: Path) -> set[str]:
    (folder / "archive.zip").write_bytes(data)
    return unpack(
        folder / "archive.zip", folder / "into", top=TOP, max_bytes=1_000_000, shown=SHOWN
    )


GOOD = zipped(MEMBERS)
EXTRA = with_extra(f"{TOP}/extra", b"x" * 1000)
REFUSED = {
    "parent": (with_extra(f"{TOP}/../../evil"), "evil"),
    "parent first": (with_extra("../evil"), "'../evil'"),
    "absolute": (with_extra("/tmp/lvh-evil"), "an absolute path"),
    "backslash": (with_extra(f"{TOP}\\..\\evil"), "backslash"),
    "drive": (with_extra("C:/evil"), "'C:/evil'"),
    "stream": (with_extra(f"{TOP}/RECORDS:evil"), "colon"),
    "dot": (with_extra(f"{TOP}/./evil"), "/./evil"),
    "empty part": (with_extra(f"{TOP}//evil"), "//evil"),
    "blank end": (with_extra(f"{TOP}/evil "), "blank"),
    "escape sequence": (with_extra(f"{TOP}/\x1b[2J"), r"\x1b[2J"),
    "nul": (patched(EXTRA, 30, 46, f"{TOP}/ext\0a".encode()), "unprintable"),
    "long": (with_extra(f"{TOP}/{'x' * 300}"), "255 bytes"),
    "outside top": (with_extra("other/evil"), "'other/evil'"),
    "beside top": (with_extra(f"{TOP}-evil"), f"{TOP}-evil"),
    "top a file": (zipped([(TOP, b"x")]), f"'{TOP}'"),
    "symlink": (with_extra(special(f"{TOP}/evil", stat.S_IFLNK | 0o777), b"/etc"), "link"),
    "symlink folder": (with_extra(special(f"{TOP}/e/", stat.S_IFLNK | 0o777), b"/"), "link"),
    "fifo": (with_extra(special(f"{TOP}/evil", stat.S_IFIFO | 0o666), b""), "special"),
    "device": (with_extra(special(f"{TOP}/evil", stat.S_IFCHR | 0o666), b""), "special"),
    "duplicate": (with_extra(f"{TOP}/RECORDS"), "twice"),
    "duplicate but for case": (with_extra(f"{TOP}/records"), "twice"),
    "file as folder": (with_extra(f"{TOP}/RECORDS/evil"), "needs a folder"),
    "encrypted": (patched(EXTRA, 6, 8, b"\x01\x00"), "encrypted"),
    "bzip2": (zipped(MEMBERS, zipfile.ZIP_BZIP2), "compression method 12"),
    "bomb": (with_extra(f"{TOP}/evil", bytes(2_000_000)), "1,000,000 bytes"),
    "empty body": (b"", "zip archive"),
    "half a zip": (GOOD[: len(GOOD) // 2], "zip archive"),
    "beginning lost": (GOOD[40:], "offset before"),
}
DAMAGED = {
    "length": (
        patched(with_extra(f"{TOP}/extra", bytes(2_000_000)), 22, 24, struct.pack("<I", 9)),
        "zip archive",
    ),
    "checksum": (patched(EXTRA, 14, 16, b"\0\0\0\0"), "CRC"),
    "stream": (broken_stream(EXTRA, len(f"{TOP}/extra")), "invalid block type"),
}


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_files_and_their_paths_come_out(tmp_path: Path, method: int) -> None:
    assert unpack_bytes(zipped(MEMBERS, method), tmp_path) == set(FILES)
    for path, data in FILES.items():
        assert (tmp_path / "into" / TOP / path).read_bytes() == data


def test_folders_need_no_members_of_their_own(tmp_path: Path) -> None:
    assert unpack_bytes(zipped(MEMBERS[2:]), tmp_path) == set(FILES)


@pytest.mark.parametrize(("data", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_archive_is_refused_before_anything_is_written(
    tmp_path: Path, data: bytes, named: str
) -> None:
    with pytest.raises(InputError) as caught:
        unpack_bytes(data, tmp_path)
    assert named in str(caught.value)
    assert str(caught.value).startswith(SHOWN)
    assert [path.name for path in tmp_path.iterdir()] == ["archive.zip"]
    assert not os.path.lexists("/tmp/lvh-evil")


@pytest.mark.parametrize(("data", "named"), DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_member_is_named(tmp_path: Path, data: bytes, named: str) -> None:
    with pytest.raises(InputError) as caught:
        unpack_bytes(data, tmp_path)
    assert str(caught.value).startswith(f"{SHOWN}: member '{TOP}/extra'")
    assert named in str(caught.value)


def test_bytes_are_counted_without_trust_in_headers() -> None:
    target = io.BytesIO()
    with pytest.raises(zipfile.BadZipFile, match="more bytes"):
        unpacking._copy(io.BytesIO(bytes(1_000_000)), target, room=100_000)
    assert len(target.getvalue()) <= 100_000


def test_number_of_members_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "_MAX_MEMBERS", 4)
    with pytest.raises(InputError, match=r"at most 4 members\. Received: 5"):
        unpack_bytes(GOOD, tmp_path)


@pytest.mark.parametrize("path", ["RECORDS", "data/1.dat", "a b/.hidden", "ä"])
def test_plain_relative_path_has_no_fault(path: str) -> None:
    assert path_fault(path) == ""


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a.", "a\\b", "C:x"])
def test_other_path_has_a_fault(path: str) -> None:
    assert path_fault(path)
