"""Open the journal's database: made private from its first byte, checked, never repaired.

A file that is damaged, of a later version or not writable is a `ConfigurationError` that names it,
raised before anything is sent (design §4). Many processes may open it at once: WAL, a busy
time-out, and one writer at a time.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

from cmdstat.errors import ConfigurationError
from cmdstat.foreign import quoted
from cmdstat.paths import private_folder

VERSION = 1
BUSY_SECONDS = 30.0
"""How long one process waits for another's transaction, which takes milliseconds."""

_SCHEMA = """
CREATE TABLE runs (
    run      TEXT PRIMARY KEY,
    started  REAL NOT NULL,          -- seconds since the epoch, as every time here
    ended    REAL,                   -- NULL while anything is left to do
    ready    INTEGER NOT NULL,       -- 0 while its rows are still being read in
    dropped  INTEGER,                -- how many rows went unsent when it was given up
    holder   INTEGER,                -- the byte lock of the process that works on it
    profile  TEXT,
    base_url TEXT NOT NULL,
    by       TEXT NOT NULL,
    source   TEXT NOT NULL,          -- where the rows came from: a file's name, or -
    options  TEXT NOT NULL           -- JSON
) STRICT;
CREATE TABLE updates (
    n        INTEGER PRIMARY KEY AUTOINCREMENT,
    run      TEXT REFERENCES runs (run) ON DELETE CASCADE,
    line     INTEGER,                -- in the run's input
    id       TEXT NOT NULL,
    state    TEXT,                   -- NULL: not asked for
    reason   TEXT,                   -- NULL: not asked for
    if_state TEXT,                   -- a JSON array, NULL for no condition
    outcome  TEXT NOT NULL,          -- pending, sending, or how it ended
    holder   INTEGER,                -- while sending: the byte lock of the process that sends it
    sent_at  REAL,
    at       REAL,                   -- when the outcome was recorded
    profile  TEXT,                   -- profile, base_url, by: NULL in a run, which has them
    base_url TEXT,
    by       TEXT,
    result   TEXT                    -- JSON: the other fields of the record, NULL until it ended
) STRICT;
CREATE INDEX updates_by_id ON updates (id, n);
CREATE INDEX updates_by_run ON updates (run, outcome, n) WHERE run IS NOT NULL;
CREATE INDEX updates_by_outcome ON updates (outcome, at);
CREATE INDEX updates_by_at ON updates (at);
"""


def open_database(path: Path) -> sqlite3.Connection:
    """A connection to the journal, which is made if it is not there.

    In autocommit; transactions are explicit. Every commit reaches the disk. Raises
    `ConfigurationError` for a journal that cannot be used.
    """
    with guarded(path):
        _create_private(path)
        _check_owner(path)
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction, taken at once so that it waits for others instead of failing late."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise into a `ConfigurationError` about the journal."""
    try:
        yield
    except sqlite3.Error as failure:
        raise ConfigurationError(*_explain(path, failure)) from failure
    except OSError as failure:
        raise ConfigurationError(
            f"the journal {path} cannot be used: {failure.strerror or failure}",
            "nothing is sent without a journal; mend this, or name another file in CMDSTAT_JOURNAL",
        ) from failure


def _explain(path: Path, failure: sqlite3.Error) -> tuple[str, str]:
    """Message and hint for an SQLite error."""
    code = getattr(failure, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return (
            f"the journal {path} is damaged: {failure}",
            "keep it for a repair under another name; cmdstat then starts a new one",
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return (
            f"the journal {path} was in use by another process for {BUSY_SECONDS:.0f} s",
            "try again when the other process has ended",
        )
    if code == sqlite3.SQLITE_FULL:
        return f"the journal {path} cannot be written: the disk is full", "make room, then go on"
    return (
        f"the journal {path} cannot be used: {failure}",
        "nothing is sent without a journal; mend this, or name another file in CMDSTAT_JOURNAL",
    )


def _create_private(path: Path) -> None:
    """Make the file, empty and for its owner alone, if it is not there."""
    private_folder(path.parent)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _check_owner(path: Path) -> None:
    """Refuse a journal that others could have written: what it queues is sent with our key."""
    if os.name == "nt":
        return
    found = path.stat()
    if found.st_uid not in (os.geteuid(), 0) or found.st_mode & 0o022:
        raise ConfigurationError(
            f"the journal {path} can be written by others",
            f"see what is in it, then: chmod 600 {quoted(str(path))}",
        )


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Bring an empty file to the present schema; refuse one of another kind or a later version."""
    # Kinds before version: another process may be making the schema, in one transaction.
    kinds = {kind for (kind,) in connection.execute("SELECT DISTINCT type FROM sqlite_master")}
    version = _version(connection)
    if kinds - {"table", "index"} or (kinds and version == 0):
        raise ConfigurationError(
            f"{path} is a database, but not a journal of cmdstat",
            "name another file in CMDSTAT_JOURNAL",
        )
    if version == 0:
        _use_wal(connection)
        with transaction(connection):
            if _version(connection) == 0:
                for statement in _SCHEMA.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")
    elif version != VERSION:
        raise ConfigurationError(
            f"the journal {path} is of version {version}, this cmdstat knows {VERSION}",
            "use the newer cmdstat that wrote it, or name another file in CMDSTAT_JOURNAL",
        )


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; SQLite does not wait for others here, so this does."""
    ends = monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as failure:
            if failure.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > ends:
                raise
            sleep(0.01)
