"""Runs the real `cmdstat` in a process of its own, in a home of its own, and reads what it left.

Every run is checked for what must hold whatever happens: no traceback, no defect, no key and no
raw control character in what it wrote. What the journal holds is read in `Home.journal` alone.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forkserver

KEY = "k3y-Zq7vX2mN9wR4tB8s-never-shown"
"""The key of every run unless the test gives another; long enough that nothing else is like it."""

RECORD_FIELDS = [
    "n", "id", "requested", "outcome", "http_status", "code", "message", "content", "before",
    "confirmed", "error", "attempts", "elapsed_ms", "profile", "base_url", "by", "run", "line",
    "at",
]  # fmt: skip
"""The record of design §3, written out: it is what scripts rely on."""

EXIT_OF = {
    "updated": 0, "skipped": 9, "refused": 5, "unauthorized": 4, "server_error": 6,
    "unreachable": 7, "unknown": 10,
}  # fmt: skip

_RAW = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_KEPT_FROM_OUTSIDE = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "VIRTUAL_ENV", "TZ")
_LONGEST = 60.0


@dataclass
class Result:
    """How a run ended and what it wrote; `memory` is its peak in MiB."""

    exit: int
    raw_stdout: bytes
    raw_stderr: bytes
    seconds: float
    memory: float
    args: tuple[str, ...] = ()

    @property
    def stdout(self) -> str:
        return self.raw_stdout.decode("utf-8", "surrogateescape")

    @property
    def stderr(self) -> str:
        return self.raw_stderr.decode("utf-8", "surrogateescape")

    @property
    def record(self) -> dict[str, Any]:
        """The one record of `set -o json`, with its shape and its exit code checked."""
        record = json.loads(self.stdout, parse_constant=_not_json)
        assert list(record)[: len(RECORD_FIELDS)] == RECORD_FIELDS
        if self.exit not in (130, 143):
            assert self.exit == EXIT_OF[record["outcome"]], self.describe()
            assert (record["error"] is None) == (record["outcome"] == "updated"), self.describe()
        return record

    @property
    def error(self) -> dict[str, Any]:
        """The `error` object in the last line of stderr, as `-o json` writes it."""
        error = json.loads(self.stderr.splitlines()[-1])["error"]
        assert error["exit_code"] == self.exit
        return error

    def describe(self) -> str:
        return (
            f"{' '.join(self.args)}\nexit {self.exit} after {self.seconds:.2f} s\n"
            f"stdout: {self.stdout[:3000]}\nstderr: {self.stderr[:3000]}"
        )

    def check_harmless(self, key: str = KEY) -> None:
        """No traceback, no defect, no key, nothing that could steer a terminal."""
        text = self.stdout + self.stderr
        assert "Traceback" not in text, self.describe()
        assert "Exception ignored" not in text, self.describe()
        assert self.exit != 1, self.describe()
        assert key not in text, self.describe()
        steering = _RAW.search(text)
        assert steering is None, f"{steering!r} reached the output\n{self.describe()}"


def _not_json(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


class Running:
    """A run under way."""

    def __init__(
        self, started: subprocess.Popen[bytes] | forkserver.Forked, folder: Path, args: list[str]
    ) -> None:
        self.pid = started.pid
        self._started = started
        self._folder = folder
        self._args = args
        self._since = time.monotonic()

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> Result:
        """The end of it; a run that does not end is killed, which no test expects."""
        watchdog = threading.Timer(_LONGEST, self.signal, [signal.SIGKILL])
        watchdog.start()
        if isinstance(self._started, forkserver.Forked):
            code, memory = self._started.wait()
        else:
            _, status, usage = os.wait4(self.pid, 0)
            code = self._started.returncode = os.waitstatus_to_exitcode(status)
            memory = usage.ru_maxrss
        watchdog.cancel()
        return Result(
            exit=code,
            raw_stdout=(self._folder / "out").read_bytes(),
            raw_stderr=(self._folder / "err").read_bytes(),
            seconds=time.monotonic() - self._since,
            memory=memory / (1 << 20 if sys.platform == "darwin" else 1 << 10),
            args=tuple(self._args),
        )


def set_args(
    *more: str, state: str = "success", retries: int = 0, timeout: float = 10
) -> list[str]:
    """The words of `set an-id STATE -o json`, with how often and how long it may try."""
    return [
        "set", "an-id", state, "-o", "json", "--retries", str(retries), "--timeout", str(timeout),
        *more,
    ]  # fmt: skip


class Home:
    """A home that nothing outside reaches: HOME, XDG_* and the journal are under `path`."""

    def __init__(self, path: Path, env: Mapping[str, str] | None = None) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.env = {name: os.environ[name] for name in _KEPT_FROM_OUTSIDE if name in os.environ}
        self.env |= {
            "HOME": str(path),
            "XDG_CONFIG_HOME": str(path / "config"),
            "XDG_STATE_HOME": str(path / "state"),
            "XDG_DATA_HOME": str(path / "data"),
            "XDG_CACHE_HOME": str(path / "cache"),
            "PYTHONUTF8": "1",
            "NO_PROXY": "",
        } | dict(env or {})

    @property
    def journal_file(self) -> Path:
        return self.path / "state" / "cmdstat" / "journal.db"

    def start(
        self,
        *args: str,
        env: Mapping[str, str | None] | None = None,
        input: bytes | str = b"",  # noqa: A002 - the name that subprocess.run has for it
        stdout: int | None = None,
        wrap: tuple[str, ...] = (),
        fresh: bool = False,
    ) -> Running:
        """Start `cmdstat ARGS`. In `env`, None takes a variable away.

        `stdout` is a descriptor of the test's own. `fresh` starts an interpreter from nothing, and
        so does `wrap`, the words to put in front of it.
        """
        folder = self.path / f"run-{len(list(self.path.glob('run-*')))}"
        folder.mkdir()
        (folder / "in").write_bytes(input.encode() if isinstance(input, str) else input)
        merged = self._environment(env)
        with (
            (folder / "in").open("rb") as stdin,
            (folder / "out").open("wb") as out,
            (folder / "err").open("wb") as err,
        ):
            files = (stdin.fileno(), out.fileno() if stdout is None else stdout, err.fileno())
            if forkserver.AVAILABLE and not (fresh or wrap):
                started = forkserver.start([*args], merged, str(self.path), files)
                return Running(started, folder, [*args])
            process = subprocess.Popen(
                [*wrap, sys.executable, "-m", "cmdstat", *args],
                stdin=files[0],
                stdout=files[1],
                stderr=files[2],
                env=merged,
                cwd=self.path,
                start_new_session=True,
            )
        return Running(process, folder, [*args])

    def _environment(self, more: Mapping[str, str | None] | None) -> dict[str, str]:
        merged: dict[str, str | None] = {**self.env, **(more or {})}
        return {name: value for name, value in merged.items() if value is not None}

    def run(
        self,
        *args: str,
        env: Mapping[str, str | None] | None = None,
        input: bytes | str = b"",  # noqa: A002 - the name that subprocess.run has for it
        stdout: int | None = None,
        wrap: tuple[str, ...] = (),
        fresh: bool = False,
        tty: bool = False,
    ) -> Result:
        """Run `cmdstat ARGS` to its end, harmless throughout; with `tty`, on a terminal."""
        if tty:
            return self._run_on_terminal(args, env)
        result = self.start(
            *args, env=env, input=input, stdout=stdout, wrap=wrap, fresh=fresh
        ).wait()
        result.check_harmless()
        return result

    def _run_on_terminal(
        self, args: tuple[str, ...], env: Mapping[str, str | None] | None
    ) -> Result:
        """Standard output and standard error on one terminal of 100 columns: all is in `stdout`."""
        import pexpect

        merged = self._environment({"TERM": "xterm-256color", **(env or {})})
        started = time.monotonic()
        child = pexpect.spawn(
            sys.executable, ["-m", "cmdstat", *args], env=merged, cwd=str(self.path),
            dimensions=(50, 100), timeout=_LONGEST,
        )  # fmt: skip
        shown: bytes = child.read()
        child.close()
        code = child.exitstatus if child.exitstatus is not None else -(child.signalstatus or 0)
        return Result(code, shown, b"", time.monotonic() - started, 0.0, args)

    def journal(self) -> list[dict[str, Any]]:
        """The updates that the journal holds, oldest first, each with `id` and `outcome`."""
        if not self.journal_file.exists():
            return []
        with closing(sqlite3.connect(self.journal_file, timeout=10)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute("SELECT * FROM updates ORDER BY rowid")]

    def files_with(self, text: str) -> list[Path]:
        """Which files that cmdstat left hold this text; its output is looked at in every run."""
        return [
            each
            for each in self.path.rglob("*")
            if each.is_file() and not each.parent.name.startswith("run-")
            if text.encode() in each.read_bytes()
        ]
