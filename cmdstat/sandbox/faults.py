"""What a sandbox can be asked to do badly: be slow, fail now and then, limit the rate."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from cmdstat.errors import UsageError

_LONGEST_LATENCY_MS = 3_600_000.0


@dataclass(frozen=True, slots=True)
class Faults:
    """How a sandbox misbehaves; the default is not at all.

    latency_ms: every answer comes this much later; an update is applied at once all the same
    fail_rate:  the share of requests, 0 to 1, that are answered 500 or 503; every second such PUT,
                by chance, is applied all the same, as with a real service nobody can tell
    rate_limit: requests a second; what exceeds them is answered 429 with `Retry-After`. A second's
                worth may come at once
    seed:       makes the failures the same every time; None for chance

    Raises `UsageError` for values that cannot be.
    """

    latency_ms: float = 0.0
    fail_rate: float = 0.0
    rate_limit: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.latency_ms <= _LONGEST_LATENCY_MS:
            raise UsageError(
                f"a latency of {self.latency_ms:g} ms cannot be",
                f"give milliseconds from 0 to {_LONGEST_LATENCY_MS:.0f}",
            )
        if not 0 <= self.fail_rate <= 1:
            raise UsageError(
                f"a fail rate of {self.fail_rate:g} cannot be", "give a share from 0 to 1"
            )
        if self.rate_limit is not None and not 0 < self.rate_limit < math.inf:
            raise UsageError(
                f"a rate limit of {self.rate_limit:g} cannot be",
                "give requests a second, more than 0",
            )


NO_FAULTS = Faults()


class Failure(NamedTuple):
    """One failure to play: the status to answer, and whether the update is applied before it."""

    status: int
    applied: bool


class FaultSource:
    """The faults as they happen, one request after the other; safe between threads."""

    def __init__(self, faults: Faults, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._faults = faults
        self._clock = clock
        self._random = random.Random(faults.seed)  # noqa: S311 - chance, not secrecy
        self._lock = threading.Lock()
        self._burst = max(1.0, faults.rate_limit or 0.0)
        self._allowed = self._burst
        self._refilled = clock()

    def seconds_to_wait(self) -> float:
        """0 if the rate limit lets this request in, else the seconds until it lets one in."""
        rate = self._faults.rate_limit
        if rate is None:
            return 0.0
        with self._lock:
            now = self._clock()
            earned = (now - self._refilled) * rate
            self._allowed = min(self._burst, self._allowed + earned)
            self._refilled = now
            if self._allowed >= 1:
                self._allowed -= 1
                return 0.0
            return (1 - self._allowed) / rate

    def failure(self) -> Failure | None:
        """The failure that this request meets, or None."""
        if not self._faults.fail_rate:
            return None
        with self._lock:
            if self._random.random() >= self._faults.fail_rate:
                return None
            return Failure(self._random.choice((500, 503)), self._random.random() < 0.5)
