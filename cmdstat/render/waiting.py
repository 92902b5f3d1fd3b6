"""The status line on stderr while something is waited for: what, and for how much longer.

It needs no rich, so that a command which ends at once does not pay for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from cmdstat.foreign import clean_line
from cmdstat.render.terminal import (
    encodable,
    encoding_of,
    is_dumb,
    is_terminal,
    width_of,
)

if TYPE_CHECKING:
    from threading import Thread

_ERASE = "\r\x1b[K"


class WaitingLine:
    """One line that tells what is waited for, while the `with` block runs.

    It appears only on a terminal that can erase it, after `delay` seconds, and is drawn anew every
    `interval` seconds from the text that `say` returns (foreign text in it is made harmless; an
    empty one shows nothing), cut to the width. It is gone when the block ends. Whoever writes to
    the same terminal meanwhile does so inside `hidden()`.
    """

    def __init__(
        self,
        stream: TextIO,
        env: Mapping[str, str],
        say: Callable[[], str],
        *,
        delay: float = 1.0,
        interval: float = 1.0,
    ) -> None:
        from threading import Event, RLock

        self._stream = stream
        self._env = env
        self._say = say
        self._delay = delay
        self._interval = interval
        self._lock = RLock()
        self._ended = Event()
        self._shown = ""
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        if is_terminal(self._stream) and not is_dumb(self._env):
            from threading import Thread

            self._thread = Thread(target=self._run, name="waiting line", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        with self._lock:
            self._erase()

    @property
    def is_drawn(self) -> bool:
        """Whether there is a terminal that the line is drawn on."""
        return self._thread is not None

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """While this block runs the line is off the screen and stays off."""
        with self._lock:
            self._erase()
            yield

    def _run(self) -> None:
        pause = self._delay
        while not self._ended.wait(pause):
            pause = self._interval
            with self._lock:
                if not self._ended.is_set():
                    self._draw()

    def _draw(self) -> None:
        line = _cut(clean_line(self._say()), width_of(self._stream, self._env) - 1)
        line = encodable(line, encoding_of(self._stream))
        if line != self._shown:
            self._write(f"\r{line}\x1b[K")
            self._shown = line

    def _erase(self) -> None:
        if self._shown:
            self._write(_ERASE)
            self._shown = ""

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # a terminal that is gone needs no status line
            self._stream.write(text)
            self._stream.flush()


def _cut(line: str, width: int) -> str:
    """The beginning of a line that fits `width` columns; combining characters take none."""
    from unicodedata import combining, east_asian_width

    used = 0
    for position, each in enumerate(line):
        used += 0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1
        if used > width:
            return line[:position]
    return line
