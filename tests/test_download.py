"""Downloads: whole and verified, or refused with nothing left behind.

The server is this test's own, on the loopback interface.
"""

import hashlib
import io
import stat
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lvh.data.cache import Archive, fetch
from lvh.errors import EnvironmentFault, InputError

TOP = "tiny-1.0"
FILES = {"RECORDS": b"1\n2\n", "data/1.dat": bytes(range(256)) * 40, "data/2.dat": b""}
SUMS = "".join(
    f"{hashlib.sha256(data).hexdigest()} {path}\n" for path, data in FILES.items()
).encode()
PIN = hashlib.sha256(SUMS).hexdigest()


def packed(files: dict[str, bytes], sums: bytes = SUMS, *more: tuple) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("", "data/"):
            archive.writestr(f"{TOP}/{name}", b"")
        for path, data in {**files, "SHA256SUMS.txt": sums}.items():
            archive.writestr(f"{TOP}/{path}", data)
        for name, data in more:
            archive.writestr(name, data)
    return buffer.getvalue()


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Archive]]:
    """The file that a server sends, and the archive at its address."""
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "site" / "tiny-1.0.zip"
    file.parent.mkdir()
    handler = partial(Silent, directory=str(file.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/{file.name}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield file, Archive("Tiny 1.0", url, TOP, PIN)
        server.shutdown()
        thread.join()


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "tiny"


def left_beside(into: Path) -> set[str]:
    """List what lies in the cache, but for the lock file, which stays."""
    return {path.name for path in into.parent.iterdir()} - {f".{into.name}.lock"}


def test_an_archive_is_downloaded_once_verified_and_renamed(served, into, capfd):
    file, archive = served
    file.write_bytes(packed(FILES))
    assert fetch(archive, into) == into
    file.unlink()
    assert fetch(archive, into) == into
    content = {
        path.relative_to(into).as_posix(): path.read_bytes()
        for path in into.rglob("*")
        if path.is_file()
    }
    assert content == {**FILES, "SHA256SUMS.txt": SUMS}
    assert left_beside(into) == {"tiny"}
    assert capfd.readouterr() == ("", "")  # stderr is no terminal


LINK = zipfile.ZipInfo(f"{TOP}/evil")
LINK.external_attr = (stat.S_IFLNK | 0o777) << 16
BAD_ARCHIVES = {
    "parent": (packed(FILES, SUMS, (f"{TOP}/../../evil", b"x")), "evil"),
    "escape sequence": (packed(FILES, SUMS, (f"{TOP}/\x1b[2J", b"x")), r"\x1b[2J"),
    "symlink": (packed(FILES, SUMS, (LINK, b"/etc")), "evil"),
    "half": (packed(FILES)[:9000], "zip archive"),
    "unlisted": (packed(FILES, SUMS, (f"{TOP}/extra", b"x")), f"'{TOP}/extra' with"),
    "missing": (packed({"RECORDS": FILES["RECORDS"]}), "'tiny-1.0/data/1.dat' with"),
    "wrong content": (packed({**FILES, "data/1.dat": b"!"}), "'tiny-1.0/data/1.dat' with"),
    "wrong pin": (packed(FILES, SUMS + SUMS), f"lists, {PIN}"),
}


@pytest.mark.parametrize(("body", "named"), BAD_ARCHIVES.values(), ids=BAD_ARCHIVES.keys())
def test_a_bad_archive_is_refused_and_leaves_nothing(served, into, body, named):
    file, archive = served
    file.write_bytes(body)
    with pytest.raises(InputError) as caught:
        fetch(archive, into)
    assert named in str(caught.value)
    assert str(caught.value).startswith(archive.url)
    assert str(caught.value).isprintable()
    assert left_beside(into) == set()


@pytest.mark.parametrize("line", [b"RECORDS\n", b"0" * 64 + b" ../../evil\n"])
def test_malformed_sums_that_are_not_pinned_are_refused(served, into, line):
    file, archive = served
    file.write_bytes(packed(FILES, line))
    with pytest.raises(InputError, match=r"RECORDS' with|/\.\./\.\./evil'"):
        fetch(replace(archive, sums_sha256=None), into)
    assert left_beside(into) == set()


def test_a_fault_of_the_network_leaves_nothing(served, into):
    with pytest.raises(EnvironmentFault):  # the server has no such file
        fetch(served[1], into)
    assert left_beside(into) == set()
