"""The databases of MLflow and Optuna: whole, of the right version, and nothing left open."""

import fcntl
import importlib.metadata
import importlib.util
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from lvh.cli.doctor import Finding
from lvh.errors import masked
from lvh.files import write_fault
from lvh.tracking.sqlite import opened, tables

_PATIENCE = 5  # s
_REVISION = re.compile(r"^(down_)?revision(?:: [^=]+)? = [\"']([^\"']+)[\"']", re.MULTILINE)
_INTERRUPTED = ("SQLITE_READONLY_ROLLBACK", "SQLITE_READONLY_RECOVERY", "SQLITE_CANTOPEN")

_OPEN_RUNS = """
    select runs.name, key.value from runs
    join tags as level on level.run_uuid = runs.run_uuid and level.key = 'level'
    join tags as key on key.run_uuid = runs.run_uuid and key.key = 'key'
    where runs.status = 'RUNNING' and runs.lifecycle_stage = 'active' order by runs.start_time
"""
_OPEN_TRIALS = """
    select studies.study_name, trials.number from trials join studies using (study_id)
    where trials.state = 'RUNNING' order by studies.study_name, trials.number
"""


class Schema(NamedTuple):
    """What a library expects of its database.

    Attributes:
        package: That makes it.
        revisions: Its folder of migrations, one file a version of the schema.
        table: One that it always has.
        upgrade: Command that takes the address of an older one.
        field: By which another database is chosen.
    """

    package: str
    revisions: str
    table: str
    upgrade: str
    field: str


MLFLOW = Schema(
    *("mlflow", "store/db_migrations/versions", "experiments", "mlflow db upgrade"),
    field="tracking.uri",
)
OPTUNA = Schema(
    *("optuna", "storages/_rdb/alembic/versions", "studies", "optuna storage upgrade --storage"),
    field="search.storage",
)


def tracking(file: Path, store: Path, studies_file: Path | None) -> Iterator[Finding]:
    """Check an embedded tracking store.

    Args:
        file: May not be there yet.
        store: Folder of the finished folds, with the locks of single runs.
        studies_file: Beside which lie the locks of trials; None where another machine may work
            on these, so that nobody here knows who is dead.
    """

    def left_open(database: sqlite3.Connection) -> list[str]:
        if studies_file is None or any(map(_held, _locks(studies_file).glob("*"))):
            return []
        found = database.execute(_OPEN_RUNS)
        return [name for name, key in found if not _held(store / "running" / f"{key}.lock")]

    yield _examined("tracking", file, MLFLOW, left_open, "run")


def studies(file: Path) -> Iterator[Finding]:
    """Check an embedded database of studies, which may not be there yet."""

    def left_open(database: sqlite3.Connection) -> list[str]:
        found = database.execute(_OPEN_TRIALS)
        names = [f"{study}-{number}" for study, number in found]
        return [name for name in names if not _held(_locks(file) / name)]

    yield _examined("studies", file, OPTUNA, left_open, "trial")


def reached(what: str, address: str, schema: Schema) -> Finding:
    """Check a database on a server: is it reached, and of which version are its tables?"""
    from sqlalchemy import create_engine, inspect, text
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    try:
        url = make_url(address)
        if schema is OPTUNA:
            url = url.set(drivername="postgresql+psycopg")
        patience = {"connect_timeout": _PATIENCE} if "postgres" in url.drivername else {}
        engine = create_engine(url, poolclass=NullPool, connect_args=patience)
        with engine.connect() as connection:
            if schema.table not in inspect(connection).get_table_names():
                told = f"{masked(address)} is reached; the first run makes its tables"
                return Finding(what, "ok", told)
            current = connection.execute(text("select version_num from alembic_version")).scalar()
    except ArgumentError:
        told = f"{masked(address)} is of a kind that only MLflow knows"
        return Finding(what, "warning", told, "It could not be checked")
    except ImportError as error:
        do = "pip install 'lvh[postgresql]', or the driver of another database"
        return Finding(what, "fault", f"{masked(address)} cannot be used: {error}", do)
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        do = f"Start it, or choose another one by {schema.field}"
        return Finding(what, "fault", f"{masked(address)} cannot be used: {reason}", do)
    return _of_version(what, masked(address), current, schema)


def _examined(
    what: str,
    file: Path,
    schema: Schema,
    left_open: Callable[[sqlite3.Connection], list[str]],
    called: str,
) -> Finding:
    fault = write_fault(file.parent)
    if fault:
        do = f"Work in another folder, or choose another one by {schema.field}"
        return Finding(what, "fault", f"cannot write in {file.parent}: {fault}", do)
    if not file.exists():
        return Finding(what, "ok", f"{file} is made by the first run")
    try:
        with file.open("r+b"):  # may it be written? Not a byte is
            pass
        with opened(file, to_read=True) as database:
            finding = _whole(what, file, database, schema)
            names = left_open(database) if finding.state == "ok" and _is_made(database) else []
    except OSError as error:
        return Finding(what, "fault", f"cannot use {file}: {error.strerror}", _elsewhere(schema))
    except sqlite3.Error as error:
        return _failed(what, file, error, schema)
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        many = f"{len(names)} {called}{'s' if len(names) > 1 else ''}"
        told = f"{file}: {many} left open by a process that is gone: "
        do = "The same command goes on with them"
        return Finding(what, "warning", f"{told}{', '.join(names[:3])}{more}", do)
    return finding


def _is_made(database: sqlite3.Connection) -> bool:
    return bool(tables(database))


def _whole(what: str, file: Path, database: sqlite3.Connection, schema: Schema) -> Finding:
    (found,) = database.execute("pragma quick_check(1)").fetchone()
    if found != "ok":
        return _damaged(what, file, str(found), schema)
    if not _is_made(database):
        return Finding(what, "ok", f"{file} is empty; the first run makes its tables")
    if schema.table not in tables(database):
        told = f"{file} is a database of another program"
        return Finding(what, "fault", told, _elsewhere(schema), exit_code=2)
    (current,) = database.execute("select version_num from alembic_version").fetchone() or (None,)
    return _of_version(what, f"sqlite:///{file}", current, schema)


def _of_version(what: str, address: str, current: str | None, schema: Schema) -> Finding:
    installed = f"{schema.package} {importlib.metadata.version(schema.package)}"
    known, latest = _revisions(schema)
    if not latest:
        told = f"{address}: the schema of {installed} cannot be told"
        return Finding(what, "warning", told, "Its first use will tell")
    if current == latest:
        return Finding(what, "ok", f"{address} is whole and of the schema of {installed}")
    if current in known:
        told = f"{address} was made by an older {schema.package} than {installed}"
        do = f"Copy it, then: {schema.upgrade} {address}"
    else:
        told = f"{address} was made by another {schema.package}, which {installed} cannot read"
        do = f"Install that one, or choose another database by {schema.field}"
    return Finding(what, "fault", told, do)


def _revisions(schema: Schema) -> tuple[set[str], str]:
    """Read all versions of a schema, and the latest, from a package without importing it."""
    spec = importlib.util.find_spec(schema.package)
    folders = (spec.submodule_search_locations if spec else None) or []
    known: set[str] = set()
    older: set[str] = set()
    for file in (one for folder in folders for one in Path(folder, schema.revisions).glob("*.py")):
        for is_older, revision in _REVISION.findall(file.read_text("utf-8")):
            (older if is_older else known).add(revision)
    latest = known - older
    return known, latest.pop() if len(latest) == 1 else ""


def _failed(what: str, file: Path, error: sqlite3.Error, schema: Schema) -> Finding:
    name = str(getattr(error, "sqlite_errorname", ""))
    if name in _INTERRUPTED:
        told = f"{file}: a process was killed while it wrote; its journal lies beside the file"
        return Finding(what, "warning", told, "Leave both there: the next run takes that back")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        told = f"{file} is held by another process for more than some seconds"
        return Finding(what, "warning", told, "Ask again when it has written")
    return _damaged(what, file, str(error), schema)


def _damaged(what: str, file: Path, reason: str, schema: Schema) -> Finding:
    told = f"{file} is damaged ({reason})"
    do = f"{_elsewhere(schema)}. Finished folds are kept beside it: nothing is trained again"
    return Finding(what, "fault", told, do)


def _elsewhere(schema: Schema) -> str:
    return f"Restore it from a copy, move it away, or choose another one by {schema.field}"


def _locks(file: Path) -> Path:
    """Return the folder of a database's locks on trials, as `lvh.search.storage` makes them."""
    return file.with_name(f"{file.name}-locks")


def _held(lock: Path) -> bool:
    """Say whether a living process holds a lock, without taking it from any."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
