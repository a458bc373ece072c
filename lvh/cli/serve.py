"""`lvh serve`: `mlflow models serve` for a final model, on this machine only by default."""

import argparse
import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from lvh.cli.command import MODEL, PORT, command, model_folder
from lvh.config.plugins import loaded
from lvh.errors import EnvironmentFault
from lvh.inference import load
from lvh.reports.terminal import say


def _serve(options: argparse.Namespace) -> None:
    from lvh.inference.mlflow_model import PLUGINS, write_mlmodel

    os.environ[PLUGINS] = os.pathsep.join(loaded())
    with model_folder(options) as folder, TemporaryDirectory() as temporary:
        description = load(folder).description
        own = Path(temporary) / "model"
        shutil.copytree(folder, own)
        write_mlmodel(own, description)  # a foreign one may name code that MLflow would run
        say(f"{description.name} at http://{options.host}:{options.port}/invocations")
        arguments = ["models", "serve", "--model-uri", str(own), "--env-manager", "local"]
        arguments += ["--host", options.host, "--port", str(options.port)]
        # MLflow starts uvicorn by its name; the server that it starts ends with this process
        folders = (str(Path(sys.executable).parent), os.environ.get("PATH", ""))
        os.environ["PATH"] = os.pathsep.join(folders)
        import mlflow.cli

        try:
            mlflow.cli.cli(arguments, standalone_mode=False)
        except Exception:
            raise EnvironmentFault("mlflow models serve failed, with the message above") from None


main = command(
    "serve",
    "Answer HTTP requests with a final model, by MLflow.",
    {
        **MODEL,
        "--host": {"default": "127.0.0.1", "help": "address to listen on"},
        "--port": {"type": PORT, "default": 5001, "help": "port to listen on"},
    },
    _serve,
)

if __name__ == "__main__":
    sys.exit(main())
