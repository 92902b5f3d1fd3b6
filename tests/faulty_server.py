"""A server of the tests' own that misbehaves on request, on raw sockets, on port 0.

It keeps one command status, answers `PUT` and `GET` from a script of *steps*, logs every request
with its time, and ends by itself. Without a script it behaves. A step is a callable that is given
an `Exchange` (one request and the socket it came on); the functions below make steps, and those
that take a step wrap it: `applied(reset)` carries the update out and then resets the connection.

    server.on("PUT", applied(answer(503)), answer(429))   # then it behaves
    server.on("GET", forever(silence))

`on("CONNECT", …)` makes it a proxy; `on("accept", …)` is asked before anything is read.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import select
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Self

Step = Callable[["Exchange"], None]
Headers = Iterable[tuple[str, str]]

LONG_AGO = -3600.0
JSON = "application/json"


@dataclass
class Seen:
    """One request as the server saw it; `at` is monotonic, `connection` counts from 1."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    connection: int
    ended: float = 0.0

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Hangup(Exception):
    """The step has ended the connection."""


@dataclass
class Exchange:
    """One request, the socket it came on, and the server it came to."""

    server: FaultyServer
    socket: socket.socket
    seen: Seen

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def apply(self) -> None:
        """Do what the PUT asks for, on the server's clock; a GET asks for nothing."""
        if self.seen.method == "PUT":
            self.server.change(**self.seen.json)

    def hang_up(self, *, reset: bool = False) -> None:
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            if not reset:
                self.socket.shutdown(socket.SHUT_WR)
        self.socket.close()
        raise Hangup

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the server's own end."""
        if self.server.ending.wait(seconds):
            raise Hangup


class FaultyServer:
    """The server; use it as a context manager. `base_url` ends in `/api`, as a tenant's does.

    `skew` is how many seconds its clock is ahead; `date` False leaves `Date` out, a string is sent
    in its place. `status` is the command status; `change` is how anybody changes it.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.tls = tls
        self.host = host
        self.skew = 0.0
        self.date: bool | str = True
        self.requests: list[Seen] = []
        self.received = bytearray()
        self.handshake_failures: list[str] = []
        self.status: dict[str, Any] = {}
        self.ending = threading.Event()
        self._scripts: dict[str, deque[Step]] = {}
        self._lock = threading.RLock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._connections = 0
        self._arrived = threading.Condition(self._lock)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.reset_status()

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.stop_listening()
        with self._lock:
            sockets = list(self._sockets)
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    # What the tests set and read.

    @property
    def base_url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}/api"

    def on(self, method: str, *steps: Step) -> None:
        """Answer the next requests of this method by these steps; afterwards the server behaves."""
        self._scripts[method] = deque(steps)

    def now(self) -> float:
        return time.time() + self.skew

    def timestamp(self, offset: float = 0.0) -> str:
        """A moment on the server's clock, `offset` seconds from now, as the service writes it."""
        return datetime.fromtimestamp(self.now() + offset, UTC).isoformat().replace("+00:00", "Z")

    def reset_status(self, **fields: Any) -> None:
        """The status as it was an hour ago on the server's clock, with these fields replaced."""
        self.status = {
            "id": "an-id",
            "request": "a-request",
            "device": "a-device",
            "state": "Command In Progress",
            "reason": "as it was",
            "created_at": self.timestamp(2 * LONG_AGO),
            "updated_at": self.timestamp(LONG_AGO),
        } | fields

    def change(self, **fields: Any) -> None:
        """Change the status now: whoever calls this is who changed it."""
        with self._lock:
            self.status = self.status | {"updated_at": self.timestamp()} | fields

    @property
    def methods(self) -> list[str]:
        with self._lock:
            return [each.method for each in self.requests]

    @property
    def puts(self) -> list[Seen]:
        with self._lock:
            return [each for each in self.requests if each.method == "PUT"]

    @property
    def connections(self) -> int:
        with self._lock:
            return self._connections

    def wait_for(self, count: int, method: str = "PUT", seconds: float = 10.0) -> None:
        """Wait until this many requests of a method have arrived; fails the test if they do not."""
        with self._arrived:
            assert self._arrived.wait_for(
                lambda: sum(each.method == method for each in self.requests) >= count, seconds
            ), f"{count} {method} awaited, but only {self.methods} arrived"

    def stop_listening(self) -> None:
        """Take no further connection; those that are there stay."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    # How it serves.

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.ending.is_set():
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections += 1
                self._sockets.add(connected)
                number = self._connections
            self._start(self._serve, connected, number)

    def _serve(self, connected: socket.socket, number: int) -> None:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            script = self._scripts.get("accept")
            if script:
                nobody = Seen("", "", {}, b"", time.monotonic(), number)
                self._next(script)(Exchange(self, connected, nobody))
            if self.tls is not None:
                connected = self.tls.wrap_socket(connected, server_side=True)
                with self._lock:
                    self._sockets.add(connected)
            while self._one_request(connected, number):
                pass
        except ssl.SSLError as error:
            self.handshake_failures.append(str(error))
        except (Hangup, OSError):
            pass
        finally:
            connected.close()

    def _one_request(self, connected: socket.socket, number: int) -> bool:
        head, rest = self._read_head(connected)
        if not head:
            return False
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, *_ = [*first.split(" "), "", ""]
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        seen = Seen(method, path, headers, rest, time.monotonic(), number)
        with self._lock:
            script = self._scripts.get(method)
            step = self._next(script) if script else behave
        if not getattr(step, "before_body", False):
            missing = int(headers.get("content-length", 0)) - len(rest)
            while missing > 0:
                more = connected.recv(min(missing, 1 << 16))
                if not more:
                    return False
                seen.body += more
                missing -= len(more)
        with self._arrived:
            self.requests.append(seen)
            self._arrived.notify_all()
        try:
            step(Exchange(self, connected, seen))
        finally:
            seen.ended = time.monotonic()
        return True

    def _read_head(self, connected: socket.socket) -> tuple[bytes, bytes]:
        data = b""
        while b"\r\n\r\n" not in data and len(data) < 1 << 20:
            more = connected.recv(1 << 16)
            if not more:
                return b"", b""
            self.received += more
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        return head, rest

    @staticmethod
    def _next(script: deque[Step]) -> Step:
        step = script[0]
        if not getattr(step, "forever", False):
            script.popleft()
        return step


# Answers that are one, and what can be wrong with them.


def envelope(content: object, code: object = 200, message: object = "OK") -> dict[str, object]:
    return {"code": code, "message": message, "content": content}


def head_of(exchange: Exchange, status: int | str, headers: Headers) -> bytes:
    """A status line and headers, with the server's `Date` unless the test took it away."""
    server = exchange.server
    lines = [status if isinstance(status, str) else f"HTTP/1.1 {status} Status {status}"]
    if server.date is True:
        lines.append("Date: " + formatdate(server.now(), usegmt=True))
    elif server.date:
        lines.append(f"Date: {server.date}")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _as_bytes(body: object) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def answer(
    status: int | str,
    body: object = None,
    headers: Headers = (),
    *,
    media: str = JSON,
    length: int | None = None,
) -> Step:
    """Answer whole, or with a `length` of its own. No body given: an error envelope."""

    def step(exchange: Exchange) -> None:
        content = {"code": status, "message": f"made up {status}"} if body is None else body
        data = _as_bytes(content(exchange) if callable(content) else content)
        own = [
            ("Content-Type", media),
            ("Content-Length", str(len(data) if length is None else length)),
        ]
        exchange.send(head_of(exchange, status, [*own, *headers]) + data)

    return step


AT_ONCE = [("Retry-After", "0")]
"""Headers that spare a test the backoff."""


def status_now(exchange: Exchange) -> dict[str, object]:
    """A body for `answer`: the status as it is when the answer leaves."""
    return envelope(exchange.server.status)


def behave(exchange: Exchange) -> None:
    """Apply what was asked, answer with the status: what a server does that is well."""
    exchange.apply()
    answer(200, status_now)(exchange)


show = answer(200, status_now)
"""Answer with the status without applying anything."""


busy = answer(503, headers=AT_ONCE)
"""A doubtful answer, after which the next request may leave at once."""


def forever(step: Step) -> Step:
    """This step from here on, for every further request."""

    def again(exchange: Exchange) -> None:
        step(exchange)

    again.forever = True  # type: ignore[attr-defined]
    again.before_body = getattr(step, "before_body", False)  # type: ignore[attr-defined]
    return again


def applied(step: Step) -> Step:
    """Apply the update, then misbehave."""

    def then(exchange: Exchange) -> None:
        exchange.apply()
        step(exchange)

    return then


def after(seconds: float, step: Step) -> Step:
    """Hold the answer back."""

    def later(exchange: Exchange) -> None:
        exchange.pause(seconds)
        step(exchange)

    return later


def meanwhile(act: Callable[[FaultyServer], object], step: Step) -> Step:
    """Something else happens on the server first: somebody else's change, for example."""

    def then(exchange: Exchange) -> None:
        act(exchange.server)
        step(exchange)

    return then


def later_on(seconds: float, act: Callable[[FaultyServer], object], step: Step) -> Step:
    """Answer now; `seconds` later something else happens on the server."""

    def then(exchange: Exchange) -> None:
        timer = threading.Timer(seconds, act, [exchange.server])
        timer.daemon = True
        timer.start()
        step(exchange)

    return then


def reset(exchange: Exchange) -> None:
    """An RST in place of an answer."""
    exchange.hang_up(reset=True)


def reset_while_reading(exchange: Exchange) -> None:
    """An RST after the headers, while the body is still coming."""
    exchange.hang_up(reset=True)


reset_while_reading.before_body = True  # type: ignore[attr-defined]


def close(exchange: Exchange) -> None:
    """A clean end of the connection in place of an answer."""
    exchange.hang_up()


def then(first: Step, second: Step) -> Step:
    """One step after the other."""

    def both(exchange: Exchange) -> None:
        first(exchange)
        second(exchange)

    return both


def then_close(step: Step) -> Step:
    """Answer, then close the connection without having said so: it breaks at its reuse."""
    return then(step, close)


def silence(exchange: Exchange) -> None:
    """Never answer; ends when the client hangs up or the server ends."""
    exchange.socket.settimeout(0.05)
    while not exchange.server.ending.is_set():
        try:
            if not exchange.socket.recv(1 << 16):
                break
        except TimeoutError:
            continue
    raise Hangup


def tunnel(exchange: Exchange) -> None:
    """What a proxy does on CONNECT: pass bytes on, both ways, until either side has enough."""
    host, _, port = exchange.seen.path.rpartition(":")
    with socket.create_connection((host, int(port)), 5) as there:
        exchange.send(b"HTTP/1.1 200 Connected\r\n\r\n")
        pipes = {exchange.socket: there, there: exchange.socket}
        while not exchange.server.ending.is_set():
            readable, _, _ = select.select(list(pipes), [], [], 0.2)
            for each in readable:
                data = each.recv(1 << 16)
                if not data:
                    raise Hangup
                if each is exchange.socket:
                    exchange.server.received += data
                pipes[each].sendall(data)


def send(data: bytes) -> Step:
    """These bytes, and nothing else."""
    return lambda exchange: exchange.send(data)


def raw(data: bytes, *, reset_after: bool = False) -> Step:
    """These bytes, then the end of the connection."""

    def step(exchange: Exchange) -> None:
        exchange.send(data)
        exchange.hang_up(reset=reset_after)

    return step


def endless(data: bytes, start: bytes = b"", pause: float = 0.0) -> Step:
    """`start`, and then these bytes again and again until the client has had enough."""

    def step(exchange: Exchange) -> None:
        exchange.send(start)
        while not exchange.server.ending.is_set():
            exchange.send(data)
            if pause:
                exchange.pause(pause)

    return step


def dripping(interval: float, *, body_only: bool = False) -> Step:
    """A perfect answer, a byte at a time."""

    def step(exchange: Exchange) -> None:
        body = _as_bytes(status_now(exchange))
        head = head_of(exchange, 200, [("Content-Type", JSON), ("Content-Length", str(len(body)))])
        if body_only:
            exchange.send(head)
        for byte in body if body_only else head + body:
            exchange.send(bytes([byte]))
            exchange.pause(interval)

    return step


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n", status: int = 200) -> Step:
    """A chunked answer of raw chunks; with another `end` it is cut short or broken."""

    def step(exchange: Exchange) -> None:
        data = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end
        headers = [("Content-Type", JSON), ("Transfer-Encoding", "chunked")]
        exchange.send(head_of(exchange, status, headers) + data)
        if end != b"0\r\n\r\n":
            exchange.hang_up()

    return step


def redirect(status: int, location: str, *, step: Step | None = None) -> Step:
    """A redirect; its body is harmless unless a step of its own sends it."""
    if step is not None:
        return step
    return answer(status, "moved", [("Location", location)], media="text/plain")


def gzip_bomb(mebibytes: int) -> bytes:
    """A gzip stream of so many MiB of spaces, a kilobyte for each, made without packing them."""
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(b" " * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return gzip.compress(b"")[:10] + block * mebibytes
