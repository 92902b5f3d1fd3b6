"""`cmdstat get`: one command, as the server has it; and every way in which a read can fail."""

from __future__ import annotations

import csv
import io
import json
import signal

import pytest
from faulty_server import (
    AT_ONCE,
    answer,
    behave,
    busy,
    close,
    envelope,
    forever,
    redirect,
    reset,
    show,
    silence,
    then_close,
)
from harness import KEY, Home

ODD = {
    "id": None,
    "request": 5,
    "device": ["a", {"b": None}],
    "state": {"name": "Command Success"},
    "reason": "\x1b[31mred\u202eder\x00\n[bold]",
    "created_at": 1e300,
    "updated_at": "2026-13-45T99:99:99Z",
    "command_meta": "text",
    "unknown \x9b field": [True, None, 10**30, -0.0],
}


def get(home: Home, *words: str, **options):
    return home.run("get", "an-id", "--retries", "0", *words, **options)


def test_json_is_the_content_as_it_was_sent(home, server):
    """Every field and value of the server's object is there, in its order, none added."""
    server.status |= {
        "new": {"deep": [1, 2.5, None]},
        "reason": None,
        "command_meta": {"result": 3},
    }
    result = get(home, "-o", "json")
    assert result.exit == 0
    assert json.loads(result.stdout) == server.status
    assert list(json.loads(result.stdout)) == list(server.status)
    assert [(each.method, each.path) for each in server.requests] == [
        ("GET", "/api/commands/v0/status/an-id/")
    ]
    assert home.journal() == []


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_a_content_in_which_nothing_is_as_documented(home, server, form):
    """Null, missing, unknown and wrong-typed fields are shown, harmless, and hidden nowhere."""
    server.on("GET", answer(200, envelope(ODD)), answer(200, envelope({})))
    result = get(home, "-o", form)
    assert result.exit == 0
    if form in ("json", "jsonl"):
        assert json.loads(result.stdout) == ODD
    assert get(home, "-o", form).exit == 0


def test_csv_has_the_documented_fields(home, server):
    """The content's fields stand bare, one row below the header."""
    (row,) = csv.DictReader(io.StringIO(get(home, "-o", "csv").stdout))
    assert row == {**server.status, "command_meta": ""}


def test_the_table_is_for_people(home, server):
    """The table has the state with its sign, and times in UTC if that is asked for."""
    result = get(home, "--utc")
    assert "◑ Command In Progress" in result.stdout
    assert "UTC (60 min ago)" in result.stdout or "UTC (1 h ago)" in result.stdout
    assert result.stderr == ""


def test_quiet_says_nothing(home, server):
    """With --quiet the exit code is the answer."""
    result = get(home, "-q")
    assert (result.exit, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("step", "code", "kind"),
    [
        (answer(400), 5, "refused"),
        (answer(404), 5, "refused"),
        (answer(410), 5, "refused"),
        (redirect(302, "https://elsewhere.test/"), 5, "refused"),
        (answer(401), 4, "unauthorized"),
        (answer(403), 4, "unauthorized"),
        (answer(500), 6, "server_error"),
        (answer(503, "<html>busy</html>", media="text/html"), 6, "server_error"),
        (answer(429, headers=[("Retry-After", "121")]), 6, "server_error"),
        (answer(204, b""), 6, "server_error"),
        (answer(200, b"not json"), 6, "server_error"),
        (answer(200, b"[1]"), 6, "server_error"),
        (answer(200, b'{"code": 200}'), 6, "server_error"),
        (answer(200, b'{"content": [1]}'), 6, "server_error"),
        (answer(200, b'{"content": {"a": NaN}}'), 6, "server_error"),
        (answer(200, b"\xff\xfe"), 6, "server_error"),
        (then_close(answer(200, b'{"content"', length=100)), 6, "server_error"),
        (reset, 6, "server_error"),
        (close, 6, "server_error"),
    ],
)
@pytest.mark.parametrize("form", ["json", "table"])
def test_how_a_read_fails(home, server, step, code, kind, form):
    """The exit code tells who is to blame, stdout has nothing, stderr says why."""
    server.on("GET", forever(step))
    result = get(home, "-o", form)
    assert (result.exit, result.stdout) == (code, ""), result.describe()
    if form == "json":
        assert result.error["kind"] == kind
    else:
        assert result.stderr.startswith("error: ")


def test_not_reached_is_exit_7(home, free_port):
    """A service that is not there is told apart from one that fails."""
    env = {"CMDSTAT_BASE_URL": f"http://127.0.0.1:{free_port}/api"}
    assert get(home, "-o", "json", env=env).error["kind"] == "unreachable"


def test_no_answer_within_the_timeout(home, server):
    """A server that never answers costs the time-out, and is a failure of the server."""
    server.on("GET", forever(silence))
    result = get(home, "--timeout", "0.3", "-o", "json")
    assert (result.exit, result.seconds < 3) == (6, True)


@pytest.mark.parametrize(
    "passing",
    [
        busy,
        answer(429, headers=AT_ONCE),
        answer(408, headers=AT_ONCE),
        answer(500, headers=AT_ONCE),
    ],
)
def test_what_may_pass_is_tried_again(home, server, passing):
    """A read is repeated as often as --retries says, and not once more."""
    server.on("GET", passing, passing, behave)
    assert home.run("get", "an-id", "--retries", "2").exit == 0
    server.on("GET", passing, passing, behave)
    assert home.run("get", "an-id", "--retries", "1").exit in (5, 6)
    assert len(server.requests) == 5


def test_a_404_suggests_the_listing_of_a_request(home, server):
    """The id of a request is easily taken for a command's: the hint has the line to try."""
    server.on("GET", answer(404))
    result = home.run("get", "an id; rm -rf $HOME", "-o", "json")
    assert result.error["hint"].endswith("cmdstat list --request 'an id; rm -rf $HOME'")
    assert server.requests[0].path == "/api/commands/v0/status/an%20id%3B%20rm%20-rf%20%24HOME/"


@pytest.mark.parametrize("wrong", ["", ".", "..", " a", "a\n"])
def test_an_id_that_cannot_be_asks_nothing(home, server, wrong):
    """A slip of the hand is exit 2 before any request."""
    assert home.run("get", wrong).exit == 2
    assert server.requests == []


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_read_at_once(home, server, sign, code):
    """There is nothing to finish: one Ctrl-C or SIGTERM is enough, however the server hangs."""
    server.on("GET", forever(silence))
    running = home.start("get", "an-id", "-o", "json")
    server.wait_for(1, "GET")
    running.signal(sign)
    result = running.wait()
    result.check_harmless()
    assert (result.exit, result.error["kind"], result.stdout) == (code, "interrupted", "")
    assert result.seconds < 10


def test_the_key_goes_along_and_nowhere_else(home, server):
    """The request carries the key; --verbose shows the request without it."""
    server.on("GET", answer(200, lambda exchange: envelope({"id": KEY})), show)
    result = get(home, "-v")
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert f"GET {server.base_url}/commands/v0/status/an-id/" in result.stderr
