"""The database of the studies: its address, its schema and its faults, and who trains a trial."""

import json
import os
import sqlite3
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial
from sqlalchemy import event, text
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError

from lvh.errors import EnvironmentFault, InputError, LvhError, masked
from lvh.tracking import tables_of

optuna.logging.set_verbosity(optuna.logging.ERROR)

PLAN = "lvh"
"""Attribute of a study of ours: its plan."""
WHEN = "when"
"""Attribute that says when a study was last worked on, in seconds since 1970."""
OWNER = "owner"
"""Attribute that says which process trains a trial."""

HEARTBEAT, GRACE = 10, 90
"""Seconds between two heartbeats of a trial, and after the last one until it is retried."""

_WAIT = 120  # s; another process holds an SQLite file for milliseconds
_FAULTS = (SQLAlchemyError, sqlite3.Error, OptunaError, OSError, ImportError, RuntimeError)
"""Errors of opening a database; a RuntimeError if another version of Optuna made it."""
_KEEP_ALIVE = {  # so that a lost machine, or one paused within a transaction, is noticed
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "options": "-c tcp_keepalives_idle=30 -c idle_in_transaction_session_timeout=30s",
}
_PUT_BACK = """
    update trials set state = 'WAITING'
    where trial_id = :trial and state = 'RUNNING' and :owner = coalesce(
        (select value_json from trial_user_attributes where trial_id = :trial and key = 'owner'),
        '""')
"""
_FORGET = (
    "delete from trial_user_attributes where trial_id = :trial and key = 'owner'",
    "delete from trial_heartbeats where trial_id = :trial",
)


class Storage(RDBStorage):
    """Optuna's storage, in which a trial whose process died continues under its number."""

    def __init__(self, url: str | None, *, to_read: bool = False) -> None:
        """Open a database, made if it is new; None is `studies.db` in the working directory.

        From then on, every error of it is an EnvironmentFault.
        """
        self._url = _url(url)
        try:
            if self._url.drivername == "sqlite":
                _check_file(Path(self._url.database or ""), to_read)
            with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
                self._open()
        except _FAULTS as error:
            raise self._fault(error) from None
        event.listen(self.engine, "handle_error", self._handle)

    def _open(self, attempts: int = 50) -> None:
        """Open the database, and make the missing parts of its schema."""
        is_file = self._url.drivername == "sqlite"
        options = {
            "connect_args": {"timeout": _WAIT} if is_file else _KEEP_ALIVE,
            "pool_pre_ping": not is_file,
        }
        address = self.address.replace("{", "{{").replace("}", "}}")  # Optuna formats it
        try:
            super().__init__(address, options, heartbeat_interval=HEARTBEAT, grace_period=GRACE)
        except DBAPIError as error:  # another process makes the same schema
            is_made = isinstance(error, IntegrityError) or "already exists" in str(error)
            if not (is_made and attempts):
                raise
            self._open(attempts - 1)
            return
        if is_file:
            # Optuna asks for a lock by SELECT FOR UPDATE, which SQLite does not know: without one,
            # two processes would take the same trial
            self.engine.dispose()
            event.listen(self.engine, "connect", lambda db, _: setattr(db, "isolation_level", None))
            event.listen(self.engine, "begin", lambda db: db.exec_driver_sql("BEGIN IMMEDIATE"))

    def _handle(self, context: ExceptionContext) -> None:
        error = context.sqlalchemy_exception  # Optuna handles those of integrity
        if error and not (isinstance(error, IntegrityError) or context.is_pre_ping):
            raise self._fault(error)

    def _fault(self, error: Exception) -> EnvironmentFault:
        cause = getattr(error, "orig", None) or error.__cause__ or error
        reason = (str(cause).strip().splitlines() or [type(error).__name__])[0]
        if "is locked" in reason:
            reason += f" for {_WAIT} s by another process: is one paused (ps: state T)?"
        return EnvironmentFault(f"search.storage: cannot use {self.shown}: {reason}")

    @property
    def address(self) -> str:
        """Address with its password: for other processes, never for a user."""
        return self._url.render_as_string(hide_password=False)

    @property
    def shown(self) -> str:
        """Address without its password."""
        return masked(self._url.render_as_string(hide_password=True))

    def studies(self) -> list[str]:
        """Return the names of our studies, the latest last."""
        ours = [one for one in self.get_all_studies() if PLAN in one.user_attrs]
        return [one.study_name for one in sorted(ours, key=lambda one: one.user_attrs[WHEN])]

    def put_back(self, trial: FrozenTrial | Trial) -> bool:
        """Let another process take up a trial, unless one has done so already."""
        owner = json.dumps(trial.user_attrs.get(OWNER, ""))
        values = {"trial": trial._trial_id, "owner": owner}
        with self.engine.begin() as connection:
            if not connection.execute(text(_PUT_BACK), values).rowcount:
                return False
            for statement in _FORGET:
                connection.execute(text(statement), values)
        return True

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Let one process at a time choose its point; the lock of one that dies is free at once."""
        if self._url.drivername != "sqlite":
            with self.engine.begin() as connection:
                connection.execute(text("select pg_advisory_xact_lock(hashtext('lvh'))"))
                yield
            return
        try:
            lock = FileLock(f"{self._url.database}.lock", timeout=_WAIT).acquire()
        except OSError as error:  # a Timeout is one
            raise self._fault(error) from None
        with lock:
            yield

    def stale(self, study_id: int) -> list[int]:
        """Return the trials without a recent heartbeat."""
        return self._get_stale_trial_ids(study_id)

    def alive(self, trial_id: int) -> AbstractContextManager[None]:
        """Send heartbeats of a trial, the first one at once."""
        self.record_heartbeat(trial_id)
        return repeated(HEARTBEAT, lambda: self.record_heartbeat(trial_id))


@contextmanager
def repeated(seconds: float, call: Callable[[], object]) -> Iterator[None]:
    """Call something again and again meanwhile, in a thread; what fails is tried again."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(seconds):
            with suppress(LvhError):  # the body of the context reports a lasting fault
                call()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def process_name(process: int) -> str:
    """Return a name that no other process has on any machine; empty if it is not alive."""
    try:
        booted = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        container = Path("/proc/self/ns/pid").stat().st_ino
        state, *rest = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else f"{booted}-{container} {process} {rest[18]}"


def is_dead(name: str) -> bool:
    """Return whether a process of this machine has ended; false for one of another machine."""
    machine, _, rest = name.partition(" ")
    if not rest or machine != process_name(os.getpid()).partition(" ")[0]:
        return False
    return process_name(int(rest.split()[0])) != name


def _check_file(file: Path, to_read: bool) -> None:
    """Refuse a file of another program, before a table is made in it."""
    names = tables_of(file, _WAIT)
    # Optuna makes one of these first
    if names and not names & {"studies", "version_info", "study_directions"}:
        raise InputError(
            f"search.storage: expected a database of studies. Received: {file}, which has other "
            "tables"
        )
    if to_read and not names:
        raise InputError(
            f"search.storage: there is no sweep in {file}. Go to the folder where you typed lvh "
            "sweep, or name the folder of a run"
        )


def _url(address: str | None) -> URL:
    try:
        url = make_url("sqlite:///studies.db" if address is None else address)
        if url.drivername == "sqlite" and url.database not in (None, "", ":memory:"):
            return url.set(database=str(Path(url.database or "").absolute()))
        is_postgresql = url.drivername in ("postgresql", "postgres", "postgresql+psycopg")
        if is_postgresql and not {"[", "]"} & set(url.host or ""):
            return url.set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError):  # a bad port, or a bracket
        pass
    raise InputError(
        "search.storage: expected sqlite:///FILE or postgresql://USER@HOST/DATABASE. "
        f"Received: {address}"
    )
