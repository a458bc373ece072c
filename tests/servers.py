"""Real servers for the tests: each on a free port of 127.0.0.1, ended by its own id."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote
from urllib.request import urlopen

from conftest import start

T = TypeVar("T")

PASSWORD = "open@sesame/7"  # an address holds it with %40 and %2F: neither form may be shown
QUOTED = quote(PASSWORD, safe="")


def until(condition: Callable[[], T], what: str, seconds: float = 180) -> T:
    """Ask again and again until the answer is not empty, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.02)
    return found


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(port: int) -> set[str]:
    """Return the addresses on which anybody here listens on a port, as /proc writes them."""
    files = (Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6"))
    rows = [line.split() for text in files for line in text.splitlines()[1:]]
    local = [row[1].split(":") for row in rows if row[3] == "0A"]
    return {address for address, number in local if int(number, 16) == port}


@contextmanager
def ui(folder: Path, *flags: str, **more: Any) -> Iterator[tuple]:
    """Run `lvh ui` in a folder; gives the process, its port and what it prints."""
    port = free_port()
    process = start(*flags, "--port", str(port), cwd=folder, module="lvh.ui", **more)
    try:
        yield process, port, "".join(iter(process.stdout.readline, "Ctrl-C ends it\n"))
    finally:
        process.terminate()
        process.communicate(timeout=60)


class Server:
    """A process that answers on a port; it can be ended and started again there."""

    def __init__(self, log: Path) -> None:
        self.port = free_port()
        self._log = log
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdout=log, stderr=log, start_new_session=True, **self._as_whom()
            )
        until(self._ready, f"{self._command()[0]} answers, {self._log}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it and what it has started; return when it is gone."""
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                self._signal(process.pid, number)
            process.wait(30)

    def _signal(self, pid: int, number: signal.Signals) -> None:
        os.killpg(pid, number)  # a group of its own: its workers go with it

    def signal(self, number: signal.Signals) -> None:
        """Stop it where it is, or let it go on."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        return self._answers()

    def _as_whom(self) -> dict[str, Any]:
        return {}


class Postgres(Server):
    """A cluster with one user, who has a password."""

    def __init__(self, programs: Path) -> None:
        # pytest's own folders are closed to the user that root has to lend the cluster
        self._folder = Path(tempfile.mkdtemp(prefix="lvh-postgres-"))
        super().__init__(self._folder / "log")
        self._programs = programs
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        for path in (self._folder, secret):
            os.chown(path, self._user().pw_uid, self._user().pw_gid)
        login = ["--username=lvh", f"--pwfile={secret}", "--auth=scram-sha-256"]
        locale = ["--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run(
            [programs / "initdb", f"--pgdata={self._folder / 'data'}", *login, *locale],
            check=True,
            capture_output=True,
            **self._as_whom(),
        )

    def new_database(self) -> str:
        name = f"sweeps_{secrets.token_hex(4)}"
        with closing(self._connected("postgres")) as connection:
            connection.execute(f"create database {name}")
        return f"postgresql://lvh:{QUOTED}@127.0.0.1:{self.port}/{name}"

    def remove(self) -> None:
        self.end()
        shutil.rmtree(self._folder)

    def _connected(self, database: str) -> Any:
        import psycopg

        where = f"host=127.0.0.1 port={self.port} dbname={database} user=lvh connect_timeout=5"
        return psycopg.connect(where, password=PASSWORD, autocommit=True)

    def _answers(self) -> bool:
        import psycopg

        with suppress(psycopg.OperationalError):
            self._connected("postgres").close()
            return True
        return False

    def _command(self) -> list[str]:
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        where = ["-D", str(self._folder / "data"), "-p", str(self.port)]
        return [str(self._programs / "postgres"), *where, *options, "-c", "fsync=off"]

    def _signal(self, pid: int, number: signal.Signals) -> None:
        """Shut it down at once: its sessions are cut, as they are when a machine is rebooted."""
        os.kill(pid, signal.SIGINT)  # it ends its own processes

    def _as_whom(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        user = self._user()
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": self._folder}

    def _user(self) -> pwd.struct_passwd:
        """Return whose the cluster is: PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return pwd.getpwuid(os.geteuid())
        known = {one.pw_name: one for one in pwd.getpwall()}
        return known.get("postgres") or known["nobody"]


class Mlflow(Server):
    """An MLflow server that keeps its runs in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        super().__init__(folder / "log")
        self._folder = folder

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _answers(self) -> bool:
        with suppress(OSError), closing(urlopen(f"{self.address}/health", timeout=10)) as answer:
            return bool(answer.read())
        return False

    def _command(self) -> list[str]:
        kept = ["--backend-store-uri", f"sqlite:///{self._folder}/server.db"]
        kept += ["--artifacts-destination", str(self._folder / "artifacts")]
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        return [sys.executable, "-m", "mlflow", "server", *kept, *where]

    def _as_whom(self) -> dict[str, Any]:
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        return {"cwd": self._folder, "env": {**os.environ, **quiet}}


def postgres_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, the newest; None if there is none."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    found = shutil.which("initdb") or max(debian, key=lambda one: float(one.parts[4]), default=None)
    return Path(found).resolve().parent if found else None
