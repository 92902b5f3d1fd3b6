"""What became of a run's rows, counted as they end: for the progress and for the closing table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from cmdstat.instants import describe_duration
from cmdstat.models import Outcome, UpdateRecord

FAILURES_SHOWN = 20
GOOD = (Outcome.UPDATED, Outcome.SKIPPED)


class Tally:
    """Counts records as they end. `total` is how many rows the whole run has."""

    def __init__(self, before: Mapping[str, int], clock: Callable[[], float]) -> None:
        """`before` counts by outcome what the run already had when this process took it up."""
        self.total = sum(before.values())
        self._clock = clock
        self._began = clock()
        self._done_before = sum(before.get(outcome, 0) for outcome in GOOD)
        self._failed_before = (
            self.total
            - self._done_before
            - sum(before.get(outcome, 0) for outcome in ("pending", "sending"))
        )
        self.ended: Counter[str] = Counter()
        self._failures: list[UpdateRecord] = []

    def add(self, record: UpdateRecord) -> None:
        """Count one record."""
        self.ended[record.outcome] += 1
        if record.outcome not in GOOD:
            self._failures.append(record)
            if len(self._failures) > 4 * FAILURES_SHOWN:
                self._failures = self.failures

    @property
    def failures(self) -> list[UpdateRecord]:
        """The first failures of this process's rows, by their line."""
        return sorted(self._failures, key=lambda record: record.line or 0)[:FAILURES_SHOWN]

    @property
    def failed(self) -> int:
        """Rows of the whole run that ended, and not well."""
        good = sum(self.ended[outcome] for outcome in GOOD)
        return self._failed_before + self.ended.total() - good - self.ended[Outcome.PENDING]

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self._clock() - self._began

    @property
    def rate(self) -> float:
        """Rows ended a second."""
        return self.ended.total() / self.seconds if self.seconds > 0 else 0.0

    def text(self) -> str:
        """`420 of 1000, 3 failed, 118 a second, 5 s left`."""
        ended = self.ended.total()
        done = self._done_before + self._failed_before + ended - self.ended[Outcome.PENDING]
        parts = [f"{done} of {self.total}"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if ended:
            parts.append(f"{self.rate:.{0 if self.rate >= 1 else 2}f} a second")
            left = self.total - done
            if left > 0:
                parts.append(f"{describe_duration(left / self.rate)} left")
        return ", ".join(parts)

    @property
    def share(self) -> float:
        """The share of rows that are through, 0 to 1."""
        through = self._done_before + self._failed_before + self.ended.total()
        return min(1.0, through / self.total) if self.total else 1.0
