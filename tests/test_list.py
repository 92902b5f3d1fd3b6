"""`cmdstat list`: what is asked, how pages are shown as they come, and how it ends midway."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from faulty_server import AT_ONCE, Exchange, FaultyServer, answer, busy, envelope, forever, silence
from hypothesis import given, settings
from hypothesis import strategies as st
from screens import ID, NOW, content, drawn

from cmdstat.render.listing import show_listing
from cmdstat.render.summary import show_summary
from cmdstat.states import STATES

STATES_IN_TURN = ["Command Success", "Command Failure", "Command In Progress", "Command Success"]


def command(number: int, **fields: object) -> dict[str, object]:
    """A command of the made-up fleet."""
    return {
        "id": f"command-{number}",
        "request": "a-request",
        "device": "a-device",
        "state": STATES_IN_TURN[number % 4],
        "reason": f"reason {number}",
        "created_at": "2026-11-23T12:00:00Z",
        "updated_at": "2026-11-23T12:00:00Z",
    } | fields


class Fleet:
    """A step of the server: a listing of `size` commands by limit and offset, `cap` a page."""

    forever = True

    def __init__(self, size: int, cap: int = 1000) -> None:
        self.size, self.cap = size, cap

    def __call__(self, exchange: Exchange) -> None:
        query = parse_qs(urlsplit(exchange.seen.path).query)
        limit = min(int(query.get("limit", ["20"])[0]), self.cap)
        offset = int(query.get("offset", ["0"])[0])
        end = min(offset + limit, self.size)
        link = f"{exchange.server.base_url}/commands/v0/status/?limit={limit}&offset={end}"
        page = {
            "count": self.size,
            "previous": None,
            "next": link if end < self.size else None,
            "results": [command(number) for number in range(offset, end)],
        }
        answer(200, envelope(page))(exchange)


def page(server: FaultyServer, *results: object, then: object = None) -> object:
    """A step that answers with one page, `then` as its `next`."""
    return answer(200, envelope({"count": 99, "next": then, "results": list(results)}))


def ids(stdout: str) -> list[str]:
    return [json.loads(line)["id"] for line in stdout.splitlines()]


def asked(server: FaultyServer) -> list[dict[str, list[str]]]:
    return [parse_qs(urlsplit(each.path).query) for each in server.requests]


# What is asked.


def test_twenty_unless_asked_otherwise(home, server):
    """Without options one page of twenty is asked for and shown, and that there are more told"""
    server.on("GET", Fleet(45))
    result = home.run("list")
    assert result.exit == 0
    assert asked(server) == [{"limit": ["20"]}]
    assert urlsplit(server.requests[0].path).path == "/api/commands/v0/status/"
    assert "command-19 " in result.stdout
    assert "20 of 45 shown" in result.stderr


def test_filters_as_the_contract_names_them(home, server):
    """Every filter is a documented parameter, with several ids of one joined by commas."""
    server.on("GET", Fleet(1))
    words = ["--request", "r 1", "--request", "r/2", "--device", "d1", "--state", "in progress"]
    assert home.run("list", *words, "--no-internal", "--limit", "7").exit == 0
    (query,) = asked(server)
    assert query == {
        "limit": ["7"],
        "request": ["r 1,r/2"],
        "device": ["d1"],
        "state": ["Command In Progress"],
        "exclude_internal_commands": ["true"],
    }
    document = yaml.safe_load(Path(__file__).with_name("openapi.yaml").read_text())
    listing = document["paths"]["/commands/v0/status/"]["get"]
    names = {each.get("name") or each["$ref"].rpartition("/")[2] for each in listing["parameters"]}
    assert set(query) <= names
    assert home.run("list", "--internal").exit == 0
    assert asked(server)[-1]["exclude_internal_commands"] == ["false"]


@pytest.mark.parametrize(
    "words",
    [
        ["--limit", "5", "--all"],
        ["--limit", "5", "--summary"],
        ["--limit", "0"],
        ["--limit", "-3"],
        ["--state", "sucess"],
        ["--request", ""],
        ["--device", " x"],
        ["extra"],
    ],
)
def test_a_wrong_call_asks_nothing(home, server, words):
    """What makes no sense is exit 2 before any request."""
    assert home.run("list", *words).exit == 2
    assert server.requests == []


@pytest.mark.parametrize(("limit", "cap", "requests"), [(150, 1000, 2), (150, 20, 8), (3, 2, 2)])
def test_a_limit_beyond_a_page_follows_next_just_as_far(home, server, limit, cap, requests):
    """As many as asked for, over as few pages as the server allows, and none too many."""
    server.on("GET", Fleet(500, cap))
    result = home.run("list", "--limit", str(limit), "-o", "jsonl")
    assert ids(result.stdout) == [f"command-{number}" for number in range(limit)]
    assert len(server.requests) == requests


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "table"])
def test_all_is_all(home, server, form):
    """Every result of every page, once, in order, in every format."""
    server.on("GET", Fleet(257, 50))
    result = home.run("list", "--all", "-o", form)
    assert (result.exit, result.stderr) == (0, "")
    wanted = [f"command-{number}" for number in range(257)]
    if form == "json":
        assert [each["id"] for each in json.loads(result.stdout)] == wanted
    elif form == "jsonl":
        assert ids(result.stdout) == wanted
    elif form == "csv":
        assert [row["id"] for row in csv.DictReader(io.StringIO(result.stdout))] == wanted
    else:
        found = [line.split()[0] for line in result.stdout.splitlines() if line[:1] == "c"]
        assert found == wanted


def test_nothing_found(home, server):
    """An empty listing is no error: an empty array, a header, or a line on stderr."""
    server.on("GET", Fleet(0))
    assert json.loads(home.run("list", "-o", "json").stdout) == []
    assert home.run("list", "-o", "csv").stdout.count("\n") == 1
    result = home.run("list")
    assert (result.exit, result.stdout, result.stderr) == (0, "", "no command matches\n")


def test_results_are_there_before_the_next_page_is(home, server):
    """A page is written when it has come, whatever the next one takes."""
    held = threading.Event()

    def late(exchange: Exchange) -> None:
        held.wait(20)
        page(server, command(2))(exchange)

    server.on("GET", page(server, command(1), then="?page=2"), late)
    reading, writing = os.pipe()
    running = home.start("list", "--all", "-o", "jsonl", stdout=writing)
    os.close(writing)
    with open(reading) as lines:
        assert json.loads(lines.readline())["id"] == "command-1"
        held.set()
        assert json.loads(lines.readline())["id"] == "command-2"
    assert running.wait().exit == 0


def test_a_reader_that_leaves_ends_it_quietly(home, server):
    """`| head -1` costs no error and no further pages."""
    server.on("GET", Fleet(100_000, 100))
    reading, writing = os.pipe()
    running = home.start("list", "--all", "-o", "jsonl", stdout=writing)
    os.close(writing)
    with open(reading) as lines:
        lines.readline()
    result = running.wait()
    result.check_harmless()
    assert result.stderr == ""
    assert len(server.requests) < 50


# How it ends midway.


@pytest.mark.parametrize(
    ("step", "code"),
    [(answer(500), 6), (answer(401), 4), (answer(200, b"nonsense"), 6), (answer(404), 5)],
)
@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "table"])
def test_what_came_before_a_failure_is_shown(home, server, step, code, form):
    """A page that fails ends the listing: what came stands, the array is closed, the exit tells."""
    server.on("GET", page(server, command(1), then="?page=2"), forever(step))
    result = home.run("list", "--all", "--retries", "0", "-o", form)
    assert result.exit == code
    assert "command-1" in result.stdout
    if form == "json":
        assert len(json.loads(result.stdout)) == 1
    if form in ("json", "jsonl"):
        assert result.error["exit_code"] == code


def test_a_page_that_may_pass_is_read_again(home, server):
    """A failure between two pages that passes is nobody's loss."""
    server.on("GET", busy, page(server, command(1), then="?page=2"), busy, page(server, command(2)))
    result = home.run("list", "--all", "-o", "jsonl")
    assert (result.exit, ids(result.stdout)) == (0, ["command-1", "command-2"])


@pytest.mark.parametrize("form", ["json", "csv"])
def test_a_link_to_another_host_is_not_followed(home, server, other_server, form):
    """The key stays with its host: the listing ends with exit 6, and nobody else was asked."""
    elsewhere = f"{other_server.base_url}/commands/v0/status/?page=2"
    server.on("GET", page(server, command(1), then=elsewhere))
    result = home.run("list", "--all", "-o", form)
    assert result.exit == 6
    assert "command-1" in result.stdout
    assert str(other_server.port) in result.stderr
    assert (len(server.requests), other_server.requests) == (1, [])
    server.on("GET", page(server, *map(command, range(20)), then=elsewhere))
    assert home.run("list").exit == 0, "who asks for one page is not bothered"


def test_a_circle_ends_with_exit_6(home, server):
    """A page that points back is noticed after its results are shown."""
    server.on("GET", forever(page(server, command(1), then="?page=2")))
    result = home.run("list", "--all", "-o", "json")
    assert (result.exit, len(json.loads(result.stdout)), len(server.requests)) == (6, 2, 2)


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_closes_the_array(home, server, sign, code):
    """Ctrl-C while a page hangs ends it at once, with whole JSON on stdout."""
    server.on("GET", page(server, command(1), then="?page=2"), forever(silence))
    running = home.start("list", "--all", "-o", "json")
    server.wait_for(2, "GET")
    running.signal(sign)
    result = running.wait()
    result.check_harmless()
    assert (result.exit, result.error["kind"]) == (code, "interrupted")
    assert len(json.loads(result.stdout)) == 1
    assert result.seconds < 10


@pytest.mark.parametrize("count", [0, 5, 10**12, None, "many"])
def test_a_wrong_count_is_no_matter(home, server, count):
    """The pages decide what there is, not the count."""
    body = {"count": count, "next": "?page=2", "results": [command(1)]}
    server.on("GET", answer(200, envelope(body)), page(server, command(2)))
    result = home.run("list", "--all", "-o", "jsonl")
    assert (result.exit, len(ids(result.stdout))) == (0, 2)


def test_fewer_than_counted_is_said(home, server):
    """A table that ends before the count does says so, since nobody would notice."""
    server.on("GET", page(server, command(1)))
    assert "counts 99" in home.run("list", "--all").stderr


# Summary.


def test_the_summary_reads_all_pages(home, server):
    """Counts by state over every page, the known states in their order, then whatever else."""
    server.on("GET", Fleet(103, 25))
    result = home.run("list", "--summary", "-o", "json")
    assert json.loads(result.stdout) == [
        {"state": "Command In Progress", "count": 26},
        {"state": "Command Success", "count": 52 - 1},
        {"state": "Command Failure", "count": 26},
    ]
    assert len(server.requests) == 5


def test_a_summary_of_odd_states(home, server):
    """States that nobody knows, null and what is no text are counted too, in every format."""
    odd = [command(1, state=state) for state in ("New", None, None, {"a": 1}, "\x1b[2J")]
    for form in ("json", "jsonl", "csv", "table"):
        server.on("GET", page(server, *odd))
        result = home.run("list", "--summary", "-o", form)
        assert result.exit == 0
    server.on("GET", page(server, *odd))
    counts = json.loads(home.run("list", "--summary", "-o", "json").stdout)
    assert {each["state"]: each["count"] for each in counts} == {
        None: 2, "New": 1, '{"a": 1}': 1, "\x1b[2J": 1,
    }  # fmt: skip


def test_the_bars_have_the_right_lengths():
    """The longest bar is the most frequent state's, the others are in proportion, none is none."""
    counts = [("Command Success", 200), ("Command Failure", 100), ("Command TimeOut", 1)]
    lines = drawn(show_summary, counts, width=100).splitlines()
    assert lines[0] == "301 commands"
    assert [line.count("━") for line in lines[3:]] == [40, 20, 1]
    assert ["66 %" in lines[3], "33 %" in lines[4], "<1 %" in lines[5]] == [True] * 3
    assert "#" * 40 in drawn(show_summary, counts, width=100, encoding="ascii")


@pytest.mark.parametrize("width", [1, 10, 35, 40, 45, 60])
def test_the_bars_fit(width):
    """However narrow the terminal is, no bar is wider, and every count is there."""
    counts = [(state.text, 10**number) for number, state in enumerate(STATES)]
    shown = drawn(show_summary, counts, width=width)
    assert all(f"{number:,}" in shown for _, number in counts)
    assert max(map(len, shown.splitlines())) <= max(width, len("STATE: ◔ Command Acknowledged"))


# The table.


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = ["id", "request", "device", "state", "reason", "created_at", "updated_at", "new"]


@given(
    commands=st.lists(st.dictionaries(st.sampled_from(NAMES), ANY_JSON), min_size=1, max_size=4),
    width=st.sampled_from([1, 30, 60, 100, 200]),
    utc=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_any_content_can_be_listed(commands, width, utc):
    """Whatever stands in the fields, a table of it can be drawn, at any width."""
    assert drawn(show_listing, commands, width=width, now=NOW, utc=utc)


@pytest.mark.parametrize("width", [20, 40, 59, 60, 80, 100, 120, 150, 180, 240])
def test_ids_and_states_are_whole_at_any_width(width):
    """An id can always be copied from one line, and a state; ages are there in any layout."""
    commands = [content(state=state.text) for state in STATES]
    shown = drawn(show_listing, commands, width=width, now=NOW)
    assert shown.count(ID) >= len(STATES)
    assert all(state.text in shown for state in STATES)
    assert " ".join(shown.split()).count("1 s ago") >= len(STATES)


def test_sixty_columns_are_useful():
    """At 60 columns two lines tell a command: id and state, reason and age; no line is longer."""
    shown = drawn(show_listing, [content(state="Command Acknowledged")] * 2, width=60, now=NOW)
    lines = shown.splitlines()
    assert lines[2] == f"{ID}  ◔ Command Acknowledged"
    assert lines[3] == f"{'  Confirmed by the shop floor':<38}1 s ago"
    assert max(map(len, lines)) == 60
    assert len(lines) == 6
    shown = drawn(show_listing, [content(reason="x" * 150)], width=60, now=NOW)
    assert shown.splitlines()[1] == "─" * 60
    assert max(map(len, shown.splitlines())) <= 60


def test_utc_shows_times_instead_of_ages():
    """Who asks for UTC gets moments, also where a table would make do with ages."""
    shown = drawn(show_listing, [content()], width=100, now=NOW, utc=True)
    assert "UTC" in shown


def test_a_long_reason_is_cut_on_a_terminal_alone():
    """A table of long reasons can still be looked over; a pipe gets the whole of them."""
    long = [content(reason="word " * 200)]
    shown = drawn(show_listing, long, width=100, now=NOW)
    assert "and 800 more characters" in " ".join(shown.split())
    assert shown.count("word") < 50
    assert "word " * 199 in drawn(show_listing, long, tty=False, now=NOW)


def test_a_line_tells_what_is_read_on_a_terminal(home, server):
    """While pages are read, a terminal shows how many of how many, and the line is gone after."""
    server.on("GET", page(server, command(1), then="?page=2"), silence, page(server, command(2)))
    result = home.run(
        "list", "--all", "--timeout", "1.3", "--retries", "1", "-o", "jsonl", tty=True
    )
    assert result.exit == 0
    assert "1 of 99 read" in result.stdout
    shown = result.stdout.rpartition("\x1b[K")[2]
    assert json.loads(shown)["id"] == "command-2"


def test_429_is_obeyed(home, server):
    """A page that the rate limit holds back is read after the time that the server asks for."""
    server.on("GET", answer(429, headers=[("Retry-After", "1")]), page(server, command(1)))
    result = home.run("list", "-o", "jsonl")
    assert (result.exit, ids(result.stdout)) == (0, ["command-1"])
    assert server.requests[1].at - server.requests[0].ended >= 0.99
    server.on("GET", forever(answer(429, headers=AT_ONCE)))
    assert home.run("list", "--retries", "1").exit == 6
