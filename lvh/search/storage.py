"""The database of the studies, and who may do what in it at one moment.

Optuna's heartbeats do not work with ask and tell. Here whoever trains a trial holds a lock that
the operating system, or PostgreSQL, frees when its process ends, however it ends: a trial that
runs and that nobody holds was interrupted, at once and without a timeout.
"""

import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.storages import RDBStorage
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from lvh.errors import EnvironmentFault, InputError, masked
from lvh.files import write_fault
from lvh.tracking.sqlite import opened, tables

optuna.logging.set_verbosity(optuna.logging.ERROR)

FAULTS = (SQLAlchemyError, optuna.exceptions.StorageInternalError, OSError)
"""What a database raises when it cannot be reached, read or written."""

DESCRIPTION = "lvh"
"""Attribute by which a study is one of ours."""
WHEN = "when"
"""Attribute that says when a study was last worked on, in seconds since 1970."""

_EMBEDDED = "studies.db"
_WAIT = 120  # s; a study's lock is held for milliseconds, or while a schema is made
_EXCLUSIVE = -1
_KEEP_ALIVE: dict[str, Any] = {  # s; a machine that loses its power or network lets go
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "options": "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3",
}


class Storage:
    """A database of studies with its locks."""

    def __init__(self, url: str | None, *, to_read: bool = False) -> None:
        """Open the database; make its schema if it is new.

        Args:
            url: Of a PostgreSQL or SQLite database; None for `studies.db` in the working
                directory.
            to_read: Whether the database must be there already.

        Raises:
            InputError: Another kind of address, or a file that is not there.
            EnvironmentFault: The database cannot be reached.
        """
        self.url = _url(url)
        file = Path(self.url.database or "")
        if to_read and self.url.drivername == "sqlite" and not file.is_file():
            raise InputError(f"search.storage: expected a database of studies. Received: {file}")
        if self.url.drivername == "sqlite" and file.is_file():
            _check_studies(file, to_read)
        self._locks = _locks(self.url)
        with self.exclusive():
            connect = _KEEP_ALIVE if self.url.drivername.startswith("postgresql") else {}
            if not connect:
                connect = {"timeout": _WAIT}
            address = self.url.render_as_string(hide_password=False)
            try:
                self.optuna = RDBStorage(address, engine_kwargs={"connect_args": connect})
            except RuntimeError as error:  # another version of Optuna made it
                reason = str(error).partition(" Please")[0]
                raise EnvironmentFault(
                    f"search.storage: cannot use {self.shown}: {reason}"
                ) from None

    @property
    def shown(self) -> str:
        """Address without its password."""
        return _shown(self.url)

    def studies(self) -> list[str]:
        """Return the names of our studies, the latest last."""
        summaries = optuna.get_all_study_summaries(self.optuna, include_best_trial=False)
        ours = [one for one in summaries if DESCRIPTION in one.user_attrs]
        return [one.study_name for one in sorted(ours, key=lambda one: one.user_attrs[WHEN])]

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Let nobody else change a study meanwhile.

        Raises:
            EnvironmentFault: The database fails.
        """
        with faults_told(self.url), self._locks.exclusive():
            yield

    def hold(self, study: str, trial: int) -> Callable[[], None] | None:
        """Hold a trial until the returned function is called; None if another process does."""
        with faults_told(self.url):
            return self._locks.hold(study, trial)


class _FileLocks:
    """Locks beside an SQLite file."""

    def __init__(self, url: URL) -> None:
        self._path = Path(url.database or "").absolute()
        self._folder = self._path.with_name(f"{self._path.name}-locks")
        fault = write_fault(self._path.parent)
        if fault:
            raise EnvironmentFault(
                "search.storage: expected a folder that can be written. "
                f"Received: {self._path.parent} ({fault})"
            )

    def exclusive(self) -> AbstractContextManager[Any]:
        return FileLock(f"{self._path}.lock", timeout=_WAIT)

    def hold(self, study: str, trial: int) -> Callable[[], None] | None:
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{study}-{trial}"
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return None

        def release() -> None:
            path.unlink(missing_ok=True)
            lock.release()

        return release


class _AdvisoryLocks:
    """Locks in PostgreSQL that a session holds: it ends with its process or its machine."""

    def __init__(self, url: URL) -> None:
        engine = create_engine(
            url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=_KEEP_ALIVE
        )
        with faults_told(url):
            self._session: Connection = engine.connect()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        self._call("pg_advisory_lock", "lvh", _EXCLUSIVE)
        try:
            yield
        finally:
            self._call("pg_advisory_unlock", "lvh", _EXCLUSIVE)

    def hold(self, study: str, trial: int) -> Callable[[], None] | None:
        if not self._call("pg_try_advisory_lock", study, trial):
            return None

        def release() -> None:
            with suppress(SQLAlchemyError):  # a session that is gone holds nothing
                self._call("pg_advisory_unlock", study, trial)

        return release

    def _call(self, function: str, name: str, number: int) -> Any:
        of_name = zlib.crc32(name.encode()) - 2**31  # what fits into PostgreSQL's int
        statement = text(f"select {function}(:name, :number)")
        return self._session.execute(statement, {"name": of_name, "number": number}).scalar()


def embedded(given: str | None) -> Path | None:
    """Return the file of the database at an address; None for one on a server.

    Raises:
        InputError: Another kind of address.
    """
    url = _url(given)
    return Path(url.database or "") if url.drivername == "sqlite" else None


@contextmanager
def faults_told(url: URL) -> Iterator[None]:
    """Turn what goes wrong in the database into one fault of the environment."""
    try:
        yield
    except (*FAULTS, Timeout) as error:
        if isinstance(error, EnvironmentFault):
            raise
        cause = getattr(error, "orig", None) or error.__cause__ or error
        reason = (str(cause).strip().splitlines() or [type(error).__name__])[0]
        raise EnvironmentFault(f"search.storage: cannot use {_shown(url)}: {reason}") from None


def _shown(url: URL) -> str:
    return masked(url.render_as_string(hide_password=True))


def _locks(url: URL) -> _FileLocks | _AdvisoryLocks:
    return _FileLocks(url) if url.drivername == "sqlite" else _AdvisoryLocks(url)


def _url(given: str | None) -> URL:
    try:
        default = URL.create("sqlite", database=str(Path.cwd() / _EMBEDDED))
        url = default if given is None else make_url(given)
    except ArgumentError:
        raise _unusable(given) from None
    if url.drivername == "sqlite" and url.database not in (None, "", ":memory:"):
        return url.set(database=str(Path(url.database or "").absolute()))
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    raise _unusable(given)


def _check_studies(file: Path, to_read: bool) -> None:
    """Refuse the database of another program before a table is made in it."""
    try:
        # not to read only: what a killed process has left half done is taken back here
        with opened(file, to_read=False, wait=_WAIT) as database:
            found = tables(database)
    except sqlite3.Error as error:
        raise EnvironmentFault(f"search.storage: cannot use {file}: {error}") from None
    if "studies" not in found and (found or to_read):
        raise InputError(
            f"search.storage: expected a database of studies. Received: {file}, which has "
            f"{'other' if found else 'no'} tables"
        )


def _unusable(given: str | None) -> InputError:
    return InputError(
        "search.storage: expected sqlite:///FILE or postgresql://USER@HOST/DATABASE. "
        f"Received: {given}"
    )
