"""Keys from a helper command: `pass show esper`, run without a shell, its first line the key.

The helper gets 10 seconds, then its whole process group is ended. What it prints is never logged,
shown or quoted; what it says on stderr reaches the user's terminal and nothing else, so that it can
ask for a touch or a passphrase, but cannot leak into the log of a job. On a terminal it is the
foreground group while it runs, as a shell would have it, or it could not read from there.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from cmdstat.errors import ConfigurationError, UsageError
from cmdstat.keys import LONGEST_KEY, ApiKey

if TYPE_CHECKING:
    import subprocess

SOURCE = "helper command"
SECONDS = 10.0
_MOST_OUTPUT = 64 * 1024


def split_command(command: str) -> list[str]:
    """The arguments of a helper command. Raises `UsageError` for one that cannot be split."""
    try:
        arguments = shlex.split(command)
    except ValueError:
        arguments = []
    if not arguments or not arguments[0] or "\0" in command:
        raise UsageError(
            "the helper command is empty, or a quote in it is not closed",
            "write it as in a shell: --api-key-command 'pass show esper'",
        )
    return arguments


def run_helper(command: str) -> ApiKey:
    """The key that a helper prints.

    Raises `ConfigurationError`, naming the program alone, for one that is missing, fails, is not
    done in time, prints far too much, or prints something that is not a key.
    """
    arguments = split_command(command)
    program = f'the helper command "{os.path.basename(arguments[0])}"'  # noqa: PTH119  (not a Path)
    process = _start(arguments, program)
    output = _Output(process)
    try:
        with _foreground(process):
            status = output.wait(program)
    finally:
        _end(process)
    if status == -signal.SIGINT:
        raise KeyboardInterrupt
    if status != 0:
        how = f"exit status {status}" if status > 0 else f"signal {-status}"
        raise ConfigurationError(f"{program} failed ({how})", "run it by hand to see what is wrong")
    return ApiKey.parse(output.first_line(program), SOURCE)


class _Output:
    """What a helper printed, read in a thread: it may leave children that keep the pipe open."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._held = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait(self, program: str) -> int:
        """The exit status, once the helper has ended. Raises when that takes too long."""
        deadline = time.monotonic() + SECONDS
        pause = 0.001
        while (status := self._process.poll()) is None:
            self._refuse_flood(program)
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"{program} was not done within {SECONDS:g} seconds, and was ended",
                    "run it by hand to see what it waits for",
                )
            self._thread.join(pause)
            time.sleep(pause)
            pause = min(0.02, pause * 2)
        self._thread.join(0.5)
        self._refuse_flood(program)
        return status

    def first_line(self, program: str) -> str:
        line = self._held.lstrip(b"\xef\xbb\xbf").split(b"\n", 1)[0]
        with contextlib.suppress(UnicodeDecodeError):
            return line[: LONGEST_KEY * 2].decode()
        raise ConfigurationError(f"{program} printed something that is not text", "run it by hand")

    def _refuse_flood(self, program: str) -> None:
        if len(self._held) > _MOST_OUTPUT:
            raise ConfigurationError(
                f"{program} printed more than 64 KiB", "its first line must be the key"
            )

    def _read(self) -> None:
        assert self._process.stdout is not None
        while len(self._held) <= _MOST_OUTPUT:
            part = os.read(self._process.stdout.fileno(), 65536)
            if not part:
                self._process.stdout.close()
                break
            self._held += part


def _start(arguments: list[str], program: str) -> subprocess.Popen[bytes]:
    import subprocess

    def from_terminal(descriptor: int) -> int | None:
        """A helper may talk with a person, and with nobody else."""
        return None if os.isatty(descriptor) else subprocess.DEVNULL

    try:
        if sys.platform == "win32":
            return subprocess.Popen(
                arguments, stdin=from_terminal(0), stdout=subprocess.PIPE, stderr=from_terminal(2)
            )
        return subprocess.Popen(
            arguments, stdin=from_terminal(0), stdout=subprocess.PIPE, stderr=from_terminal(2),
            process_group=0,
        )  # fmt: skip
    except OSError as error:
        raise ConfigurationError(
            f"{program} could not be run: {error.strerror or error}",
            "give a program that is installed, or its whole path",
        ) from None


@contextlib.contextmanager
def _foreground(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Let the helper's group have the terminal meanwhile, if we have it."""
    give_back: Callable[[], None] | None = None
    if sys.platform != "win32" and os.isatty(0):
        ours = os.getpgrp()
        with contextlib.suppress(OSError):
            if os.tcgetpgrp(0) == ours:
                _give_terminal(process.pid)
                give_back = lambda: _give_terminal(ours)  # noqa: E731  (one line, one use)
                os.killpg(process.pid, signal.SIGCONT)
    try:
        yield
    finally:
        if give_back is not None:
            with contextlib.suppress(OSError):
                give_back()


def _give_terminal(group: int) -> None:
    """Without the signal masked, a background group that calls this would be stopped."""
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
    try:
        os.tcsetpgrp(0, group)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a helper that still runs, and all that it started."""
    if process.poll() is None:
        with contextlib.suppress(OSError):
            if sys.platform == "win32":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
