"""How a command talks: results on stdout in the format asked for, everything else on stderr.

The streams and the environment are passed in, so that a test can give its own. Every text that goes
to stderr is made harmless here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TextIO

from cmdstat.errors import UsageError
from cmdstat.foreign import clean_line
from cmdstat.keys import redact_known
from cmdstat.options import Common
from cmdstat.output import CsvShape, Format, Item, Results
from cmdstat.progress import Progress
from cmdstat.render.terminal import is_dumb

if TYPE_CHECKING:
    from rich.console import Console

_FINISHING = b"finishing what is under way; Ctrl-C again stops at once and leaves it in doubt\n"
Hiding = Callable[[], AbstractContextManager[None]]
"""Makes the context in which a status line is off the screen, so that something can be written."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The process as a command sees it: its environment and its three streams."""

    env: Mapping[str, str]
    stdin: TextIO
    stdout: TextIO
    stderr: TextIO


class Talk:
    """The streams of one command, and the shared options that say how to use them."""

    def __init__(self, surroundings: Surroundings, common: Common) -> None:
        self.env = surroundings.env
        self.stdin = surroundings.stdin
        self.stdout = surroundings.stdout
        self.stderr = surroundings.stderr
        self.common = common

    @cached_property
    def format(self) -> Format:
        """The output format: the flag, else `CMDSTAT_OUTPUT`, else table."""
        if self.common.output is not None:
            return self.common.output
        named = self.env.get("CMDSTAT_OUTPUT") or Format.TABLE.value
        try:
            return Format(named.lower())
        except ValueError:
            raise UsageError(
                f'CMDSTAT_OUTPUT is "{named}", which is not a format',
                "set it to one of " + ", ".join(Format),
            ) from None

    @cached_property
    def console(self) -> Console:
        """The screen for results in tables, on stdout."""
        from cmdstat.render.console import make_console

        return make_console(self.stdout, self.env)

    def results(self, shape: CsvShape) -> Results:
        """Results for machines, on stdout."""
        return Results(self.stdout, self.format, shape)

    def show_one(self, item: Item, shape: CsvShape, table: Callable[[Console], None]) -> None:
        """Show one result in the format asked for, or nothing with `--quiet`."""
        if self.common.quiet:
            return
        if self.format is Format.TABLE:
            table(self.console)
        else:
            self.results(shape).one(item)

    def show_many(
        self, items: Iterable[Item], shape: CsvShape, table: Callable[[Console], None]
    ) -> None:
        """Show a list of results in the format asked for, or nothing with `--quiet`."""
        if self.common.quiet:
            return
        if self.format is Format.TABLE:
            table(self.console)
        else:
            with self.results(shape).stream() as write:
                for item in items:
                    write(item)

    @contextmanager
    def showing_what_was_done(self) -> Iterator[None]:
        """Show the result of a change, which stands even if stdout is full or nobody reads it."""
        try:
            yield
            self.stdout.flush()
        except BrokenPipeError:
            self._give_stdout_up()
        except OSError as failure:
            self.warn(f"the result cannot be written to stdout: {failure.strerror or failure}")
            self._give_stdout_up()
        except MemoryError:
            self.warn("the result is too large to be shown; the journal has it")

    def _give_stdout_up(self) -> None:
        """Let what is still to be written, and could not be, go nowhere without another error."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stdout.fileno())
            os.close(nowhere)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Tell what is waited for: on a terminal after a second, and all of it with `--verbose`."""
        progress = Progress(self.log)
        with self.status_line(progress.text):
            yield progress

    @contextmanager
    def status_line(self, say: Callable[[], str], *, delay: float = 1.0) -> Iterator[Hiding]:
        """A line on the terminal of what `say` says after `delay` seconds, while the block runs.

        Gives the context in which to write to the same terminal meanwhile. With `--verbose` there
        is no line, since what is logged tells more.
        """
        from cmdstat.render.waiting import WaitingLine

        if self.common.quiet or self.common.verbose:
            yield nullcontext
        else:
            with WaitingLine(self.stderr, self.env, say, delay=delay) as line:
                yield line.hidden

    def tell(self, text: str) -> None:
        """Chatter: one line on stderr, unless `--quiet`."""
        if not self.common.quiet:
            self._write_line(text)

    def complain(self, text: str) -> None:
        """A line on stderr about what is wrong, `--quiet` or not."""
        self._write_line(text)

    @property
    def can_ask(self) -> bool:
        """Whether a person is there to answer: standard input and stderr are terminals."""
        return self.stdin.isatty() and self.stderr.isatty()

    def confirm(self, question: str) -> None:
        """Ask on a terminal, and only there. Raises `UsageError` for a no."""
        if not self.can_ask:
            return
        self.stderr.write(f"{clean_line(question)} [y/N] ")
        self.stderr.flush()
        if self.stdin.readline().strip().lower() not in ("y", "yes"):
            raise UsageError("not confirmed; nothing was changed", "say y, or give --yes")

    def acknowledge_interrupt(self) -> None:
        """Say at once that a Ctrl-C was heard; written past all locks, from a signal's handler."""
        if self.common.quiet:
            return
        start = b"\r\x1b[K" if self.stderr.isatty() and not is_dumb(self.env) else b""
        with suppress(OSError, ValueError):
            os.write(self.stderr.fileno(), start + _FINISHING)

    def warn(self, text: str) -> None:
        """A warning: one line on stderr, `--quiet` or not."""
        self._write_line(f"warning: {text}")

    def log(self, text: str) -> None:
        """A line of `--verbose`."""
        if self.common.verbose:
            self._write_line(f"cmdstat: {text}")

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def _write_line(self, text: str) -> None:
        self.stderr.write(clean_line(redact_known(text)) + "\n")
        self.stderr.flush()
