"""A service and a clock that the tests own: every failure on command, no network, no sleep."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from cmdstat.answers import Answer
from cmdstat.attempts import Clock, Policy
from cmdstat.delivery import Delivery
from cmdstat.endings import Ending
from cmdstat.errors import KeyRefused, RequestRefused, ServerFailed, Unreachable
from cmdstat.instants import timestamp
from cmdstat.models import Content, StatusUpdate

START = 1_800_000_000.0


class SimulatedClock:
    """Moves only when somebody waits, or when the service takes its time."""

    def __init__(self) -> None:
        self.now = START

    def clock(self) -> Clock:
        return Clock(time=lambda: self.now, monotonic=lambda: self.now - START)


class SimulatedService:
    """One command; `script` names how each PUT ends (`fine` when it is used up), `reads` each GET.

    applied-…: the update takes effect, then the answer fails; late-…: it takes effect at the next
    request; everything else leaves the command as it was.
    """

    def __init__(self, clock: SimulatedClock, script: Iterable[str], reads: Iterable[str] = ()):
        self.clock = clock
        self.script, self.reads = deque(script), deque(reads)
        self.skew = 0.0
        self.has_date = self.has_updated_at = True
        self.log: list[str] = []
        self.waits: list[float] = []
        self.stop_at_wait: int | None = None
        self.while_waiting: Callable[[], None] = lambda: None
        self.before_put: Callable[[], None] = lambda: None
        self._late: StatusUpdate | None = None
        self.content: Content = {}
        self.change("Command In Progress", "Downloading", ago=3600.0)

    def change(self, state: str, reason: str, ago: float = 0.0) -> None:
        """What anybody does to the command: a new state, at a moment of the server's clock."""
        self.content = {"id": "c1", "state": state, "reason": reason}
        if self.has_updated_at:
            self.content["updated_at"] = timestamp(self.clock.now + self.skew - ago)

    def put(self, update: StatusUpdate) -> Answer:
        self.before_put()
        self._settle()
        step = self.script.popleft() if self.script else "fine"
        self.log.append(f"PUT {step}")
        when, _, how = step.rpartition("-")
        if when == "applied" or step == "fine":
            self._apply(update)
        elif when == "late":
            self._late = update
        return self._answer(how)

    def get(self, command_id: str) -> Answer:
        self._settle()
        step = self.reads.popleft() if self.reads else "fine"
        self.log.append(f"GET {step}")
        return self._answer(step)

    def turn(self) -> bool:
        return not self.stopped

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        if self.stopped:
            return False
        self.clock.now += seconds
        self.while_waiting()
        return True

    def takes_over(self, limited: Answer) -> bool:
        return False

    @property
    def stopped(self) -> bool:
        return self.stop_at_wait is not None and len(self.waits) >= self.stop_at_wait

    def deliver(self, update: StatusUpdate, *, retries: int = 3, **more: object) -> Ending:
        policy = Policy(retries=retries, jitter=lambda: 0.0)
        return Delivery(update, self, self, policy=policy, clock=self.clock.clock(), **more).run()

    def _settle(self) -> None:
        if self._late is not None:
            late, self._late = self._late, None
            self._apply(late)

    def _apply(self, update: StatusUpdate) -> None:
        self.change(
            update.state or str(self.content["state"]),
            str(self.content["reason"]) if update.reason is None else update.reason,
        )

    def _answer(self, how: str) -> Answer:
        self.clock.now += 0.1
        date = self.clock.now + self.skew if self.has_date else None
        if how == "fine":
            return Answer(200, 200, "OK", dict(self.content), date=date)
        if how == "unreachable":
            return Answer(None, error=Unreachable("not reached"), sent=False)
        if how in ("timeout", "reset"):
            return Answer(None, error=ServerFailed(how))
        if how == "unusable":
            return Answer(200, error=ServerFailed("no content"), date=date)
        status = int(how)
        kind = KeyRefused if status in (401, 403) else RequestRefused
        error = kind(how) if status < 500 and status != 429 else ServerFailed(how)
        return Answer(status, status, how, error=error, date=date)
