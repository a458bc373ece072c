"""Where a tracking store is and whether it can be used, and what must be set before MLflow."""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import Field

from lvh.errors import InputError, TrackingFault
from lvh.files import write_fault

_SQLITE = "sqlite:///"
_VARIABLES = {
    # a pickled model runs code when it is loaded
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # a server that is down or hangs is reported after seconds, not minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """Where results are tracked.

    Attributes:
        name: `mlflow` or `off`.
        uri: MLflow tracking URI; None for `mlflow.db` in the working directory.
        experiment: Name of the MLflow experiment.
    """

    name: Literal["mlflow", "off"] = "mlflow"
    uri: str | None = None
    experiment: Annotated[str, Field(min_length=1, max_length=500)] = "lvh"  # as MLflow


def set_mlflow_variables() -> None:
    """Set the variables that MLflow reads when it is imported, unless the user has set them."""
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)


def resolved_uri(settings: TrackingSettings) -> str:
    """Return the tracking URI, absolute: `mlflow.db` in the working directory by default."""
    database = embedded(settings)
    return str(settings.uri) if database is None else f"{_SQLITE}{database}"


def embedded(settings: TrackingSettings) -> Path | None:
    """Return the file of an embedded store; None for any other."""
    uri = settings.uri or f"{_SQLITE}mlflow.db"
    return Path.cwd() / uri.removeprefix(_SQLITE) if uri.startswith(_SQLITE) else None


def check_embedded(database: Path) -> None:
    """Find out before a training, not after it, that an embedded store cannot be used."""
    if re.search(r"[?#]|%[0-9A-Fa-f]{2}|:memory:", str(database)):
        raise InputError(f"tracking.uri: expected a path without ?, # and %. Received: {database}")
    fault, names = write_fault(database.parent), set[str]()
    try:
        if not fault and database.is_file():
            with opened(database) as connection:
                names = tables(connection)
    except sqlite3.Error as error:
        fault = str(error)
    if fault:
        raise TrackingFault(
            f"tracking.uri: cannot use {database}: {fault}. tracking=off runs without a store"
        )
    if names and "experiments" not in names:  # MLflow would make its tables among them
        raise InputError(f"tracking.uri: expected a database of MLflow. Received: {database}")


@contextmanager
def opened(file: Path, wait: float = 5) -> Iterator[sqlite3.Connection]:
    """Open an SQLite file that exists, before a library makes tables in it."""
    address = f"file:{quote(str(file.absolute()))}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=wait)) as database:
        yield database


def tables(database: sqlite3.Connection) -> set[str]:
    """Return the names of the tables."""
    rows = database.execute("select name from sqlite_master where type = 'table'")
    return {str(row[0]) for row in rows}
