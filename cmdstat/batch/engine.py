"""Send the rows of a batch with several jobs at a time, recording each before it is told.

A job's turn is: what became of its last row and the mark of its next one go to the journal
together, and only when that is durable is the one told, the other sent, and the next row of the
first one's id let go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple, Protocol

from cmdstat.attempts import Clock, Policy, Wire
from cmdstat.batch.pacing import RatedWire, SharedPacing
from cmdstat.batch.schedule import QueuedRow
from cmdstat.delivery import Delivery
from cmdstat.endings import Ending
from cmdstat.errors import CmdstatError
from cmdstat.models import Content, UpdateRecord

_PAGE = 256
_LOOK_EVERY = 0.05
"""Seconds between two looks at whether the user asked to stop."""


class Ended(NamedTuple):
    """A row and what became of it."""

    row: QueuedRow
    ending: Ending


class NotRecorded(Exception):
    """The journal could not be written, for the reason `error`; `record` is what it lacks."""

    def __init__(self, error: CmdstatError, record: UpdateRecord | None) -> None:
        super().__init__(str(error))
        self.error = error
        self.record = record


class Queue(Protocol):
    """The journal's queue of one run."""

    def take(self, limit: int) -> list[QueuedRow]:
        """The next rows in file order that are to be sent; empty when there are no more."""

    def turn(self, ended: Ended | None, begin: QueuedRow | None) -> UpdateRecord | None:
        """Record an ending and mark a row as being sent, durably; the record of the ending.

        Raises `NotRecorded` when the journal cannot be written.
        """

    def own_doing(self, row: QueuedRow) -> Content | None:
        """The content recorded last for the row's id, before the row itself."""


class Engine:
    """Runs the rows of one queue through a wire; `run` returns when no more is to be done."""

    def __init__(
        self,
        queue: Queue,
        wire: Wire,
        pacing: SharedPacing,
        *,
        jobs: int,
        policy: Policy,
        clock: Clock,
        tell: Callable[[UpdateRecord], None],
    ) -> None:
        """`tell` is called with each record once it is durable, one at a time."""
        self._queue = queue
        self._wire = RatedWire(wire, pacing)
        self._pacing = pacing
        self._schedule = pacing.schedule
        self._changed = pacing.changed
        self._jobs = jobs
        self._policy = policy
        self._clock = clock
        self._tell = tell
        self._telling = threading.Lock()
        self._exhausted = False
        self.failure: BaseException | None = None

    def start(self) -> list[threading.Thread]:
        """Start the jobs; they end by themselves when everything is done, or after a stop."""
        threads = [
            threading.Thread(target=self._work, name=f"job-{number}", daemon=True)
            for number in range(self._jobs)
        ]
        for thread in threads:
            thread.start()
        return threads

    def _work(self) -> None:
        """One job: turn after turn until there is nothing more to do."""
        ended: Ended | None = None
        try:
            while True:
                begin = self._next()
                self._record(ended, begin)
                had_ended, ended = ended is not None, None
                if begin is not None:
                    ended = Ended(begin, self._deliver(begin))
                    with self._changed:
                        self._schedule.ended(ended.ending)
                elif not had_ended and not self._wait_for_more():
                    return
        except BaseException as failure:  # noqa: BLE001 - carried to the thread that waits for the jobs
            with self._changed:
                self.failure = self.failure or failure
                self._pacing.stop()
                self._changed.notify_all()

    def _record(self, ended: Ended | None, begin: QueuedRow | None) -> None:
        if ended is None and begin is None:
            return
        try:
            record = self._queue.turn(ended, begin)
        except NotRecorded as lost:
            if lost.record is not None:
                self._tell_one(lost.record)
            raise
        if ended is not None:
            with self._changed:
                self._schedule.recorded(*ended)
                self._changed.notify_all()
        if record is not None:
            self._tell_one(record)

    def _tell_one(self, record: UpdateRecord) -> None:
        with self._telling:
            self._tell(record)

    def _deliver(self, row: QueuedRow) -> Ending:
        return Delivery(
            row.update,
            self._wire,
            self._pacing,
            policy=self._policy,
            clock=self._clock,
            own_doing=lambda: self._queue.own_doing(row),
            sent_at=row.sent_at,
        ).run()

    def _next(self) -> QueuedRow | None:
        with self._changed:
            if not self._pacing.may_start:
                return None
            while self._schedule.is_hungry and not self._exhausted:
                rows = self._queue.take(_PAGE)
                self._exhausted = not rows
                for row in rows:
                    self._schedule.add(row)
            return self._schedule.next()

    def _wait_for_more(self) -> bool:
        """Wait until another job's row may have freed one; False when there is no more to do."""
        with self._changed:
            if self._pacing.is_stopping or (self._exhausted and self._schedule.is_idle):
                self._changed.notify_all()
                return False
            self._changed.wait(_LOOK_EVERY)
            return True
