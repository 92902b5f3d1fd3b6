"""A small, fast server of the tests' own: many commands, a log of every request, faults on request.

It keeps a status for every id that it is asked about, with `updated_at` on its own clock, and logs
each request with the moment it came and whether it was applied. It behaves unless its `rule` says
otherwise: a callable that is given the `Seen` request and returns a `Fault`, or None to behave.
It can go away and come back on the same port. Port 0, raw sockets, a thread for each connection.

    server.rule = every(10, Fault(reset=True, applied=True))
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Self
from urllib.parse import unquote

LONG_AGO = 3600.0


@dataclass
class Seen:
    """One request: its number from 1, the moment it came and was answered (monotonic)."""

    number: int
    method: str
    id: str
    body: dict[str, str]
    key: str
    at: float
    applied: bool = False
    status: int | None = None
    answered: float = 0.0

    @property
    def reason(self) -> str | None:
        """The reason that was asked for; these tests name the row by it."""
        return self.body.get("reason")


@dataclass(frozen=True)
class Fault:
    """How to misbehave. Without anything said, the request is not applied and gets `status`.

    `reset`: an RST in place of the answer; `delay`: seconds before the answer, after applying;
    `headers` go with the answer; `content` False leaves the content out of a 200.
    """

    status: int = 200
    applied: bool = False
    reset: bool = False
    delay: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()
    content: bool = True


Rule = Callable[[Seen], Fault | None]


def every(count: int, fault: Fault, *, method: str = "PUT") -> Rule:
    """Every so many-th request of a method meets this fault."""
    lock = threading.Lock()
    so_far = 0

    def rule(seen: Seen) -> Fault | None:
        nonlocal so_far
        if seen.method != method:
            return None
        with lock:
            so_far += 1
            return fault if so_far % count == 0 else None

    return rule


def first(count: int, fault: Fault, *, method: str = "PUT") -> Rule:
    """The first so many requests of a method meet this fault, then all is well."""
    lock = threading.Lock()
    left = count

    def rule(seen: Seen) -> Fault | None:
        nonlocal left
        with lock:
            if seen.method != method or left == 0:
                return None
            left -= 1
            return fault

    return rule


def always(fault: Fault, *, method: str | None = "PUT") -> Rule:
    """Every request of a method, or every request at all, meets this fault."""
    return lambda seen: fault if method in (None, seen.method) else None


def behave(seen: Seen) -> Fault | None:
    """The rule of a server that is well."""
    return None


@dataclass
class LoggingServer:
    """The server; use it as a context manager. `latency` is seconds that every answer takes."""

    latency: float = 0.0
    rule: Rule = behave
    dated: bool = True
    log: list[Seen] = field(default_factory=list)
    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._ending = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._accepted: set[tuple[str, int]] = set()
        self._listener: socket.socket | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self.come_back()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self.go_away()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def go_away(self) -> None:
        """Listen no more and cut every connection; the port refuses from here on."""
        with self._lock:
            listener, self._listener = self._listener, None
            sockets = list(self._sockets)
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def come_back(self) -> None:
        """Listen, on the port that it had before."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    # What the tests read.

    def seen(self, method: str | None = None) -> list[Seen]:
        """The requests so far, in the order in which they came."""
        with self._lock:
            return [each for each in self.log if method in (None, each.method)]

    def wait_for(self, count: int, method: str | None = "PUT", seconds: float = 20.0) -> None:
        """Wait until so many requests have come; fails the test if they do not."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.seen(method)) >= count, seconds), (
                f"{count} {method} awaited, {len(self.seen(method))} came"
            )

    def settle(self, seconds: float = 5.0) -> None:
        """Wait until every connection is over, so that what a dead client had sent is in the log.

        Connections are accepted in order: once one made now is, so are all that were waiting.
        """
        with socket.create_connection(("127.0.0.1", self.port)) as last, self._changed:
            assert self._changed.wait_for(lambda: last.getsockname() in self._accepted, seconds)
        with self._changed:
            assert self._changed.wait_for(lambda: not self._sockets, seconds)

    def applied(self) -> list[Seen]:
        """The updates that took effect, in order."""
        return [each for each in self.seen("PUT") if each.applied]

    def state_of(self, command_id: str) -> dict[str, Any]:
        with self._lock:
            return self._status(command_id)

    def change(self, command_id: str, body: dict[str, str]) -> None:
        """Change a status now: whoever calls this is who changed it."""
        with self._lock:
            moment = datetime.fromtimestamp(time.time(), UTC).isoformat().replace("+00:00", "Z")
            dated = {"updated_at": moment} if self.dated else {}
            self.statuses[command_id] = self._status(command_id) | dated | body

    # How it serves.

    def _status(self, command_id: str) -> dict[str, Any]:
        if command_id not in self.statuses:
            moment = datetime.fromtimestamp(time.time() - LONG_AGO, UTC).isoformat()
            dated = {"updated_at": moment} if self.dated else {}
            self.statuses[command_id] = {
                "id": command_id,
                "request": f"request-of-{command_id}",
                "device": "a-device",
                "state": "Command In Progress",
                "reason": "as it was",
            } | dated
        return self.statuses[command_id]

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connected, address = listener.accept()
            except OSError:
                return
            with self._changed:
                self._sockets.add(connected)
                self._accepted.add(address)
                self._changed.notify_all()
            threading.Thread(target=self._serve, args=(connected,), daemon=True).start()

    def _serve(self, connected: socket.socket) -> None:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b""
        try:
            while True:
                while (end := data.find(b"\r\n\r\n")) < 0:
                    data += (more := connected.recv(1 << 16))
                    if not more:
                        return
                head, data = data[:end].decode("latin-1"), data[end + 4 :]
                lines = head.split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines[1:])
                missing = int(headers.get("content-length", 0))
                while len(data) < missing:
                    data += (more := connected.recv(1 << 16))
                    if not more:
                        return
                body, data = data[:missing], data[missing:]
                self._answer(connected, lines, body)
        except OSError:
            return
        finally:
            connected.close()
            with self._changed:
                self._sockets.discard(connected)
                self._changed.notify_all()

    def _answer(self, connected: socket.socket, head: list[str], body: bytes) -> None:
        method, path, _ = head[0].split(" ")
        command_id = unquote(path.removesuffix("/").rpartition("/")[2])
        key = next(line[22:] for line in head if line.startswith("Authorization: Bearer "))
        with self._changed:
            asked = json.loads(body) if body else {}
            seen = Seen(len(self.log) + 1, method, command_id, asked, key, time.monotonic())
            self.log.append(seen)
            fault = self.rule(seen)
            self._changed.notify_all()
        delay = self.latency if fault is None else fault.delay
        if fault is None and delay and self._ending.wait(delay):
            return
        with self._lock:
            if method == "PUT" and (fault is None or fault.applied):
                self.change(command_id, asked)
                seen.applied = True
            content = dict(self._status(command_id))
        if fault is not None and delay and self._ending.wait(delay):
            return
        if fault is not None and fault.reset:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connected.close()
            raise OSError
        seen.status = 200 if fault is None else fault.status
        if seen.status == 200 and (fault is None or fault.content):
            answer: dict[str, Any] = {"code": 200, "message": "OK", "content": content}
        else:
            answer = {"code": seen.status, "message": f"made up {seen.status}"}
        seen.answered = time.monotonic()
        connected.sendall(self._response(seen.status, answer, fault.headers if fault else ()))

    def _response(
        self, status: int, answer: dict[str, Any], headers: Iterable[tuple[str, str]]
    ) -> bytes:
        data = json.dumps(answer).encode()
        lines = [
            f"HTTP/1.1 {status} Status",
            "Content-Type: application/json",
            f"Content-Length: {len(data)}",
            *(f"{name}: {value}" for name, value in headers),
        ]
        if self.dated:
            lines.append(f"Date: {formatdate(time.time(), usegmt=True)}")
        return "\r\n".join([*lines, "", ""]).encode() + data
