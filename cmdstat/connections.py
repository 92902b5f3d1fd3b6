"""Connections that keep a wall-clock deadline and know whether a request began to be sent.

`timeout=` in requests and urllib3 bounds each single read, so a server that drips a byte a second
outlasts it; here a socket's time-out is a deadline for all that follows it, name look-up, connect,
TLS handshake, headers and body included. And whether a failed request may have reached the server
is not guessed from the exception's class: a connection notes when the first byte leaves.

Only `client` uses this room. It is imported with urllib3, so late.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from time import monotonic
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.poolmanager import PoolManager
from urllib3.util.ssl_ import create_urllib3_context


class _Exchange(threading.local):
    """The request under way in this thread."""

    sent = False


exchange = _Exchange()
"""Set `exchange.sent = False` before a request; it is True once any of it began to be sent."""


class _Deadline(socket.socket):
    """A socket whose time-out, once set, is a deadline for everything that follows."""

    _ends: float | None = None

    def settimeout(self, value: float | None) -> None:
        self._ends = None if value is None else monotonic() + value
        super().settimeout(value)

    def gettimeout(self) -> float | None:
        return None if self._ends is None else max(0.001, self._ends - monotonic())

    def _arm(self) -> None:
        if self._ends is not None:
            left = self._ends - monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            super().settimeout(left)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self._arm()
        return super().recv_into(*args, **kwargs)

    def recv(self, *args: Any, **kwargs: Any) -> bytes:
        self._arm()
        return super().recv(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self._arm()
        super().sendall(*args, **kwargs)


class _DeadlineTLS(_Deadline, ssl.SSLSocket):
    """The same for TLS: `SSLContext.sslsocket_class` makes these."""


def _resolve(host: str, port: int, seconds: float | None) -> list[Any]:
    """The addresses of a host, within a time that `getaddrinfo` itself cannot be given.

    Raises `socket.gaierror` or, when the time is up, `TimeoutError`; the look-up is then left to
    end by itself in its thread.
    """
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    else:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found: list[Any] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as failure:
            found.append(failure)

    thread = threading.Thread(target=look_up, name="look-up", daemon=True)
    thread.start()
    thread.join(seconds)
    if not found:
        raise TimeoutError("the name look-up took too long")
    if isinstance(found[0], Exception):
        raise found[0]
    addresses: list[Any] = found[0]
    return addresses


def _connect(addresses: list[Any], options: Any, ends: float | None) -> _Deadline:
    """A connected socket to the first address that answers, each given its share of the time."""
    failure: OSError = OSError("the name has no address")
    for index, (family, kind, protocol, _name, address) in enumerate(addresses):
        made = _Deadline(family, kind, protocol)
        try:
            for option in options or ():
                made.setsockopt(*option)
            if ends is not None:
                share = (ends - monotonic()) / (len(addresses) - index)
                made.settimeout(max(0.001, share))
            made.connect(address)
        except OSError as refused:
            made.close()
            failure = refused
        else:
            made.settimeout(None if ends is None else max(0.001, ends - monotonic()))
            return made
    raise failure


class _Noted(HTTPConnection):
    """A connection that opens deadline sockets and notes when a request begins to leave.

    A request leaves in one piece: http.client would send the body apart from the headers, which
    costs a second packet and a second wait for the interpreter's lock.
    """

    _connecting = False
    _held: list[bytes] | None = None

    def _new_conn(self) -> socket.socket:
        seconds = self.timeout if isinstance(self.timeout, (int, float)) else None
        ends = None if seconds is None else monotonic() + seconds
        try:
            addresses = _resolve(self._dns_host, self.port, seconds)
            return _connect(addresses, self.socket_options, ends)
        except (socket.gaierror, UnicodeError) as failure:
            if not isinstance(failure, socket.gaierror):
                failure = socket.gaierror(str(failure))
            raise NameResolutionError(self.host, self, failure) from failure
        except TimeoutError as failure:
            raise ConnectTimeoutError(self, f"no connection to {self.host} in time") from failure
        except OSError as failure:
            raise NewConnectionError(self, failure.strerror or str(failure)) from failure

    def connect(self) -> None:
        self._connecting = True  # what a proxy is told here is not the request
        try:
            super().connect()
        finally:
            self._connecting = False

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._held = []
        try:
            super().request(*args, **kwargs)
            held = b"".join(self._held)
        finally:
            self._held = None
        self.send(held)

    def send(self, data: Any) -> None:
        if self._held is not None and not self._connecting and isinstance(data, bytes):
            self._held.append(data)
            return
        if self.sock is None:
            self.connect()
        if not self._connecting:
            exchange.sent = True
        super().send(data)


class _NotedTLS(_Noted, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Noted


class _PoolTLS(HTTPSConnectionPool):
    ConnectionCls = _NotedTLS


def _use_our_pools(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _PoolTLS}


class Adapter(HTTPAdapter):
    """The adapter of requests, with these connections under it, direct or through a proxy."""

    def __init__(self, connections: int) -> None:
        """Keep up to `connections` open at a time: as many as there are jobs."""
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=_context())
        _use_our_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs, ssl_context=_context())
        _use_our_pools(manager)
        return manager


def _context() -> ssl.SSLContext:
    context = create_urllib3_context()
    context.sslsocket_class = _DeadlineTLS
    return context
