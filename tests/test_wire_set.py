"""What becomes of one `set` on every answer that design §4 names, seen from outside: the exit
code, the record, and the requests that the server saw."""

from __future__ import annotations

import re
from email.utils import formatdate
from itertools import pairwise
from urllib.parse import unquote

import pytest
from faulty_server import (
    AT_ONCE,
    FaultyServer,
    Step,
    after,
    answer,
    applied,
    behave,
    busy,
    close,
    forever,
    later_on,
    meanwhile,
    redirect,
    reset,
    reset_while_reading,
    show,
    silence,
    status_now,
    then,
    then_close,
)
from harness import KEY, Home, set_args

import cmdstat

HOUR = 3600.0
SKEWS = [0.0, HOUR, -HOUR]


def cancelled_by_somebody(server: FaultyServer) -> None:
    """Somebody else's final state, now, on the server's clock."""
    server.change(state="Command Cancelled", reason="by somebody else")


def progressed(server: FaultyServer) -> None:
    """Somebody else's state that is not final, now, on the server's clock."""
    server.change(state="Command Acknowledged", reason="by the device")


def assert_read_before_each_put(server: FaultyServer) -> None:
    """Between any two PUTs stands a GET, and it has ended right before the second one leaves."""
    for earlier, later in pairwise(server.requests):
        if later.method == "PUT":
            assert earlier.method == "GET", server.methods
            assert later.at - earlier.ended < 0.4, "a change after that read would be overwritten"


# The request itself.


def test_request_is_what_the_contract_says(set_state, server):
    """One PUT to the id's address, with the key, the exact body and cmdstat's name."""
    result = set_state("--reason", "Confirmed — by hand\nüber")
    assert result.exit == 0
    (put,) = server.requests
    assert (put.method, put.path) == ("PUT", "/api/commands/v0/status/an-id/")
    assert put.headers["authorization"] == f"Bearer {KEY}"
    assert put.headers["user-agent"] == f"cmdstat/{cmdstat.__version__}"
    assert put.headers["content-type"].startswith("application/json")
    assert put.json == {"state": "Command Success", "reason": "Confirmed — by hand\nüber"}


def test_record_of_a_good_update(set_state, server):
    """The record of an update that went well has every field of the design, filled in."""
    server.reset_status(unheard_of={"a": [1]})
    record = set_state("--reason", "x").record
    assert record["content"] == server.status
    assert record["content"]["unheard_of"] == {"a": [1]}
    expected = {
        "id": "an-id", "requested": {"state": "Command Success", "reason": "x"},
        "outcome": "updated", "http_status": 200, "code": 200, "message": "OK", "before": None,
        "confirmed": None, "error": None, "attempts": 1, "base_url": server.base_url,
    }  # fmt: skip
    assert {name: record[name] for name in expected} == expected
    assert record["n"] >= 1
    assert record["elapsed_ms"] > 0
    assert "@" in record["by"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["at"])


@pytest.mark.parametrize(
    ("args", "body"),
    [
        (["success"], {"state": "Command Success"}),
        (["--reason", "why"], {"reason": "why"}),
        (["--reason", ""], {"reason": ""}),
        (["ack", "--reason", "why"], {"state": "Command Acknowledged", "reason": "why"}),
    ],
)
def test_body_has_only_what_was_given(home, server, args, body):
    """State and reason are each in the body exactly if they were given, and never as null."""
    result = home.run("set", "an-id", *args, "-o", "json")
    assert result.record["outcome"] == "updated"
    assert [each.json for each in server.requests] == [body]


@pytest.mark.parametrize(
    "command_id",
    [
        "a/b",
        "a?b=c",
        "a#b",
        "%2e%2e",
        "..%2f..",
        "a b",
        "a%",
        "é/ü",
        "...",
        "a;b",
        "a\\b",
        "~a",
        "&+=",
    ],
)
def test_id_stays_one_path_segment(home, server, command_id):
    """Whatever the id, the path has one segment for it, which decodes to the id."""
    result = home.run("set", "-o", "json", "--", command_id, "success")
    assert result.record["id"] == command_id
    (put,) = server.requests
    match = re.fullmatch("/api/commands/v0/status/([^/?#]+)/", put.path)
    assert match, put.path
    assert unquote(match[1]) == command_id


@pytest.mark.parametrize(
    "command_id", ["", ".", "..", "a\nb", "a\x1b[31m", " a", "a ", "\u0085", "\udcff"]
)
def test_impossible_id_sends_nothing(home, server, command_id):
    """An id that no path can carry is a usage error, and no request leaves."""
    result = home.run("set", "-o", "json", "--", command_id, "success")
    assert result.exit == 2
    assert result.error["kind"] == "usage"
    assert server.connections == 0


def test_state_reported_differs(set_state, server):
    """A server that reports another state than asked for is believed, and a warning says so."""
    server.on("PUT", meanwhile(lambda s: s.change(state="Command Failure"), show))
    result = set_state()
    assert result.record["outcome"] == "updated"
    assert result.record["content"]["state"] == "Command Failure"
    assert "Command Failure" in result.stderr
    assert "Command Success" in result.stderr


@pytest.mark.parametrize("message", ["OK", None, ["x"], 5])
def test_envelope_around_the_content_is_read_leniently(set_state, server, message):
    """A 200 with a content is an update, whatever its code and message are."""
    server.on(
        "PUT", applied(answer(200, lambda e: {"message": message, "content": e.server.status}))
    )
    record = set_state().record
    assert record["outcome"] == "updated"
    assert record["code"] is None
    assert record["message"] == (message if message == "OK" else None)


@pytest.mark.parametrize("content", [{}, {"state": None, "unknown": 1}])
def test_content_may_lack_any_field(set_state, server, content):
    """Fields of the content that are missing or null are no error."""
    server.on("PUT", applied(answer(200, {"code": 200, "content": content})))
    result = set_state()
    assert result.exit in (0, 10)
    if result.exit == 10:  # an empty object may pass for no usable content, but not silently
        assert content == {}
    else:
        assert result.record["content"] == content


# Answers that are final at once.


@pytest.mark.parametrize("status", [400, 402, 404, 409, 422, 451, 499])
def test_4xx_is_refused_at_once(set_state, server, status):
    """Any other 4xx is final: one request, exit 5, the server's code and message in the record."""
    server.on("PUT", forever(answer(status, {"code": 4711, "message": "no such luck"})))
    result = set_state(retries=2)
    record = result.record
    assert (record["outcome"], result.exit) == ("refused", 5)
    assert (record["http_status"], record["code"], record["message"]) == (
        status,
        4711,
        "no such luck",
    )
    assert record["error"]["kind"] == "refused"
    assert record["content"] is None
    assert server.methods == ["PUT"]
    assert result.error["message"] == record["error"]["message"]
    assert str(status) in result.error["message"]


@pytest.mark.parametrize("status", [401, 403])
def test_refused_key(set_state, server, status):
    """401 and 403 are final: one request, exit 4."""
    server.on("PUT", forever(answer(status)))
    result = set_state(retries=2)
    assert (result.record["outcome"], result.exit) == ("unauthorized", 4)
    assert result.record["http_status"] == status
    assert result.error["kind"] == "unauthorized"
    assert server.methods == ["PUT"]


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html><body>no</body></html>", b"true", b"[]", b"\xff\xfe", b"{", b"null",
        b'{"errors": ["a", {"b": 1}], "message": "older shape", "status": 400}',
        b'{"code": "x", "message": {"a": 1}, "content": []}',
    ],
)  # fmt: skip
def test_error_status_decides_whatever_its_body(set_state, server, status, body):
    """The status of an error decides; a body of another shape changes only the message."""
    server.on("PUT", forever(answer(status, body)))
    result = set_state()
    assert result.exit == (4 if status in (401, 403) else 5)
    assert result.record["http_status"] == status
    assert server.methods == ["PUT"]


@pytest.mark.parametrize(
    ("status", "outcome"), [(302, "refused"), (400, "refused"), (401, "unauthorized")]
)
@pytest.mark.parametrize("broken", ["cut-short", "reset", "silent"])
def test_final_status_with_a_broken_body(set_state, server, status, outcome, broken):
    """A final status whose body breaks off is final, or in doubt, and never half of each."""
    after_it = {"cut-short": close, "reset": reset, "silent": silence}[broken]
    server.on("PUT", forever(then(answer(status, "{", length=1000), after_it)))
    result = set_state(timeout=0.5)
    record = result.record  # its exit code and its outcome agree
    assert record["outcome"] in (outcome, "unknown")
    assert record["error"]["kind"] == record["outcome"]
    assert server.methods == (["PUT", "GET"] if record["outcome"] == "unknown" else ["PUT"])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(set_state, server, other_server, status):
    """A redirect is refused, the message says where it points, and nobody else is asked."""
    where = f"{other_server.base_url}/commands/v0/status/an-id/"
    server.on("PUT", forever(redirect(status, where)))
    result = set_state(retries=2)
    assert (result.record["outcome"], result.exit) == ("refused", 5)
    assert result.record["http_status"] == status
    assert where in result.record["error"]["message"] + result.record["error"]["hint"]
    assert "base URL" in result.record["error"]["message"] + result.record["error"]["hint"]
    assert server.methods == ["PUT"]
    assert other_server.connections == 0


def test_redirect_of_the_read_back_is_not_followed(set_state, server, other_server):
    """A read-back that is redirected is one that cannot be read."""
    server.on("PUT", forever(answer(503)))
    server.on("GET", forever(redirect(302, other_server.base_url)))
    assert set_state().record["outcome"] == "unknown"
    assert other_server.connections == 0


@pytest.mark.parametrize("status", [300, 304])
def test_redirect_without_location(set_state, server, status):
    """A 3xx that points nowhere is refused all the same."""
    server.on("PUT", forever(answer(f"HTTP/1.1 {status} Odd", b"")))
    assert set_state().exit == 5
    assert server.methods == ["PUT"]


# Sent again as it is: 408, 429, what never reached the server.


@pytest.mark.parametrize(("status", "retries"), [(408, 1), (429, 2)])
def test_status_that_changed_nothing_is_sent_again(set_state, server, status, retries):
    """408 and 429 changed nothing: the same request leaves again after the backoff, unread."""
    server.on("PUT", *[answer(status)] * retries)
    record = set_state("--reason", "x", retries=retries).record
    assert (record["outcome"], record["confirmed"]) == ("updated", None)
    assert record["attempts"] == retries + 1
    assert server.methods == ["PUT"] * (retries + 1)
    assert len({each.body for each in server.puts}) == 1
    times = [each.at for each in server.puts]
    for attempt, (earlier, later) in enumerate(pairwise(times)):
        assert 0.2 * 2**attempt < later - earlier < 1.5 * 2**attempt


def test_408_used_up_is_refused(set_state, server):
    """408 until the attempts are used up ends as refused."""
    server.on("PUT", forever(answer(408, headers=AT_ONCE)))
    result = set_state(retries=1)
    assert (result.record["outcome"], result.exit) == ("refused", 5)
    assert result.record["attempts"] == 2
    assert server.methods == ["PUT", "PUT"]


def test_429_used_up_is_server_error(set_state, server):
    """429 until the attempts are used up ends as the server's failure."""
    server.on("PUT", forever(answer(429, headers=AT_ONCE)))
    result = set_state(retries=1)
    assert (result.record["outcome"], result.exit) == ("server_error", 6)
    assert (result.record["attempts"], result.record["http_status"]) == (2, 429)
    assert server.methods == ["PUT", "PUT"]


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_wins_over_the_backoff(set_state, server, as_date):
    """`Retry-After`, in seconds or as a date, says when the next attempt leaves."""
    wait = formatdate(server.now() + 2, usegmt=True) if as_date else "1"
    server.on("PUT", answer(429, headers=[("Retry-After", wait)]))
    assert set_state(retries=1).record["outcome"] == "updated"
    first, second = (each.at for each in server.puts)
    assert 0.9 < second - first < 3


@pytest.mark.parametrize(
    "wait", ["121", "3600", "9" * 400, formatdate(4102444800, usegmt=True)]
)  # fmt: skip
def test_long_retry_after_ends_the_attempts(set_state, server, wait):
    """A `Retry-After` above 120 s ends the attempts at once, and the error tells of it."""
    server.on("PUT", forever(answer(429, headers=[("Retry-After", wait)])))
    result = set_state(retries=3)
    assert (result.record["outcome"], result.exit) == ("server_error", 6)
    assert server.methods == ["PUT"]
    error = result.record["error"]
    assert re.search(r"wait|retry|again", error["message"] + error["hint"], re.IGNORECASE)
    assert result.seconds < 5


@pytest.mark.parametrize("status", [408, 429, 503])
def test_long_retry_after_is_named(set_state, server, status):
    """The error says how long the server asked to wait."""
    server.on("PUT", forever(answer(status, headers=[("Retry-After", "900")])))
    error = set_state(retries=1).record["error"]
    assert re.search(r"\b900\b|\b15 min", error["message"] + error["hint"])


@pytest.mark.parametrize("wait", ["-5", "", "nan", "inf", "1_0", "Mon, 99 Foo 2026", "\xb2"])
def test_junk_retry_after_leaves_the_backoff(set_state, server, wait):
    """A `Retry-After` that says nothing sensible neither stalls nor breaks anything."""
    server.on("PUT", answer(429, headers=[("Retry-After", wait)]))
    record = set_state(retries=1).record
    assert (record["outcome"], record["attempts"]) == ("updated", 2)
    first, second = (each.at for each in server.puts)
    assert second - first < 3


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_of_an_answer_cut_short(set_state, server, status):
    """A `Retry-After` counts although the body after it broke off: it came whole."""
    cut = answer(status, "{", [("Retry-After", "300")], length=500)
    server.on("PUT", forever(then_close(cut)))
    set_state(retries=1)
    assert server.methods.count("PUT") == 1


def test_retry_after_in_the_past(set_state, server):
    """A `Retry-After` date that is over does not stall the next attempt."""
    past = formatdate(server.now() - 60, usegmt=True)
    server.on("PUT", answer(429, headers=[("Retry-After", past)]))
    assert set_state(retries=1).record["outcome"] == "updated"
    first, second = (each.at for each in server.puts)
    assert second - first < 3


def test_refused_port(home, free_port):
    """Nobody listens: exit 7 after all attempts, and the record counts them."""
    result = home.run(
        "set", "an-id", "success", "-o", "json", "--retries", "1",
        env={"CMDSTAT_BASE_URL": f"http://127.0.0.1:{free_port}/api"},
    )  # fmt: skip
    assert (result.record["outcome"], result.exit) == ("unreachable", 7)
    assert (result.record["attempts"], result.record["http_status"]) == (2, None)
    assert result.error["kind"] == "unreachable"


def test_unknown_host(home):
    """A name that does not resolve: exit 7 after all attempts."""
    result = home.run(
        "set", "an-id", "success", "-o", "json", "--retries", "1",
        env={"CMDSTAT_BASE_URL": "https://no-such-host.invalid/api"},
    )  # fmt: skip
    assert (result.record["outcome"], result.exit) == ("unreachable", 7)
    assert result.record["attempts"] == 2
    assert "no-such-host.invalid" in result.error["message"]


@pytest.mark.parametrize(
    "host", ["a" * 64 + ".example", "a..example", ".example", "exa mple", "[::1"]
)
def test_host_that_cannot_be(home, host):
    """A host name that no resolver takes is said plainly: not a defect, no traceback."""
    result = home.run(
        "set", "an-id", "success", "-o", "json", "--retries", "0",
        env={"CMDSTAT_BASE_URL": f"https://{host}/api"},
    )  # fmt: skip
    assert result.exit in (2, 3, 7)


def test_plain_http_beyond_loopback(home):
    """`http://` to anywhere but loopback is a configuration error: the key stays here."""
    result = home.run(
        "set", "an-id", "success", "-o", "json",
        env={"CMDSTAT_BASE_URL": "http://192.0.2.1/api"},
    )  # fmt: skip
    assert result.exit == 3
    assert result.seconds < 5


# Doubtful answers: read back before anything else.

DOUBTFUL: dict[str, Step] = {
    "500": answer(500, headers=AT_ONCE),
    "502": answer(502, "<html>bad gateway</html>", AT_ONCE, media="text/html"),
    "503": busy,
    "504": answer(504, b"", AT_ONCE),
    "599": answer(599, headers=AT_ONCE),
    "201": answer(201, status_now, AT_ONCE),
    "202": answer(202, headers=AT_ONCE),
    "204": answer("HTTP/1.1 204 No Content", b"", AT_ONCE),
    "206": answer(206, status_now, AT_ONCE),
    "200-empty": answer(200, b"", AT_ONCE),
    "reset": reset,
    "close": close,
    "cut-short": then_close(answer(200, status_now, length=100_000)),
}
LINGERING = {name: step for name, step in DOUBTFUL.items() if not name.startswith("5")}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_applied_and_lost(set_state, server, name):
    """Applied, and the answer lost: one PUT, then a read that confirms it."""
    server.on("PUT", applied(DOUBTFUL[name]))
    record = set_state("--reason", "x", retries=1).record
    assert (record["outcome"], record["confirmed"], record["attempts"]) == ("updated", "read", 1)
    assert record["content"]["state"] == "Command Success"
    assert record["error"] is None
    assert server.methods.count("PUT") == 1
    assert set(server.methods[1:]) == {"GET"}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_not_applied_is_sent_again(set_state, server, name):
    """Not applied: read back, and sent again with the same body."""
    server.on("PUT", DOUBTFUL[name])
    record = set_state("--reason", "x", retries=1).record
    assert (record["outcome"], record["confirmed"], record["attempts"]) == ("updated", None, 2)
    assert_read_before_each_put(server)
    first, second = server.puts
    assert first.body == second.body
    if name in ("reset", "close", "cut-short"):
        assert 0.2 < second.at - first.at < 1.5


@pytest.mark.parametrize("name", DOUBTFUL)
def test_not_applied_and_used_up(set_state, server, name):
    """Used up: after a 5xx the server failed (6), after anything else it may still come (10)."""
    server.on("PUT", forever(DOUBTFUL[name]))
    result = set_state(retries=0)
    assert server.methods.count("PUT") == 1
    assert server.methods[-1] == "GET"
    if name in LINGERING:
        assert (result.record["outcome"], result.exit) == ("unknown", 10)
        assert "Command In Progress" in result.error["hint"]
    else:
        assert (result.record["outcome"], result.exit) == ("server_error", 6)
        assert result.record["http_status"] == int(name)
        assert result.error["kind"] == "server_error"


def test_silence_is_bounded_and_read_back(set_state, server):
    """A server that applies and never answers costs `--timeout`, and the read confirms it."""
    server.on("PUT", applied(silence))
    record = set_state(retries=1, timeout=0.5).record
    assert (record["outcome"], record["confirmed"], record["attempts"]) == ("updated", "read", 1)
    assert server.methods == ["PUT", "GET"]
    assert 450 < record["elapsed_ms"] < 4000


def test_silence_used_up_is_unknown(set_state, server):
    """Time-outs until the attempts are used up: unknown, and the read stands before each PUT."""
    server.on("PUT", forever(silence))
    result = set_state(retries=1, timeout=0.5)
    assert (result.record["outcome"], result.exit) == ("unknown", 10)
    assert (result.record["attempts"], result.record["http_status"]) == (2, None)
    assert_read_before_each_put(server)
    assert server.methods[-1] == "GET"
    hint = result.error["hint"]
    assert "Command In Progress" in hint
    assert "same command" in hint


def test_applied_after_the_time_out(set_state, server):
    """An update that takes effect after the time-out is found by the read, not repeated."""
    server.on("PUT", later_on(0.7, late_success, silence))
    record = set_state(retries=1, timeout=0.5).record
    assert (record["outcome"], record["confirmed"]) == ("updated", "read")
    assert server.methods.count("PUT") == 1


def late_success(server: FaultyServer) -> None:
    server.change(state="Command Success")


def test_reset_while_the_body_is_sent(home, server):
    """A reset in the middle of a large request is in doubt: read back, then sent again."""
    reason = "r" * 4_000_000
    server.on("PUT", reset_while_reading)
    result = home.run(
        "set",
        "an-id",
        "success",
        "--reason-file",
        "-",
        "-o",
        "json",
        "--retries",
        "1",
        input=reason,
    )
    assert result.record["outcome"] == "updated"
    assert result.record["attempts"] == 2
    assert_read_before_each_put(server)
    assert server.puts[-1].json["reason"] == reason


def test_reset_on_accept(set_state, server):
    """A connection that breaks before the server has read anything never ends as done or lost."""
    server.on("accept", reset)
    record = set_state(retries=1).record
    assert (record["outcome"], record["attempts"]) == ("updated", 2)
    assert server.methods.count("PUT") == 1


def test_connection_closed_at_its_reuse(set_state, server):
    """A kept connection that breaks when it is used again costs a try, not the certainty."""
    server.on("PUT", busy)
    server.on("GET", close)
    record = set_state(retries=1).record
    assert (record["outcome"], record["attempts"]) == ("updated", 2)
    assert server.methods == ["PUT", "GET", "GET", "PUT"]
    assert server.requests[0].connection == server.requests[1].connection


# 2. changed by somebody else.


@pytest.mark.parametrize("skew", SKEWS)
@pytest.mark.parametrize("change", [cancelled_by_somebody, progressed])
def test_changed_by_somebody_else(set_state, server, skew, change):
    """Changed after the first attempt, on the server's clock: nothing more is sent, unknown."""
    server.skew = skew
    server.reset_status()
    server.on("PUT", meanwhile(change, busy))
    result = set_state(retries=2)
    assert (result.record["outcome"], result.exit) == ("unknown", 10)
    assert (result.record["attempts"], server.methods.count("PUT")) == (1, 1)
    assert result.record["content"]["state"] == server.status["state"]
    assert server.status["state"] in result.error["hint"]
    assert "same command" in result.error["hint"]


@pytest.mark.parametrize("skew", SKEWS)
@pytest.mark.parametrize("state", ["Command Cancelled", "Command Initiated"])
def test_old_state_is_sent_over(set_state, server, skew, state):
    """What was there before the first attempt is nobody's change, final or not."""
    server.skew = skew
    server.reset_status(state=state, updated_at=server.timestamp(-9))
    server.on("PUT", busy)
    assert set_state(retries=1).record["outcome"] == "updated"
    assert_read_before_each_put(server)


@pytest.mark.parametrize("skew", SKEWS)
def test_five_seconds_of_slack(set_state, server, skew):
    """A change within 5 s before the first attempt counts as after it: clocks are not that good."""
    server.skew = skew
    server.reset_status(state="Command Initiated", updated_at=server.timestamp(-2))
    server.on("PUT", busy)
    assert set_state(retries=1).record["outcome"] == "unknown"
    assert server.methods.count("PUT") == 1


@pytest.mark.parametrize("offset", ["+05:30", "-08:00"])
def test_updated_at_in_another_time_zone(set_state, server, offset):
    """`updated_at` with an offset is the moment that it tells."""
    from datetime import datetime

    zone = datetime.fromisoformat(f"2026-01-01T00:00:00{offset}").tzinfo
    there = datetime.fromtimestamp(server.now() - 60, zone).isoformat()
    server.reset_status(state="Command Cancelled", updated_at=there)
    server.on("PUT", busy)
    assert set_state(retries=1).record["outcome"] == "updated"


@pytest.mark.parametrize(
    ("state", "updated_at"),
    [
        ("Command Failure", None),
        ("Command TimeOut", "yesterday"),
        ("Command Cancelled", 5),
        ("Command Failure", "2026-11-23"),
        ("Command TimeOut", ""),
        ("Command Cancelled", ["x"]),
        ("Command Failure", "9" * 5000),
    ],
)
def test_final_state_without_a_usable_time(set_state, server, state, updated_at):
    """Where `updated_at` does not tell, a final state counts as somebody else's."""
    server.reset_status(state=state, updated_at=updated_at)
    server.on("PUT", busy)
    result = set_state(retries=1)
    assert result.record["outcome"] == "unknown"
    assert state in result.error["hint"]
    assert server.methods.count("PUT") == 1


@pytest.mark.parametrize("updated_at", [None, "yesterday", {"a": 1}])
def test_other_state_without_a_usable_time(set_state, server, updated_at):
    """Where `updated_at` does not tell, a state that is not final does not stop a retry."""
    server.reset_status(updated_at=updated_at)
    server.on("PUT", busy)
    assert set_state(retries=1).record["outcome"] == "updated"
    assert_read_before_each_put(server)


@pytest.mark.parametrize("date", [False, "now", "Mon, 99 Foo 2026 25:00:00 GMT", "\xff"])
@pytest.mark.parametrize(
    ("state", "sent_again"), [("Command Failure", False), ("Command Queued", True)]
)
def test_no_usable_date(set_state, server, date, state, sent_again):
    """Without the server's clock a final state counts as somebody else's, another does not."""
    server.date = date
    server.reset_status(state=state)
    server.on("PUT", busy)
    record = set_state(retries=1).record
    assert record["outcome"] == ("updated" if sent_again else "unknown")
    assert server.methods.count("PUT") == 1 + sent_again


@pytest.mark.parametrize("change", [cancelled_by_somebody, progressed])
def test_changed_during_the_wait(set_state, server, change):
    """A change made while cmdstat waits to send again is seen before it sends."""
    server.on("PUT", later_on(0.6, change, answer(503, headers=[("Retry-After", "1")])))
    record = set_state(retries=1).record
    assert record["outcome"] == "unknown"
    assert server.methods.count("PUT") == 1
    assert record["content"]["state"] == server.status["state"]


def test_changed_between_two_doubtful_attempts(set_state, server):
    """A change that comes with the second failure is not overwritten by the third attempt."""
    server.on("PUT", busy, meanwhile(cancelled_by_somebody, busy))
    record = set_state(retries=2).record
    assert record["outcome"] == "unknown"
    assert server.methods.count("PUT") == 2
    assert server.status["state"] == "Command Cancelled"


def test_changed_while_a_later_attempt_is_limited(set_state, server):
    """Once one attempt was in doubt, no later one leaves unread, a 429 in between or not."""
    server.on("PUT", busy, meanwhile(cancelled_by_somebody, answer(429, headers=AT_ONCE)))
    record = set_state(retries=2).record
    assert record["outcome"] == "unknown"
    assert server.methods.count("PUT") == 2
    assert server.status["state"] == "Command Cancelled"


@pytest.mark.parametrize("final", ["Command Success", "Command Failure"])
def test_same_state_by_somebody_else_counts_as_done(set_state, server, final):
    """What shows what was asked for is done, whoever did it; another final state is not."""
    server.on("PUT", meanwhile(lambda s: s.change(state=final), busy))
    record = set_state().record
    assert record["outcome"] == ("updated" if final == "Command Success" else "unknown")


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (["--reason", "mine"], "unknown"),
        ([], "updated"),
        (["--reason", "by somebody else"], "updated"),
    ],
)
def test_reason_counts_as_far_as_it_was_given(set_state, server, given, outcome):
    """The read-back compares state and reason as far as they were given, no further."""
    changed = {"state": "Command Success", "reason": "by somebody else"}
    server.on("PUT", meanwhile(lambda s: s.change(**changed), busy))
    assert set_state(*given, retries=1).record["outcome"] == outcome
    assert server.methods.count("PUT") == 1


def test_reason_alone_is_read_back(home, server):
    """An update of the reason alone is confirmed by the reason alone."""
    server.on("PUT", applied(answer(500, headers=AT_ONCE)))
    record = home.run("set", "an-id", "--reason", "why", "-o", "json", "--retries", "0").record
    assert (record["outcome"], record["confirmed"]) == ("updated", "read")


def test_own_earlier_update_is_not_somebody_elses(set_state, server):
    """What the journal recorded last for this id, unchanged, is our own: sent again."""
    assert set_state("--reason", "first", state="in-progress").exit == 0
    server.on("PUT", busy)
    record = set_state(retries=1).record
    assert (record["outcome"], record["attempts"]) == ("updated", 2)
    assert server.methods == ["PUT", "PUT", "GET", "PUT"]


def test_own_earlier_update_learned_by_reading(set_state, server):
    """An update of our own that a read confirmed is our own doing as well."""
    server.on("PUT", applied(busy), busy)
    assert set_state("--reason", "first", state="in-progress").record["confirmed"] == "read"
    assert set_state(retries=1).record["outcome"] == "updated"


def test_own_earlier_final_state_without_a_time(set_state, server):
    """Our own final state is our own where no `updated_at` tells it apart, too."""
    server.on("PUT", applied(meanwhile(without_its_time, show)))
    assert set_state(state="failure").exit == 0
    server.on("PUT", busy)
    assert set_state(retries=1).record["outcome"] == "updated"
    assert server.methods == ["PUT", "PUT", "GET", "PUT"]


def without_its_time(server: FaultyServer) -> None:
    del server.status["updated_at"]


def test_change_after_our_own_update(set_state, server):
    """Changed since our own earlier update: somebody else's, even within the same second."""
    assert set_state(state="in-progress").exit == 0
    server.on("PUT", meanwhile(progressed, busy))
    assert set_state(retries=1).record["outcome"] == "unknown"
    assert server.methods == ["PUT", "PUT", "GET"]


def test_update_of_another_run_meanwhile_is_a_later_state(home, set_state, server):
    """What another run of cmdstat did during our attempt is a later state, and not sent over."""
    server.on("PUT", after(1.0, busy))
    ours = home.start(*set_args(retries=1))
    server.wait_for(1)
    assert set_state(state="failure").exit == 0
    record = ours.wait().record
    assert record["outcome"] == "unknown"
    assert server.status["state"] == "Command Failure"


def test_own_update_of_another_server_is_not_ours(set_state, server, other_server):
    """What the journal recorded for the same id elsewhere says nothing about this server."""
    other_server.status = server.status = server.status | {"updated_at": server.timestamp()}
    other_server.on("PUT", forever(show))
    assert set_state(env={"CMDSTAT_BASE_URL": other_server.base_url}).exit == 0
    server.on("PUT", busy)
    assert set_state(retries=1).record["outcome"] == "unknown"
    assert server.methods.count("PUT") == 1


# 4. it cannot be read.


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_status_cannot_be_read(set_state, server, status):
    """A read-back that is refused or fails leaves the update unknown, and nothing is sent again."""
    server.on("PUT", forever(busy))
    server.on("GET", forever(answer(status, headers=AT_ONCE)))
    result = set_state(retries=1)
    assert (result.record["outcome"], result.exit) == ("unknown", 10)
    assert result.record["content"] is None
    assert server.methods.count("PUT") == 1
    assert server.methods.count("GET") <= 4
    assert "same command" in result.error["hint"]


@pytest.mark.parametrize("get", [silence, reset, close], ids=["silence", "reset", "close"])
def test_read_back_breaks(set_state, server, get):
    """A read-back that never comes back leaves the update unknown, in bounded time."""
    server.on("PUT", forever(applied(answer(500, headers=AT_ONCE))))
    server.on("GET", forever(get))
    result = set_state(timeout=0.5)
    assert result.record["outcome"] == "unknown"
    assert server.methods.count("PUT") == 1
    assert result.seconds < 5


@pytest.mark.parametrize(
    "get",
    [answer(500, headers=AT_ONCE), answer(429, headers=AT_ONCE), reset],
    ids=["500", "429", "reset"],
)
def test_read_back_fails_once(set_state, server, get):
    """A read-back is tried again like any request that may pass."""
    server.on("PUT", applied(answer(500, headers=AT_ONCE)))
    server.on("GET", get)
    record = set_state(retries=2).record
    assert (record["outcome"], record["confirmed"]) == ("updated", "read")
    assert server.methods == ["PUT", "GET", "GET"]


# Several failures in a row.


@pytest.mark.parametrize("status", [400, 503])
def test_a_time_out_stays_in_doubt(set_state, server, status):
    """No later failure talks away that the first attempt may still take effect."""
    server.on("PUT", silence, forever(answer(status)))
    result = set_state(retries=1, timeout=0.5)
    assert (result.record["outcome"], result.exit) == ("unknown", 10)
    assert_read_before_each_put(server)


@pytest.mark.parametrize("status", [302, 400, 401, 404, 408, 429, 500])
def test_an_unusable_2xx_stays_in_doubt(set_state, server, status):
    """The same for an attempt that was answered, but not by what says that it is done."""
    server.on("PUT", answer(202, headers=AT_ONCE), forever(answer(status)))
    result = set_state(retries=1)
    assert (result.record["outcome"], result.exit) == ("unknown", 10)
    assert_read_before_each_put(server)


def test_a_time_out_and_then_nobody_there(set_state, server):
    """A server that goes away after a time-out leaves the update unknown, not unreachable."""
    server.on("PUT", meanwhile(lambda s: s.stop_listening(), silence))
    result = set_state(retries=1, timeout=0.5)
    assert (result.record["outcome"], result.exit) == ("unknown", 10)


def test_applied_although_the_repeat_was_refused(set_state, server):
    """The first attempt takes effect after all, the repeat is refused for it: it is updated."""
    server.on("PUT", silence, meanwhile(late_success, answer(400)))
    record = set_state(retries=1, timeout=0.5).record
    assert (record["outcome"], record["confirmed"]) == ("updated", "read")


def test_5xx_and_then_limited(set_state, server):
    """A 5xx, read as unchanged, and then 429 to the end is the server's failure."""
    server.on("PUT", busy, forever(answer(429, headers=AT_ONCE)))
    assert set_state(retries=1).record["outcome"] == "server_error"
    assert_read_before_each_put(server)


def test_unreachable_and_then_applied_and_lost(home, server):
    """Attempts that never arrived and one that was lost: the read settles it."""
    server.on("PUT", answer(429, headers=AT_ONCE), applied(reset))
    record = home.run("set", "an-id", "success", "-o", "json", "--retries", "1").record
    assert (record["outcome"], record["confirmed"], record["attempts"]) == ("updated", "read", 2)


def test_long_retry_after_on_a_doubtful_answer(set_state, server):
    """A 503 that asks for more than 120 s ends the attempts, but not before a read."""
    server.on("PUT", forever(answer(503, headers=[("Retry-After", "121")])))
    result = set_state(retries=2)
    assert result.record["outcome"] == "server_error"
    assert server.methods == ["PUT", "GET"]
    server.on("PUT", applied(answer(503, headers=[("Retry-After", "121")])))
    assert set_state(retries=2).record["confirmed"] == "read"


def test_retry_after_on_a_doubtful_answer(set_state, server):
    """A 503 that asks for a second gets it, and a read right before the next attempt."""
    server.on("PUT", answer(503, headers=[("Retry-After", "1")]))
    assert set_state(retries=1).record["outcome"] == "updated"
    first, second = server.puts
    assert 0.95 < second.at - first.at < 3
    assert_read_before_each_put(server)


def test_retries_default_to_three(home, server):
    """Without `--retries` there are four attempts."""
    server.on("PUT", forever(answer(429, headers=[("Retry-After", "0")])))
    record = home.run("set", "an-id", "success", "-o", "json").record
    assert (record["outcome"], record["attempts"]) == ("server_error", 4)
    assert len(server.puts) == 4


# The rest of the conduct.


@pytest.mark.parametrize("variable", ["HOME", "NETRC"])
def test_netrc_does_not_replace_the_key(home: Home, server, variable):
    """A `netrc` entry for the host changes nothing: the key is what leaves, in reads too."""
    file = home.path / (".netrc" if variable == "HOME" else "elsewhere")
    file.write_text("machine 127.0.0.1 login somebody password else\ndefault login a password b\n")
    file.chmod(0o600)
    env = {"NETRC": str(file)} if variable == "NETRC" else {}
    server.on("PUT", busy)
    assert home.run("set", "an-id", "success", "-o", "json", env=env).exit == 0
    assert {each.headers["authorization"] for each in server.requests} == {f"Bearer {KEY}"}


def test_verbose_redacts_the_key(set_state, server):
    """`-v` tells of requests, answers and retries on stderr, and never of the key."""
    server.on("PUT", answer(503, headers=[*AT_ONCE, ("X-Echo", f"Bearer {KEY}")]))
    result = set_state("-v", retries=1)
    assert result.record["outcome"] == "updated"
    assert "PUT" in result.stderr
    assert "503" in result.stderr
    assert "GET" in result.stderr


@pytest.mark.parametrize("where", ["reason", "message", "unknown", "html"])
@pytest.mark.parametrize("status", [200, 400, 503])
def test_echoed_key_is_redacted(set_state, server, home, where, status):
    """A key that the server echoes is shown nowhere, and kept nowhere."""
    content = dict(server.status, state="Command Success", **{where: f"Bearer {KEY}."})
    body = {"code": 1, "message": f"saw {KEY}" if where == "message" else "OK", "content": content}
    echo = f"<p>{KEY}</p>" if where == "html" else body
    server.on("PUT", forever(answer(status, echo)))
    server.on("GET", forever(answer(200, body)))
    set_state()
    assert home.files_with(KEY) == []


def test_echoed_key_in_a_redirect_is_redacted(set_state, server):
    """A redirect whose address holds the key is told of without it."""
    server.on("PUT", forever(redirect(302, f"https://login.example/?token={KEY}")))
    result = set_state()
    assert "login.example" in result.stdout


@pytest.mark.parametrize("key", ["ключ-ключ-ключ", "two\nlines-of-a-key", "bell\x07-in-a-key"])
def test_key_that_no_header_can_carry(home, server, key):
    """A key that is not printable ASCII is exit 3, nothing is sent, and it is not repeated."""
    result = home.run("set", "an-id", "success", env={"CMDSTAT_API_KEY": key})
    assert result.exit == 3
    assert key not in result.stdout + result.stderr
    assert server.connections == 0


@pytest.mark.parametrize("end", ["/", "//"])
def test_base_url_may_end_in_slashes(set_state, server, end):
    """A base URL that ends in a slash makes no other address of it."""
    assert set_state(env={"CMDSTAT_BASE_URL": server.base_url + end}).exit == 0
    assert server.puts[0].path == "/api/commands/v0/status/an-id/"


@pytest.mark.parametrize("user", ["user:pa55word@", ""])
@pytest.mark.parametrize("end", ["", "?x=y", "#z"])
def test_base_url_with_more_in_it(set_state, server, user, end):
    """A base URL with a user, a query or a fragment is refused, or they change nothing."""
    base_url = server.base_url.replace("//", "//" + user) + end
    result = set_state(env={"CMDSTAT_BASE_URL": base_url})
    assert result.exit in (0, 2, 3)
    assert "pa55word" not in result.stdout + result.stderr
    for each in server.requests:
        assert each.path == "/api/commands/v0/status/an-id/"
        assert each.headers["authorization"] == f"Bearer {KEY}"


def test_reason_that_is_no_text(set_state, server):
    """A reason that is not UTF-8 is a usage error, and no request leaves."""
    assert set_state("--reason", "caf\udce9").exit == 2
    assert server.connections == 0


def test_waiting_is_told_on_a_terminal(home, server):
    """On a terminal, a wait of more than a second says why, and which attempt of how many."""
    server.on("PUT", answer(503, headers=[("Retry-After", "2")]))
    shown = home.run("set", "an-id", "success", "--retries", "1", tty=True)
    assert shown.exit == 0
    assert re.search(r"503.*attempt 2 of 2", shown.stdout)
    assert "Command Success" in shown.stdout


def test_key_of_a_profile_stays_with_its_address(home, server, other_server):
    """A profile's key does not leave for another address that `CMDSTAT_BASE_URL` names."""
    none = {"CMDSTAT_BASE_URL": None, "CMDSTAT_API_KEY": None}
    key = "profile-key-0123456789"
    added = home.run(
        "profile", "add", "prod", "--base-url", server.base_url, "--api-key-stdin",
        env=none, input=key,
    )  # fmt: skip
    assert added.exit == 0
    env = {"CMDSTAT_BASE_URL": other_server.base_url, "CMDSTAT_API_KEY": None}
    result = home.run("set", "an-id", "success", "-o", "json", env=env)
    assert result.exit == 3
    assert "CMDSTAT_API_KEY" in result.error["message"] + result.error["hint"]
    assert (server.connections, other_server.connections) == (0, 0)
    assert home.run("set", "an-id", "success", env=none).exit == 0
    assert server.requests[0].headers["authorization"] == f"Bearer {key}"


def test_text_output_names_what_happened(home, server):
    """Without `-o json` the same ending is told in words on stderr; the exit code is the same."""
    server.on("PUT", meanwhile(cancelled_by_somebody, answer(503)))
    result = home.run("set", "an-id", "success", "--retries", "0")
    assert result.exit == 10
    assert "Command Cancelled" in result.stderr
    assert "same command" in result.stderr


def test_answer_within_the_time_out_is_awaited(set_state, server):
    """An answer that takes its time, but less than `--timeout`, is simply the answer."""
    server.on("PUT", after(0.6, behave))
    record = set_state(timeout=5).record
    assert (record["outcome"], record["confirmed"]) == ("updated", None)
    assert record["elapsed_ms"] >= 600
