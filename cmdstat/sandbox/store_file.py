"""The file of a store: how it is made, recognised, filled and connected to.

Made whole or not at all: built under a temporary name, then linked into place, so of two processes
that begin at once one wins and the other uses the winner's.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from cmdstat.errors import ConfigurationError, UsageError
from cmdstat.sandbox import MOST_COMMANDS, SEEDED_COMMANDS
from cmdstat.sandbox.seed import Row, rows

_APPLICATION_ID = 0x636D6473
_VERSION = 1
_BUSY_SECONDS = 30.0

# The API creates and deletes nothing, so positions are dense: a page of everything is a range of
# them, however deep it lies. An entry of an index ends with the position, and entries of equal key
# are in its order, so a page of one state or device needs no sorting.
_TABLE = """
CREATE TABLE command (
    position     INTEGER PRIMARY KEY,
    id           TEXT NOT NULL,
    request      TEXT NOT NULL,
    device       TEXT NOT NULL,
    state        TEXT NOT NULL,
    reason       TEXT NOT NULL,
    created_us   INTEGER NOT NULL,
    updated_us   INTEGER NOT NULL,
    internal     INTEGER NOT NULL,
    command_meta TEXT
)
"""
_INDEXES = (
    "CREATE UNIQUE INDEX command_id ON command (id)",
    "CREATE INDEX command_request ON command (request)",
    "CREATE INDEX command_device ON command (device)",
    "CREATE INDEX command_state ON command (state)",
    "CREATE INDEX command_internal ON command (internal)",
)
_INSERT = f"INSERT INTO command VALUES ({', '.join('?' * len(Row._fields))})"  # noqa: S608 - only ?s


def check_commands(commands: int) -> None:
    """Raises `UsageError` for a number of commands that cannot be seeded."""
    if not SEEDED_COMMANDS <= commands <= MOST_COMMANDS:
        raise UsageError(
            f"a sandbox cannot have {commands} commands",
            f"give a number from {SEEDED_COMMANDS} to {MOST_COMMANDS}",
        )


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Whatever SQLite or the file system has against `path`, as a `ConfigurationError`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(
            f"the sandbox's store {path} cannot be used: {reason or error}",
            "name another file with --db; if this one is a sandbox's and broken, remove it",
        ) from error


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit to an existing file; it may go from thread to thread."""
    connection = sqlite3.connect(
        path.absolute().as_uri() + "?mode=rw",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def check_is_sandbox(connection: sqlite3.Connection, path: Path, *, any_version: bool) -> None:
    """Raises `ConfigurationError` for somebody else's database, and for one of another version."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION_ID:
        raise ConfigurationError(
            f"{path} is not a sandbox's store, and is left as it is",
            "name another file with --db",
        )
    if version != _VERSION and not any_version:
        raise ConfigurationError(
            f"the sandbox's store {path} was made by another version of cmdstat",
            "seed it anew with: cmdstat sandbox reset",
        )


def create(path: Path, commands: int) -> bool:
    """Make the store file with mode 0600; False if another process was faster."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".new")
    try:
        with closing(sqlite3.connect(name, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            fill(connection, commands)
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = WAL")
        os.fsync(descriptor)
        # Before it has its name: closing a file drops every POSIX lock the process holds on it.
        os.close(descriptor)
        descriptor = -1
        return _put_in_place(name, path)
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        Path(name).unlink(missing_ok=True)


def _put_in_place(name: str, path: Path) -> bool:
    try:
        os.link(name, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            return False
        Path(name).rename(path)
    return True


def fill(connection: sqlite3.Connection, commands: int) -> None:
    """Make table and indexes, in the caller's transaction; indexes last, which is much faster."""
    connection.execute(_TABLE)
    connection.executemany(_INSERT, rows(commands, now_us()))
    for index in _INDEXES:
        connection.execute(index)
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {_VERSION}")


def now_us() -> int:
    """Now, in microseconds since the epoch."""
    return time.time_ns() // 1000
