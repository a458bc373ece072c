"""`python -m lvh.ui`: the runs of this directory in the MLflow UI, on this machine alone."""

import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from tempfile import TemporaryFile
from typing import IO
from urllib.parse import urlencode

from lvh.cli.command import ended
from lvh.errors import EnvironmentFault, InputError, masked
from lvh.tracking import TrackingSettings, check_embedded, embedded, resolved_uri
from lvh.tracking.environment import tell_mlflow
from lvh.tracking.view import view_page

_LOOPBACK = "127.0.0.1"
_PATIENCE, _ENDING, _POLL = 180.0, 10.0, 0.1  # s
_SERVER = (
    "import runpy, sys; from lvh.data.processes import follow;"
    "follow(int(sys.argv.pop(1)), group=True);"
    "runpy.run_module('mlflow', run_name='__main__', alter_sys=True)"
)
"""Runs MLflow's own command, which ends with this process and takes its workers along."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted; return the exit code."""
    given = _parser().parse_args(arguments)
    return ended(lambda: _show(given))


def _show(given: argparse.Namespace) -> None:
    settings = TrackingSettings("mlflow", given.uri, given.experiment)
    uri = resolved_uri(settings)
    if uri.startswith(("http:", "https:")):
        _say(f"this store shows its runs itself: {masked(uri)}")
        return
    database = embedded(settings)
    if database is not None:
        if not database.is_file():
            raise InputError(
                "--uri: expected a store of MLflow, which python -m lvh.run makes in the directory "
                f"where it is typed. Received: {database}, not there"
            )
        check_embedded(database)
    _check_port(given.port)
    address = f"http://{_LOOPBACK}:{given.port}"
    _say(f"starting MLflow on {masked(uri)}")
    with TemporaryFile() as log, _server(uri, given.port, log) as server:
        _wait(server, given.port, log)
        place = _place(given.port, given.experiment)
        if place is None:
            page = f"{address}/#/experiments"
            _say(f"there is no experiment {given.experiment!r}; all of them: {page}")
        else:
            page = f"{address}/{place}"
            _say(f"configurations by ap: {page}", f"in charts: {page}&compareRunsMode=CHART")
        _say("Ctrl-C ends it")
        _open(page)
        server.wait()
        raise _ended(server, log)


def _check_port(port: int) -> None:
    if not 0 < port < 2**16:
        raise InputError(f"--port: expected 1 to {2**16 - 1}. Received: {port}")
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will ask
        try:
            probe.bind((_LOOPBACK, port))
        except OSError as error:
            raise InputError(
                f"--port: expected one that is free. Received: {port} ({error.strerror})"
            ) from None


@contextmanager
def _server(uri: str, port: int, log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Run `mlflow ui` in a group of its own, which is ended with the body."""
    tell_mlflow()
    options = ["ui", "--host", _LOOPBACK, "--port", str(port), "--workers", "1"]
    quiet = ["--uvicorn-opts", "--log-level warning"]
    # in variables, for whoever lists processes reads what stands in a command
    stores = {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_REGISTRY_STORE_URI": uri}
    stores["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(os.getpid()), *options, *quiet],
        stdout=log,
        stderr=log,
        env={**os.environ, **stores},
        start_new_session=True,
    )
    try:
        yield server
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(server.pid, number)
            with suppress(subprocess.TimeoutExpired):
                server.wait(_ENDING)


def _wait(server: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    """Return as soon as the server answers."""
    deadline = time.monotonic() + _PATIENCE
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            if _asked(port, "/health")[0] == http.client.OK:
                return
        time.sleep(_POLL)
    raise _ended(server, log)


def _ended(server: subprocess.Popen[bytes], log: IO[bytes]) -> EnvironmentFault:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
    told = "".join(sign for sign in lines[-1] if sign.isprintable())[:300]
    how = "does not answer" if server.poll() is None else f"ended (exit code {server.returncode})"
    return EnvironmentFault(f"mlflow ui {how}: {told}")


def _place(port: int, experiment: str) -> str | None:
    """Return the place of the experiment's view; None if the store has no such experiment."""
    query = urlencode({"experiment_name": experiment})
    status, body = _asked(port, f"/api/2.0/mlflow/experiments/get-by-name?{query}")
    if status != http.client.OK:
        return None
    return view_page(json.loads(body)["experiment"]["experiment_id"])


def _asked(port: int, path: str) -> tuple[int, bytes]:
    """Ask the server on this machine something, past any proxy."""
    with closing(http.client.HTTPConnection(_LOOPBACK, port, timeout=20)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def _open(page: str) -> None:
    """Show a page where a person sits before a display; a browser in the terminal would block."""
    if not sys.stdout.isatty() or not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        return
    with suppress(webbrowser.Error):
        browser = webbrowser.get()
        beside = isinstance(browser, webbrowser.BackgroundBrowser)
        if beside or not isinstance(browser, webbrowser.GenericBrowser):
            browser.open(page)


def _say(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lvh.ui",
        description="Show the runs of this directory in the MLflow UI, on this machine alone.",
    )
    parser.add_argument("--port", type=int, default=5000, help="(default: %(default)s)")
    parser.add_argument(
        "--uri",
        default=os.environ.get("MLFLOW_TRACKING_URI") or None,
        help="as tracking.uri (default: mlflow.db in this directory)",
    )
    parser.add_argument(
        "--experiment", default="lvh", help="as tracking.experiment (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
