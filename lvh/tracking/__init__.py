"""The fold store, records of runs, the folder of a run, and MLflow, which is written from them.

Here: where a tracking store is, whether it can be used, and what must be set before MLflow.
"""

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

from lvh.errors import InputError, LvhError, TrackingFault
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


def embedded(settings: TrackingSettings) -> Path | None:
    """Return the file of an embedded store; None for any other."""
    uri = settings.uri or f"{_SQLITE}mlflow.db"
    return Path.cwd() / uri.removeprefix(_SQLITE) if uri.startswith(_SQLITE) else None


def resolved_uri(settings: TrackingSettings) -> str:
    """Return the tracking URI, absolute: `mlflow.db` in the working directory by default."""
    database = embedded(settings)
    return str(settings.uri) if database is None else f"{_SQLITE}{database}"


def checked_uri(settings: TrackingSettings, *, to_read: bool = False) -> str:
    """Return the tracking URI; before a training, refuse an embedded store that cannot be used."""
    if (database := embedded(settings)) is None:
        uri = resolved_uri(settings)
        is_folder = re.match("file:|[^:]*$", uri) and uri not in ("databricks", "databricks-uc")
        if is_folder and os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() not in ("true", "1"):
            raise InputError(
                "tracking.uri: expected sqlite:///FILE or the address of a server: MLflow writes "
                f"into no folder any more. Received: {uri}"
            )
        return uri
    if re.search(r"[?#]|%[0-9A-Fa-f]{2}|:memory:", str(database)):
        raise InputError(f"tracking.uri: expected a path without ?, # and %. Received: {database}")
    if to_read and not database.is_file():
        raise InputError(
            "--uri: expected the database of MLflow, which lvh run makes in the folder where "
            f"you type it. Received: {database}, not there"
        )
    try:
        names, fault = tables_of(database), write_fault(database.parent)
    except sqlite3.Error as error:
        names, fault = set(), str(error)
    if fault:
        raise TrackingFault(
            f"tracking.uri: cannot use {database}: {fault}. tracking=off runs without a store"
        )
    if names and "experiments" not in names:  # MLflow would make its tables among them
        raise InputError(f"tracking.uri: expected a database of MLflow. Received: {database}")
    return resolved_uri(settings)


def tables_of(file: Path, wait: float = 5) -> set[str]:
    """Return the names of the tables of an SQLite file; none where there is no file."""
    if not file.is_file():
        return set()
    address = f"file:{quote(str(file.absolute()))}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=wait)) as database:
        rows = database.execute("select name from sqlite_master where type = 'table'")
        return {str(row[0]) for row in rows}


@contextmanager
def store_faults(settings: TrackingSettings, what: str) -> Iterator[None]:
    """Turn any error of a store into one that names the store."""
    try:
        yield
    except LvhError:
        raise
    except Exception as error:  # MLflow and the drivers of its stores raise anything
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        place = f"{resolved_uri(settings)}: {reason[:300]}"
        codes = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
        if getattr(error, "error_code", "") in codes:
            raise InputError(f"{what}: not in {place}") from None
        raise TrackingFault(f"tracking: cannot use the store of tracking.uri, {place}") from None
