"""Downloads: whole and verified, or refused with nothing left behind.

Every server here is this test's own, on the loopback interface.
"""

import hashlib
import io
import socket
import stat
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lvh.data.download import Archive, fetch
from lvh.errors import EnvironmentFault, InputError

TOP = "tiny-1.0"
FILES = {"RECORDS": b"1\n2\n", "data/1.dat": bytes(range(256)) * 40, "data/2.dat": b""}


def sums_of(files: dict[str, bytes]) -> bytes:
    lines = [f"{hashlib.sha256(data).hexdigest()} {path}\n" for path, data in files.items()]
    return "".join(lines).encode()


SUMS = sums_of(FILES)
PIN = hashlib.sha256(SUMS).hexdigest()
Member = tuple[str | zipfile.ZipInfo, bytes]


def members_of(files: dict[str, bytes], sums: bytes = SUMS) -> list[Member]:
    inside: list[Member] = [(f"{TOP}/{path}", data) for path, data in files.items()]
    return [(f"{TOP}/", b""), (f"{TOP}/data/", b""), *inside, (f"{TOP}/SHA256SUMS.txt", sums)]


def zipped(members: list[Member]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


GOOD = zipped(members_of(FILES))


@dataclass
class Site:
    """What the server sends; each request is counted and takes the next answer."""

    url: str = ""
    requests: int = 0
    answers: list[Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)

    def archive(self, **changes: object) -> Archive:
        return replace(Archive("Tiny 1.0", self.url, TOP, PIN), **changes)

    def serve(self, body: bytes, status: int = 200, promise: int | None = None) -> None:
        def answer(request: BaseHTTPRequestHandler) -> None:
            head(request, status, len(body) if promise is None else promise)
            request.wfile.write(body)

        self.answers.append(answer)


def head(request: BaseHTTPRequestHandler, status: int, length: int) -> None:
    request.send_response(status)
    request.send_header("Content-Length", str(length))
    request.end_headers()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.requests += 1
            site.answers.pop(0)(self)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *args: object) -> None:
            """Stay silent: here clients go away on purpose."""

    with Server(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_address[1]}/tiny-1.0.zip"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield site
        server.shutdown()
        thread.join()


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "tiny"


def files_under(root: Path) -> set[str]:
    """List everything below a folder, bar the lock file, which stays."""
    return {path.name for path in root.rglob("*") if not path.name.endswith(".tiny.lock")}


def assert_fetched(into: Path) -> None:
    content = {
        path.relative_to(into).as_posix(): path.read_bytes()
        for path in into.rglob("*")
        if path.is_file()
    }
    assert content == {**FILES, "SHA256SUMS.txt": SUMS}
    assert {p.name for p in into.parent.iterdir()} == {into.name, f".{into.name}.lock"}


def test_an_archive_is_downloaded_once_verified_and_renamed(site, into, capfd):
    site.serve(GOOD)
    assert fetch(site.archive(), into) == fetch(site.archive(), into) == into
    assert_fetched(into)
    assert site.requests == 1
    assert capfd.readouterr() == ("", "")  # stderr is no terminal


def test_too_little_disk_is_an_error_before_the_download(site, into):
    with pytest.raises(EnvironmentFault, match=r"expected 1000000000\.0 GB of free disk for Tiny"):
        fetch(site.archive(needed_bytes=10**18), into)
    assert (site.requests, files_under(into.parent)) == (0, set())


def with_extra(name: str | zipfile.ZipInfo, data: bytes = b"x") -> bytes:
    return zipped([*members_of(FILES), (name, data)])


def special(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


BAD_ARCHIVES = {
    "parent": (with_extra(f"{TOP}/../../evil"), "evil"),
    "absolute": (with_extra("/tmp/lvh-evil"), "tmp/lvh-evil"),
    "escape sequence": (with_extra(f"{TOP}/\x1b[2J"), r"\x1b[2J"),
    "symlink": (with_extra(special(f"{TOP}/evil", stat.S_IFLNK | 0o777), b"/etc"), "evil"),
    "half": (GOOD[: len(GOOD) // 2], "zip archive"),
    "checksum": (GOOD.replace(FILES["RECORDS"], b"1\n3\n"), "zip archive"),
    "unlisted": (with_extra(f"{TOP}/extra"), f"lists. Received: '{TOP}/extra'"),
    "missing": (
        zipped([m for m in members_of(FILES) if m[0] != f"{TOP}/data/1.dat"]),
        "'tiny-1.0/data/1.dat' with",
    ),
    "wrong content": (
        zipped(members_of({**FILES, "data/1.dat": b"!"})),
        "'tiny-1.0/data/1.dat' with",
    ),
    "wrong pin": (
        zipped(members_of(FILES, SUMS + SUMS.splitlines(keepends=True)[0])),
        f"SHA-256 {PIN}",
    ),
    "web page": (b"<html>Sign in to this network</html>", "zip archive"),
}


@pytest.mark.parametrize(("body", "named"), BAD_ARCHIVES.values(), ids=BAD_ARCHIVES.keys())
def test_a_bad_archive_is_refused_and_leaves_nothing(site, into, tmp_path, body, named):
    site.serve(body)
    with pytest.raises(InputError) as caught:
        fetch(site.archive(), into)
    assert named in str(caught.value)
    assert str(caught.value).startswith(site.url)
    assert str(caught.value).isprintable()
    assert files_under(tmp_path) == {"cache"}


@pytest.mark.parametrize("line", [b"RECORDS\n", b"0" * 64 + b" ../../evil\n"])
def test_malformed_sums_that_are_not_pinned_are_refused(site, into, line):
    site.serve(zipped(members_of(FILES, line)))
    with pytest.raises(InputError, match=r"a SHA-256 and a relative path|/\.\./\.\./evil'"):
        fetch(site.archive(sums_sha256=None), into)
    assert files_under(into.parent) == set()


def test_a_fault_of_the_network_says_what_to_do_and_leaves_nothing(site, into):
    with socket.socket() as holder:  # bound, so that nobody else gets the port; not listening
        holder.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{holder.getsockname()[1]}/tiny-1.0.zip"
        site.serve(b"sorry", 404)
        site.serve(GOOD[:100], promise=len(GOOD))
        for url, reason in ((closed, "refused"), (site.url, "404"), (site.url, "100 bytes read")):
            with pytest.raises(EnvironmentFault) as caught:
                fetch(site.archive(url=url), into)
            for part in (url, reason, "data.root=FOLDER", "LVH_LUDB_ROOT", "data=synthetic"):
                assert part in str(caught.value)
            assert files_under(into.parent) == set()
    site.serve(GOOD)
    fetch(site.archive(), into)
    assert_fetched(into)
