"""Where a store is, and whether it can be used; without asking MLflow."""

import re
import sqlite3
from pathlib import Path

from lvh.errors import InputError, TrackingFault
from lvh.files import write_fault
from lvh.tracking.sqlite import opened, tables
from lvh.tracking.tracking_settings import TrackingSettings

_SQLITE = "sqlite:///"


def resolved_uri(settings: TrackingSettings) -> str:
    """Return the tracking URI, absolute: `mlflow.db` in the working directory by default."""
    uri = settings.uri or f"{_SQLITE}mlflow.db"
    if not uri.startswith(_SQLITE):
        return uri
    return f"{_SQLITE}{Path.cwd() / uri.removeprefix(_SQLITE)}"


def embedded(settings: TrackingSettings) -> Path | None:
    """Return the file of an embedded store; None for any other."""
    uri = resolved_uri(settings)
    return Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else None


def check_path(database: Path) -> None:
    """Refuse a path that would mean something else in an address.

    Raises:
        InputError: It has such signs.
    """
    if re.search(r"[?#]|%[0-9A-Fa-f]{2}|:memory:", str(database)):
        raise InputError(
            "tracking.uri: expected a file whose path has no ?, # or % and two digits, which mean "
            f"something in an address. Received: {database}"
        )


def check_embedded(database: Path) -> None:
    """Tell before training, not after it, that an embedded store cannot be used."""
    check_path(database)
    fault = write_fault(database.parent)
    if fault:
        raise TrackingFault(
            "tracking.uri: expected a folder that can be written. "
            f"Received: {database.parent} ({fault}). tracking=off runs without a store"
        )
    if not database.is_file():
        return
    try:
        with opened(database, to_read=False) as connection:
            found = tables(connection)
    except sqlite3.Error as error:
        raise TrackingFault(
            f"tracking.uri: cannot use {database}: {error}. tracking=off runs without a store"
        ) from None
    if found and "experiments" not in found:  # MLflow would make its tables among them
        raise InputError(
            f"tracking.uri: expected a database of MLflow. Received: {database}, which has other "
            "tables"
        )
