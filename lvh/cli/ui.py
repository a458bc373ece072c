"""`lvh ui`: the runs or the sweeps of this directory in a browser, on this machine alone."""

import argparse
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from lvh.cli.command import add_tracking, between, command, tracking_of
from lvh.errors import EnvironmentFault, InputError
from lvh.reports.terminal import near, say
from lvh.tracking import TrackingSettings, check_embedded, embedded, resolved_uri
from lvh.tracking.address import set_mlflow_variables
from lvh.tracking.run_names import view_page
from lvh.tracking.run_record import load_run

_LOOPBACK = "127.0.0.1"


def _serve(args: argparse.Namespace) -> None:
    if args.studies:
        _serve_studies(args.storage, args.port or 8080)
    elif args.storage:
        raise InputError("--storage: expected --studies, which shows it. Received: none")
    else:
        _serve_runs(args, args.port or 5000)


class _Server(ThreadingMixIn, WSGIServer):
    """A browser opens connections ahead, on which it sends nothing for a while."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Print nothing for each request."""


def _serve_studies(address: str | None, port: int) -> None:
    """Show sweeps in Optuna's dashboard, in this process: it ends with the command."""
    try:
        from optuna_dashboard import wsgi  # type: ignore[import-untyped]
    except ImportError:
        raise EnvironmentFault(
            "--studies: expected optuna-dashboard. Received: none. pip install 'lvh[dashboard]'"
        ) from None
    from lvh.search.storage import Storage

    storage = Storage(address, to_read=True)
    dashboard = wsgi(storage.optuna)

    def answer(request: dict[str, Any], start: Any) -> Any:
        if request.get("HTTP_HOST") in (f"{_LOOPBACK}:{port}", f"localhost:{port}"):
            return dashboard(request, start)
        start("403 Forbidden", [])  # a page of another site, whose name leads here
        return [b""]

    try:
        server = make_server(_LOOPBACK, port, answer, _Server, _Quiet)
    except OSError as error:
        raise EnvironmentFault(f"--port: cannot listen on {port}: {error.strerror}") from None
    with server:
        say(f"starting Optuna's dashboard on {near(storage.shown)}")
        say(f"sweeps: http://{_LOOPBACK}:{port}/dashboard", "Ctrl-C ends it", wraps=False)
        server.serve_forever()


def _serve_runs(args: argparse.Namespace, port: int) -> None:
    settings = tracking_of(args)
    uri = resolved_uri(settings)
    if uri.startswith(("http:", "https:")):
        say(f"this MLflow server has its own page: {uri}", wraps=False)
        return
    if (database := embedded(settings)) is not None:
        if not database.is_file():
            raise InputError(
                "--uri: expected the database of MLflow, which lvh run makes in the folder where "
                f"you type it. Received: {database}, not there"
            )
        check_embedded(database)
    set_mlflow_variables()
    from mlflow import MlflowClient

    experiment = MlflowClient(tracking_uri=uri).get_experiment_by_name(args.experiment)
    page = view_page(experiment.experiment_id) if experiment else "#/experiments?"
    start = f"http://{_LOOPBACK}:{port}/"
    if args.run:
        say(f"this run: {start}{_page_of(args.run, settings)}", wraps=False)
    page = f"{start}{page}"
    say(f"starting MLflow on {near(uri)}", f"configurations by ap: {page}", wraps=False)
    say(f"in charts: {page}&compareRunsMode=CHART", "Ctrl-C ends it", wraps=False)
    # the address may have a password, and everyone may list processes with their arguments
    stores = {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_REGISTRY_STORE_URI": uri}
    stores["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    command = [sys.executable, "-m", "mlflow", "ui", "--host", _LOOPBACK, "--port", str(port)]
    command += ["--workers", "1", "--uvicorn-opts", "--log-level warning"]
    # in a session of its own, so that its own processes end with it
    server = subprocess.Popen(command, env={**os.environ, **stores}, start_new_session=True)
    try:
        code = server.wait()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    raise EnvironmentFault(f"mlflow ui ended (exit code {code}): is port {port} free?")


def _page_of(run: str, settings: TrackingSettings) -> str:
    """Return the page of the run that a folder is of."""
    from lvh.tracking.run_lookup import experiment_id, run_with_key

    run_id = run_with_key(load_run(Path(run) / "run.json").path.stem, settings)
    if run_id is None:
        raise InputError(
            f"RUN: expected a run that is tracked in {settings.experiment}. Received: {run}"
        )
    return f"#/experiments/{experiment_id(settings)}/runs/{run_id}"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", help="folder of a run to show (default: all runs)")
    add_tracking(parser)
    add, port = parser.add_argument, between(1, 2**16 - 1, int)
    add("--port", type=port, help="(default: 5000, of --studies 8080)")
    add("--studies", action="store_true", help="show the sweeps in Optuna's dashboard instead")
    add(
        "--storage",
        help="with --studies: the database of the sweep, the value that you gave to search.storage "
        "(default: studies.db)",
    )


main = command(
    "lvh ui",
    "Show the runs of this directory in the MLflow UI, or its sweeps in Optuna's dashboard, on "
    "this machine alone.",
    _add_arguments,
    _serve,
)

if __name__ == "__main__":
    sys.exit(main())
