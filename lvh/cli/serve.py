"""`lvh serve`: `mlflow models serve` for a final model, on this machine only by default."""

import argparse
import os
import sys
from pathlib import Path

from lvh.cli.command import ended
from lvh.cli.predict import add_model, located
from lvh.errors import EnvironmentFault, InputError
from lvh.inference import read_description
from lvh.reports.progress import say


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted; return the exit code."""
    options = _parser().parse_args(arguments)
    return ended(lambda: _serve(options))


def _serve(options: argparse.Namespace) -> None:
    from lvh.inference.mlflow_model import check_mlmodel

    if not 0 < options.port < 2**16:
        raise InputError(f"--port: expected 1 to {2**16 - 1}. Received: {options.port}")
    with located(options.model, options.uri) as folder:
        description = read_description(folder)
        if check_mlmodel(folder) != folder:
            raise InputError(f"{folder}: expected a final model of lvh. Received: another model")
        say(f"{description.name} at http://{options.host}:{options.port}/invocations")
        _run_mlflow(folder, options)


def _run_mlflow(folder: Path, options: argparse.Namespace) -> None:
    """Run MLflow's command in this process; the server that it starts ends with this process."""
    from lvh.tracking.address import tell_mlflow

    tell_mlflow()
    import mlflow.cli

    arguments = ["models", "serve", "--model-uri", str(folder), "--env-manager", "local"]
    arguments += ["--host", options.host, "--port", str(options.port)]
    # MLflow starts uvicorn by its name
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    try:
        mlflow.cli.cli(arguments, standalone_mode=False)
    except Exception:
        raise EnvironmentFault(
            f"cannot serve at http://{options.host}:{options.port}: mlflow models serve failed, "
            "with the message above"
        ) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lvh serve", description="Answer HTTP requests with a final model, by MLflow."
    )
    add_model(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=5001, help="(default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
