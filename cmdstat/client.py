"""The service's API over HTTP: two requests on one command, one on the list.

The only room that knows `requests` and `urllib3`; whatever they raise ends here. Every request ends
as an `Answer`, however it went (design §4). The environment's proxies and certificate bundles are
honoured as `requests` does; redirects are never followed and `~/.netrc` never replaces the key,
because requests go straight to the connection pool.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlsplit

import requests
import urllib3
from urllib3.exceptions import HTTPError

from cmdstat import __version__
from cmdstat.answers import Answer, Obstacle
from cmdstat.base_urls import host as host_of
from cmdstat.base_urls import is_loopback
from cmdstat.connections import Adapter, exchange
from cmdstat.envelopes import RawAnswer, read_answer
from cmdstat.errors import CmdstatError, ConfigurationError, ServerFailed
from cmdstat.failures import LARGEST_ANSWER, TooLarge, how_it_broke, obstacle_of, unreachable
from cmdstat.foreign import excerpt
from cmdstat.instants import describe_duration
from cmdstat.keys import ApiKey
from cmdstat.models import StatusUpdate
from cmdstat.paging import Query, path_of_own

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
    """How to reach the service: everything but the key. `timeout` is seconds for one attempt.

    `uses_proxy` False goes straight there, whatever proxies the environment names: a server inside
    this process is behind none.
    """

    base_url: str
    timeout: float = 30.0
    ca_bundle: str | None = None
    client_cert: str | None = None
    jobs: int = 1
    uses_proxy: bool = True


def status_path(command_id: str) -> str:
    """The path of a command status below the base URL; the id is one segment, whatever it holds."""
    return f"/commands/v0/status/{quote(command_id, safe='')}/"


def listing_path(query: Query) -> str:
    """The path and query of the list's first page below the base URL."""
    return f"/commands/v0/status/?{query.encoded()}"


def proxy_of(base_url: str) -> str | None:
    """The URL of the proxy that the environment puts in the way of a base URL, or None.

    It may have a password in it.
    """
    proxies = requests.utils.get_environ_proxies(base_url)
    proxy: str | None = requests.utils.select_proxy(base_url, proxies)
    return proxy


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
        self._base_path = urlsplit(connection.base_url).path.rstrip("/")
        self._root = connection.base_url.removesuffix(self._base_path)
        self._pool, self._before_path = self._open_pool()

    def put(self, update: StatusUpdate) -> Answer:
        """Update a command status."""
        return self._request("PUT", self._base_path + status_path(update.id), update_body(update))

    def get(self, command_id: str, within: float | None = None) -> Answer:
        """Read a command status; `within` seconds if that is less than the time-out."""
        return self._request("GET", self._base_path + status_path(command_id), within=within)

    def page(self, address: str) -> Answer:
        """Read the page of the list at an absolute URL, such as a `next` link.

        Raises `ServerFailed` for a URL of another scheme, host or port: the key does not go there.
        """
        return self._request("GET", path_of_own(self._connection.base_url, address))

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
        if not self._connection.uses_proxy or _leaks_key(base_url, settings["proxies"]):
            settings["proxies"] = {}
        verify = True if settings["verify"] is None else settings["verify"]
        request = requests.Request("PUT", base_url).prepare()
        try:
            _check_certificates(verify, settings["cert"])
            pool = adapter.get_connection_with_tls_context(
                request, verify, proxies=settings["proxies"], cert=settings["cert"]
            )
            adapter.cert_verify(pool, base_url, verify, settings["cert"])  # type: ignore[no-untyped-call]
        except (*_NETWORK_FAILURES, TypeError) as failure:  # requests on a proxy without a host
            raise ConfigurationError(
                f"the connection to {self._host} cannot be set up: {_without_password(failure)}",
                "check ca_bundle, client_cert and the proxy: cmdstat profile show",
            ) from failure
        before_path = ""
        if adapter.request_url(request, settings["proxies"]).startswith("http"):
            proxy = requests.utils.select_proxy(base_url, settings["proxies"]) or ""
            for headers in (self._headers, self._put_headers):
                headers.update(adapter.proxy_headers(proxy))
            before_path = self._root
        return pool, before_path

    def _request(
        self, method: str, path: str, body: bytes | None = None, within: float | None = None
    ) -> Answer:
        """One request, to its end. Never raises for what the network or the server does."""
        began = time.monotonic()
        if self._log:
            shown = "" if body is None else f" {body.decode('ascii')}"
            self._log(f"{method} {self._root}{path}{shown}, with the key {self._key.masked}")
        timeout = self._connection.timeout
        timeout = timeout if within is None else min(within, timeout)
        answer = self._exchange(method, self._before_path + path, body, timeout)
        answer = replace(answer, elapsed=time.monotonic() - began)
        if self._log:
            took = describe_duration(answer.elapsed)
            what = answer.status if answer.error is None else str(answer.error)
            self._log(f"answer after {took}: {what}")
        return answer

    def _exchange(self, method: str, url: str, body: bytes | None, timeout: float) -> Answer:
        exchange.sent = False
        try:
            response = self._pool.urlopen(
                method,
                url,
                body=body,
                headers=self._headers if body is None else self._put_headers,
                retries=False,
                redirect=False,
                assert_same_host=False,  # through a proxy of plain HTTP, the pool's host is its own
                preload_content=False,
                timeout=urllib3.Timeout(total=timeout),
            )
        except _NETWORK_FAILURES as failure:
            return self._failed(failure, None, timeout)
        if response.status < 200 and response.connection is not None:
            # Not the answer yet, which may still come; it must not be taken for the next one's.
            response.connection.close()
        content, broken = b"", None
        try:
            content = _read_within_limit(response)
        except _NETWORK_FAILURES as failure:
            if response.status == 200:
                return self._failed(failure, 200, timeout)
            broken = how_it_broke(failure, timeout, self._key.redact)  # the status stands
        finally:
            if not response.closed:
                response.close()
        raw = RawAnswer(
            status=response.status,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=content,
            host=self._host,
            received=time.time(),
            redact=self._key.redact,
            broken=broken,
            key_source=self._key.source,
        )
        return read_answer(raw)

    def _failed(self, failure: Exception, status: int | None, timeout: float) -> Answer:
        """The answer that a failure is, our error chained to what requests, urllib3 or the system
        raised.
        """
        host, redact = self._host, self._key.redact
        obstacle = obstacle_of(failure)
        sent = exchange.sent and obstacle is not Obstacle.IDENTITY
        error: CmdstatError
        if sent:
            what = how_it_broke(failure, timeout, redact)
            so_far = f" ({status})" if status is not None else ""
            error = ServerFailed(f"{host} {what}{so_far}", "wait a moment, then try again")
        else:
            error = unreachable(failure, host, timeout, redact)
        error.__cause__ = failure
        return Answer(status, error=error, sent=sent, obstacle=obstacle)


def _without_password(failure: Exception) -> str:
    """What an exception says, without the user and password of a proxy's URL."""
    return re.sub(r"(//|^|[\s'\"])[^\s/@'\"]*:[^\s/@'\"]*@", r"\1…@", excerpt(str(failure)))


def _leaks_key(base_url: str, proxies: Any) -> bool:
    """Whether a proxy would carry the key for this machine, in clear, to another one.

    Plain HTTP is for loopback alone, unless a profile allows more; a proxy elsewhere would undo it.
    """
    proxy = requests.utils.select_proxy(base_url, proxies)
    plain = base_url.startswith("http:") and is_loopback(base_url)
    return plain and proxy is not None and not is_loopback(proxy)


def _read_within_limit(response: Any) -> bytes:
    """The whole body, unpacked. Raises `TooLarge`, or what urllib3 raises for a broken one."""
    chunks: list[bytes] = []
    size = 0
    while chunk := response.read(_CHUNK, decode_content=True):
        chunks.append(chunk)
        size += len(chunk)
        if size > LARGEST_ANSWER:
            raise TooLarge
    return b"".join(chunks)


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
