"""The journal's rows as records: begin an update, finish it, and look one up."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from cmdstat.errors import ConfigurationError
from cmdstat.instants import timestamp
from cmdstat.journal.database import guarded, open_database
from cmdstat.locks import ByteLocks
from cmdstat.models import Content, Outcome, StatusUpdate, UpdateRecord

SENDING = "sending"
"""The outcome of a row whose request may have left; a record of it says `unknown`."""

_RESULT_FIELDS = (
    "http_status", "code", "message", "content", "before", "confirmed", "error", "attempts",
    "elapsed_ms",
)  # fmt: skip


class Origin(NamedTuple):
    """Where updates come from and go to: profile (None for the environment's), base URL, who."""

    profile: str | None
    base_url: str
    by: str


class Journal:
    """The journal of this machine's updates. One object a process.

    `database` is its connection; other threads than the one that made it take `lock` first.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        """Open the journal, made if it is not there. Raises `ConfigurationError`."""
        self.path = path
        self._clock = clock
        self.database = open_database(path)
        self.lock = Lock()
        self._locks = ByteLocks(path.with_name(path.name + "-holders"))
        self._holder: int | None = None

    def close(self) -> None:
        """Close the file and let go of every row held."""
        with suppress(sqlite3.Error):
            self.database.close()
        self._locks.close()

    @property
    def holder(self) -> int:
        """The number under which this process holds rows, alive as long as it lives."""
        if self._holder is None:
            with guarded(self.path):
                self._holder = int.from_bytes(os.urandom(8), "big") >> 2
                self._locks.hold(self._holder)
        return self._holder

    def is_held(self, holder: int | None) -> bool:
        """Whether the process that holds rows under a number is alive."""
        return holder is not None and self._locks.is_held(holder)

    def begin(self, update: StatusUpdate, origin: Origin) -> int:
        """Write down that an update is about to be sent; its number in the journal."""
        holder = self.holder
        with guarded(self.path):
            cursor = self.database.execute(
                "INSERT INTO updates (id, state, reason, if_state, outcome, holder, sent_at,"
                " profile, base_url, by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    update.id,
                    update.state,
                    update.reason,
                    json.dumps(update.if_state) if update.if_state else None,
                    SENDING,
                    holder,
                    self._clock(),
                    *origin,
                ),
            )
        number = cursor.lastrowid
        assert number is not None
        return number

    def finish(self, record: UpdateRecord, at: float) -> None:
        """Write down what became of an update that was begun. Raises `ConfigurationError`.

        `at` is the moment of the record's own `at`, in seconds since the epoch.
        """
        with guarded(self.path):
            self.database.execute(
                "UPDATE updates SET outcome = ?, at = ?, result = ?, holder = NULL WHERE n = ?",
                (record.outcome.value, at, result_of(record), record.n),
            )

    def content_before(self, number: int, command_id: str, base_url: str) -> Content | None:
        """The content recorded last for a command of a service when row `number` was first sent.

        It is our own earlier doing; what was recorded since then is not looked at.
        """
        with guarded(self.path):
            rows = self.database.execute(
                "SELECT u.result, coalesce(u.base_url, r.base_url) FROM updates AS u"
                " LEFT JOIN runs AS r USING (run) WHERE u.id = ? AND u.result IS NOT NULL"
                " AND u.n != ? AND u.at <= (SELECT sent_at FROM updates WHERE n = ?)"
                " ORDER BY u.at DESC LIMIT 50",
                (command_id, number, number),
            )
            for result, recorded_base_url in rows:
                content = json.loads(result).get("content")
                if recorded_base_url == base_url and isinstance(content, dict):
                    return content
        return None

    def record(self, number: int) -> UpdateRecord | None:
        """One record by its number; None if there is none."""
        with guarded(self.path):
            self.database.row_factory = sqlite3.Row
            row = self.database.execute(
                "SELECT u.*, r.profile AS run_profile, r.base_url AS run_base_url, r.by AS run_by"
                " FROM updates AS u LEFT JOIN runs AS r USING (run) WHERE n = ?",
                (number,),
            ).fetchone()
            self.database.row_factory = None
        return None if row is None else record_of_row(row)


def result_of(record: UpdateRecord) -> str:
    """What a row keeps of a record beyond its own columns, as JSON."""
    return json.dumps({name: getattr(record, name) for name in _RESULT_FIELDS})


def record_of_row(row: sqlite3.Row) -> UpdateRecord:
    """The record that a row tells; one left `sending` is `unknown`.

    Raises `ConfigurationError` for a row that no cmdstat has written.
    """
    in_run = row["run"] is not None
    sending = row["outcome"] == SENDING
    try:
        return UpdateRecord(
            n=row["n"],
            id=row["id"],
            requested={"state": row["state"], "reason": row["reason"]},
            outcome=Outcome.UNKNOWN if sending else Outcome(row["outcome"]),
            **json.loads(row["result"] or "{}"),
            profile=row["run_profile"] if in_run else row["profile"],
            base_url=row["run_base_url"] if in_run else row["base_url"],
            by=row["run_by"] if in_run else row["by"],
            run=row["run"],
            line=row["line"],
            at=None if row["at"] is None else timestamp(row["at"]),
        )
    except (ValueError, TypeError, OverflowError) as failure:
        raise ConfigurationError(
            f"the journal is damaged: its row {row['n']} makes no sense",
            "keep it for a repair under another name; cmdstat then starts a new one",
        ) from failure
