"""The queue of one batch run: its rows taken up in order, marked as being sent, and recorded."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from cmdstat.batch.engine import Ended, NotRecorded
from cmdstat.batch.schedule import QueuedRow, stays_in_doubt, stays_pending
from cmdstat.endings import make_record
from cmdstat.errors import CmdstatError
from cmdstat.instants import timestamp
from cmdstat.journal.database import guarded, open_database
from cmdstat.journal.records import SENDING, Journal, result_of
from cmdstat.journal.runs import Run
from cmdstat.journal.writer import Statement, Writer
from cmdstat.models import Content, Outcome, StatusUpdate, UpdateRecord

_MARK_SENDING = """
UPDATE updates SET outcome = 'sending', holder = ?, sent_at = coalesce(?, sent_at) WHERE n = ?
"""


class RunQueue:
    """The queue of one run that this process holds: the engine's `Queue`."""

    def __init__(self, journal: Journal, run: Run, clock: Callable[[], float] = time.time) -> None:
        self._journal = journal
        self._run = run
        self._clock = clock
        self._reader = open_database(journal.path)
        self._writer = Writer(journal.path, self._open_for_writing)
        self._phase = SENDING
        self._last = 0

    def close(self) -> None:
        """Commit what is left and close the connections."""
        self._writer.close()
        self._reader.close()

    def take(self, limit: int) -> list[QueuedRow]:
        """The next rows in file order: those that were left `sending` first, then the pending."""
        while True:
            with guarded(self._journal.path):
                rows = self._reader.execute(
                    "SELECT n, line, id, state, reason, if_state, sent_at FROM updates"
                    " WHERE run = ? AND outcome = ? AND n > ? ORDER BY n LIMIT ?",
                    (self._run.name, self._phase, self._last, limit),
                ).fetchall()
            if rows:
                self._last = rows[-1][0]
                return [self._queued(row) for row in rows]
            if self._phase != SENDING:
                return []
            self._phase, self._last = Outcome.PENDING.value, 0

    def turn(self, ended: Ended | None, begin: QueuedRow | None) -> UpdateRecord | None:
        statements: list[Statement] = []
        record = None
        now = self._clock()
        if ended is not None:
            record, statement = self._ending(ended, now)
            statements.append(statement)
        if begin is not None:
            sent_at = now if begin.sent_at is None else None
            statements.append((_MARK_SENDING, (self._journal.holder, sent_at, begin.n)))
        try:
            self._writer.write(*statements)
        except CmdstatError as failure:
            raise NotRecorded(failure, record) from failure
        return record

    def own_doing(self, row: QueuedRow) -> Content | None:
        with self._journal.lock:
            return self._journal.content_before(row.n, row.update.id, self._run.origin.base_url)

    def _ending(self, ended: Ended, now: float) -> tuple[UpdateRecord, Statement]:
        """The record of a row that ended, and the statement that writes it down."""
        row, ending = ended
        outcome: str = ending.outcome.value
        if stays_in_doubt(row, ending):
            outcome = SENDING  # the next resume reads it back again
        elif stays_pending(ending):
            ending = ending._replace(outcome=Outcome.PENDING)
            outcome = SENDING if row.sent_at is not None else Outcome.PENDING.value
        record = make_record(
            row.n,
            row.update,
            ending,
            **self._run.origin._asdict(),
            run=self._run.name,
            line=row.line,
            at=timestamp(now),
        )
        return record, (
            "UPDATE updates SET outcome = ?, at = ?, result = ?, holder = NULL WHERE n = ?",
            (outcome, now, result_of(record), row.n),
        )

    def _queued(self, row: tuple[Any, ...]) -> QueuedRow:
        number, line, command_id, state, reason, conditions, sent_at = row
        wanted = tuple(json.loads(conditions)) if conditions else ()
        update = StatusUpdate(command_id, state, reason, wanted)
        left_sending = self._phase == SENDING
        return QueuedRow(number, line, update, (sent_at or 0.0) if left_sending else None)

    def _open_for_writing(self) -> sqlite3.Connection:
        connection = open_database(self._journal.path)
        # A power cut may cost the last moments' marks, never a row: those were synced when read in.
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection
