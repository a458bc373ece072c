"""The database of the studies: its address, its schema, and what goes wrong in it."""

import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import (
    ArgumentError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)

from lvh.errors import EnvironmentFault, InputError, masked
from lvh.files import write_fault
from lvh.search.attempts import Retry
from lvh.tracking.address import opened, tables

optuna.logging.set_verbosity(optuna.logging.ERROR)

PLAN = "lvh"
"""Attribute of a study of ours: its plan."""
WHEN = "when"
"""Attribute that says when a study was last worked on, in seconds since 1970."""

HEARTBEAT, GRACE = 10, 90
"""Seconds between two signs of life of a trial, and after the last of them until it is retried."""

_EMBEDDED = "studies.db"
_WAIT = 120  # s; another process holds an SQLite file for milliseconds
_ATTEMPTS = 50  # to make a schema while other processes make the same one
_FAULTS = (SQLAlchemyError, StorageInternalError, OSError)
_KEEP_ALIVE: dict[str, Any] = {  # s; so that a machine that loses its power or network is noticed
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "options": "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3",
}


class _Database(RDBStorage):
    """Optuna's storage, whose signs of life survive a database that is away for a moment."""

    def record_heartbeat(self, trial_id: int) -> None:
        """Try it; the next sign of life follows, and the trial itself reports what is wrong."""
        with suppress(*_FAULTS):
            super().record_heartbeat(trial_id)


class Storage:
    """A database of studies."""

    def __init__(
        self,
        url: str | None,
        *,
        to_read: bool = False,
        heartbeat: int = HEARTBEAT,
        grace: int = GRACE,
    ) -> None:
        """Open the database; make its schema if it is new.

        Args:
            url: Of a PostgreSQL or SQLite database; None for `studies.db` in the working
                directory.
            to_read: Whether the database must be there already.
            heartbeat: Seconds between two signs of life of a trial.
            grace: Seconds after the last of them until the trial counts as interrupted.

        Raises:
            InputError: Another kind of address, or a file that is not there.
            EnvironmentFault: The database cannot be reached.
        """
        self._url = _url(url)
        file = embedded(url)
        if file is not None:
            _check_file(file, to_read)
        with self.faults():
            try:
                self.optuna = _made(self._url, heartbeat, grace)
            except RuntimeError as error:  # another version of Optuna made it
                reason = str(error).partition(" Please")[0]
                raise EnvironmentFault(
                    f"search.storage: cannot use {self.shown}: {reason}"
                ) from None

    @property
    def address(self) -> str:
        """Complete address, with its password: for other processes, never for a person."""
        return self._url.render_as_string(hide_password=False)

    @property
    def shown(self) -> str:
        """Address without its password."""
        return masked(self._url.render_as_string(hide_password=True))

    def studies(self) -> list[str]:
        """Return the names of our studies, the latest last."""
        with self.faults():
            known = self.optuna.get_all_studies()
        ours = [one for one in known if PLAN in one.user_attrs]
        return [one.study_name for one in sorted(ours, key=lambda one: one.user_attrs[WHEN])]

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Turn what goes wrong in the database into one fault of the environment."""
        try:
            yield
        except _FAULTS as error:
            cause = getattr(error, "orig", None) or error.__cause__ or error
            reason = (str(cause).strip().splitlines() or [type(error).__name__])[0]
            raise EnvironmentFault(f"search.storage: cannot use {self.shown}: {reason}") from None


def embedded(given: str | None) -> Path | None:
    """Return the file of the database at an address; None for one on a server.

    Raises:
        InputError: Another kind of address.
    """
    url = _url(given)
    return Path(url.database or "") if url.drivername == "sqlite" else None


def _made(url: URL, heartbeat: int, grace: int) -> RDBStorage:
    """Open the database, making what of its schema is missing."""
    is_file = url.drivername == "sqlite"
    arguments: dict[str, Any] = {"timeout": _WAIT} if is_file else _KEEP_ALIVE
    address = url.render_as_string(hide_password=False)
    for attempt in range(_ATTEMPTS):
        try:
            with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
                made = _Database(
                    address.replace("{", "{{").replace("}", "}}"),  # Optuna formats it
                    engine_kwargs={"connect_args": arguments, "pool_pre_ping": not is_file},
                    heartbeat_interval=heartbeat,
                    grace_period=grace,
                    heartbeat_stale_trial_callback=Retry(),
                )
            if is_file:
                _lock_before_reading(made.engine)
            return made
        except (IntegrityError, OperationalError, ProgrammingError) as error:
            if attempt == _ATTEMPTS - 1 or not _is_made_twice(error):
                raise
    raise AssertionError("unreachable")


def _lock_before_reading(engine: Engine) -> None:
    """Let nobody write between what a transaction reads and what it writes because of that.

    Optuna asks for this by SELECT FOR UPDATE, which SQLite does not know: two processes would
    take the same trial from the queue. Only a transaction that begins IMMEDIATE is alone.
    """
    engine.dispose()
    event.listen(engine, "connect", lambda made, _: setattr(made, "isolation_level", None))
    event.listen(engine, "begin", lambda made: made.exec_driver_sql("BEGIN IMMEDIATE"))


def _is_made_twice(error: SQLAlchemyError) -> bool:
    """Return whether another process has made the same table or row at the same moment."""
    return isinstance(error, IntegrityError) or "already exists" in str(error)


def _check_file(file: Path, to_read: bool) -> None:
    """Refuse a file that cannot be used, before a table is made in it."""
    if not file.is_file():
        if to_read:
            raise InputError(f"search.storage: expected a database of studies. Received: {file}")
        fault = write_fault(file.parent)
        if fault:
            raise EnvironmentFault(
                f"search.storage: expected a folder that can be written. Received: {file.parent} "
                f"({fault})"
            )
        return
    try:
        # not to read only: what a killed process has left half done is taken back here
        with opened(file, to_read=False, wait=_WAIT) as database:
            found = tables(database)
    except sqlite3.Error as error:
        raise EnvironmentFault(f"search.storage: cannot use {file}: {error}") from None
    optunas = {"studies", "version_info", "study_directions"}  # one of them is made first
    if not found & optunas and (found or to_read):
        raise InputError(
            f"search.storage: expected a database of studies. Received: {file}, which has "
            f"{'other' if found else 'no'} tables"
        )


def _url(given: str | None) -> URL:
    try:
        default = URL.create("sqlite", database=str(Path.cwd() / _EMBEDDED))
        url = default if given is None else make_url(given)
    except (ArgumentError, ValueError):  # a bad port, or a bracket
        raise _unusable(given) from None
    if url.drivername == "sqlite" and url.database not in (None, "", ":memory:"):
        return url.set(database=str(Path(url.database or "").absolute()))
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    raise _unusable(given)


def _unusable(given: str | None) -> InputError:
    return InputError(
        "search.storage: expected sqlite:///FILE or postgresql://USER@HOST/DATABASE. "
        f"Received: {given}"
    )
