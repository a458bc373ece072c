"""Unpacking: plain files under one folder, or a refusal before anything is written."""

import io
import warnings
import zipfile
from pathlib import Path

import pytest
from lvh.data.unpacking import path_fault, unpack

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


def unpack_bytes(data: bytes, folder: Path) -> set[str]:
    (folder / "archive.zip").write_bytes(data)
    return unpack(
        folder / "archive.zip", folder / "into", top=TOP, max_bytes=1_000_000, shown=SHOWN
    )


GOOD = zipped(MEMBERS)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_files_and_their_paths_come_out(tmp_path: Path, method: int) -> None:
    assert unpack_bytes(zipped(MEMBERS, method), tmp_path) == set(FILES)
    for path, data in FILES.items():
        assert (tmp_path / "into" / TOP / path).read_bytes() == data


def test_folders_need_no_members_of_their_own(tmp_path: Path) -> None:
    assert unpack_bytes(zipped(MEMBERS[2:]), tmp_path) == set(FILES)


@pytest.mark.parametrize("path", ["RECORDS", "data/1.dat", "a b/.hidden", "ä"])
def test_plain_relative_path_has_no_fault(path: str) -> None:
    assert path_fault(path) == ""


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a.", "a\\b", "C:x"])
def test_other_path_has_a_fault(path: str) -> None:
    assert path_fault(path)
