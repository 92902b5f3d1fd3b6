"""The service's API over HTTP: two requests on one command, one on the list.

The only room that knows `requests` and `urllib3`; whatever they raise ends here. Every request ends
as an `Answer`, however it went (design §4). The environment's proxies and certificate bundles are
honoured as `requests` does; redirects are never followed and `~/.netrc` never replaces the key,
because requests go straight to the connection pool.
"""

from __future__ import annotations

import errno
import http.client
import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlsplit

import requests
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
)

from cmdstat import __version__
from cmdstat.answers import Answer
from cmdstat.base_urls import host as host_of
from cmdstat.connections import Adapter, exchange
from cmdstat.envelopes import RawAnswer, read_answer
from cmdstat.errors import CmdstatError, ConfigurationError, ServerFailed, Unreachable
from cmdstat.foreign import excerpt
from cmdstat.instants import describe_duration
from cmdstat.keys import ApiKey
from cmdstat.models import StatusUpdate

LARGEST_ANSWER = 16 * 1024 * 1024
"""Bytes of an answer, unpacked, beyond which it is not read (design §4)."""
_CHUNK = 16 * 1024
_NETWORK_FAILURES = (
    HTTPError,
    requests.RequestException,
    http.client.HTTPException,
    OSError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the service: everything but the key. `timeout` is seconds for one attempt."""

    base_url: str
    timeout: float = 30.0
    ca_bundle: str | None = None
    client_cert: str | None = None
    jobs: int = 1


def status_path(command_id: str) -> str:
    """The path of a command status below the base URL; the id is one segment, whatever it holds."""
    return f"/commands/v0/status/{quote(command_id, safe='')}/"


def update_body(update: StatusUpdate) -> bytes:
    """The JSON body of a PUT, in ASCII."""
    return json.dumps(update.body).encode("ascii")


class Client:
    """One service, one key. Safe to use from as many threads as it was given jobs.

    `log` gets a line for each request and each answer, never with the key in it.
    """

    def __init__(
        self, connection: Connection, key: ApiKey, log: Callable[[str], None] | None = None
    ) -> None:
        """Prepare the connection pool. Raises `ConfigurationError` for unusable certificates."""
        self._connection = connection
        self._key = key
        self._log = log
        self._host = host_of(connection.base_url)
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "Authorization": f"Bearer {key.reveal()}",
            "User-Agent": f"cmdstat/{__version__}",
        }
        self._put_headers = self._headers | {"Content-Type": "application/json"}
        self._pool, self._prefix = self._open_pool()

    def put(self, update: StatusUpdate) -> Answer:
        """Update a command status."""
        return self._request("PUT", status_path(update.id), update_body(update))

    def get(self, command_id: str) -> Answer:
        """Read a command status."""
        return self._request("GET", status_path(command_id))

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _open_pool(self) -> tuple[Any, str]:
        """The pool to send through, and what goes before a path: a proxy wants the whole URL."""
        base_url = self._connection.base_url
        session = requests.Session()
        adapter = Adapter(self._connection.jobs)
        settings = session.merge_environment_settings(
            base_url,
            {},
            stream=True,
            verify=self._connection.ca_bundle,
            cert=self._connection.client_cert,
        )
        verify = True if settings["verify"] is None else settings["verify"]
        request = requests.Request("PUT", base_url).prepare()
        try:
            _check_certificates(verify, settings["cert"])
            pool = adapter.get_connection_with_tls_context(
                request, verify, proxies=settings["proxies"], cert=settings["cert"]
            )
            adapter.cert_verify(pool, base_url, verify, settings["cert"])  # type: ignore[no-untyped-call]
        except (OSError, ValueError, HTTPError, requests.RequestException) as failure:
            raise ConfigurationError(
                f"the connection to {self._host} cannot be set up: {excerpt(str(failure))}",
                "check ca_bundle, client_cert and the proxy: cmdstat profile show",
            ) from failure
        prefix = urlsplit(base_url).path.rstrip("/")
        if adapter.request_url(request, settings["proxies"]).startswith("http"):
            proxy = requests.utils.select_proxy(base_url, settings["proxies"]) or ""
            for headers in (self._headers, self._put_headers):
                headers.update(adapter.proxy_headers(proxy))
            prefix = base_url
        return pool, prefix

    def _request(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """One request, to its end. Never raises for what the network or the server does."""
        began = time.monotonic()
        if self._log:
            self._log(f"{method} {self._connection.base_url}{path}")
        answer = self._exchange(method, self._prefix + path, body)
        answer = replace(answer, elapsed=time.monotonic() - began)
        if self._log:
            took = describe_duration(answer.elapsed)
            what = answer.status if answer.error is None else str(answer.error)
            self._log(f"answer after {took}: {what}")
        return answer

    def _exchange(self, method: str, url: str, body: bytes | None) -> Answer:
        exchange.sent = False
        response = None
        try:
            response = self._pool.urlopen(
                method,
                url,
                body=body,
                headers=self._headers if body is None else self._put_headers,
                retries=False,
                redirect=False,
                preload_content=False,
                timeout=urllib3.Timeout(total=self._connection.timeout),
            )
            content = _read_within_limit(response)
        except _NETWORK_FAILURES as failure:
            status = response.status if response is not None else None
            return Answer(status, error=self._error_for(failure, status), sent=exchange.sent)
        finally:
            if response is not None and not response.closed:
                response.close()
        raw = RawAnswer(
            status=response.status,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=content,
            host=self._host,
            received=time.time(),
            redact=self._key.redact,
        )
        return read_answer(raw)

    def _error_for(self, failure: Exception, status: int | None) -> CmdstatError:
        """Our error for what requests, urllib3 or the system raised, the cause chained."""
        if not exchange.sent:
            error: CmdstatError = self._unreachable(failure)
        else:
            what = _what_broke(failure, self._connection.timeout, self._key.redact)
            so_far = f" ({status})" if status is not None else ""
            error = ServerFailed(f"{self._host} {what}{so_far}", "wait a moment, then try again")
        error.__cause__ = failure
        return error

    def _unreachable(self, failure: Exception) -> Unreachable:
        certificate = _find(failure, ssl.SSLCertVerificationError)
        if certificate is not None:
            why = getattr(certificate, "verify_message", "") or str(certificate)
            return Unreachable(
                f"the certificate of {self._host} is not trusted: {excerpt(why)}",
                "if it is signed by an authority of your own, name its file:"
                " cmdstat profile set NAME ca_bundle=FILE",
            )
        if _find(failure, ProxyError):
            inner = self._key.redact(excerpt(str(_innermost(failure))))
            return Unreachable(
                f"the proxy in the way of {self._host} does not let us through: {inner}",
                "check the proxy variables of the environment, such as HTTPS_PROXY and NO_PROXY",
            )
        return Unreachable(
            f"{self._host} cannot be reached: {self._why_unreachable(failure)}",
            "check the base URL and the network; nothing was sent",
        )

    def _why_unreachable(self, failure: Exception) -> str:
        if _find(failure, NameResolutionError):
            return "its name is not known"
        inner = _innermost(failure)
        if getattr(inner, "errno", None) == errno.ECONNREFUSED:
            return "nothing is listening there"
        if isinstance(failure, NewConnectionError) and isinstance(failure.__cause__, OSError):
            return excerpt(failure.__cause__.strerror or str(failure.__cause__))
        if _find(failure, (ConnectTimeoutError, ReadTimeoutError, TimeoutError)):
            return f"no connection within {describe_duration(self._connection.timeout)}"
        if isinstance(inner, ssl.SSLError):
            return f"no TLS connection: {excerpt(inner.reason or str(inner))}"
        return self._key.redact(excerpt(str(inner) or type(inner).__name__))


class _TooLarge(ValueError):
    """The answer is larger than `LARGEST_ANSWER`."""


def _read_within_limit(response: Any) -> bytes:
    """The whole body, unpacked. Raises `_TooLarge`, or what urllib3 raises for a broken one."""
    chunks: list[bytes] = []
    size = 0
    while chunk := response.read(_CHUNK, decode_content=True):
        chunks.append(chunk)
        size += len(chunk)
        if size > LARGEST_ANSWER:
            raise _TooLarge
    return b"".join(chunks)


def _what_broke(failure: Exception, timeout: float, redact: Callable[[str], str]) -> str:
    """What became of a request that had begun to be sent."""
    if isinstance(failure, _TooLarge):
        return f"sent an answer of more than {LARGEST_ANSWER // 1024 // 1024} MiB"
    if _find(failure, (ReadTimeoutError, TimeoutError)):
        return f"did not answer in full within {describe_duration(timeout)}"
    if _find(failure, ConnectionError):
        return "cut the connection before it had answered in full"
    if _find(failure, http.client.IncompleteRead):
        return "cut its answer short"
    inner = _innermost(failure)
    return f"sent an answer that is not HTTP: {redact(excerpt(str(inner) or type(inner).__name__))}"


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


def _check_certificates(verify: Any, cert: Any) -> None:
    """Load the files that were named, so that a bad one is an error before anything is sent."""
    if isinstance(verify, str) or cert:
        context = ssl.create_default_context()
        if isinstance(verify, str):
            from pathlib import Path

            folder = Path(verify).is_dir()
            context.load_verify_locations(
                cafile=None if folder else verify, capath=verify if folder else None
            )
        if cert:
            context.load_cert_chain(cert)
