"""Ctrl-C and SIGTERM while something is only looked at: nothing is to be finished, so stop at once.

What is being written to stdout meanwhile is not torn: a signal ends the asking and the waiting,
and during a write it is taken note of until the write is over.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from cmdstat.errors import Interrupted
from cmdstat.interrupts import Interruption, StopAtOnce


class PromptInterruption(Interruption):
    """An `Interruption` whose first signal already ends what goes on inside `stoppable`.

    Leaving the `with` block turns that into `Interrupted`. `what` says what was going on.
    """

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        if isinstance(error, StopAtOnce):
            raise Interrupted(
                f"interrupted while {self._what}; nothing was changed", terminated=self.terminated
            ) from error

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """While this block runs, a signal raises `StopAtOnce`; so does one that came before it."""
        self.allow_stopping_at_once(True)
        try:
            if self.stopping:
                raise StopAtOnce
            yield
        finally:
            self.allow_stopping_at_once(False)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        again = self.stopping
        self.stopping = True
        self.terminated = self.terminated or number == signal.SIGTERM
        if self._may_stop_at_once:
            self._may_stop_at_once = False
            raise StopAtOnce
        if again:
            raise KeyboardInterrupt
