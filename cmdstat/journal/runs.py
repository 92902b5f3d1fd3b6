"""A batch run in the journal: its rows read in, taken up, recorded; resumed, retried, given up.

A run's rows are there in whole before its first request leaves (`ready`), so it needs neither its
file nor its pipe to go on. While its rows are read in, nobody else sees them; what a crash leaves
half read in is cleared away by the next batch.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from cmdstat.batch.rows import Row
from cmdstat.errors import ConfigurationError, UsageError
from cmdstat.journal.database import guarded, transaction
from cmdstat.journal.records import SENDING, Journal, Origin, record_of_row
from cmdstat.models import Outcome, UpdateRecord

_ROWS_IN_ONE_COMMIT = 2000
_DONE = (Outcome.UPDATED.value, Outcome.SKIPPED.value)
_LEFT = (Outcome.PENDING.value, SENDING)
_FAILED = (
    Outcome.REFUSED.value,
    Outcome.UNAUTHORIZED.value,
    Outcome.SERVER_ERROR.value,
)


class Run(NamedTuple):
    """One batch run, as the journal knows it. `started` is seconds since the epoch."""

    name: str
    started: float
    origin: Origin
    source: str
    options: dict[str, Any]


class Runs:
    """The runs of a journal."""

    def __init__(self, journal: Journal, clock: Callable[[], float] = time.time) -> None:
        self._journal = journal
        self._database = journal.database
        self._clock = clock

    def read_in(
        self, rows: Iterable[Row], origin: Origin, source: str, options: dict[str, Any]
    ) -> Run:
        """A new run of the given rows, held by this process, not yet `ready`.

        What iterating the rows raises leaves nothing of the run behind.
        """
        self._clear_half_read()
        now = self._clock()
        name = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now)) + "-" + os.urandom(2).hex()
        with guarded(self._journal.path):
            self._database.execute(
                "INSERT INTO runs (run, started, ready, holder, profile, base_url, by, source,"
                " options) VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?)",
                (name, now, self._journal.holder, *origin, source, json.dumps(options)),
            )
        try:
            rest = iter(rows)
            while part := list(islice(rest, _ROWS_IN_ONE_COMMIT)):
                with guarded(self._journal.path), transaction(self._database):
                    self._database.executemany(
                        "INSERT INTO updates (run, line, id, state, reason, if_state, outcome)"
                        " VALUES (?, ?, ?, ?, ?, ?, 'pending')",
                        ((name, *_columns(row)) for row in part),
                    )
        except BaseException:
            self._forget(name)
            raise
        return Run(name, now, origin, source, options)

    def make_ready(self, run: Run) -> None:
        """All rows are in, and the user wants them sent."""
        with guarded(self._journal.path):
            self._database.execute("UPDATE runs SET ready = 1 WHERE run = ?", (run.name,))

    def forget(self, run: Run) -> None:
        """Nothing of the run is to be kept: nothing of it was sent."""
        self._forget(run.name)

    def find(self, name: str | None, *, finished: bool = False) -> Run:
        """The run of that name, or without one the newest that no living process holds.

        Of the unnamed ones, a finished run counts only with `finished`. Raises `UsageError`.
        """
        with guarded(self._journal.path):
            rows = self._database.execute(
                _SELECT_RUN + " WHERE ready AND (run = ?1 OR ?1 IS NULL AND (ended IS NULL OR ?2))"
                " ORDER BY started DESC, rowid DESC",
                (name, finished),
            ).fetchall()
        for row in rows:
            if name is not None or not self._journal.is_held(row[-1]):
                return Run(row[0], row[1], Origin(*row[2:5]), row[5], json.loads(row[6]))
        what = f'no run "{name}"' if name is not None else "no unfinished run"
        raise UsageError(f"there is {what}", "see the runs with: cmdstat history --runs")

    def hold(self, run: Run) -> None:
        """Make this process the one that works on a run. Raises `ConfigurationError` if another is.

        The check and the claim are one transaction, so of two processes one is told.
        """
        holder = self._journal.holder
        with guarded(self._journal.path), transaction(self._database):
            row = self._database.execute(
                "SELECT holder FROM runs WHERE run = ?", (run.name,)
            ).fetchone()
            if row is not None and row[0] != holder and self._journal.is_held(row[0]):
                raise ConfigurationError(
                    f"another process is working on the run {run.name}",
                    "wait for it to end, or end it first",
                )
            self._database.execute(
                "UPDATE runs SET holder = ?, ended = NULL WHERE run = ?", (holder, run.name)
            )

    def let_go(self, run: Run) -> None:
        """Stop working on a run; it is ended if nothing is left."""
        with guarded(self._journal.path), transaction(self._database):
            left = self._database.execute(
                "SELECT 1 FROM updates WHERE run = ? AND outcome IN (?, ?) LIMIT 1",
                (run.name, *_LEFT),
            ).fetchone()
            self._database.execute(
                "UPDATE runs SET holder = NULL, ended = ? WHERE run = ?",
                (None if left else self._clock(), run.name),
            )

    def take_up_failed(self, run: Run) -> int:
        """Make failed rows pending again, and unknown ones to be read back; how many stay failed.

        A failed row whose id has a later row that was sent stays as it is: sending it now would
        overwrite the later state.
        """
        with guarded(self._journal.path), transaction(self._database):
            for new, old in (
                *(("pending", outcome) for outcome in _FAILED),
                (SENDING, Outcome.UNKNOWN.value),
            ):
                self._database.execute(_TAKE_UP, (new, run.name, old))
        return sum(
            number
            for outcome, number in self.counts(run).items()
            if outcome in (*_FAILED, Outcome.UNKNOWN.value)
        )

    def discard(self, run: Run) -> int:
        """Give a run up: what was not sent never will be; how many rows that were.

        Rows in doubt become `unknown`, and stay in the history.
        """
        with guarded(self._journal.path), transaction(self._database):
            self._database.execute(
                "UPDATE updates SET outcome = 'unknown', at = coalesce(at, sent_at), holder = NULL"
                " WHERE run = ? AND outcome = ?",
                (run.name, SENDING),
            )
            dropped = self._database.execute(
                "DELETE FROM updates WHERE run = ? AND outcome = 'pending'", (run.name,)
            ).rowcount
            self._database.execute(
                "UPDATE runs SET holder = NULL, ended = ?, dropped = coalesce(dropped, 0) + ?"
                " WHERE run = ?",
                (self._clock(), dropped, run.name),
            )
        return dropped

    def counts(self, run: Run) -> dict[str, int]:
        """How many rows there are by outcome, `sending` and `pending` among them."""
        with guarded(self._journal.path):
            return dict(
                self._database.execute(
                    "SELECT outcome, count(*) FROM updates WHERE run = ? GROUP BY outcome",
                    (run.name,),
                ).fetchall()
            )

    def left(self, run: Run) -> int:
        """How many rows are still to be done."""
        counts = self.counts(run)
        return sum(counts.get(outcome, 0) for outcome in _LEFT)

    def records(self, run: Run) -> Iterator[UpdateRecord]:
        """Every row as a record, in input order, a page at a time."""
        with guarded(self._journal.path):
            number, last = self._database.execute(
                "SELECT min(n) - 1, max(n) FROM updates WHERE run = ?", (run.name,)
            ).fetchone()
        while last is not None and number < last:
            with guarded(self._journal.path):
                cursor = self._database.cursor()
                cursor.row_factory = sqlite3.Row
                # The + keeps SQLite from the index by run, which would sort the run for each page.
                rows = cursor.execute(
                    "SELECT u.*, ? AS run_profile, ? AS run_base_url, ? AS run_by"
                    " FROM updates AS u WHERE +run = ? AND n > ? ORDER BY n LIMIT 500",
                    (*run.origin, run.name, number),
                ).fetchall()
            if not rows:
                return
            yield from map(record_of_row, rows)
            number = rows[-1]["n"]

    def _clear_half_read(self) -> None:
        with guarded(self._journal.path):
            for name, holder in self._database.execute(
                "SELECT run, holder FROM runs WHERE ready = 0"
            ).fetchall():
                if not self._journal.is_held(holder):
                    self._forget(name)

    def _forget(self, name: str) -> None:
        with guarded(self._journal.path), transaction(self._database):
            self._database.execute("DELETE FROM updates WHERE run = ?", (name,))
            self._database.execute("DELETE FROM runs WHERE run = ?", (name,))


_TAKE_UP = """
UPDATE updates AS u SET outcome = ?, holder = NULL
WHERE run = ? AND outcome = ? AND NOT EXISTS (
    SELECT 1 FROM updates AS later
    WHERE later.id = u.id AND later.run = u.run AND later.n > u.n
      AND later.outcome NOT IN ('pending', 'refused', 'unauthorized', 'skipped')
)
"""
_SELECT_RUN = "SELECT run, started, profile, base_url, by, source, options, holder FROM runs"


def _columns(row: Row) -> tuple[Any, ...]:
    update = row.update
    conditions = json.dumps(update.if_state) if update.if_state else None
    return (row.line, update.id, update.state, update.reason, conditions)
