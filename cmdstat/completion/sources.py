"""Values that only this machine knows: profiles, ids and runs. Read, never made or changed.

`credentials.toml` is not among the files that are opened here. A source raises whatever reading
raises; `answer` is silent about it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cmdstat.completion.candidates import (
    IDS,
    PROFILES,
    RUNS,
    UNFINISHED_RUNS,
    Candidate,
    Source,
    is_name,
)

if TYPE_CHECKING:
    from pathlib import Path

_MOST_IDS = 50
_BUSY_SECONDS = 0.1
_IDS = "SELECT id, state FROM updates ORDER BY n DESC LIMIT 1000"
_RUNS = "SELECT run, ended FROM runs WHERE ready = 1 ORDER BY started DESC LIMIT 50"
_UNFINISHED_RUNS = (
    "SELECT run, ended FROM runs WHERE ready = 1 AND ended IS NULL ORDER BY started DESC LIMIT 50"
)


def sources_of(env: Mapping[str, str]) -> dict[str, Source]:
    """The makers of values by their names in the table."""
    return {
        PROFILES: lambda: _profiles(env),
        IDS: lambda: _ids(env),
        RUNS: lambda: _runs(env, _RUNS),
        UNFINISHED_RUNS: lambda: _runs(env, _UNFINISHED_RUNS),
    }


def _profiles(env: Mapping[str, str]) -> Iterator[Candidate]:
    """The profiles in the configuration file, and the built-in one."""
    from cmdstat.config_files import ConfigFile
    from cmdstat.paths import Paths
    from cmdstat.profile_tables import SANDBOX

    for name in ConfigFile(Paths.from_environment(env).config_file).read().get("profiles", {}):
        yield Candidate(name)
    yield Candidate(SANDBOX, "built in: the API on this machine")


def _ids(env: Mapping[str, str]) -> Iterator[Candidate]:
    """The ids that were used last, newest first, each with the state that was asked for."""
    from cmdstat.states import BY_TEXT

    newest: dict[str, str] = {}
    for command_id, state in _read(env, _IDS):
        if is_name(command_id) and len(newest) < _MOST_IDS:
            newest.setdefault(command_id, BY_TEXT[state].short if state in BY_TEXT else "")
    for command_id, note in newest.items():
        yield Candidate(command_id, note)


def _runs(env: Mapping[str, str], query: str) -> Iterator[Candidate]:
    """Batch runs, newest first."""
    for run, ended in _read(env, query):
        yield Candidate(run, "unfinished" if ended is None else "ended")


def _read(env: Mapping[str, str], query: str) -> list[Any]:
    """The rows of a query to the journal, which is opened for reading and not made."""
    import sqlite3
    from contextlib import closing

    from cmdstat.paths import Paths

    journal = Paths.from_environment(env).journal_file
    if not journal.is_file():  # to open a pipe could take for ever
        return []
    with closing(sqlite3.connect(_uri(journal), uri=True, timeout=_BUSY_SECONDS)) as database:
        return database.execute(query).fetchall()


def _uri(journal: Path) -> str:
    """How to open the journal so that not even SQLite makes a file beside it.

    A reader of a database with a write-ahead log makes the log if it is missing, unless it is told
    that nothing changes, which is the case when there is no log.
    """
    has_log = os.path.exists(f"{journal}-wal")  # noqa: PTH110 - no Path is needed for it
    return journal.as_uri() + ("?mode=ro" if has_log else "?mode=ro&immutable=1")
