"""`lvh ui`: the runs of this directory in the MLflow UI, on this machine alone."""

import argparse
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing, suppress

from lvh.cli.command import ended
from lvh.errors import EnvironmentFault, InputError, masked
from lvh.tracking import TrackingSettings, check_embedded, embedded, resolved_uri
from lvh.tracking.address import tell_mlflow
from lvh.tracking.run_names import view_page

_LOOPBACK = "127.0.0.1"


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted; return the exit code."""
    given = _parser().parse_args(arguments)
    return ended(lambda: _serve(given))


def _serve(given: argparse.Namespace) -> None:
    settings = TrackingSettings("mlflow", given.uri, given.experiment)
    uri = resolved_uri(settings)
    if uri.startswith(("http:", "https:")):
        print(f"this store shows its runs itself: {masked(uri)}")
        return
    if (database := embedded(settings)) is not None:
        if not database.is_file():
            raise InputError(
                "--uri: expected a store of MLflow, which lvh run makes in the directory where it "
                f"is typed. Received: {database}, not there"
            )
        check_embedded(database)
    _check_port(given.port)
    tell_mlflow()
    page = f"http://{_LOOPBACK}:{given.port}/{_page(uri, given.experiment)}"
    print(f"starting MLflow on {masked(uri)}", f"configurations by ap: {page}", sep="\n")
    print(f"in charts: {page}&compareRunsMode=CHART", "Ctrl-C ends it", sep="\n", flush=True)
    # the address may have a password, and everyone may list processes with their arguments
    stores = {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_REGISTRY_STORE_URI": uri}
    stores["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "ui", "--host", _LOOPBACK, "--port", str(given.port)),
            *("--workers", "1", "--uvicorn-opts", "--log-level warning"),
        ],
        env={**os.environ, **stores},
        start_new_session=True,  # so that its own processes end with it
    )
    try:
        code = server.wait()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    raise EnvironmentFault(f"mlflow ui ended (exit code {code})")


def _page(uri: str, experiment: str) -> str:
    """Return the place of the experiment's view, or of the list of all experiments."""
    from mlflow import MlflowClient

    known = MlflowClient(tracking_uri=uri).get_experiment_by_name(experiment)
    return view_page(known.experiment_id) if known else "#/experiments?"


def _check_port(port: int) -> None:
    if not 0 < port < 2**16:
        raise InputError(f"--port: expected 1 to {2**16 - 1}. Received: {port}")
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will ask
        try:
            probe.bind((_LOOPBACK, port))
        except OSError as error:
            message = f"Received: {port} ({error.strerror})"
            raise InputError(f"--port: expected one that is free. {message}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lvh ui",
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
