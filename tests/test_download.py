"""Downloads: whole and verified, or refused with nothing left behind.

Every server here is this test's own, on the loopback interface.
"""

import hashlib
import io
import os
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lvh.data import download, ptbxl
from lvh.data.download import Archive, fetch, path_fault, verify
from lvh.errors import EnvironmentFault, InputError

TOP = "tiny-1.0"
FILES = {"RECORDS": b"1\n2\n", "data/1.dat": bytes(range(256)) * 40, "data/2.dat": b""}
LUDB_SUMS = "cccef1f3529519db8f26a333c97a6872a7d0e3e5c64a1448b76b161fd87fb75f"
PATIENCE = 30.0
"""Seconds until a wait for another thread or process fails; never used up in a good run."""


def sums_of(files: dict[str, bytes]) -> bytes:
    lines = [f"{hashlib.sha256(data).hexdigest()} {path}\n" for path, data in files.items()]
    return "".join(lines).encode()


SUMS = sums_of(FILES)
PIN = hashlib.sha256(SUMS).hexdigest()
Member = tuple[str | zipfile.ZipInfo, bytes]


def members_of(files: dict[str, bytes], sums: bytes = SUMS) -> list[Member]:
    inside: list[Member] = [(f"{TOP}/{path}", data) for path, data in files.items()]
    return [(f"{TOP}/", b""), (f"{TOP}/data/", b""), *inside, (f"{TOP}/SHA256SUMS.txt", sums)]


def zipped(members: list[Member], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Duplicate name")
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
        return replace(Archive("Tiny 1.0", self.url, TOP, PIN, 1_000_000), **changes)

    def serve(self, body: bytes, status: int = 200, promise: int | None = None) -> None:
        def answer(request: BaseHTTPRequestHandler) -> None:
            head(request, status, len(body) if promise is None else promise)
            request.wfile.write(body)

        self.answers.append(answer)

    def serve_held(self, body: bytes, release: threading.Event) -> threading.Event:
        """Send half a body, set the event returned, and go on only once released."""
        halfway = threading.Event()

        def answer(request: BaseHTTPRequestHandler) -> None:
            head(request, 200, len(body))
            request.wfile.write(body[: len(body) // 2])
            request.wfile.flush()
            halfway.set()
            release.wait(PATIENCE)
            request.wfile.write(body[len(body) // 2 :])

        self.answers.append(answer)
        return halfway


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


def test_a_terminal_shows_a_bar(site, into, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    site.serve(zipped(members_of(FILES), zipfile.ZIP_STORED))
    fetch(site.archive(), into)
    assert "100%" in capsys.readouterr().err


def test_too_little_disk_is_an_error_before_the_download(site, into):
    with pytest.raises(EnvironmentFault, match=r"expected 1000000000\.0 GB of free disk for Tiny"):
        fetch(site.archive(needed_bytes=10**18), into)
    assert (site.requests, files_under(into.parent)) == (0, set())


@pytest.mark.ludb
def test_the_sample_of_ptbxl_is_the_same_downloaded_and_on_disk(
    site, ptbxl_root, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(ptbxl, "ARCHIVE", replace(ptbxl.ARCHIVE, needed_bytes=0))
    listed = [line.split()[1] for line in (ptbxl_root / "SHA256SUMS.txt").read_text().splitlines()]
    members: list[Member] = [
        (f"{ptbxl.ARCHIVE.top}/{path.removeprefix('./')}", (ptbxl_root / path).read_bytes())
        for path in ("SHA256SUMS.txt", *listed)
    ]
    site.serve(zipped(members, zipfile.ZIP_STORED))
    settings = ptbxl.PtbxlSettings(url=site.url)
    cohort = ptbxl.load(settings)
    assert len(cohort.records) == 142
    assert cohort.fingerprint == ptbxl.load(replace(settings, root=str(ptbxl_root))).fingerprint


# ---- archives that are refused


def with_extra(name: str | zipfile.ZipInfo, data: bytes = b"x") -> bytes:
    return zipped([*members_of(FILES), (name, data)])


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
    raw = bytearray(data)
    raw[raw.rindex(b"PK\x03\x04") + 30 + name_length] = 0xFF  # no such deflate block
    return bytes(raw)


EXTRA = with_extra(f"{TOP}/extra", b"x" * 1000)
BAD_ARCHIVES = {
    "parent": (with_extra(f"{TOP}/../../evil"), "evil"),
    "absolute": (with_extra("/tmp/lvh-evil"), "an absolute path"),
    "backslash": (with_extra(f"{TOP}\\..\\evil"), "backslash"),
    "drive": (with_extra("C:/evil"), "'C:/evil'"),
    "escape sequence": (with_extra(f"{TOP}/\x1b[2J"), r"\x1b[2J"),
    "nul": (patched(EXTRA, 30, 46, f"{TOP}/ext\0a".encode()), "unprintable"),
    "long": (with_extra(f"{TOP}/{'x' * 300}"), "255 bytes"),
    "outside top": (with_extra("other/evil"), "'other/evil'"),
    "top a file": (zipped([(TOP, b"x")]), f"'{TOP}'"),
    "symlink": (with_extra(special(f"{TOP}/evil", stat.S_IFLNK | 0o777), b"/etc"), "link"),
    "device": (with_extra(special(f"{TOP}/evil", stat.S_IFCHR | 0o666), b""), "special"),
    "duplicate": (with_extra(f"{TOP}/RECORDS"), "twice"),
    "encrypted": (patched(EXTRA, 6, 8, b"\x01\x00"), "zip archive"),
    "bomb": (with_extra(f"{TOP}/evil", bytes(2_000_000)), "1,000,000 bytes"),
    "hidden bomb": (
        patched(with_extra(f"{TOP}/extra", bytes(2_000_000)), 22, 24, struct.pack("<I", 9)),
        "zip archive",
    ),
    "empty": (b"", "zip archive"),
    "half": (GOOD[: len(GOOD) // 2], "zip archive"),
    "checksum": (patched(EXTRA, 14, 16, b"\0\0\0\0"), "CRC"),
    "stream": (broken_stream(EXTRA, len(f"{TOP}/extra")), "invalid block type"),
    "unlisted": (with_extra(f"{TOP}/extra"), "Received: extra"),
    "missing": (
        zipped([m for m in members_of(FILES) if m[0] != f"{TOP}/data/1.dat"]),
        "data/1.dat: expected a file",
    ),
    "wrong content": (
        zipped(members_of({**FILES, "data/1.dat": b"!"})),
        "data/1.dat: expected a SHA-256",
    ),
    "wrong pin": (
        zipped(members_of(FILES, SUMS + b"\n")),
        f"SHA256SUMS.txt: expected a SHA-256 that starts with {PIN[:12]}",
    ),
    "no sums": (zipped([(f"{TOP}/RECORDS", b"x")]), "SHA256SUMS.txt: expected a file"),
    "web page": (b"<html>Sign in to this network</html>", "zip archive"),
    "long download": (bytes(1_000_001), "at most 1,000,000 bytes"),
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


def test_the_number_of_members_is_bounded(site, into, monkeypatch):
    monkeypatch.setattr(download, "_MAX_MEMBERS", 3)
    site.serve(GOOD)
    with pytest.raises(InputError, match="at most 3 members"):
        fetch(site.archive(), into)


def test_a_list_that_is_not_pinned_still_detects_damage(site, into):
    unpinned = site.archive(sums_sha256=None)
    site.serve(BAD_ARCHIVES["wrong content"][0])
    with pytest.raises(InputError, match=r"data/1\.dat: expected a SHA-256"):
        fetch(unpinned, into)
    site.serve(GOOD)
    fetch(unpinned, into)
    assert_fetched(into)


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a.", "a\\b", "C:x"])
def test_paths_that_are_not_plain_are_refused(path):
    assert path_fault(path)


@pytest.mark.parametrize(
    "line", ["RECORDS", f"{'0' * 63} RECORDS", f"{'0' * 64}   RECORDS", f"{'0' * 64} ../evil"]
)
def test_malformed_sums_are_refused(tmp_path, line):
    (tmp_path / "SHA256SUMS.txt").write_text(f"{line}\n")
    with pytest.raises(InputError, match="line 1"):
        verify(tmp_path, None)


def write_tree(root: Path) -> None:
    for path, data in {**FILES, "SHA256SUMS.txt": SUMS}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)


def test_a_folder_unpacked_by_hand_is_verified(tmp_path):
    root = tmp_path / "root"
    write_tree(root)
    (root / "Thumbs.db").write_bytes(b"of another program")
    (tmp_path / "link").symlink_to("root")
    verify(tmp_path / "link", PIN.upper())
    (root / "data/2.dat").write_bytes(b"!")
    with pytest.raises(InputError, match=rf"{root}: data/2\.dat: expected a SHA-256 that starts"):
        verify(root, PIN)
    write_tree(root)
    (root / "data/1.dat").rename(tmp_path / "outside.dat")
    (root / "data/1.dat").symlink_to(tmp_path / "outside.dat")
    with pytest.raises(InputError, match=r"data/1\.dat: .*a link"):
        verify(root, PIN)


@pytest.mark.ludb
def test_the_published_ludb_verifies(ludb_root):
    verify(ludb_root, LUDB_SUMS)


# ---- networks and disks that fail


def assert_network_fault(archive: Archive, into: Path, reason: str) -> None:
    with pytest.raises(EnvironmentFault) as caught:
        fetch(archive, into)
    for part in (archive.url, reason, "data.root=FOLDER", "LVH_LUDB_ROOT", "data=synthetic"):
        assert part in str(caught.value)
    assert files_under(into.parent) == set()


def test_a_refused_connection(into):
    with socket.socket() as holder:  # bound, so that nobody else gets the port; not listening
        holder.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{holder.getsockname()[1]}/tiny-1.0.zip"
        assert_network_fault(Site(url).archive(), into, "Connection refused")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "not a url", "http://[::1/x", ""])
def test_a_bad_address(into, url):
    assert_network_fault(Site(url).archive(), into, "")


def test_an_unknown_host(into, monkeypatch):
    def fail(*args: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    archive = Site("http://nowhere.invalid/tiny-1.0.zip").archive()
    assert_network_fault(archive, into, "Name or service not known")


@pytest.mark.parametrize("status", [404, 500])
def test_an_http_error(site, into, status):
    site.serve(b"sorry", status)
    assert_network_fault(site.archive(), into, f"the server answered {status}")


def test_a_server_that_falls_silent(site, into, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT", 0.1)
    release = threading.Event()
    site.serve_held(GOOD, release)
    assert_network_fault(site.archive(), into, "timed out")
    release.set()


def test_a_body_cut_short_then_a_good_one(site, into):
    site.serve(GOOD[:100], promise=len(GOOD))
    assert_network_fault(site.archive(), into, "100 bytes read")
    site.serve(GOOD)
    fetch(site.archive(), into)
    assert_fetched(into)


def test_a_file_in_the_place_of_a_folder(site, into):
    into.parent.mkdir()
    into.write_text("mine")
    with pytest.raises(InputError, match="expected a folder"):
        fetch(site.archive(), into)
    with pytest.raises(EnvironmentFault, match=str(into)):
        fetch(site.archive(), into / "tiny")
    assert (into.read_text(), site.requests) == ("mine", 0)


def test_a_full_disk(site, into):
    site.serve(GOOD)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # as if full: a real failed write
    try:
        with pytest.raises(EnvironmentFault, match=str(into.parent)):
            fetch(site.archive(), into)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files_under(into.parent) == set()


# ---- several processes

FETCH_IN_CHILD = """
import logging, signal, sys
from pathlib import Path
from lvh.data.download import Archive, fetch

signal.signal(signal.SIGINT, signal.default_int_handler)
logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
title, url, top, pin, max_bytes, into = sys.argv[1:]
fetch(Archive(title, url, top, pin, int(max_bytes)), Path(into))
"""


@pytest.fixture
def start(into: Path) -> Iterator[Callable[[Archive], subprocess.Popen]]:
    children: list[subprocess.Popen] = []

    def make(archive: Archive) -> subprocess.Popen:
        words = (archive.title, archive.url, archive.top, archive.sums_sha256, archive.max_bytes)
        children.append(
            subprocess.Popen(
                [sys.executable, "-c", FETCH_IN_CHILD, *map(str, words), str(into)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, "PYTHONPATH": str(Path(download.__file__).parents[2])},
            )
        )
        return children[-1]

    yield make
    for child in children:
        child.kill()
        child.communicate()


def test_two_processes_make_one_download(site, into, start):
    release = threading.Event()
    halfway = site.serve_held(GOOD, release)
    first = start(site.archive())
    assert halfway.wait(PATIENCE)
    second = start(site.archive())
    assert "waiting for another process" in second.stdout.readline()
    assert not into.exists()
    release.set()
    assert first.wait(PATIENCE) == second.wait(PATIENCE) == 0
    assert site.requests == 1
    assert_fetched(into)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=lambda s: s.name)
def test_a_process_ended_amid_a_download(site, into, start, number):
    release = threading.Event()
    halfway = site.serve_held(GOOD, release)
    child = start(site.archive())
    assert halfway.wait(PATIENCE)
    child.send_signal(number)
    assert child.wait(PATIENCE) != 0
    release.set()
    assert not into.exists()
    left = [path for path in into.parent.iterdir() if ".partial-" in path.name]
    assert len(left) == (1 if number == signal.SIGKILL else 0)

    site.serve(GOOD)
    fetch(site.archive(), into)
    assert_fetched(into)
