"""Paging along `next`: to the end, no further, nowhere else; against listings that misbehave."""

from __future__ import annotations

from itertools import count
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmdstat.answers import Answer
from cmdstat.errors import RequestRefused, ServerFailed
from cmdstat.paging import EMPTY_PAGES, Listing, Query, path_of_own

BASE = "https://acme-api.example.test/api"
FIRST = f"{BASE}/commands/v0/status/?limit=100"


class Pages:
    """The pages of a listing by address, in a list of what they hold; counts what was fetched."""

    def __init__(self, *pages: list, link="{base}?page={number}", total: object = None):
        self.pages, self.link = pages, link
        self.total = sum(map(len, pages)) if total is None else total
        self.fetched: list[str] = []

    def fetch(self, address: str) -> Answer:
        self.fetched.append(address)
        number = int(dict(parse_qsl(urlsplit(address).query)).get("page", 0))
        content = {"count": self.total, "next": None, "results": self.pages[number]}
        if number + 1 < len(self.pages):
            content["next"] = self.link.format(base=BASE, number=number + 1)
        return Answer(200, 200, "OK", content)


def items(*numbers: int) -> list[dict[str, object]]:
    return [{"id": str(number)} for number in numbers]


def endless(make) -> Listing:
    """A listing whose pages `make` makes, from the number of the fetch."""
    numbers = count()
    return Listing(FIRST, lambda _address: Answer(200, 200, "OK", make(next(numbers))))


@given(sizes=st.lists(st.integers(1, 5), max_size=8), limit=st.none() | st.integers(1, 30))
def test_results_come_in_order_and_no_page_is_read_in_vain(sizes, limit):
    """Whatever the pages' sizes, a listing is all results or the first of them, and stops there."""
    numbers = iter(range(sum(sizes)))
    pages = Pages(*([items(*(next(numbers) for _ in range(size))) for size in sizes] or [[]]))
    listing = Listing(FIRST, pages.fetch)
    wanted = items(*range(sum(sizes)))[:limit]
    assert list(listing.results(limit)) == wanted
    needed = next((n for n in range(len(sizes)) if sum(sizes[: n + 1]) >= len(wanted)), 0) + 1
    assert len(pages.fetched) == needed
    assert listing.has_more == (len(wanted) < sum(sizes))


@pytest.mark.parametrize("link", ["?page={number}", "/api/x/?page={number}", "../?page={number}"])
def test_a_relative_link_is_followed_from_its_page(link):
    """`next` may be relative, as any reference in HTTP may be."""
    pages = Pages(items(1), items(2), items(3), link=link)
    assert list(Listing(FIRST, pages.fetch).results()) == items(1, 2, 3)
    assert all(address.startswith("https://acme-api.example.test/") for address in pages.fetched)


@given(inserted=st.lists(st.integers(0, 250), max_size=6), start=st.integers(0, 350))
def test_a_listing_that_grows_meanwhile_is_no_endless_one(inserted, start):
    """New commands that push the others on cost repetitions, never a command, never an error."""
    held = items(*range(start))
    growth = iter(inserted)

    def fetch(address: str) -> Answer:
        offset = int(dict(parse_qsl(urlsplit(address).query)).get("offset", 0))
        for _ in range(next(growth, 0)):
            held.insert(0, {"id": f"new {len(held)}"})
        content = {"count": len(held), "results": held[offset : offset + 100], "next": None}
        if offset + 100 < len(held):
            content["next"] = f"?offset={offset + 100}"
        return Answer(200, 200, "OK", content)

    listed = {each["id"] for each in Listing(FIRST, fetch).results()}
    assert listed >= {str(number) for number in range(start)}


@pytest.mark.parametrize("total", [0, 2, 10**9, None, "2", -1, True, 1.5])
def test_a_wrong_count_changes_nothing(total):
    """What the server says of the number of results neither cuts a listing nor prolongs it."""
    pages = Pages(items(1, 2), items(3), [], items(4), total=total)
    if total is None:
        pages.total = None
    assert list(Listing(FIRST, pages.fetch).results()) == items(1, 2, 3, 4)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_circle_is_noticed(length):
    """A link to a page that was listed before ends the listing with an error, after its results."""
    listing = endless(lambda n: {"results": items(n), "next": f"?page={n % length}", "count": 9})
    got = []
    with pytest.raises(ServerFailed, match="circle"):
        got.extend(listing.results())
    assert got == items(*range(length + 1))


def test_empty_pages_that_point_on_for_ever_are_noticed():
    """A few empty pages may be; a chain of them is cut."""
    listing = endless(lambda n: {"results": [], "next": f"?page={n + 1}", "count": 9})
    with pytest.raises(ServerFailed, match="does not end"):
        list(listing.results())
    few = Pages(items(1), *([[]] * EMPTY_PAGES), items(2))
    assert list(Listing(FIRST, few.fetch).results()) == items(1, 2)


@pytest.mark.parametrize(("total", "most"), [(10, 1_200), (100_000, 152_000)])
def test_more_results_than_the_count_explains_are_noticed(total, most):
    """A chain that goes on far beyond what the server counts is cut."""
    listing = endless(
        lambda n: {"results": items(*range(100)), "next": f"?page={n + 1}", "count": total}
    )
    with pytest.raises(ServerFailed, match="does not end"):
        for _ in listing.results():
            pass
    assert total < listing.received <= most


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"results": None, "count": 3},
        {"results": {}, "next": None},
        {"results": "abc"},
        {"results": [1, 2]},
        {"results": [None]},
        {"results": [], "next": 5},
        {"results": [], "next": {"href": "x"}},
    ],
)
def test_a_listing_of_another_shape_is_an_error(content):
    """What is not a list of commands is never shown as an empty one."""
    listing = Listing(FIRST, lambda _address: Answer(200, 200, "OK", content))
    with pytest.raises(ServerFailed):
        list(listing.results())


def test_a_failed_page_ends_the_listing_with_its_error():
    """The error of a page is the listing's, after the results that came before."""
    good = Pages(items(1), items(2))
    answers = iter([good.fetch(FIRST), Answer(404, error=RequestRefused("gone"))])
    listing = Listing(FIRST, lambda _address: next(answers))
    got = []
    with pytest.raises(RequestRefused):
        got.extend(listing.results())
    assert got == items(1)


@pytest.mark.parametrize(
    ("address", "path"),
    [
        (
            f"{BASE}/commands/v0/status/?limit=2&offset=2",
            "/api/commands/v0/status/?limit=2&offset=2",
        ),
        ("https://acme-api.example.test:443/x", "/x"),
        ("HTTPS://ACME-API.example.test/x?a=b%2Cc,d", "/x?a=b%2Cc,d"),
        ("https://acme-api.example.test", "/"),
        ("https://acme-api.example.test/x?state=Command Success", "/x?state=Command%20Success"),
        ("https://acme-api.example.test/ü?s=\r\nHost: evil", "/%C3%BC?s=Host:%20evil"),
    ],
)
def test_a_link_of_our_own_origin_becomes_a_path(address, path):
    """Scheme, host and port decide, in any spelling; what follows is escaped where it has to be."""
    assert path_of_own(BASE, address) == path


@pytest.mark.parametrize(
    "address",
    [
        "http://acme-api.example.test/x",
        "https://acme-api.example.test:8443/x",
        "https://evil.example.test/x",
        "https://acme-api.example.test.evil.test/x",
        "https://acme-api.example.test@evil.test/x",
        "https://user@acme-api.example.test/x",
        "https://acme-api.example.test\\@evil.test/x",
        "//acme-api.example.test/x",
        "/x",
        "",
        "ftp://acme-api.example.test/x",
        "javascript:alert(1)",
        "https://acme-api.example.test:port/x",
        "https://[::1/x",
    ],
)
def test_a_link_to_anywhere_else_is_refused(address):
    """No other scheme, host or port, and nothing that two readers could read in two ways."""
    with pytest.raises(ServerFailed, match="elsewhere"):
        path_of_own(BASE, address)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(
    requests=st.lists(TEXT.filter(lambda text: "," not in text), max_size=3),
    devices=st.lists(TEXT.filter(lambda text: "," not in text), max_size=3),
    state=st.none() | TEXT,
    exclude=st.none() | st.booleans(),
)
def test_a_query_says_what_was_asked(requests, devices, state, exclude):
    """Any id and state arrives as it is, those of one filter joined by commas, nothing else."""
    query = Query(tuple(requests), tuple(devices), state, exclude, 7)
    expected = {
        "limit": "7",
        "request": ",".join(requests),
        "device": ",".join(devices),
        "state": state,
        "exclude_internal_commands": {None: None, True: "true", False: "false"}[exclude],
    }
    assert parse_qs(query.encoded(), strict_parsing=True) == {
        name: [value] for name, value in expected.items() if value
    }
