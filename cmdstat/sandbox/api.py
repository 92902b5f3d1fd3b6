"""What the sandbox answers: the three endpoints of the API, from a request to a reply, no sockets.

Where the contract leaves a question open, the sandbox decides: PUT on an unknown id is 404; a body
whose fields cannot be is 400 before the id is looked at; an empty body object changes nothing;
unknown body fields and query parameters are ignored; an empty filter is no filter; a page has at
most 1,000 results; a parameter that makes no sense is 400; a path without its last slash is 404.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from cmdstat.sandbox.faults import FaultSource
from cmdstat.sandbox.parameters import read_listing, read_update
from cmdstat.sandbox.replies import Refusal, Reply, envelope, not_found
from cmdstat.sandbox.store import Store

STATUS_PATH = "/api/commands/v0/status/"
_GATEWAY_PAGE = (
    b"<html><head><title>503 Service Unavailable</title></head>\n"
    b"<body><h1>503 Service Unavailable</h1></body></html>\n"
)


class Request(NamedTuple):
    """One HTTP request.

    `target` is path and query as they came, still percent-encoded; `authorization` is that header's
    text or None; `base` is the scheme, host and port that links in the answer shall have.
    """

    method: str
    target: str
    authorization: str | None
    body: bytes
    base: str


class Api:
    """The API over a store, with a key and faults."""

    def __init__(self, store: Store, api_key: str, faults: FaultSource) -> None:
        self._store = store
        self._api_key = api_key
        self._faults = faults

    def answer(self, request: Request) -> Reply:
        """The reply to a request, errors included."""
        try:
            return self._answer(request)
        except Refusal as refusal:
            return refusal.reply

    def _answer(self, request: Request) -> Reply:
        wait = self._faults.seconds_to_wait()
        if wait:
            seconds = str(math.ceil(wait))
            return envelope(429, "Rate limit exceeded", headers=(("Retry-After", seconds),))
        path, _, query = request.target.partition("?")
        command_id = _command_id(path)
        methods = ("GET", "HEAD", "OPTIONS") + (() if command_id is None else ("PUT",))
        allow = (("Allow", ", ".join(methods)),)
        if request.method not in methods:
            return envelope(405, "Method not allowed", {}, allow)
        if request.method == "OPTIONS":
            return Reply(204, headers=allow)
        self._check_key(request.authorization)
        if command_id is None:
            return self._perform(partial(self._list, query, request.base), changes=False)
        if request.method == "PUT":
            return self._perform(partial(self._update, command_id, request.body), changes=True)
        return self._perform(partial(self._read, command_id), changes=False)

    def _perform(self, operation: Callable[[], Reply], *, changes: bool) -> Reply:
        """Do it, or fail as the faults will have it: before it was done, or after."""
        failure = self._faults.failure()
        if failure is None:
            return operation()
        if changes and failure.applied:
            operation()
        if failure.status == 503:
            return Reply(503, _GATEWAY_PAGE, content_type="text/html")
        return envelope(500, "Internal server error", {})

    def _check_key(self, authorization: str | None) -> None:
        scheme, _, key = (authorization or "").strip().partition(" ")
        challenge = (("WWW-Authenticate", "Bearer"),)
        if scheme.lower() != "bearer" or not key.strip():
            raise Refusal(envelope(401, "Authorization information is missing", headers=challenge))
        if key.strip() != self._api_key:
            raise Refusal(envelope(401, "The API key is not valid", {}, challenge))

    def _read(self, command_id: str) -> Reply:
        content = self._store.get(command_id)
        if content is None:
            raise not_found()
        return envelope(200, "OK", content)

    def _update(self, command_id: str, body: bytes) -> Reply:
        state, reason = read_update(body)
        content = self._store.update(command_id, state, reason)
        if content is None:
            raise not_found()
        return envelope(200, "OK", content)

    def _list(self, query: str, base: str) -> Reply:
        listing = read_listing(query)
        page = self._store.page(listing.filters, limit=listing.limit, offset=listing.offset)
        after = listing.offset + listing.limit
        before = max(0, listing.offset - listing.limit)
        content = {
            "count": page.total,
            "previous": listing.link(base + STATUS_PATH, before) if listing.offset else None,
            "next": listing.link(base + STATUS_PATH, after) if after < page.total else None,
            "results": page.results,
        }
        return envelope(200, "OK", content)


def _command_id(path: str) -> str | None:
    """The id in a path, None for the path of the list. Raises `Refusal` for any other path.

    The path is split before it is decoded, so a `%2F` in an id stays inside the id.
    """
    if path == STATUS_PATH:
        return None
    segment = path.removeprefix(STATUS_PATH).removesuffix("/")
    if not segment or "/" in segment or path != f"{STATUS_PATH}{segment}/":
        raise Refusal(envelope(404, "Not found: no such path (they end in a slash)", {}))
    try:
        return unquote_to_bytes(segment.encode("latin-1")).decode("utf-8")
    except UnicodeError:
        raise not_found() from None
