"""Downloads: whole and verified, or refused with nothing left behind.

Every server here is this test's own, on the loopback interface.
"""

import hashlib
import io
import os
import queue
import resource
import signal
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import lvh
from lvh.data import download, ptbxl
from lvh.data.download import Archive, fetch, verify
from lvh.errors import EnvironmentFault, InputError

TOP = "tiny-1.0"
FILES = {"RECORDS": b"1\n2\n", "data/1.dat": bytes(range(256)) * 40, "data/2.dat": b""}
LUDB_TOP = "lobachevsky-university-electrocardiography-database-1.0.1"
LUDB_SUMS = "cccef1f3529519db8f26a333c97a6872a7d0e3e5c64a1448b76b161fd87fb75f"
PATIENCE = 30.0
"""Seconds until a wait for another thread or process fails; never used up in a good run."""


def sums_of(files: dict[str, bytes]) -> bytes:
    lines = [f"{hashlib.sha256(data).hexdigest()} {path}\n" for path, data in files.items()]
    return "".join(lines).encode()


SUMS = sums_of(FILES)
PIN = hashlib.sha256(SUMS).hexdigest()
Member = tuple[str, bytes]


def members_of(files: dict[str, bytes], sums: bytes) -> list[Member]:
    inside: list[Member] = [(f"{TOP}/{path}", data) for path, data in files.items()]
    return [(f"{TOP}/", b""), (f"{TOP}/data/", b""), *inside, (f"{TOP}/SHA256SUMS.txt", sums)]


def zipped(members: list[Member], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


GOOD = zipped(members_of(FILES, SUMS))


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
    """Keep loopback requests, also those of child processes, from any proxy set here."""
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
    found = {path.relative_to(root).as_posix() for path in root.rglob("*")}
    return {path for path in found if not path.endswith(".tiny.lock")}


def content(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def assert_fetched(into: Path) -> None:
    assert content(into) == {**FILES, "SHA256SUMS.txt": SUMS}
    assert {p.name for p in into.parent.iterdir()} == {into.name, f".{into.name}.lock"}


def test_fetch_downloads_verifies_and_renames(site: Site, into: Path) -> None:
    site.serve(GOOD)
    assert fetch(site.archive(), into) == into
    assert_fetched(into)


def test_10_too_little_disk_is_told_before_anything_is_asked_for(site: Site, into: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"expected 1000000000\.0 GB of free disk for Tiny"):
        fetch(site.archive(needed_bytes=10**18), into)
    assert (site.requests, files_under(into.parent)) == (0, set())


@pytest.mark.ludb
def test_ptbxl_is_downloaded_once_and_is_what_lies_on_the_disk(
    site: Site, ptbxl_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sample, packed as the archive is: its list is not pinned, for none of it is known."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(ptbxl, "ARCHIVE", replace(ptbxl.ARCHIVE, needed_bytes=0))
    listed = [line.split()[1] for line in (ptbxl_root / "SHA256SUMS.txt").read_text().splitlines()]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for path in ("SHA256SUMS.txt", *listed):
            name = f"{ptbxl.ARCHIVE.top}/{path.removeprefix('./')}"
            archive.writestr(name, (ptbxl_root / path).read_bytes())
    site.serve(packed.getvalue())
    given = ptbxl.PtbxlSettings("ptbxl", None, 500, "drop", site.url)
    cohort = ptbxl.load(given)
    assert len(cohort.records) == 142
    on_disk = ptbxl.load(replace(given, root=str(ptbxl_root)))
    assert cohort.fingerprint == on_disk.fingerprint == ptbxl.load(given).fingerprint
    assert site.requests == 1


def test_fetch_again_makes_no_request(site: Site, into: Path) -> None:
    site.serve(GOOD)
    fetch(site.archive(), into)
    assert fetch(site.archive(), into) == into
    assert site.requests == 1


def test_fetch_takes_stored_members_and_double_blanks(site: Site, into: Path) -> None:
    sums = SUMS.replace(b" ", b"  ")
    site.serve(zipped(members_of(FILES, sums), zipfile.ZIP_STORED))
    fetch(site.archive(sums_sha256=hashlib.sha256(sums).hexdigest()), into)
    assert content(into) == {**FILES, "SHA256SUMS.txt": sums}


def test_fetch_is_quiet_where_stderr_is_no_terminal(
    site: Site, into: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    site.serve(GOOD)
    fetch(site.archive(), into)
    assert capfd.readouterr() == ("", "")


def test_fetch_draws_a_bar_on_a_terminal(
    site: Site, into: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    site.serve(GOOD)
    fetch(site.archive(), into)
    assert "100%" in capsys.readouterr().err


def with_extra(*extra: Member) -> bytes:
    return zipped([*members_of(FILES, SUMS), *extra])


def damaged(data: bytes) -> bytes:
    """Spoil the data of a zip's last member, so that others are unpacked before it."""
    raw = bytearray(data)
    at = raw.rindex(b"PK\x03\x04") + 30 + len(f"{TOP}/SHA256SUMS.txt")
    raw[at] = 0xFF  # no such deflate block
    return bytes(raw)


BAD_ARCHIVES = {
    "parent": (with_extra((f"{TOP}/../../evil", b"x")), "evil"),
    "damaged": (damaged(GOOD), "invalid block type"),
    "bomb": (with_extra((f"{TOP}/evil", bytes(2_000_000))), "1,000,000 bytes"),
    "unlisted": (with_extra((f"{TOP}/extra", b"x")), "Received: extra"),
    "missing": (
        zipped([m for m in members_of(FILES, SUMS) if m[0] != f"{TOP}/data/1.dat"]),
        "data/1.dat: expected a file",
    ),
    "wrong content": (
        zipped(members_of({**FILES, "data/1.dat": b"!"}, SUMS)),
        "data/1.dat: expected a SHA-256",
    ),
    "wrong pin": (
        zipped(members_of(FILES, SUMS + b"\n")),
        f"SHA256SUMS.txt: expected a SHA-256 that starts with {PIN[:12]}",
    ),
    "no sums": (zipped([(f"{TOP}/RECORDS", b"x")]), "SHA256SUMS.txt: expected a file"),
    "no members": (zipped([]), "SHA256SUMS.txt: expected a file"),
    "web page": (b"<html>Sign in to this network</html>", "zip archive"),
    "long download": (bytes(1_000_001), "at most 1,000,000 bytes"),
}


@pytest.mark.parametrize(("body", "named"), BAD_ARCHIVES.values(), ids=BAD_ARCHIVES.keys())
def test_fetch_refuses_bad_archive(
    site: Site, into: Path, tmp_path: Path, body: bytes, named: str
) -> None:
    site.serve(body)
    with pytest.raises(InputError) as caught:
        fetch(site.archive(), into)
    assert named in str(caught.value)
    assert site.url in str(caught.value)
    assert caught.value.exit_code == 2
    assert files_under(tmp_path) == {"cache"}


def test_a_list_that_is_not_pinned_still_tells_damage(site: Site, into: Path) -> None:
    unpinned = site.archive(sums_sha256=None)
    site.serve(BAD_ARCHIVES["wrong content"][0])
    with pytest.raises(InputError, match=r"data/1\.dat: expected a SHA-256"):
        fetch(unpinned, into)
    site.serve(GOOD)
    fetch(unpinned, into)
    assert_fetched(into)


@pytest.mark.parametrize("path", ["../evil", "/etc/passwd", "a\\b", "C:x", "data/../../evil"])
def test_fetch_refuses_bad_paths_in_sums(site: Site, into: Path, path: str) -> None:
    sums = SUMS + f"{'0' * 64} {path}\n".encode()
    site.serve(zipped(members_of(FILES, sums)))
    with pytest.raises(InputError, match=r"SHA256SUMS\.txt, line 4"):
        fetch(site.archive(sums_sha256=hashlib.sha256(sums).hexdigest()), into)
    assert not into.exists()


@pytest.mark.parametrize("line", ["", "RECORDS", f"{'0' * 63} RECORDS", f"{'0' * 64}   RECORDS"])
def test_verify_refuses_malformed_sums(tmp_path: Path, line: str) -> None:
    sums = f"{line}\n".encode()
    (tmp_path / "SHA256SUMS.txt").write_bytes(sums)
    with pytest.raises(InputError, match="line 1"):
        verify(tmp_path, hashlib.sha256(sums).hexdigest())


def write_tree(root: Path) -> None:
    for path, data in {**FILES, "SHA256SUMS.txt": SUMS}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)


def test_verify_passes_and_allows_other_files(tmp_path: Path) -> None:
    write_tree(tmp_path)
    (tmp_path / "Thumbs.db").write_bytes(b"a folder unpacked by hand")
    verify(tmp_path, PIN.upper())


def test_verify_names_folder_and_file(tmp_path: Path) -> None:
    write_tree(tmp_path)
    (tmp_path / "data/2.dat").write_bytes(b"!")
    with pytest.raises(InputError) as caught:
        verify(tmp_path, PIN)
    expected, found = (hashlib.sha256(data).hexdigest()[:12] for data in (b"", b"!"))
    assert str(caught.value) == (
        f"{tmp_path}: data/2.dat: expected a SHA-256 that starts with {expected}. Received: {found}"
    )


def test_verify_refuses_link_out_of_the_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_tree(root)
    (root / "data/1.dat").rename(tmp_path / "outside.dat")
    (root / "data/1.dat").symlink_to(tmp_path / "outside.dat")
    with pytest.raises(InputError, match=r"data/1\.dat: .*a link"):
        verify(root, PIN)


def test_verify_takes_a_linked_root(tmp_path: Path) -> None:
    write_tree(tmp_path / "root")
    (tmp_path / "link").symlink_to("root")
    verify(tmp_path / "link", PIN)


def test_verify_names_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: SHA256SUMS\.txt: expected a file"):
        verify(tmp_path / "nowhere", PIN)


def test_refused_connection_is_an_environment_fault(into: Path) -> None:
    with socket.socket() as holder:  # bound, so that nobody else gets the port; not listening
        holder.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{holder.getsockname()[1]}/tiny-1.0.zip"
        assert_network_fault(Site(url).archive(), into, "Connection refused")


def assert_network_fault(archive: Archive, into: Path, reason: str) -> None:
    with pytest.raises(EnvironmentFault) as caught:
        fetch(archive, into)
    text = str(caught.value)
    for part in (archive.url, reason, "data.root=FOLDER", "LVH_LUDB_ROOT", "data=synthetic"):
        assert part in text
    assert len(text.splitlines()) == 3
    assert caught.value.exit_code == 3
    assert files_under(into.parent) == set()


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_http_error_is_an_environment_fault(site: Site, into: Path, status: int) -> None:
    site.serve(b"sorry", status)
    assert_network_fault(site.archive(), into, f"the server answered {status}")


def test_unknown_host_is_an_environment_fault(into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    archive = Site("http://nowhere.invalid/tiny-1.0.zip").archive()
    assert_network_fault(archive, into, "Name or service not known")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "not a url", "http://[::1/x", ""])
def test_bad_address_is_an_environment_fault(into: Path, url: str) -> None:
    assert_network_fault(Site(url).archive(), into, "")


def test_silent_server_is_an_environment_fault(
    site: Site, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_TIMEOUT", 0.1)
    release = threading.Event()
    site.answers.append(lambda _: release.wait(PATIENCE) and None)
    assert_network_fault(site.archive(), into, "timed out")
    release.set()


def test_stalled_body_is_an_environment_fault(
    site: Site, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_TIMEOUT", 0.1)
    release = threading.Event()
    site.serve_held(GOOD, release)
    assert_network_fault(site.archive(), into, "timed out")
    release.set()


def test_reason_is_not_taken_from_an_error_handled_before(site: Site, into: Path) -> None:
    site.serve(b"", promise=100)
    try:
        raise FileNotFoundError(2, "unrelated")
    except FileNotFoundError:
        assert_network_fault(site.archive(), into, "100 more expected")


def test_body_cut_short_then_a_good_one(site: Site, into: Path) -> None:
    site.serve(GOOD[:100], promise=len(GOOD))
    assert_network_fault(site.archive(), into, "100 bytes read")
    site.serve(GOOD)
    fetch(site.archive(), into)
    assert_fetched(into)


def test_fetch_into_a_file_is_refused(site: Site, into: Path) -> None:
    into.parent.mkdir()
    into.write_text("mine")
    with pytest.raises(InputError, match="expected a folder"):
        fetch(site.archive(), into)
    assert into.read_text() == "mine"
    assert site.requests == 0


def test_folder_that_cannot_be_made_is_an_environment_fault(site: Site, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(EnvironmentFault) as caught:
        fetch(site.archive(), tmp_path / "cache" / "tiny")
    assert str(tmp_path / "cache") in str(caught.value)
    assert site.requests == 0


def test_full_disk_is_an_environment_fault(site: Site, into: Path) -> None:
    site.serve(GOOD)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # as if full: a real failed write
    try:
        with pytest.raises(EnvironmentFault) as caught:
            fetch(site.archive(), into)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(into.parent) in str(caught.value)
    assert files_under(into.parent) == set()


FETCH_IN_CHILD = """
import logging, signal, sys
from pathlib import Path
from lvh.data.download import Archive, fetch

signal.signal(signal.SIGINT, signal.default_int_handler)
logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
title, url, top, pin, max_bytes, into = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
fetch(Archive(title, url, top, pin, int(max_bytes)), Path(into))
print("fetched", flush=True)
"""


class Child:
    """A process of its own that calls `fetch` once told to."""

    def __init__(self, archive: Archive, into: Path) -> None:
        words = (archive.title, archive.url, archive.top, archive.sums_sha256, archive.max_bytes)
        root = Path(lvh.__file__).parents[1]
        self.lines: queue.Queue[str] = queue.Queue()
        self.process = subprocess.Popen(
            [sys.executable, "-c", FETCH_IN_CHILD, *map(str, words), str(into)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.strip())

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def start(into: Path) -> Iterator[Callable[[Archive], Child]]:
    children: list[Child] = []

    def make(archive: Archive) -> Child:
        children.append(Child(archive, into))
        return children[-1]

    yield make
    for child in children:
        child.close()


def test_two_processes_make_one_download(
    site: Site, into: Path, start: Callable[[Archive], Child]
) -> None:
    release = threading.Event()
    halfway = site.serve_held(GOOD, release)
    first, second = start(site.archive()), start(site.archive())
    for child in (first, second):
        assert child.lines.get(timeout=PATIENCE) == "ready"
    first.go()
    assert halfway.wait(PATIENCE)
    second.go()
    assert "waiting for another process" in second.lines.get(timeout=PATIENCE)
    assert not into.exists()
    release.set()
    assert first.process.wait(PATIENCE) == second.process.wait(PATIENCE) == 0
    assert site.requests == 1
    assert_fetched(into)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=lambda s: s.name)
def test_process_ended_in_mid_download(
    site: Site, into: Path, start: Callable[[Archive], Child], number: signal.Signals
) -> None:
    release = threading.Event()
    halfway = site.serve_held(GOOD, release)
    child = start(site.archive())
    child.go()
    assert halfway.wait(PATIENCE)
    child.process.send_signal(number)
    assert child.process.wait(PATIENCE) != 0
    release.set()
    assert not into.exists()
    left = [path for path in into.parent.iterdir() if ".partial-" in path.name]
    assert len(left) == (1 if number == signal.SIGKILL else 0)

    site.serve(GOOD)
    fetch(site.archive(), into)
    assert_fetched(into)
    assert site.requests == 2


@pytest.mark.ludb
def test_real_data_set_verifies(ludb_root: Path) -> None:
    verify(ludb_root, LUDB_SUMS)


@pytest.mark.ludb
def test_real_data_set_is_fetched_and_one_changed_byte_found(
    ludb_root: Path, site: Site, tmp_path: Path
) -> None:
    members: list[Member] = [
        (f"{LUDB_TOP}/{path.relative_to(ludb_root).as_posix()}", path.read_bytes())
        for path in ludb_root.rglob("*")
        if path.is_file()
    ]
    site.serve(zipped(members, zipfile.ZIP_STORED))
    archive = Archive("LUDB 1.0.1", site.url, LUDB_TOP, LUDB_SUMS, 50_000_000)
    root = fetch(archive, tmp_path / "ludb")
    verify(root, LUDB_SUMS)

    changed = root / "data" / "117.dat"
    data = bytearray(changed.read_bytes())
    data[1000] ^= 1
    changed.write_bytes(data)
    with pytest.raises(InputError, match=r"data/117\.dat: expected a SHA-256"):
        verify(root, LUDB_SUMS)
