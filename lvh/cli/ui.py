"""`lvh ui`: the runs or the sweeps of this directory in a browser, on this machine alone."""

import argparse
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread
from wsgiref.simple_server import make_server

from lvh.cli.command import PORT, STORAGE, TRACKING, command, tracking_of
from lvh.errors import EnvironmentFault, InputError
from lvh.reports.terminal import near, say
from lvh.tracking import resolved_uri
from lvh.tracking.run_names import view_page
from lvh.tracking.run_record import load_run

_LOOPBACK = "127.0.0.1"


def _serve_studies(args: argparse.Namespace) -> None:
    """Show sweeps in Optuna's dashboard, in this process: it ends with the command."""
    try:
        import bottle  # type: ignore[import-untyped]
        from optuna_dashboard import wsgi  # type: ignore[import-untyped]
    except ImportError:
        raise EnvironmentFault(
            "--studies: expected optuna-dashboard. Received: none. pip install 'lvh[dashboard]'"
        ) from None
    from lvh.search.storage import Storage

    storage, port = Storage(args.storage, to_read=True), args.port or 8080
    dashboard = wsgi(storage)

    @dashboard.hook("before_request")  # type: ignore[untyped-decorator]
    def refuse_other_sites() -> None:
        if bottle.request.get_header("Host") not in (f"{_LOOPBACK}:{port}", f"localhost:{port}"):
            bottle.abort(403)  # a page of another site, whose name leads here

    say(f"starting Optuna's dashboard on {near(storage.shown)}")
    try:
        server = make_server(_LOOPBACK, port, dashboard)
    except OSError as error:
        raise EnvironmentFault(f"--port: cannot listen on {port}: {error.strerror}") from None
    say(f"sweeps: http://{_LOOPBACK}:{port}/dashboard", "Ctrl-C ends it", wraps=False)
    # in a thread: an interrupt within a request would be taken for a fault of that request
    answers = Thread(target=server.serve_forever, daemon=True)
    answers.start()
    answers.join()


def _serve_runs(args: argparse.Namespace) -> None:
    settings, port = tracking_of(args), args.port or 5000
    uri, start = resolved_uri(settings), f"http://{_LOOPBACK}:{port}/"
    if uri.startswith(("http:", "https:")):
        say(f"this MLflow server has its own page: {uri}", wraps=False)
        return
    from lvh.tracking.mlflow_store import experiment_id, run_with_key

    number = experiment_id(settings)
    if args.run:
        run_id = run_with_key(load_run(Path(args.run) / "run.json").path.stem, settings)
        if run_id is None:
            raise InputError(f"RUN: expected one in {settings.experiment}. Received: {args.run}")
        say(f"this run: {start}#/experiments/{number}/runs/{run_id}", wraps=False)
    page = f"{start}{view_page(number)}"
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


main = command(
    "ui",
    "Show the runs of this directory in the MLflow UI, or its sweeps in Optuna's dashboard, on "
    "this machine alone.",
    {
        "run": {"nargs": "?", "help": "folder of a run to show (default: all runs)"},
        **TRACKING,
        "--port": {"type": PORT, "help": "(default: 5000, of --studies 8080)"},
        "--studies": {"action": "store_true", "help": "show the sweeps in Optuna's dashboard"},
        **STORAGE,
    },
    lambda args: _serve_studies(args) if args.studies else _serve_runs(args),
)

if __name__ == "__main__":
    sys.exit(main())
