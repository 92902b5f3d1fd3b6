"""Take what is old out of the journal, and nothing that somebody may still want to go on with."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import NamedTuple

from cmdstat.journal.database import guarded, transaction
from cmdstat.journal.records import SENDING, Journal

_ROWS_IN_ONE_COMMIT = 5000
"""Others who write wait for a commit, so each takes milliseconds."""


class Pruned(NamedTuple):
    """How many updates went, those of runs among them, and how many runs."""

    updates: int
    runs: int


def prune(journal: Journal, before: float) -> Pruned:
    """Remove what ended before a moment, in seconds since the epoch; the file shrinks if it can.

    Runs go as a whole, once they have ended, as long ago as that; an unfinished run stays, and so
    does a row that a living process is sending.
    """
    with guarded(journal.path):
        updates = _prune_single_updates(journal, before) + _prune_cut_off(journal, before)
        names = journal.database.execute(
            "SELECT run FROM runs WHERE ready = 1 AND ended < ?", (before,)
        ).fetchall()
        pruned = [_prune_run(journal, name, before) for (name,) in names]
        done = [number for number in pruned if number is not None]
        if done or updates:
            _shrink(journal)
    return Pruned(updates + sum(done), len(done))


def _prune_single_updates(journal: Journal, before: float) -> int:
    """Updates that belong to no run, a stretch of time after the other."""
    removed, since = 0, -1.0
    while True:
        (until,) = journal.database.execute(
            "SELECT max(at) FROM"
            " (SELECT at FROM updates WHERE at > ? AND at < ? ORDER BY at LIMIT ?)",
            (since, before, _ROWS_IN_ONE_COMMIT),
        ).fetchone()
        if until is None:
            return removed
        removed += journal.database.execute(
            "DELETE FROM updates WHERE at > ? AND at <= ? AND run IS NULL AND outcome <> ?",
            (since, until, SENDING),
        ).rowcount
        since = until


def _prune_cut_off(journal: Journal, before: float) -> int:
    """Updates that belong to no run and were left `sending` by a process that is gone."""
    rows = journal.database.execute(
        "SELECT n, holder FROM updates WHERE outcome = ? AND run IS NULL AND sent_at < ?",
        (SENDING, before),
    ).fetchall()
    gone = [(number, SENDING) for number, holder in rows if not journal.is_held(holder)]
    with transaction(journal.database):
        journal.database.executemany("DELETE FROM updates WHERE n = ? AND outcome = ?", gone)
    return len(gone)


def _prune_run(journal: Journal, name: str, before: float) -> int | None:
    """A run with all its rows; how many, or None if somebody has just taken it up again.

    It is made unready first, as one that is being read in: nobody sees it any more, and if this
    is cut off, the next batch clears the rest away.
    """
    database = journal.database
    claimed = database.execute(
        "UPDATE runs SET ready = 0, holder = ?"
        " WHERE run = ? AND ready = 1 AND holder IS NULL AND ended < ?",
        (journal.holder, name, before),
    ).rowcount
    if not claimed:
        return None
    removed = 0
    while part := database.execute(
        "DELETE FROM updates WHERE n IN (SELECT n FROM updates WHERE run = ? LIMIT ?)",
        (name, _ROWS_IN_ONE_COMMIT),
    ).rowcount:
        removed += part
    database.execute("DELETE FROM runs WHERE run = ?", (name,))
    return removed


def _shrink(journal: Journal) -> None:
    """Give the room back to the disk, unless somebody is at work or the disk is too full for it."""
    holders = journal.database.execute(
        "SELECT holder FROM runs WHERE holder IS NOT NULL"
        " UNION SELECT holder FROM updates WHERE outcome = ? AND holder IS NOT NULL",
        (SENDING,),
    ).fetchall()
    if not any(journal.is_held(holder) for (holder,) in holders):
        with suppress(sqlite3.OperationalError):
            journal.database.execute("VACUUM")
            journal.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
