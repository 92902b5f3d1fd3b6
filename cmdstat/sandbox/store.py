"""The sandbox's commands in one SQLite file, which several processes and threads may share.

A reset is one transaction inside the file, never a new file under a server that has the old one
open. Writes are WAL transactions: a process killed in the middle of one leaves the store as it was.
"""

# ruff: noqa: S608 - the statements are put together from fixed text alone; every value is bound

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

from cmdstat.models import Content
from cmdstat.sandbox import SEEDED_COMMANDS, store_file

_SELECT = (
    "SELECT id, request, device, state, reason, created_us, updated_us, command_meta FROM command"
)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC by what is added to it


@dataclass(frozen=True, slots=True)
class Filters:
    """Which commands a listing keeps: those that pass every filter that is given."""

    requests: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    state: str | None = None
    exclude_internal: bool = False


class Page(NamedTuple):
    """One page of a listing, and how many commands pass its filters over all pages."""

    total: int
    results: list[Content]


class Store:
    """The commands of one sandbox; `Store.open` makes one. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        # SQLite lets one writer in and makes the others poll; a lock wakes the next at once.
        self._writing = threading.Lock()

    @classmethod
    def open(cls, path: Path, *, commands: int = SEEDED_COMMANDS, reset: bool = False) -> Store:
        """The store in the file `path`, made and seeded with `commands` commands if it is missing.

        An existing one is taken as it is, or with `reset` seeded anew. Raises `UsageError` for a
        number that cannot be seeded, `ConfigurationError` for a file that is not a sandbox's or
        cannot be used.
        """
        store_file.check_commands(commands)
        store = cls(path)
        with store_file.explained(path):
            made = not os.path.lexists(path) and store_file.create(path, commands)
            with store._connection() as connection:
                store_file.check_is_sandbox(connection, path, any_version=reset)
        if reset and not made:
            store.reset(commands)
        return store

    def get(self, command_id: str) -> Content | None:
        """The command with this id, or None."""
        with self._connection() as connection:
            return _find(connection, command_id)

    def update(self, command_id: str, state: str | None, reason: str | None) -> Content | None:
        """Set what is not None, and `updated_at` with it; the command after that, or None.

        With nothing to set nothing is changed, `updated_at` neither.
        """
        if state is None and reason is None:
            return self.get(command_id)
        with self._connection() as connection, self._writing, connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "UPDATE command SET state = coalesce(?, state), reason = coalesce(?, reason),"
                " updated_us = ? WHERE id = ?",
                (state, reason, store_file.now_us(), command_id),
            )
            return _find(connection, command_id)

    def page(self, filters: Filters, *, limit: int, offset: int) -> Page:
        """Commands that pass the filters, newest first: at most `limit`, from `offset` on."""
        where, values = _where(filters)
        bounds: tuple[str | int, ...]
        if where:
            counting = f"SELECT count(*) FROM command {where}"
            kept = f"""WHERE position IN (
                SELECT position FROM command {where} ORDER BY position LIMIT ? OFFSET ?
            ) ORDER BY position"""
            bounds = (*values, limit, offset)
        else:
            counting = "SELECT coalesce(max(position), 0) FROM command"
            kept = "WHERE position > ? ORDER BY position LIMIT ?"
            bounds = (offset, limit)
        with self._connection() as connection, connection:
            connection.execute("BEGIN")
            (total,) = connection.execute(counting, values).fetchone()
            found = connection.execute(f"{_SELECT} {kept}", bounds)
            return Page(total, [_content(row) for row in found])

    def reset(self, commands: int = SEEDED_COMMANDS) -> None:
        """Seed anew, in one transaction: whoever reads meanwhile sees the old or the new, whole.

        Raises as `open`.
        """
        store_file.check_commands(commands)
        with (
            store_file.explained(self.path),
            self._connection() as connection,
            self._writing,
            connection,
        ):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DROP TABLE IF EXISTS command")
            store_file.fill(connection, commands)

    def count(self) -> int:
        """How many commands there are."""
        return self.page(Filters(), limit=0, offset=0).total

    def close(self) -> None:
        """Close the idle connections; one still in use is closed when it is done with."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for the calling thread alone, kept for the next one afterwards."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = store_file.connect(self.path)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)


def _where(filters: Filters) -> tuple[str, list[str]]:
    """The WHERE clause of the filters, empty when there are none, and the values it binds."""
    conditions: list[str] = []
    values: list[str] = []
    for column, among in (("request", filters.requests), ("device", filters.devices)):
        if len(among) == 1:
            conditions.append(f"{column} = ?")
            values.append(among[0])
        elif among:  # one bound value: SQLite limits how many there may be
            conditions.append(f"{column} IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(among))
    if filters.state is not None:
        conditions.append("state = ?")
        values.append(filters.state)
    if filters.exclude_internal:
        conditions.append("internal = 0")
    return ("WHERE " + " AND ".join(conditions) if conditions else "", values)


def _find(connection: sqlite3.Connection, command_id: str) -> Content | None:
    row = connection.execute(f"{_SELECT} WHERE id = ?", (command_id,)).fetchone()
    return None if row is None else _content(row)


def _content(row: tuple[str, str, str, str, str, int, int, str | None]) -> Content:
    command_id, request, device, state, reason, created_us, updated_us, meta = row
    return {
        "id": command_id,
        "request": request,
        "device": device,
        "state": state,
        "reason": reason,
        "created_at": _timestamp(created_us),
        "updated_at": _timestamp(updated_us),
        "command_meta": None if meta is None else json.loads(meta),
    }


def _timestamp(microseconds: int) -> str:
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.isoformat(timespec="microseconds") + "Z"
