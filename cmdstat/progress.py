"""What a delivery is doing, in words, for the line that waits on a terminal and for `--verbose`."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from cmdstat.attempts import Step
from cmdstat.instants import describe_duration


class Progress:
    """Follows the steps of one delivery; `text` says at any moment what is being waited for."""

    def __init__(self, log: Callable[[str], None], clock: Callable[[], float] = monotonic) -> None:
        self._log = log
        self._clock = clock
        self._step: Step | None = None
        self._since = clock()

    def watch(self, step: Step) -> None:
        """Take note of a step, and log a wait, which no request and no answer would show."""
        self._step = step
        self._since = self._clock()
        if step.doing == "waiting" and step.seconds > 0:
            self._log(self.text())

    def text(self) -> str:
        """One line: `503, attempt 2 of 4 in 8 s`."""
        step = self._step
        if step is None:
            return "starting"
        spent = self._clock() - self._since
        why = "" if step.because is None else f"{_cause(step)}, "
        attempt = f"attempt {step.attempt} of {step.of}"
        if step.doing == "waiting":
            left = describe_duration(max(0.0, step.seconds - spent))
            return f"{why}{attempt} in {left}"
        waited = f" for {describe_duration(spent)}" if spent >= 1 else ""
        if step.doing == "reading":
            return f"{why}reading the command back{waited}"
        return f"{attempt}, waiting for the answer{waited}"


def _cause(step: Step) -> str:
    answer = step.because
    assert answer is not None
    if answer.status is not None:
        return str(answer.status)
    return "no answer" if answer.sent else "not reached"
