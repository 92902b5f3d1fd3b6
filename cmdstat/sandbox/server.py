"""The sandbox's HTTP server: loopback only, keep-alive, one thread a connection.

`Sandbox` owns the listening socket and its end; `connection` speaks HTTP on one connection.
"""

from __future__ import annotations

import ipaddress
import os
import re
import selectors
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from cmdstat.errors import UsageError
from cmdstat.foreign import clean_line
from cmdstat.sandbox import DEFAULT_KEY
from cmdstat.sandbox.api import Api
from cmdstat.sandbox.connection import Connection
from cmdstat.sandbox.faults import NO_FAULTS, Faults, FaultSource
from cmdstat.sandbox.store import Store

_PATIENCE = 2.0
"""Seconds that answers under way are given to be finished when the sandbox is closed."""

_KEY = re.compile(r"[\x21-\x7e]+")


class Sandbox:
    """The API on a loopback port, as a context manager: started on entry in a thread, stopped on
    exit. The store stays the caller's to close.

    It listens from the moment it is made, so `base_url` is good at once. `log` gets one line for
    each request, cleaned of what could steer a terminal, from several threads but one at a time.
    Raises `UsageError` for a host that is not loopback, a port that cannot be had, and a key that
    no header can carry.
    """

    def __init__(
        self,
        store: Store,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str = DEFAULT_KEY,
        faults: Faults = NO_FAULTS,
        log: Callable[[str], None] | None = None,
    ) -> None:
        if not _KEY.fullmatch(api_key):
            raise UsageError(
                "the sandbox's key is empty or has characters that no header can carry",
                "give printable ASCII without spaces",
            )
        address = _loopback(host)
        api = Api(store, api_key, FaultSource(faults))
        try:
            self._server = Server(address, port, api, faults.latency_ms / 1000, log)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(
                f"the sandbox cannot listen on {_authority(address, port)}: {reason}",
                "choose another port, 0 for any that is free, or another loopback address",
            ) from error
        self.api_key = api_key
        self.base_url = f"{self._server.base}/api"
        self._thread: threading.Thread | None = None

    def serve_forever(self) -> None:
        """Serve in this thread until `close` is called elsewhere, or until an exception, such as
        the `KeyboardInterrupt` of Ctrl-C, which is passed on. Closed afterwards.
        """
        try:
            self._server.serve_forever()
        finally:
            self._server.end()

    def close(self) -> None:
        """Take no more connections, let answers under way be finished, end. Quick; idempotent."""
        self._server.stop()
        if self._thread is not None:
            self._thread.join()
        elif not self._server.serving:
            self._server.end()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, name="sandbox", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Server(ThreadingHTTPServer):
    """The listening socket, the connections that are open, and how all of them end."""

    daemon_threads = True
    request_queue_size = 512
    # On Windows the option would let two servers have the same port.
    allow_reuse_address = os.name != "nt"

    def __init__(
        self,
        address: str,
        port: int,
        api: Api,
        latency: float,
        log: Callable[[str], None] | None,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.api = api
        self.latency = latency
        self.stopping = threading.Event()
        self.serving = False
        self._log = log
        self._logging = threading.Lock()
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__((address, port), Connection)
        self._wake, self._woken = socket.socketpair()
        self.base = f"http://{_authority(address, self.server_address[1])}"

    def server_bind(self) -> None:
        """Bind, without the look-up of this machine's name that `HTTPServer` does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def serve_forever(self, poll_interval: float = 0.0) -> None:
        """Take connections until `stop`; it wakes for one or the other and never polls."""
        if self.stopping.is_set():
            return
        self.serving = True
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self.stopping.is_set():
                selector.select()
                if not self.stopping.is_set():
                    self._take()

    def _take(self) -> None:
        try:
            connection, address = self.get_request()
        except OSError:  # gone again, or no file descriptor is free: then not at once
            self.stopping.wait(0.01)
            return
        self.process_request(connection, address)

    def stop(self) -> None:
        """Have `serve_forever` return."""
        self.stopping.set()
        with suppress(OSError):
            self._wake.send(b"\0")

    def end(self) -> None:
        """Close everything: idle connections at once, the others once they have answered."""
        self.stopping.set()
        self.server_close()
        with self._changed:
            self._shut(socket.SHUT_RD)
            if not self._changed.wait_for(lambda: not self._open, timeout=_PATIENCE):
                self._shut(socket.SHUT_RDWR)
        self._wake.close()
        self._woken.close()

    def _shut(self, how: int) -> None:
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(how)

    def opened(self, connection: socket.socket) -> None:
        """A connection that `end` has to bring to an end too."""
        with self._changed:
            self._open.add(connection)
            if self.stopping.is_set():
                self._shut(socket.SHUT_RD)

    def closed(self, connection: socket.socket) -> None:
        """It has ended."""
        with self._changed:
            self._open.discard(connection)
            self._changed.notify_all()

    def log(self, line: str) -> None:
        """One line of the log, if one is kept; one that cannot be written any more is given up."""
        with self._logging:
            if self._log is not None:
                try:
                    self._log(clean_line(line))
                except (OSError, ValueError):  # the pipe was closed; serving goes on
                    self._log = None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event; anything else is one line in the log."""
        error = sys.exception()
        if not isinstance(error, OSError):
            self.log(f"connection ended by {type(error).__name__}: {error}")


def _loopback(host: str) -> str:
    """The numeric address of a loopback host. Raises `UsageError` for any other host."""
    name = host.strip()
    if name.lower() == "localhost":
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        address = None
    if address is None or not address.is_loopback or "%" in name:
        raise UsageError(
            f"the sandbox listens on loopback only, and {host!r} is not a loopback address",
            "give 127.0.0.1, ::1 or localhost",
        )
    return str(address)


def _authority(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
