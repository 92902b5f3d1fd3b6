"""The pacing of all jobs of a run: one pause, one rate, one stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from cmdstat.answers import Answer
from cmdstat.attempts import Clock, Pacing, Policy, Wire
from cmdstat.batch.schedule import Schedule
from cmdstat.models import StatusUpdate

_LOOK_EVERY = 0.05


class SharedPacing(Pacing):
    """What the jobs of a run wait by. `changed` guards the schedule and tells of its changes."""

    def __init__(
        self,
        schedule: Schedule,
        policy: Policy,
        clock: Clock,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.schedule = schedule
        self.changed = threading.Condition()
        self._policy = policy
        self._clock = clock
        self._sleep = sleep
        self._asked_to_stop = False

    def stop(self) -> None:
        """Start no new request; what is under way is finished and recorded.

        Takes no lock, since a signal may have interrupted whoever holds it; the jobs look often.
        """
        self._asked_to_stop = True

    @property
    def is_stopping(self) -> bool:
        """Whether no new request may start."""
        return self._asked_to_stop or self.schedule.stop is not None

    @property
    def may_start(self) -> bool:
        """Whether a row may start now: there is neither a stop nor a pause."""
        with self.changed:
            left = self.schedule.pause_left(self._clock.monotonic())
        return left <= 0 and not self.is_stopping

    def turn(self) -> bool:
        while not self.is_stopping:
            with self.changed:
                left = self.schedule.pause_left(self._clock.monotonic())
            if left <= 0:
                return True
            self._sleep(min(left, _LOOK_EVERY))
        return False

    def wait(self, seconds: float) -> bool:
        ends = self._clock.monotonic() + seconds
        while not self.is_stopping and (left := ends - self._clock.monotonic()) > 0:
            self._sleep(min(left, _LOOK_EVERY))
        return not self.is_stopping

    def takes_over(self, limited: Answer) -> bool:
        with self.changed:
            self.schedule.limited(limited, self._policy.backoff, self._clock.monotonic())
        return True

    def take_slot(self) -> None:
        """Wait for the rate's next slot, and out of any pause that begins meanwhile.

        A stop does not hold up what is to be finished.
        """
        has_slot = False
        while True:
            with self.changed:
                now = self._clock.monotonic()
                seconds = self.schedule.pause_left(now)
                if seconds > 0:
                    has_slot = False
                elif not has_slot:
                    seconds = self.schedule.slot(now)
                    has_slot = True
            if seconds <= 0 or not self.wait(seconds):
                return


class RatedWire(Wire):
    """A wire at the run's rate."""

    def __init__(self, wire: Wire, pacing: SharedPacing) -> None:
        self._wire = wire
        self._pacing = pacing

    def put(self, update: StatusUpdate) -> Answer:
        self._pacing.take_slot()
        return self._wire.put(update)

    def get(self, command_id: str) -> Answer:
        self._pacing.take_slot()
        return self._wire.get(command_id)
