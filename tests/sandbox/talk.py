"""How the tests of the sandbox talk to it: one request at a time, or byte by byte."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from cmdstat.sandbox import DEFAULT_KEY, FIRST_COMMAND
from cmdstat.sandbox.server import Sandbox

LIST = "/api/commands/v0/status/"
FIRST = f"{LIST}{FIRST_COMMAND}/"
KEYED = {"Authorization": f"Bearer {DEFAULT_KEY}"}
HEAD = f"Host: 127.0.0.1\r\nAuthorization: Bearer {DEFAULT_KEY}\r\n"


def connected(sandbox: Sandbox) -> http.client.HTTPConnection:
    """A connection to a sandbox, not yet opened."""
    address = urlsplit(sandbox.base_url)
    return http.client.HTTPConnection(address.hostname, address.port, timeout=20)


def asked(
    where: Sandbox | http.client.HTTPConnection,
    method: str,
    path: str,
    body: Any = None,
    headers: dict[str, str] = KEYED,
) -> tuple[int, Any, http.client.HTTPMessage]:
    """Status, JSON and headers of the answer to one request."""
    connection = connected(where) if isinstance(where, Sandbox) else where
    sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, sent, headers)
    answer = connection.getresponse()
    text = answer.read()
    return answer.status, json.loads(text) if text.startswith(b"{") else text, answer.headers


def spoken(sandbox: Sandbox, request: str | bytes) -> bytes:
    """All that comes back on a connection on which these bytes are sent, and no more."""
    address = urlsplit(sandbox.base_url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(request.encode() if isinstance(request, str) else request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; fail the test if it does not in ten seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def has_ipv6() -> bool:
    """Whether this machine has the loopback address of IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
