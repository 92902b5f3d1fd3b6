"""What the network did instead of answering: our error for it, and what was in the way.

requests, urllib3, ssl and the system each raise exceptions of their own, nested in several ways;
here all of them are translated, once, for `client`, whose other half this is. Imported with it.
"""

from __future__ import annotations

import errno
import http.client
import ssl
from collections.abc import Callable
from typing import Any

from urllib3.exceptions import (
    ConnectTimeoutError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
)

from cmdstat.answers import Obstacle
from cmdstat.errors import Unreachable
from cmdstat.foreign import excerpt
from cmdstat.instants import describe_duration

LARGEST_ANSWER = 16 * 1024 * 1024
"""Bytes of an answer, unpacked, beyond which it is not read (design §4)."""

_IDENTITY_ALERTS = (
    "CERTIFICATE_REQUIRED",
    "BAD_CERTIFICATE",
    "UNSUPPORTED_CERTIFICATE",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_UNKNOWN",
    "UNKNOWN_CA",
)
"""With TLS 1.3 a server says so after we began to send, and before it looks at what we sent."""

_TIMEOUTS = (ConnectTimeoutError, ReadTimeoutError, TimeoutError)


class TooLarge(ValueError):
    """The answer is larger than `LARGEST_ANSWER`."""


def obstacle_of(failure: BaseException) -> Obstacle | None:
    """What was in the way of a request that failed; None where that cannot be told."""
    if _find(failure, ssl.SSLCertVerificationError):
        return Obstacle.CERTIFICATE
    alert = getattr(_find(failure, ssl.SSLError), "reason", None) or ""
    if "_ALERT_" in alert and alert.endswith(_IDENTITY_ALERTS):
        return Obstacle.IDENTITY
    if _find(failure, ProxyError):
        return Obstacle.PROXY
    if _find(failure, NameResolutionError):
        return Obstacle.NAME
    if getattr(_innermost(failure), "errno", None) == errno.ECONNREFUSED:
        return Obstacle.NOBODY
    return Obstacle.TIME if _find(failure, _TIMEOUTS) else None


def unreachable(
    failure: BaseException, host: str, timeout: float, redact: Callable[[str], str]
) -> Unreachable:
    """The error of a request of which nothing was sent. `timeout` is in seconds."""
    obstacle = obstacle_of(failure)
    if obstacle is Obstacle.CERTIFICATE:
        certificate = _find(failure, ssl.SSLCertVerificationError)
        why = getattr(certificate, "verify_message", "") or str(certificate)
        return Unreachable(
            f"the certificate of {host} is not trusted: {excerpt(why)}",
            "if it is signed by an authority of your own, name its file:"
            " cmdstat profile set NAME ca_bundle=FILE",
        )
    if obstacle is Obstacle.IDENTITY:
        return Unreachable(
            f"{host} wants a client certificate that it accepts, and got none",
            "name the PEM file of one: cmdstat profile set NAME client_cert=FILE",
        )
    if obstacle is Obstacle.PROXY:
        inner = _innermost(failure)
        why = excerpt(redact(str(getattr(inner, "strerror", None) or inner)))
        return Unreachable(
            f"the proxy in the way of {host} does not let us through: {why}",
            "check HTTP_PROXY, HTTPS_PROXY and NO_PROXY in the environment; nothing was sent",
        )
    return Unreachable(
        f"{host} cannot be reached: {_why(failure, obstacle, timeout, redact)}",
        "check the base URL and the network; nothing was sent",
    )


def _why(
    failure: BaseException,
    obstacle: Obstacle | None,
    timeout: float,
    redact: Callable[[str], str],
) -> str:
    if obstacle is Obstacle.NAME:
        return "its name is not known"
    if obstacle is Obstacle.NOBODY:
        return "nothing is listening there"
    if isinstance(failure, NewConnectionError) and isinstance(failure.__cause__, OSError):
        return excerpt(failure.__cause__.strerror or str(failure.__cause__))
    if obstacle is Obstacle.TIME:
        return f"no connection within {describe_duration(timeout)}"
    inner = _innermost(failure)
    if isinstance(inner, ssl.SSLError):
        return f"no TLS connection: {excerpt(inner.reason or str(inner))}"
    return excerpt(redact(str(inner) or type(inner).__name__))


def how_it_broke(failure: BaseException, timeout: float, redact: Callable[[str], str]) -> str:
    """What became of a request that had begun to be sent: "cut its answer short" …"""
    if isinstance(failure, TooLarge):
        return f"sent an answer of more than {LARGEST_ANSWER // 1024 // 1024} MiB"
    if _find(failure, _TIMEOUTS):
        return f"did not answer in full within {describe_duration(timeout)}"
    if _find(failure, (ConnectionError, ssl.SSLEOFError)):
        return "cut the connection before it had answered in full"
    if _find(failure, http.client.IncompleteRead):
        return "cut its answer short"
    inner = _innermost(failure)
    return f"sent an answer that is not HTTP: {excerpt(redact(str(inner) or type(inner).__name__))}"


def _chain(failure: BaseException) -> list[BaseException]:
    """An exception and everything that caused it, as urllib3 nests them: causes and arguments."""
    chain: list[BaseException] = []
    queue: list[object] = [failure]
    while queue:
        each = queue.pop(0)
        if isinstance(each, BaseException) and each not in chain:
            chain.append(each)
            queue += [each.__cause__, each.__context__, *each.args]
            queue.append(getattr(each, "original_error", None))
    return chain


def _find(failure: BaseException, kinds: Any) -> BaseException | None:
    return next((each for each in _chain(failure) if isinstance(each, kinds)), None)


def _innermost(failure: BaseException) -> BaseException:
    return _chain(failure)[-1]
