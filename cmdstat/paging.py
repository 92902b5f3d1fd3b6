"""A listing, page by page along its `next` links, until it ends, and no longer.

A listing may be long, so no more than a page of it is held at a time; and it comes from a server,
so it may go in a circle, never end, or lead elsewhere: all three are noticed (design §4). Pure: the
page at an address is fetched by a function that is passed in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from cmdstat.answers import Answer
from cmdstat.base_urls import host, origin
from cmdstat.errors import ServerFailed, UsageError
from cmdstat.foreign import excerpt
from cmdstat.models import Content

LARGEST_PAGE = 100
"""How many results are asked for in one page; a server that gives fewer is followed as well."""

EMPTY_PAGES = 3
"""How many pages in a row may be empty and still point on: commands go while they are listed."""

_SLACK = 1000
_UNFIT = re.compile(r"[\x00-\x20\x7f-\xa0]")
_KEPT = "/%:@!$&'()*+,;=~?[]"
_HINT = "list less of it with --limit, or with filters"


@dataclass(frozen=True, slots=True)
class Query:
    """What to list. Empty is no filter; several ids of one filter mean any of them.

    `exclude_internal` None leaves it to the server, as not asking does. `limit` is a page's size.
    """

    requests: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    state: str | None = None
    exclude_internal: bool | None = None
    limit: int = LARGEST_PAGE

    def encoded(self) -> str:
        """The query of the URL: the ids of one filter joined by commas, everything else escaped."""
        exclude = {None: "", True: "true", False: "false"}[self.exclude_internal]
        given = {
            "limit": str(self.limit),
            "request": ",".join(quote(each, safe="") for each in self.requests),
            "device": ",".join(quote(each, safe="") for each in self.devices),
            "state": quote(self.state or "", safe=""),
            "exclude_internal_commands": exclude,
        }
        return "&".join(f"{name}={value}" for name, value in given.items() if value)


class Page(NamedTuple):
    """One page: its results, the link to the page after it, and how many results there are in all.

    `total` is the server's `count`, None where that is no number.
    """

    results: list[Content]
    next: str | None
    total: int | None


def read_page(content: Content) -> Page:
    """The page in the content of a list's answer. Raises `ServerFailed` for a wrong shape."""
    results, link, count = (content.get(name) for name in ("results", "next", "count"))
    if results is None and count == 0:
        results = []
    if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
        raise ServerFailed(
            "the server's listing is not a list of commands", "check the base URL and the server"
        )
    if link is not None and not isinstance(link, str):
        raise ServerFailed(
            "the server's listing points on, but its link is not a text", "check the server"
        )
    return Page(results, link or None, _whole_number(count))


def path_of_own(base_url: str, address: str) -> str:
    """The path and query of an absolute URL, for a request to the base URL's own origin.

    Raises `ServerFailed` for a URL of another scheme, host or port: the key does not go there.
    """
    try:
        parts = urlsplit(address)
        is_own = "@" not in parts.netloc and origin(address) == origin(base_url)
    except (ValueError, KeyError, UsageError):  # no URL, no scheme of ours, no port
        is_own = False
    if not is_own:
        raise ServerFailed(
            f"{host(base_url)} says that its listing goes on elsewhere: {excerpt(address)}",
            f"nothing but {origin(base_url)} is asked; check the base URL: cmdstat profile show",
        )
    query = f"?{quote(parts.query, safe=_KEPT)}" if parts.query else ""
    return quote(parts.path or "/", safe=_KEPT) + query


def _whole_number(value: Any) -> int | None:
    is_one = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if is_one else None


class Listing:
    """The results of one query, from its first page's address on; walked once.

    `count` is how many results the server last said there are, None while it has not; `received`
    is how many have come; `has_more` whether the page that was read last points on to another.
    """

    def __init__(self, address: str, fetch: Callable[[str], Answer]) -> None:
        """`fetch` gets the answer for a page's absolute address, and raises for a forbidden one."""
        self._address = address
        self._fetch = fetch
        self._listed: set[int] = set()  # hashes of the addresses: a long listing stays small
        self._most = 0
        self._empty = 0
        self.count: int | None = None
        self.received = 0
        self.has_more = False

    def pages(self) -> Iterator[list[Content]]:
        """The results of each page. Raises what made the listing end before its end."""
        address: str | None = self._address
        while address is not None:
            self._listed.add(hash(address))
            page = read_page(self._fetch(address).usable())
            self._note(page)
            yield page.results
            address = None if page.next is None else self._after(address, page.next)

    def _note(self, page: Page) -> None:
        self.received += len(page.results)
        self.has_more = page.next is not None
        self._empty = 0 if page.results else self._empty + 1
        if page.total is not None:
            self.count = page.total
            self._most = max(self._most, page.total)

    def _after(self, address: str, link: str) -> str:
        """The address of the next page. Raises `ServerFailed` where the links never end."""
        if _UNFIT.search(link):  # which urljoin would drop silently, joining what stood around it
            raise ServerFailed("the server's listing goes on at what is no URL", _HINT)
        try:
            following = urljoin(address, link)
        except ValueError:
            following = link
        if hash(following) in self._listed:
            raise ServerFailed(
                f"the server's listing goes in a circle after {self.received:,} results", _HINT
            )
        if self._empty > EMPTY_PAGES:
            raise ServerFailed(
                f"the server's listing does not end: {self._empty} empty pages in a row point on",
                _HINT,
            )
        if self.count is not None and self.received > self._most + self._most // 2 + _SLACK:
            raise ServerFailed(
                f"the server's listing does not end: {self.received:,} results came, and it counts"
                f" {self._most:,}",
                _HINT,
            )
        return following

    def results(self, limit: int | None = None) -> Iterator[Content]:
        """Each result, at most `limit` of them."""
        left = limit
        for page in self.pages():
            wanted = page if left is None else page[:left]
            if left is not None:
                left -= len(wanted)
                self.has_more = self.has_more or len(wanted) < len(page)
            yield from wanted
            if left == 0:
                return
