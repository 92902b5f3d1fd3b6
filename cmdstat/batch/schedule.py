"""Decide which row of a batch goes next, when it must wait, and when the run has to stop.

Pure: it is told of rows, endings and moments, and answers; `engine` holds the lock and the threads.
The rules are design §1's: rows of one id go in file order, one after the other; a 429 pauses the
whole run; some failures in a row stop it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import NamedTuple

from cmdstat.answers import Answer
from cmdstat.endings import Ending
from cmdstat.errors import (
    BatchIncomplete,
    CmdstatError,
    InDoubt,
    KeyRefused,
    ServerFailed,
    Unreachable,
)
from cmdstat.models import Outcome, StatusUpdate

IN_A_ROW = 20
"""Rows in a row that cannot reach the server, or that fail there, before the run stops."""
PAUSES_IN_A_ROW = 10
LONGEST_PAUSE = 120.0
_LOOK_AHEAD = 256
"""Rows waiting for an earlier row of their id before no more are taken from the queue."""


class QueuedRow(NamedTuple):
    """A row of the journal's queue. `sent_at`: it was left `sending` then, and is read first."""

    n: int
    line: int | None
    update: StatusUpdate
    sent_at: float | None = None


def stays_pending(ending: Ending) -> bool:
    """Whether a row that ended so has surely not been sent and is to be taken up again."""
    answer = ending.answer
    status = answer.status if answer is not None else None
    return (
        ending.outcome in (Outcome.PENDING, Outcome.UNREACHABLE)
        or (ending.outcome is Outcome.UNAUTHORIZED and status != 403)
        or (ending.outcome is Outcome.SERVER_ERROR and status == 429)
    )


def stays_in_doubt(row: QueuedRow, ending: Ending) -> bool:
    """Whether a row that was left `sending` is as doubtful as before: not read, not sent again."""
    return (
        row.sent_at is not None
        and ending.outcome is Outcome.UNKNOWN
        and ending.content is None
        and ending.attempts == 0
    )


class Schedule:
    """The state of one run. Not safe for threads by itself. Times are seconds of one clock."""

    def __init__(self, *, rate: float | None = None, max_failures: int | None = None) -> None:
        self._interval = 0.0 if rate is None else 1.0 / rate
        self._max_failures = max_failures
        self._ready: deque[QueuedRow] = deque()
        self._behind: dict[str, deque[QueuedRow]] = {}  # by id under way: the rows after it
        self._held: set[str] = set()  # ids with a row that stays pending, so later ones do too
        self._waiting = 0
        self._next_slot = 0.0
        self._paused_until = -inf
        self._pauses = 0
        self._unreachable = 0
        self._failing = 0
        self._in_doubt = False
        self._failed = 0
        self.stop: CmdstatError | None = None

    @property
    def is_hungry(self) -> bool:
        """Whether more rows should be taken from the queue."""
        return not self._ready and self._waiting < _LOOK_AHEAD

    @property
    def is_idle(self) -> bool:
        """Whether no row is under way, ready or waiting."""
        return not self._ready and not self._behind

    def add(self, row: QueuedRow) -> None:
        """Take a row in, in file order."""
        command_id = row.update.id
        if command_id in self._held:
            return
        if command_id in self._behind:
            self._behind[command_id].append(row)
            self._waiting += 1
        else:
            self._behind[command_id] = deque()
            self._ready.append(row)

    def next(self) -> QueuedRow | None:
        """The next row to send, or None while there is none."""
        return self._ready.popleft() if self._ready else None

    def recorded(self, row: QueuedRow, ending: Ending) -> None:
        """A row's ending is durable: let the next of its id go, unless it is to be done again."""
        behind = self._behind.pop(row.update.id)
        if stays_pending(ending) or stays_in_doubt(row, ending):
            self._held.add(row.update.id)
            self._waiting -= len(behind)
        elif behind:
            self._waiting -= 1
            self._ready.append(behind.popleft())
            self._behind[row.update.id] = behind

    def ended(self, ending: Ending) -> None:
        """A row has ended: count it, and stop the run if it must."""
        outcome = ending.outcome
        if outcome is Outcome.PENDING:
            return
        self._pauses = 0
        failing = outcome in (Outcome.SERVER_ERROR, Outcome.UNKNOWN)
        self._unreachable = self._unreachable + 1 if outcome is Outcome.UNREACHABLE else 0
        self._failing = self._failing + 1 if failing else 0
        self._in_doubt = failing and (self._in_doubt or outcome is Outcome.UNKNOWN)
        self._failed += outcome not in (Outcome.UPDATED, Outcome.SKIPPED)
        because = ending.error.message if ending.error is not None else str(outcome)
        if ending.key_refused:
            self._stop(KeyRefused(f"stopped: {because}", "give a key that is valid, then go on"))
        elif self._unreachable >= IN_A_ROW:
            self._stop(
                Unreachable(
                    f"stopped: {IN_A_ROW} rows in a row could not reach the server: {because}",
                    "check the network, then go on",
                )
            )
        elif self._failing >= IN_A_ROW:
            kind = InDoubt if self._in_doubt else ServerFailed
            self._stop(
                kind(
                    f"stopped: {IN_A_ROW} rows in a row failed at the server: {because}",
                    "wait until the service is well, then go on",
                )
            )
        elif self._max_failures is not None and self._failed >= self._max_failures:
            self._stop(
                BatchIncomplete(
                    f"stopped: {self._failed} rows have failed, as many as --max-failures allows",
                    "look at the failures, then go on",
                )
            )

    def limited(self, answer: Answer, backoff: Callable[[int], float], now: float) -> None:
        """A 429 came: pause the run for what it asks, else the backoff after so many; or stop it.

        Answers to requests that left before the last pause was over belong to that one.
        """
        is_new = now - answer.elapsed >= self._paused_until
        self._pauses += is_new
        seconds = backoff(self._pauses) if answer.retry_after is None else answer.retry_after
        if seconds > LONGEST_PAUSE:
            self._stop(
                ServerFailed(
                    f"stopped: the server limits the rate and asks to wait {seconds:.0f} s",
                    "wait as long, then go on",
                )
            )
            return
        if self._pauses > PAUSES_IN_A_ROW:
            self._stop(
                ServerFailed(
                    f"stopped: the server limits the rate; {PAUSES_IN_A_ROW} pauses have"
                    " not helped a single row",
                    "go on later, with a lower --rate",
                )
            )
        self._paused_until = max(self._paused_until, now + seconds)

    def pause_left(self, now: float) -> float:
        """Seconds until the common pause is over."""
        return max(0.0, self._paused_until - now)

    def slot(self, now: float) -> float:
        """Reserve the next moment in which a request may leave: seconds from now."""
        if not self._interval:
            return 0.0
        self._next_slot = max(self._next_slot, now) + self._interval
        return self._next_slot - self._interval - now

    def _stop(self, error: CmdstatError) -> None:
        self.stop = self.stop or error
