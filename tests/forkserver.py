"""Starts `cmdstat` processes that need not import the libraries again: a third of the time each.

Run as a program, this is the server: it imports what cmdstat depends on, nothing of cmdstat itself,
and forks for each run it is asked for. A run has a process, a session, an environment, a folder
and descriptors of its own, and ends as any interpreter ends. The server ends with whoever asked.

`start` asks it. Where there is no fork, or where a test is about the very start of a process,
`harness` starts a fresh interpreter instead.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from typing import Any, NamedTuple, NoReturn

AVAILABLE = hasattr(os, "fork") and hasattr(socket, "send_fds")

_REPORT = struct.Struct("=q")
_LARGEST = 1 << 22
_server: tuple[subprocess.Popen[bytes], socket.socket] | None = None


class Forked(NamedTuple):
    """A run that was started: its process id, and where its end will be reported."""

    pid: int
    report: int

    def wait(self) -> tuple[int, int]:
        """Its exit code, negative for a signal, and its peak memory as `ru_maxrss` counts it."""
        try:
            return _read(self.report), _read(self.report)
        finally:
            os.close(self.report)


def start(args: list[str], env: dict[str, str], cwd: str, files: tuple[int, int, int]) -> Forked:
    """Start `cmdstat ARGS` with these descriptors as its standard streams."""
    reading, writing = os.pipe()
    message = json.dumps({"args": args, "env": env, "cwd": cwd}).encode()
    asking = _running_server()
    socket.send_fds(asking, [message], [*files, writing])
    os.close(writing)
    return Forked(_read(reading), reading)


def _running_server() -> socket.socket:
    global _server  # noqa: PLW0603 - one server a test process, started when first needed
    if _server is None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST)
        process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", ""), "PYTHONUTF8": "1"},
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        _server = process, ours
    return _server[1]


def _read(pipe: int) -> int:
    data = os.read(pipe, _REPORT.size)
    assert len(data) == _REPORT.size, "the fork server has died"
    number: int = _REPORT.unpack(data)[0]
    return number


def _serve(asked: socket.socket) -> None:
    """Answer until nobody can ask any more. Returns in the processes of the runs too."""
    import sqlite3
    import ssl

    import platformdirs
    import requests
    import rich.console
    import rich.table
    import rich.text
    import tomlkit
    import typer

    del sqlite3, ssl, platformdirs, requests, rich, tomlkit, typer
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, files, _, _ = socket.recv_fds(asked, _LARGEST, 4)
        if not message:
            return
        if os.fork() == 0:
            asked.close()
            _keep(json.loads(message), files[:3], files[3])
            return
        for each in files:
            os.close(each)


def _keep(run: dict[str, Any], files: list[int], report: int) -> None:
    """Fork the run and report its id, its exit and its memory. Returns in the run alone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(report)
        _become(run, files)
        return
    for each in files:
        os.close(each)
    os.write(report, _REPORT.pack(pid))
    _, status, usage = os.wait4(pid, 0)
    os.write(report, _REPORT.pack(os.waitstatus_to_exitcode(status)))
    os.write(report, _REPORT.pack(usage.ru_maxrss))
    os._exit(0)


def _become(run: dict[str, Any], files: list[int]) -> None:
    """Make this process what `python -m cmdstat ARGS` would find itself in."""
    os.setsid()
    os.chdir(run["cwd"])
    os.environ.clear()
    os.environ.update(run["env"])
    time.tzset()
    for number, each in enumerate(files):
        os.dup2(each, number)
    os.closerange(3, 256)
    # New stream objects, since the old ones remember what kind of file they were made on.
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, "utf-8", "backslashreplace", closefd=False)
    sys.argv = ["cmdstat", *run["args"]]
    sys.path[0] = run["cwd"]


def _main() -> NoReturn:
    import runpy

    asked = socket.socket(fileno=int(sys.argv[1]))
    sys.argv = []
    _serve(asked)
    if sys.argv:
        runpy.run_module("cmdstat", run_name="__main__", alter_sys=True)
    sys.exit(0)


if __name__ == "__main__":
    _main()
