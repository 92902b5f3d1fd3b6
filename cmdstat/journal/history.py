"""What the journal tells of the past: who updated what, when, and what came of it; and the runs.

Each filter has an index, so that a journal of a million rows answers at once. Newest is first: by
the time of the outcome, and within one run by the line of its input. A row that was never sent is
there for whoever asks for its run, its id or its outcome.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from cmdstat.errors import InDoubt, UsageError
from cmdstat.foreign import quoted
from cmdstat.instants import timestamp
from cmdstat.journal.database import guarded
from cmdstat.journal.records import SENDING, Journal, record_of_row
from cmdstat.models import Outcome, UpdateRecord

_SELECT = (
    "SELECT u.*, r.profile AS run_profile, r.base_url AS run_base_url, r.by AS run_by"
    " FROM updates AS u LEFT JOIN runs AS r USING (run)"
    " WHERE coalesce(r.ready, 1) = 1"
)
_OUTCOMES = (*(outcome.value for outcome in Outcome), SENDING)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which updates: all that pass every filter given, the newest `limit` of them.

    `since` is seconds since the epoch.
    """

    id: str | None = None
    run: str | None = None
    since: float | None = None
    outcome: Outcome | None = None
    limit: int = 50


class History:
    """The past in a journal, for reading."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._alive: dict[int | None, bool] = {}

    def updates(self, wanted: Wanted) -> Iterator[UpdateRecord]:
        """The records, newest first. Raises `UsageError` for a run that there is not."""
        self._alive.clear()
        if wanted.run is not None:
            self._check_run(wanted.run)
        place = _place_in_run if wanted.run is not None else _moment
        rows = heapq.merge(self._settled(wanted), self._under_way(wanted), key=place, reverse=True)
        return map(self._record, islice(rows, wanted.limit))

    def update(self, number: int) -> UpdateRecord:
        """The record of that number. Raises `UsageError` if there is none."""
        self._alive.clear()
        for row in self._rows(f"{_SELECT} AND u.n = ?", [number]):
            return self._record(row)
        raise UsageError(
            f"there is no update number {number} in the journal",
            "see the latest with: cmdstat history",
        )

    def is_under_way(self, number: int) -> bool:
        """Whether a living process is sending an update at this moment."""
        rows = self._rows("SELECT outcome, holder FROM updates WHERE n = ?", [number])
        return any(row["outcome"] == SENDING and self._is_alive(row["holder"]) for row in rows)

    def runs(self, limit: int, since: float | None = None) -> list[dict[str, Any]]:
        """The batch runs as flat objects, newest first: names, places, counts by outcome.

        `left` is how many rows are still to be done, `dropped` how many never will be since the
        run was given up. `state` is `at work`, `unfinished`, `given up` or `finished`.
        """
        rows = self._rows(
            "SELECT * FROM runs WHERE ready = 1 AND started >= ?"
            " ORDER BY started DESC, rowid DESC LIMIT ?",
            [since or 0.0, limit],
        )
        return [self._run(row) for row in list(rows)]

    def _run(self, row: sqlite3.Row) -> dict[str, Any]:
        counts = {
            each["outcome"]: each["number"]
            for each in self._rows(
                "SELECT outcome, count(*) AS number FROM updates WHERE run = ? GROUP BY outcome",
                [row["run"]],
            )
        }
        at_work = self._journal.is_held(row["holder"])
        sending = counts.pop(SENDING, 0)
        left = counts.get(Outcome.PENDING, 0) + sending
        kind = Outcome.PENDING if at_work else Outcome.UNKNOWN
        counts[kind] = counts.get(kind, 0) + sending
        if at_work:
            state = "at work"
        elif row["ended"] is None:
            state = "unfinished"
        else:
            state = "finished" if row["dropped"] is None else "given up"
        return {
            "run": row["run"],
            "state": state,
            "started": timestamp(row["started"]),
            "ended": None if row["ended"] is None else timestamp(row["ended"]),
            "profile": row["profile"],
            "base_url": row["base_url"],
            "by": row["by"],
            "source": row["source"],
            "rows": sum(counts.values()),
            **{outcome.value: counts.get(outcome, 0) for outcome in Outcome},
            "left": left,
            "dropped": row["dropped"],
        }

    def _settled(self, wanted: Wanted) -> Iterator[sqlite3.Row]:
        """Rows that nobody is sending, in their order."""
        conditions = ["u.outcome <> 'sending'"]
        values: list[Any] = []
        order = "u.at DESC, u.n DESC"

        def only(condition: str, value: object) -> None:
            conditions.append(condition)
            values.append(value)

        if wanted.id is not None:
            only("u.id = ?", wanted.id)
        if wanted.since is not None:
            only("u.at >= ?", wanted.since)
        if wanted.run is not None:
            order = "u.n DESC"
            if wanted.id is None and wanted.outcome is None:
                # A run's rows lie together: going back from its last one needs no sorting.
                only("u.n <= ?", self._last_of_run(wanted.run))
                only("+u.run = ?", wanted.run)
            else:
                only("u.run = ?", wanted.run)
        if wanted.outcome is not None:
            only("u.outcome = ?", wanted.outcome.value)
        if wanted == Wanted(since=wanted.since, limit=wanted.limit):
            conditions.append("u.at IS NOT NULL")
        return self._rows(
            f"{_SELECT} AND {' AND '.join(conditions)} ORDER BY {order} LIMIT ?",
            [*values, wanted.limit],
        )

    def _under_way(self, wanted: Wanted) -> Iterator[sqlite3.Row]:
        """Rows whose request may have left, without an outcome, in their order."""
        if wanted.outcome not in (None, Outcome.UNKNOWN, Outcome.PENDING):
            return
        conditions, values = ["u.outcome = 'sending'"], list[Any]()
        for condition, value in (
            ("u.id = ?", wanted.id),
            ("u.run = ?", wanted.run),
            ("coalesce(u.at, u.sent_at) >= ?", wanted.since),
        ):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        order = "u.n" if wanted.run is not None else "coalesce(u.at, u.sent_at, 0) DESC, u.n"
        for row in self._rows(
            f"{_SELECT} AND {' AND '.join(conditions)} ORDER BY {order} DESC", values
        ):
            shown_as = Outcome.PENDING if self._is_alive(row["holder"]) else Outcome.UNKNOWN
            if wanted.outcome in (None, shown_as):
                yield row

    def _check_run(self, run: str) -> None:
        if not list(self._rows("SELECT 1 FROM runs WHERE run = ? AND ready = 1", [run])):
            raise UsageError(f'there is no run "{run}"', "see them with: cmdstat history --runs")

    def _last_of_run(self, run: str) -> int:
        """The number of a run's last row, from one look into the index for each outcome."""
        last = 0
        for outcome in _OUTCOMES:
            for row in self._rows(
                "SELECT max(n) AS n FROM updates WHERE run = ? AND outcome = ?", [run, outcome]
            ):
                last = max(last, row["n"] or 0)
        return last

    def _record(self, row: sqlite3.Row) -> UpdateRecord:
        """The record of a row; of one that was being sent, whether it still is."""
        record = record_of_row(row)
        if row["outcome"] != SENDING:
            return record
        began = None if row["sent_at"] is None else timestamp(row["sent_at"])
        record = replace(record, at=record.at or began)
        if self._is_alive(row["holder"]):
            return replace(record, outcome=Outcome.PENDING, error=None)
        again = (
            f"cmdstat batch --resume {record.run}"
            if record.run
            else f"cmdstat get {quoted(record.id)}"
        )
        error = InDoubt(
            "not known whether the update was applied: the process that was sending it is gone",
            f"read what became of it with: {again}",
        )
        return replace(record, outcome=Outcome.UNKNOWN, error=error.to_dict())

    def _is_alive(self, holder: int | None) -> bool:
        if holder not in self._alive:
            self._alive[holder] = self._journal.is_held(holder)
        return self._alive[holder]

    def _rows(self, statement: str, values: list[Any]) -> Iterator[sqlite3.Row]:
        """The rows of a query, a few hundred at a time."""
        with guarded(self._journal.path):
            cursor = self._journal.database.cursor()
            cursor.row_factory = sqlite3.Row
            cursor.execute(statement, values)
        while True:
            with guarded(self._journal.path):
                rows = cursor.fetchmany(500)
            if not rows:
                return
            yield from rows


def _moment(row: sqlite3.Row) -> tuple[float, int]:
    return (row["at"] or row["sent_at"] or 0.0, row["n"])


def _place_in_run(row: sqlite3.Row) -> tuple[float, int]:
    return (0.0, row["n"])
