"""What MLflow is told before it is imported, for it reads its variables then."""

import os

_VARIABLES = {
    # a pickled model runs code when it is loaded
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    # calling home is for nobody to find out about later
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # a server that is gone or hangs is told in seconds, not minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


def tell_mlflow() -> None:
    """Set what nobody has set."""
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)
