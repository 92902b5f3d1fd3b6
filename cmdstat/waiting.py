"""Wait until a command reaches a state: the engine of `cmdstat wait`.

It reads again and again, rides out failures that may pass, and knows when waiting is over: a wanted
state, a final state from which no wanted one will come, or no time left. Pure: reads, clock and
sleep are passed in, so that the tests wait an hour in no time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from cmdstat.answers import Answer, Obstacle
from cmdstat.attempts import Clock, Policy
from cmdstat.errors import CmdstatError, ConditionNotMet
from cmdstat.instants import describe_duration, parse_timestamp
from cmdstat.models import Content
from cmdstat.reading import content_of
from cmdstat.states import BY_TEXT, is_final

SUCCESS = "Command Success"
LAST_READ = 5.0
"""Seconds that the last read may take although the time is up: it has to be answered somehow."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What to wait for, and how long; times in seconds.

    `states` are exact texts; empty is Command Success, with any final state ending the wait.
    """

    command_id: str
    states: tuple[str, ...] = ()
    at_most: float = 600.0
    interval: float = 5.0

    @property
    def wanted(self) -> tuple[str, ...]:
        """The states that are the goal."""
        return self.states or (SUCCESS,)

    def is_reached_in(self, state: object) -> bool:
        """Whether a reported state is one that is waited for."""
        return state in self.wanted

    def is_lost_in(self, state: object) -> bool:
        """Whether a reported state ends the wait in vain.

        `Command TimeOut` may still become something else, so who waits for a named state goes on.
        """
        if self.is_reached_in(state) or not is_final(state):
            return False
        return not (self.states and BY_TEXT[str(state)].may_change_later)


class Wait:
    """One wait under way; `run` carries it to its end, once.

    Whoever watches may look at any moment: `content` is what was read last, None before the first
    good answer; `failure` why the last read failed, None if it did not.
    """

    def __init__(
        self,
        goal: Goal,
        read: Callable[[float], Answer],
        sleep: Callable[[float], object],
        *,
        policy: Policy,
        clock: Clock,
    ) -> None:
        """`read` reads the command within at most that many seconds, once."""
        self._goal = goal
        self._read = read
        self._sleep = sleep
        self._policy = replace(policy, retries=10**9)  # the time that is left is the limit
        self._clock = clock
        self._ends = clock.monotonic() + goal.at_most
        self._seen_since = clock.time()
        self.content: Content | None = None
        self.failure: CmdstatError | None = None

    @property
    def left(self) -> float:
        """Seconds that it will wait on at most."""
        return max(0.0, self._ends - self._clock.monotonic())

    @property
    def in_state_for(self) -> float:
        """Seconds since the command was last changed, as far as that is known."""
        changed = parse_timestamp((self.content or {}).get("updated_at"))
        since = self._seen_since if changed is None else changed.timestamp()
        return max(0.0, self._clock.time() - since)

    def run(self) -> Content:
        """The content in which a wanted state was reached.

        Raises `ConditionNotMet` when it is clear that none will be, or the time is up, and the
        error of an answer that will not pass.
        """
        failures = 0
        while True:
            answer = self._read(max(self.left, LAST_READ))
            if answer.may_pass and answer.obstacle is not Obstacle.CERTIFICATE:
                failures += 1
                self.failure = answer.error
            else:
                failures = 0
                content = self._note(content_of(answer, self._goal.command_id))
                if self._goal.is_reached_in(content.get("state")):
                    return content
            self._sleep(self._pause(answer, failures))

    def _note(self, content: Content) -> Content:
        """Take note of what was read. Raises `ConditionNotMet` if waiting on is in vain."""
        state = content.get("state")
        if self.content is None or self.content.get("state") != state:
            self._seen_since = self._clock.time()
        self.content, self.failure = content, None
        if self._goal.is_lost_in(state):
            raise ConditionNotMet(
                f"the command ended in {state}, not in {self._words}",
                "that state is final; only an update would change it",
            )
        return content

    def _pause(self, answer: Answer, failures: int) -> float:
        """Seconds until the next read, the last of which is made as the time is up.

        Raises when there will be none.
        """
        if self.left == 0:
            raise self._time_is_up()
        if not failures:
            around = 0.9 + 0.2 * self._policy.jitter()
            return min(self.left, self._goal.interval * around)
        wait = self._policy.wait_after(failures, answer)
        if wait is None:
            assert answer.error is not None
            raise answer.error
        if answer.retry_after is not None and wait > self.left:
            raise self._time_is_up()  # the server wants no read before the time is up
        return min(self.left, wait)

    def _time_is_up(self) -> ConditionNotMet:
        state = "not known" if self.content is None else self.content.get("state")
        failed = "" if self.failure is None else f"; the last read failed: {self.failure.message}"
        waited = describe_duration(self._goal.at_most)
        return ConditionNotMet(
            f"the state is {state} after {waited}, not {self._words}{failed}",
            "wait longer with --for-at-most",
        )

    @property
    def _words(self) -> str:
        return " or ".join(self._goal.wanted)
