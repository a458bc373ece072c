"""SQLite files, looked at before a library makes tables in them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote


@contextmanager
def opened(file: Path, *, to_read: bool, wait: float = 5) -> Iterator[sqlite3.Connection]:
    """Open a file that is there.

    Args:
        file: Never made.
        to_read: Change not a byte of it. Then what a killed process has left half done cannot be
            taken back, and the file not be read.
        wait: For another process that holds it, s.

    Raises:
        sqlite3.Error: It is no database, a damaged one, or held by another process.
    """
    address = f"file:{quote(str(file.absolute()))}?mode={'ro' if to_read else 'rw'}"
    with closing(sqlite3.connect(address, uri=True, timeout=wait)) as database:
        yield database


def tables(database: sqlite3.Connection) -> set[str]:
    """Return the names of the tables."""
    found = database.execute("select name from sqlite_master where type = 'table'")
    return {str(row[0]) for row in found}
