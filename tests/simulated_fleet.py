"""Many commands, a clock and a journal's queue that a test can watch and crash; no network.

The engine's jobs are real threads, so what happens first is left to chance; the clock is simulated
and shared: it moves when somebody waits and with every request.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from simulated import START

from cmdstat.answers import Answer
from cmdstat.attempts import Clock, Policy
from cmdstat.batch.engine import Ended, Engine
from cmdstat.batch.pacing import SharedPacing
from cmdstat.batch.rows import Row
from cmdstat.batch.schedule import QueuedRow, Schedule
from cmdstat.errors import KeyRefused, RequestRefused, ServerFailed, Unreachable
from cmdstat.instants import timestamp
from cmdstat.journal.queue import RunQueue
from cmdstat.journal.records import Journal, Origin
from cmdstat.journal.runs import Run, Runs
from cmdstat.models import Content, StatusUpdate, UpdateRecord

ORIGIN = Origin(None, "https://fleet.example/api", "tester@bench")


class Crash(BaseException):
    """The process is dead: whoever does anything from here on does it no more."""


class FleetClock:
    """Simulated time that many threads share."""

    def __init__(self) -> None:
        self.now = START
        self._lock = threading.Lock()

    def clock(self) -> Clock:
        return Clock(time=lambda: self.now, monotonic=lambda: self.now - START)

    def pass_by(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds

    def sleep(self, seconds: float) -> None:
        """Wait without waiting; the other threads get their turn."""
        time.sleep(0)
        self.pass_by(seconds)


class Request:
    """One request that the fleet saw; `row` is the line that its reason names, 0 for a GET."""

    def __init__(self, method: str, command_id: str, row: int, at: float) -> None:
        self.method = method
        self.id = command_id
        self.row = row
        self.at = at
        self.answered = ""

    def __repr__(self) -> str:
        return f"{self.method} {self.id} {self.row or ''} {self.answered}"


class SimulatedFleet:
    """The service with many commands. `script` names how each request ends, then all are `fine`.

    applied-…: the update takes effect, then the answer fails; everything else leaves it as it was.
    `429`, `429-7`: without and with a `Retry-After`. `crash_at`: the process dies in that request,
    counted from 1, after the update took effect if `crash_applied`.
    """

    def __init__(self, clock: FleetClock, script: Iterable[str] = ()) -> None:
        self.clock = clock
        self.script = list(script)
        self.log: list[Request] = []
        self.applied: list[int] = []
        self.contents: dict[str, Content] = {}
        self.crash_at: int | None = None
        self.crash_applied = False
        self.stop_at: int | None = None
        self.stop: Callable[[], None] = lambda: None
        self.lock = threading.Lock()
        self.is_dead = False

    def put(self, update: StatusUpdate) -> Answer:
        return self._request("PUT", update.id, update)

    def get(self, command_id: str) -> Answer:
        return self._request("GET", command_id, None)

    def _request(self, method: str, command_id: str, update: StatusUpdate | None) -> Answer:
        with self.lock:
            if self.is_dead:
                raise Crash
            row = int((update.reason or "0").removeprefix("row-")) if update else 0
            request = Request(method, command_id, row, self.clock.now)
            self.log.append(request)
            number = len(self.log)
            how = self.script[number - 1] if number <= len(self.script) else "fine"
            request.answered = how
            self.clock.pass_by(0.01)
            if number == self.stop_at:
                self.stop()
            dies = number == self.crash_at
            when, _, rest = how.rpartition("-")
            applies = self.crash_applied if dies else how == "fine" or when == "applied"
            if update is not None and applies:
                self._apply(update, row)
            if dies:
                self.is_dead = True
                raise Crash
            return self._answer(rest if when == "applied" else how, command_id)

    def _content(self, command_id: str) -> Content:
        return self.contents.setdefault(
            command_id,
            {
                "id": command_id,
                "state": "Command In Progress",
                "reason": "",
                "updated_at": timestamp(START - 3600),
            },
        )

    def _apply(self, update: StatusUpdate, row: int) -> None:
        new = update.body | {"updated_at": timestamp(self.clock.now)}
        self.contents[update.id] = self._content(update.id) | new
        self.applied.append(row)

    def _answer(self, how: str, command_id: str) -> Answer:
        date = self.clock.now
        if how == "fine":
            return Answer(200, 200, "OK", dict(self._content(command_id)), date=date)
        if how == "unreachable":
            return Answer(None, error=Unreachable("not reached"), sent=False)
        if how in ("timeout", "reset"):
            return Answer(None, error=ServerFailed(how))
        if how == "unusable":
            return Answer(200, error=ServerFailed("no content"), date=date)
        number, _, retry_after = how.partition("-")
        status = int(number)
        kind = KeyRefused if status in (401, 403) else RequestRefused
        error = kind(how) if status < 500 and status != 429 else ServerFailed(how)
        wait = float(retry_after) if retry_after else None
        return Answer(status, status, how, error=error, date=date, retry_after=wait)


class WatchedQueue:
    """The journal's own queue, with every turn logged, dead from the moment the fleet says so."""

    def __init__(self, queue: RunQueue, fleet: SimulatedFleet) -> None:
        self.queue = queue
        self.fleet = fleet
        self.begun: list[int] = []
        self.recorded: list[int] = []
        self.crash_at_turn: int | None = None
        self.before_turn: Callable[[Ended | None, QueuedRow | None], None] = lambda *_: None
        self._turns = 0

    def take(self, limit: int) -> list[QueuedRow]:
        self._check_alive()
        return self.queue.take(limit)

    def turn(self, ended: Ended | None, begin: QueuedRow | None) -> UpdateRecord | None:
        self._check_alive()
        self._turns += 1
        if self._turns == self.crash_at_turn:
            self.fleet.is_dead = True
            raise Crash
        self.before_turn(ended, begin)
        record = self.queue.turn(ended, begin)
        if ended is not None:
            self.recorded.append(ended.row.line)
        if begin is not None:
            self.begun.append(begin.line)
        return record

    def own_doing(self, row: QueuedRow) -> Content | None:
        self._check_alive()
        return self.queue.own_doing(row)

    def _check_alive(self) -> None:
        if self.fleet.is_dead:
            raise Crash


class Bench:
    """A journal with one run of rows, and engines that run it."""

    def __init__(self, folder: Path, updates: Iterable[StatusUpdate], script: Iterable[str] = ()):
        self.clock = FleetClock()
        self.fleet = SimulatedFleet(self.clock, script)
        self.journal = Journal(folder / "journal.db", clock=lambda: self.clock.now)
        self.runs = Runs(self.journal, clock=lambda: self.clock.now)
        rows = [Row(line, update) for line, update in enumerate(updates, 1)]
        self.ids = {row.line: row.update.id for row in rows}
        self.run: Run = self.runs.read_in(rows, ORIGIN, "-", {})
        self.runs.make_ready(self.run)
        self.told: list[UpdateRecord] = []

    def close(self) -> None:
        self.journal.close()

    def engine(
        self,
        *,
        jobs: int = 4,
        retries: int = 2,
        rate: float | None = None,
        max_failures: int | None = None,
        watch: Callable[[WatchedQueue], None] = lambda _: None,
        tell: Callable[[UpdateRecord], None] = lambda _: None,
    ) -> Engine:
        """Run what is left with a new engine to its end, as a new process would; the engine."""
        queue = WatchedQueue(
            RunQueue(self.journal, self.run, clock=lambda: self.clock.now), self.fleet
        )
        watch(queue)
        policy = Policy(retries=retries, jitter=lambda: 0.0)
        self.schedule = Schedule(rate=rate, max_failures=max_failures)
        pacing = SharedPacing(self.schedule, policy, self.clock.clock(), sleep=self.clock.sleep)
        self.fleet.stop = pacing.stop

        def told(record: UpdateRecord) -> None:
            self.told.append(record)
            tell(record)

        engine = Engine(
            queue,
            self.fleet,
            pacing,
            jobs=jobs,
            policy=policy,
            clock=self.clock.clock(),
            tell=told,
        )
        threads = engine.start()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive(), "a job never ended"
        queue.queue.close()
        self.queue = queue
        return engine

    def outcomes(self) -> dict[int, str]:
        """The journal's outcome of each line, `sending` and `pending` among them."""
        rows = self.journal.database.execute(
            "SELECT line, outcome FROM updates WHERE run = ? ORDER BY n", (self.run.name,)
        )
        return dict(rows.fetchall())
