"""What a delivery is given to try with: a wire, a pacing, a policy and a clock.

All four are passed in, so that the tests own time and the network, and so that a batch can pace
many deliveries together while `set` paces one alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic as monotonic_time
from time import time as wall_time
from typing import NamedTuple, Protocol

from cmdstat.answers import Answer
from cmdstat.models import StatusUpdate


class Wire(Protocol):
    """The two requests that a delivery makes. They never raise: an `Answer` tells every end."""

    def put(self, update: StatusUpdate) -> Answer: ...

    def get(self, command_id: str) -> Answer: ...


class Pacing(Protocol):
    """When a request may leave. All three return at once when the user asks to stop."""

    def turn(self) -> bool:
        """Wait until a request may leave (rate, a shared pause); False: stop, send nothing."""

    def wait(self, seconds: float) -> bool:
        """Wait out a backoff; False: stop, send nothing more."""

    def takes_over(self, limited: Answer) -> bool:
        """Whether a shared pause answers this 429, so that it uses up no attempt."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and how long to try; all times in seconds (design §4)."""

    retries: int = 3
    first_wait: float = 0.5
    longest_wait: float = 30.0
    longest_retry_after: float = 120.0
    patience: float = 5.0
    jitter: Callable[[], float] = random.random

    def wait_after(self, attempt: int, answer: Answer) -> float | None:
        """Seconds to wait after the given attempt (from 1); None when it was the last one.

        The server's `Retry-After` wins over the backoff; one that is too long ends the attempts.
        """
        if attempt > self.retries:
            return None
        if answer.retry_after is not None:
            return answer.retry_after if answer.retry_after <= self.longest_retry_after else None
        return self.backoff(attempt)

    def backoff(self, attempt: int) -> float:
        """Seconds to wait after the given attempt when the server does not say: more each time."""
        wait = self.first_wait * 2.0 ** min(attempt - 1, 10)
        return min(self.longest_wait, wait * (1 + self.jitter() / 2))


class Clock(NamedTuple):
    """Our clocks: seconds since the epoch, and seconds that never jump."""

    time: Callable[[], float] = wall_time
    monotonic: Callable[[], float] = monotonic_time


class Step(NamedTuple):
    """What a delivery is doing, for whoever watches: `sending`, `reading` or `waiting` (seconds).

    `attempt` is the one under way or to come, `of` how many there may be; `because` is the answer
    that made a wait or a read necessary.
    """

    doing: str
    attempt: int
    of: int
    seconds: float = 0.0
    because: Answer | None = None
