"""Answers that no server should give: none of them is reported as success, none brings cmdstat
down, costs it its memory or its patience, and nothing in them reaches the terminal raw."""

from __future__ import annotations

import json
import re

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
    chunked,
    dripping,
    endless,
    envelope,
    forever,
    gzip_bomb,
    raw,
    redirect,
    send,
    show,
    status_now,
    then,
    then_close,
)

MIB = 1 << 20
MEMORY = 130.0
"""MiB that a run may use at its peak; the Python process that runs the tests counts in."""

GOOD = b'{"code": 200, "message": "OK", "content": {"id": "an-id", "state": "Command Success"}}'
GOOD_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED_HEAD = GOOD_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
STEERING = "\x1b[2J\x1b]0;title\x07\x9b31m\x7f\u202eesrever\u2066\u200f\r\x00\u2028[red]x[/red][/x]"


def _sized(size: int) -> bytes:
    start, end = GOOD.split(b'"an-id"')
    return start + b'"an-id", "reason": "' + b"x" * (size - len(GOOD) - 14) + b'"' + end


BODIES: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \r\n\t",
    "html": b"<!doctype html><html><body><h1>Welcome</h1></body></html>",
    "true": b"true",
    "null": b"null",
    "string": b'"Command Success"',
    "array": b"[]",
    "NaN": b"NaN",
    "NaN-inside": GOOD[:-2] + b', "n": NaN}}',
    "Infinity-inside": GOOD[:-2] + b', "n": -Infinity}}',
    "bad-utf-8": GOOD.replace(b"OK", b"\xff\xfe"),
    "utf-16": GOOD.decode().encode("utf-16"),
    "latin-1": GOOD.replace(b"OK", "déjà".encode("latin-1")),
    "no-content": b'{"code": 200, "message": "OK"}',
    "content-null": b'{"code": 200, "message": "OK", "content": null}',
    "content-array": b'{"code": 200, "message": "OK", "content": []}',
    "content-string": b'{"code": 200, "message": "OK", "content": "Command Success"}',
    "content-true": b'{"code": 200, "message": "OK", "content": true}',
    "two-documents": GOOD + GOOD,
    "trailing-comma": GOOD[:-1] + b",}",
    "cut-in-a-string": GOOD[:-8],
    "raw-control-in-string": GOOD.replace(b"OK", b"O\x1b[31mK"),
    "deep-arrays": b"[" * 200_000,
    "deep-objects": b'{"content":' * 100_000 + b"1" + b"}" * 100_000,
    "deep-inside": GOOD[:-2] + b', "m": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}",
    "more-than-16-MiB": _sized(16 * MIB + 1),
}  # fmt: skip


def assert_not_done(server: FaultyServer, set_state, **options) -> dict:
    """The update is applied and never confirmed: unknown, after one PUT, and no memory eaten."""
    result = set_state(**options)
    record = result.record
    assert (record["outcome"], result.exit) == ("unknown", 10), result.describe()
    assert server.methods.count("PUT") == 1
    assert set(server.methods[1:]) <= {"GET"}
    assert result.error["kind"] == "unknown"
    assert "\n" not in record["error"]["message"]
    assert len(record["error"]["message"]) < 1000
    assert result.memory < MEMORY
    return record


@pytest.mark.parametrize("name", BODIES)
def test_useless_200_is_never_success(set_state, server, name):
    """A 200 whose body says nothing, to the PUT and to every read: unknown, exit 10."""
    server.on("PUT", forever(applied(answer(200, BODIES[name]))))
    server.on("GET", forever(answer(200, BODIES[name])))
    record = assert_not_done(server, set_state)
    assert "200" in record["error"]["message"]


@pytest.mark.parametrize("name", ["html", "NaN", "no-content", "deep-arrays", "bad-utf-8"])
def test_useless_200_is_read_back(set_state, server, name):
    """A useless 200 to the PUT alone: the read tells that it was applied."""
    server.on("PUT", applied(answer(200, BODIES[name], AT_ONCE)))
    record = set_state(retries=1).record
    assert (record["outcome"], record["confirmed"]) == ("updated", "read")
    assert server.methods == ["PUT", "GET"]


@pytest.mark.parametrize("name", ["html", "bad-utf-8", "latin-1", "utf-16"])
def test_useless_body_is_quoted_harmlessly(set_state, server, name):
    """The message quotes the first 200 harmless characters of what came."""
    server.on("PUT", forever(applied(answer(200, BODIES[name] + b"A" * 500 + b"tail-of-it"))))
    server.on("GET", forever(answer(200, b"")))
    record = assert_not_done(server, set_state)
    assert "tail-of-it" not in record["error"]["message"]
    if name == "html":
        assert "Welcome" in record["error"]["message"]


def test_error_that_never_ends(set_state, server):
    """An error whose body never ends has bounded memory, and an ending that is one thing."""
    head = b"HTTP/1.1 400 Bad\r\nConnection: close\r\n\r\n{"
    server.on("PUT", forever(endless(b" " * MIB, head)))
    result = set_state(timeout=5)
    assert result.record["outcome"] in ("refused", "unknown")
    assert result.memory < MEMORY
    assert result.seconds < 10


def test_16_mib_are_read(set_state, server):
    """A good answer of exactly 16 MiB is one."""
    server.on("PUT", applied(answer(200, _sized(16 * MIB))))
    record = set_state().record
    assert (record["outcome"], record["confirmed"]) == ("updated", None)
    assert len(record["content"]["reason"]) > 15 * MIB


BROKEN: dict[str, Step] = {
    "http-0.9": raw(GOOD),
    "garbage": raw(b"\x16\x03\x01\x02\x00" + bytes(range(256)) * 4),
    "ssh": raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "half-a-status-line": raw(b"HTTP/1.1 2"),
    "no-status": raw(b"HTTP/1.1\r\n\r\n" + GOOD),
    "status-of-letters": raw(b"HTTP/1.1 2OO OK\r\n\r\n" + GOOD),
    "status-0": raw(b"HTTP/1.1 000 OK\r\n\r\n" + GOOD),
    "status-negative": raw(b"HTTP/1.1 -20 OK\r\n\r\n" + GOOD),
    "status-999": raw(b"HTTP/1.1 999 Odd\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD),
    "status-2000": raw(b"HTTP/1.1 2000 OK\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD),
    "headers-only": raw(GOOD_HEAD),
    "half-a-header": raw(GOOD_HEAD + b"Content-Len"),
    "cut-short": raw(GOOD_HEAD + b"Content-Length: 5000\r\n\r\n" + GOOD),
    "cut-short-by-reset": raw(GOOD_HEAD + b"Content-Length: 5000\r\n\r\n" + GOOD, reset_after=True),
    "cut-short-inside": raw(GOOD_HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD[:-9]),
    "cut-without-length": raw(GOOD_HEAD + b"Connection: close\r\n\r\n" + GOOD[:-2]),
    "length-too-small": raw(GOOD_HEAD + b"Content-Length: 40\r\n\r\n" + GOOD),
    "two-lengths": raw(GOOD_HEAD + b"Content-Length: 40\r\nContent-Length: 41\r\n\r\n" + GOOD),
    "chunks-cut-in-a-chunk": chunked(end=b"ff\r\n" + GOOD),
    "chunks-without-their-end": chunked(GOOD, end=b""),
    "chunk-size-of-letters": chunked(end=b"zz\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    "chunk-size-negative": chunked(end=b"-5\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    "chunk-size-huge": chunked(end=b"f" * 300 + b"\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    "chunk-line-endless": chunked(end=b"5;" + b"x" * 70_000),
    "gzip-that-is-none": answer(200, GOOD, [("Content-Encoding", "gzip")]),
    "gzip-cut-short": then_close(
        answer(200, gzip_bomb(1)[:500], [("Content-Encoding", "gzip")], length=9000)
    ),
    "deflate-that-is-none": answer(200, GOOD, [("Content-Encoding", "deflate")]),
    "many-headers": raw(GOOD_HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + b"\r\n"),
    "long-header": raw(GOOD_HEAD + b"X: " + b"y" * 200_000 + b"\r\n\r\n"),
    "long-status-line": raw(b"HTTP/1.1 200 " + b"O" * 200_000 + b"\r\n\r\n" + GOOD),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_http_is_never_success(set_state, server, name):
    """An answer that is no HTTP, or whose framing is broken: unknown, exit 10, no traceback."""
    server.on("PUT", forever(applied(BROKEN[name])))
    server.on("GET", forever(BROKEN[name]))
    assert_not_done(server, set_state, timeout=2)


@pytest.mark.parametrize("name", ["http-0.9", "two-lengths", "gzip-that-is-none"])
def test_broken_http_is_read_back(set_state, server, name):
    """A broken answer to the PUT alone: the read tells that it was applied."""
    server.on("PUT", applied(BROKEN[name]))
    record = set_state(retries=1).record
    assert (record["outcome"], record["confirmed"]) == ("updated", "read")
    assert server.methods == ["PUT", "GET"]


@pytest.mark.parametrize(
    "step",
    [
        chunked(GOOD[:30], GOOD[30:]),
        raw(GOOD_HEAD + b"Connection: close\r\n\r\n" + GOOD),
        raw(b"HTTP/1.0 200\r\n\r\n" + GOOD),
        raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + GOOD_HEAD + b"Connection: close\r\n\r\n" + GOOD),
        answer(200, GOOD, media="text/html"),
        answer(200, b"\xef\xbb\xbf" + GOOD),
    ],
    ids=["chunked", "no-length", "http-1.0", "100-continue", "called-html", "bom"],
)
def test_unusual_but_whole(set_state, server, step):
    """An answer in an unusual frame, but whole, is an update, by itself or by a read."""
    server.on("PUT", applied(step))
    assert set_state().record["outcome"] == "updated"
    assert server.methods.count("PUT") == 1


@pytest.mark.parametrize("status", [102, 103])
def test_interim_answer(set_state, server, status):
    """An interim answer is not the answer: what follows it, or a read, decides."""
    server.on("PUT", then(send(b"HTTP/1.1 %d Soon\r\n\r\n" % status), behave))
    assert set_state(retries=1).record["outcome"] == "updated"
    assert server.methods.count("PUT") == 1


@pytest.mark.parametrize("status", [101, 102, 103])
def test_late_answer_is_not_taken_for_a_later_one(set_state, server, status):
    """An answer that comes after an interim one is never taken for that of the next request."""
    interim = send(b"HTTP/1.1 %d Soon\r\nRetry-After: 0\r\n\r\n" % status)
    server.on("PUT", then(interim, after(0.3, busy)), forever(after(0.1, answer(400))))
    server.on("GET", forever(after(0.1, show)))
    assert set_state(retries=3).exit != 0
    assert server.status["state"] == "Command In Progress"


SLOW: dict[str, Step] = {
    "dripping-all": dripping(0.1),
    "dripping-body": dripping(0.1, body_only=True),
    "endless-100-continue": endless(b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.02),
    "fast-100-continue": endless(b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "endless-status-line": endless(b"H", b"HTTP/1.1 200 O", pause=0.05),
    "endless-headers": endless(b"X: y\r\n", GOOD_HEAD, pause=0.05),
    "endless-chunks": endless(b"1\r\n \r\n", CHUNKED_HEAD, pause=0.05),
    "endless-blanks": endless(b" ", GOOD_HEAD + b"\r\n", pause=0.05),
    "slow-redirect": endless(b" ", b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", pause=0.05),
    "slow-error": endless(b" ", b"HTTP/1.1 503 Busy\r\n\r\n", pause=0.05),
}  # fmt: skip


@pytest.mark.parametrize("name", SLOW)
def test_slow_answer_is_bounded_by_the_time_out(set_state, server, name):
    """`--timeout` is wall-clock time for one attempt, however busily the server drips."""
    server.on("PUT", applied(SLOW[name]))
    result = set_state(timeout=0.5)
    if name == "slow-redirect":
        assert result.record["outcome"] in ("updated", "refused")
    else:
        assert (result.record["outcome"], result.record["confirmed"]) == ("updated", "read")
    assert server.methods.count("PUT") == 1
    assert result.record["elapsed_ms"] < 2500
    assert result.memory < MEMORY


@pytest.mark.parametrize("name", ["dripping-body", "endless-chunks", "fast-100-continue"])
def test_slow_read_back_is_bounded_too(set_state, server, name):
    """A read-back that drips is one that cannot be read, in bounded time."""
    server.on("PUT", forever(applied(answer(503))))
    server.on("GET", forever(SLOW[name]))
    result = set_state(timeout=0.5)
    assert (result.record["outcome"], result.exit) == ("unknown", 10)
    assert result.record["elapsed_ms"] < 4000


LARGE: dict[str, Step] = {
    "gzip-bomb": answer(200, gzip_bomb(2000), [("Content-Encoding", "gzip")]),
    "gzip-bomb-chunked": chunked(gzip_bomb(300), end=b""),
    "gzip-bomb-twice": answer(200, gzip_bomb(2000), [("Content-Encoding", "gzip, gzip")]),
    "endless-body": endless(b" " * MIB, GOOD_HEAD + b"\r\n"),
    "endless-array": endless(b"[[],{}," * 100_000, GOOD_HEAD + b"\r\n["),
    "claims-much": raw(GOOD_HEAD + b"Content-Length: 99999999999999999999\r\n\r\n" + GOOD),
    "endless-error": endless(b"x" * MIB, b"HTTP/1.1 503 Busy\r\n\r\n"),
    "endless-201": endless(b"x" * MIB, b"HTTP/1.1 201 Made\r\n\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_large_answer_has_bounded_memory(set_state, server, name):
    """However much comes, or unpacks, at most 16 MiB are looked at; then the read decides."""
    server.on("PUT", applied(LARGE[name]))
    result = set_state(timeout=8)
    assert (result.record["outcome"], result.record["confirmed"]) == ("updated", "read")
    assert server.methods.count("PUT") == 1
    assert result.memory < MEMORY
    assert result.seconds < 8


@pytest.mark.parametrize("name", ["gzip-bomb", "endless-body"])
def test_large_redirect_has_bounded_memory(set_state, server, name):
    """The body of a redirect is not worth reading: bounded, and an ending that is one thing."""
    head = b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\n"
    if name == "gzip-bomb":
        bomb = gzip_bomb(2000)
        step = raw(
            head + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb
        )
    else:
        step = endless(b" " * MIB, head + b"\r\n")
    server.on("PUT", forever(step))
    result = set_state(timeout=8)
    assert result.record["outcome"] in ("refused", "unknown")
    assert result.memory < MEMORY
    assert result.seconds < 8


def _with(fields: bytes) -> bytes:
    """The good answer with more fields in its content, raw."""
    return GOOD.replace(b'"an-id"', b'"an-id", ' + fields)


STEERING_EVERYWHERE = envelope(
    {
        **dict.fromkeys(("id", "request", "device", "state", "reason"), STEERING),
        **dict.fromkeys(("created_at", "updated_at", STEERING), STEERING),
        "command_meta": {"result": {STEERING: [STEERING]}},
    },
    message=STEERING,
)
STEERING_UNESCAPED = envelope({"state": "Command Success", "reason": "\u202e\u2066\x9b31m\x7f[/x]"})

ODD: dict[str, bytes] = {
    "lone-surrogate": _with(rb'"reason": "\ud800 and \udfff"'),
    "surrogate-in-a-name": _with(rb'"\udc9b": 1'),
    "surrogate-in-the-state": GOOD.replace(b"Command Success", rb"\udc1b"),
    "surrogate-in-the-message": GOOD.replace(b"OK", rb"\ud800"),
    "huge-integer": _with(b'"n": ' + b"9" * 3000),
    "huger-integer": _with(b'"n": ' + b"9" * 30_000),
    "huge-code": GOOD.replace(b"200", b"9" * 3000),
    "65-bit-code": GOOD.replace(b"200", b"18446744073709551616"),
    "1e400": _with(b'"n": 1e400'),
    "minus-1e400": _with(b'"n": [-1e400]'),
    "1e400-as-code": GOOD.replace(b"200", b"1e400"),
    "code-true": GOOD.replace(b"200", b"true"),
    "code-float": GOOD.replace(b"200", b"200.0"),
    "duplicate-content": GOOD[:-1] + b', "content": {"state": "Command Failure"}}',
    "duplicate-content-null": GOOD[:-1] + b', "content": null}',
    "duplicate-state": _with(b'"state": "Command Failure"'),
    "fields-of-other-types": b'{"content": {"id": 5, "request": [], "device": {}, "state": true,'
    b' "reason": 1.5, "created_at": {"a": 1}, "updated_at": [], "command_meta": "x"}}',
    "state-as-object": GOOD.replace(b'"Command Success"', b'{"name": "Command Success"}'),
    "meta-of-odd-shape": _with(b'"command_meta": {"result": [1, [2], {"a": null}]}'),
    "meta-of-odd-values": _with(
        b'"command_meta": {"result": {"is_downloaded": "maybe", "download_percent_complete": -1e300'
        b', "product_key": [{}], "status": null, "download_size": "x"}}'
    ),
    "meta-of-odd-sizes": _with(
        b'"command_meta": {"result": [{"download_size": 1e308, "is_critical": 7},'
        b' {"download_size": -5}, {"download_size": true}]}'
    ),
    "steering": json.dumps(STEERING_EVERYWHERE).encode(),
    "steering-unescaped": json.dumps(STEERING_UNESCAPED, ensure_ascii=False).encode(),
    "dates-out-of-range": _with(
        b'"created_at": "0001-01-01T00:00:00+23:59", "updated_at": "9999-12-31T23:59:59-23:59"'
    ),
    "long-words": _with(b'"reason": "' + b"w" * 100_000 + b'"'),
    "100-deep": _with(b'"command_meta": {"result": ' + b'[{"a":' * 50 + b"1" + b"}]" * 50 + b"}"),
}


@pytest.mark.parametrize(
    ("name", "output"),
    [
        *((name, output) for name in ODD for output in ("json", "table")),
        *((name, "csv") for name in ("lone-surrogate", "steering", "huge-integer", "100-deep")),
    ],
)
def test_odd_but_well_formed(home, server, name, output):
    """JSON that is well-formed and odd ends as an update or as unknown, in every output."""
    server.on("PUT", applied(answer(200, ODD[name])))
    server.on("GET", forever(answer(200, ODD[name])))
    result = home.run("set", "an-id", "success", "-o", output, "--retries", "0")
    assert result.exit in (0, 10), result.describe()
    assert server.methods.count("PUT") == 1
    if output == "json":
        assert result.record["outcome"] in ("updated", "unknown")
    assert [each["outcome"] for each in home.journal()] == [
        "updated" if result.exit == 0 else "unknown"
    ]


STEERING_IN_LATIN_1 = STEERING.encode("latin-1", "ignore").decode("latin-1").replace("\r", "")

HEADERS: dict[str, list[tuple[str, str]]] = {
    "cookies": [("Set-Cookie", f"a{n}=b; Domain=.; Expires=junk; Path=\x01") for n in range(50)],
    "encodings": [("Content-Encoding", "br, zstd, unheard-of")],
    "identity": [("Content-Encoding", "identity")],
    "date-twice": [("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("Date", "junk")],
    "steering": [("X-Steer", STEERING_IN_LATIN_1)],
    "no-colon": [("Broken header without a colon\r\nX", "y")],
    "folded": [("X", "a\r\n folded")],
    "type": [("Content-Type", "application/json; charset=unheard-of")],
}


@pytest.mark.parametrize("name", HEADERS)
def test_odd_headers(set_state, server, name):
    """Odd headers around a good answer end as an update or as unknown, told or shown harmlessly."""
    server.on("PUT", applied(answer(200, status_now, HEADERS[name])))
    server.on("GET", answer(200, status_now, HEADERS[name]))
    result = set_state("-v")
    assert result.exit in (0, 10), result.describe()
    assert server.methods.count("PUT") == 1


@pytest.mark.parametrize(
    "location",
    [
        "", "http://[::1", "http://[", "//", "\\\\x\\y", "http://" + "a" * 3000 + "/", "\xff\xfe",
        "http://x:99999999/", "ht!tp://\x1b[31m\x9b/[/x]", "?" + "q" * 60_000, "http://\xc3\xa9/é",
        "javascript:alert(1)",
    ],
)  # fmt: skip
def test_odd_location(set_state, server, location):
    """Wherever a redirect pretends to point, it is a refusal and no traceback."""
    server.on("PUT", forever(redirect(302, location)))
    result = set_state()
    assert (result.record["outcome"], result.exit) == ("refused", 5)
    assert server.methods == ["PUT"]


@pytest.mark.parametrize("output", ["json", "table"])
@pytest.mark.parametrize("status", [200, 302, 400, 401, 429, 503])
def test_nothing_steers_the_terminal(home, server, status, output):
    """Control, escape and bidirectional characters, and markup, reach no output raw."""
    body = envelope({"state": STEERING, "reason": STEERING}, code=7, message=STEERING)
    location = [("Location", STEERING_IN_LATIN_1.replace("\x00", ""))]
    server.on("PUT", forever(answer(status, body, location)))
    server.on("GET", forever(answer(200, body)))
    result = home.run("set", "an-id", "success", "-o", output, "-v", "--retries", "0")
    assert result.exit in (0, 4, 5, 6, 10)
    if output == "json" and status != 302:
        assert result.record["message"] in (STEERING, None)


def test_nothing_steers_a_real_terminal(home, server):
    """On a terminal, which gets colours of cmdstat's own, nothing of the server's gets through."""
    server.on("PUT", applied(answer(200, STEERING_EVERYWHERE)))
    shown = home.run("set", "an-id", "success", tty=True)
    assert shown.exit == 0
    for sequence in ("\x1b[2J", "\x1b]0;", "\x9b", "\x7f", "\u202e", "\u2066", "\u200f", "\x00"):
        assert sequence not in shown.stdout
    assert "[red]x[/red]" in re.sub("\x1b\\[[0-9;]*m", "", shown.stdout)


def test_odd_reason_phrase(set_state, server):
    """A reason phrase is foreign text like any other."""
    server.on("PUT", forever(answer("HTTP/1.1 400 \x1b[31m\x9b2J [/red]", b"")))
    assert set_state("-v").exit == 5
