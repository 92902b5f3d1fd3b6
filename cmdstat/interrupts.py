"""Ctrl-C and SIGTERM: the first asks to finish what is under way, a second Ctrl-C stops at once.

The handler only sets plain attributes, since anything that takes a lock could be what it
interrupted; whoever waits looks at them often enough.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from time import monotonic, sleep
from types import FrameType, TracebackType
from typing import Any, Self

from cmdstat.answers import Answer

_LOOK_EVERY = 0.05


class StopAtOnce(BaseException):
    """The second Ctrl-C: nothing more is waited for. Not an `Exception`, so nothing absorbs it."""


class Interruption:
    """Counts the interruptions while it is entered; a context manager of the main thread.

    Also the `Pacing` of one update alone: it waits as long as nobody interrupts.
    """

    def __init__(self, acknowledge: Callable[[], None] = lambda: None) -> None:
        """`acknowledge` is called at the first signal, inside its handler: it may take no lock."""
        self._acknowledge = acknowledge
        self.stopping = False
        self.terminated = False
        self._may_stop_at_once = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def allow_stopping_at_once(self, allowed: bool) -> None:
        """Whether a second Ctrl-C may raise `StopAtOnce`: not while an outcome is recorded."""
        self._may_stop_at_once = allowed

    def turn(self) -> bool:
        return not self.stopping

    def wait(self, seconds: float) -> bool:
        ends = monotonic() + seconds
        while not self.stopping and (left := ends - monotonic()) > 0:
            sleep(min(left, _LOOK_EVERY))
        return not self.stopping

    def takes_over(self, limited: Answer) -> bool:
        return False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        again = self.stopping
        self.stopping = True
        if number == signal.SIGTERM:
            self.terminated = True
        elif again:
            signal.signal(number, signal.SIG_DFL)  # whatever may hang now, a third one ends it
            if self._may_stop_at_once:
                raise StopAtOnce
        if not again and self._may_stop_at_once:
            self._acknowledge()
