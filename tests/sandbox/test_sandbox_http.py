"""The sandbox's HTTP beyond the contract: keep-alive, odd methods, hostile paths, bad requests."""

from __future__ import annotations

import json
import time
from itertools import pairwise

import pytest
from talk import FIRST, HEAD, LIST, asked, connected, spoken

from cmdstat.instants import parse_http_date
from cmdstat.sandbox import FIRST_COMMAND
from cmdstat.sandbox.server import Sandbox


def test_one_connection_carries_many_requests(sandbox: Sandbox) -> None:
    """Keep-alive holds through good answers and refused ones, bodies read or not."""
    connection = connected(sandbox)
    connection.connect()
    first = connection.sock
    assert asked(connection, "PUT", FIRST, {"reason": "one"})[0] == 200
    assert asked(connection, "PUT", FIRST, {"reason": "two"}, headers={})[0] == 401
    assert asked(connection, "POST", LIST, {"reason": "three"})[0] == 405
    assert asked(connection, "PUT", FIRST, b"x" * 2_000_000)[0] == 413
    assert asked(connection, "GET", FIRST, b"a body that nobody asked for")[0] == 200
    status, _, headers = asked(connection, "GET", FIRST)
    assert status == 200
    assert connection.sock is first
    assert abs(parse_http_date(headers["Date"]) - time.time()) < 5


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", FIRST, 200),
        ("OPTIONS", FIRST, 204),
        ("OPTIONS", LIST, 204),
        ("POST", FIRST, 405),
        ("DELETE", FIRST, 405),
        ("PUT", LIST, 405),
        ("BREW", LIST, 501),
    ],
)
def test_other_methods(sandbox: Sandbox, method: str, path: str, status: int) -> None:
    """HEAD is a GET without the body, OPTIONS and a 405 tell what is allowed."""
    found, answer, headers = asked(sandbox, method, path)
    assert found == status
    if method == "HEAD":
        assert answer == b""
        assert int(headers["Content-Length"]) > 100
    elif status == 501:
        assert answer["code"] == 501
    else:
        assert ("PUT" in headers["Allow"]) == (path == FIRST)


@pytest.mark.parametrize(
    "path",
    [
        "/", "/api", LIST[:-1], FIRST[:-1], f"{FIRST}/", f"{LIST}/", f"{LIST}../status/",
        f"{LIST}a/b/",
        f"{LIST}{FIRST_COMMAND}%2F/", f"{LIST}%2e%2e/", f"{LIST}%00/", f"{LIST}%ff/", f"{LIST}%/",
        f"{LIST}%F0%9F%94%8B/", "/api/commands/v0/status/..%2f..%2fsandbox.db/", "*",
    ],
)  # fmt: skip
def test_a_path_that_leads_nowhere_is_a_404_in_the_envelope(sandbox: Sandbox, path: str) -> None:
    """However a path is written, it names a command exactly or nothing."""
    for method in ("GET", "PUT"):
        status, answer, _ = asked(sandbox, method, path, {"state": "Command Success"})
        assert (status, answer["code"]) == (404, 404)


def test_an_id_is_one_segment_however_it_is_encoded(sandbox: Sandbox) -> None:
    """Percent-encoding is undone, in an absolute request target too."""
    encoded = FIRST.replace("5d1f0c2b", "%35d1%660c2b")
    assert asked(sandbox, "GET", encoded)[0] == 200
    assert asked(sandbox, "GET", f"http://127.0.0.1{encoded}?x=1")[0] == 200


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=-1", "limit=ten", "limit=1e3", "limit=٣", "offset=-1", "offset=0.5",
        "state=Command+Done", "state=success", "exclude_internal_commands=maybe",
        "limit=" + "9" * 5000, "&".join(["a=b"] * 2000),
    ],
    ids=lambda query: query[:30],
)  # fmt: skip
def test_a_parameter_that_makes_no_sense_is_a_400(sandbox: Sandbox, query: str) -> None:
    """It is refused by name rather than guessed at."""
    request = f"GET {LIST}?{query} HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n"
    assert spoken(sandbox, request).startswith(b"HTTP/1.1 400 ")


def test_parameters_are_read_leniently_where_they_make_sense(sandbox: Sandbox) -> None:
    """An empty filter is none, a repeated one adds, unknown ones do nothing, a huge page is cut."""
    _, whole, _ = asked(sandbox, "GET", LIST)
    devices = sorted({each["device"] for each in whole["content"]["results"]})
    for query, count in (
        ("request=&device=,&state=&colour=red", 12),
        ("exclude_internal_commands=True", 10),
        (f"offset={10**30}", 12),
        ("&".join(f"device={device}" for device in devices), 12),
        ("limit=100000", 12),
    ):
        status, answer, _ = asked(sandbox, "GET", f"{LIST}?{query}")
        assert (status, answer["content"]["count"]) == (200, count)
    moments = [each["created_at"] for each in whole["content"]["results"]]
    assert all(newer > older for newer, older in pairwise(moments))


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("NONSENSE\r\n\r\n", 400),
        (f"GET {LIST} HTTP/9.9\r\n\r\n", 505),
        (f"GET /{'a' * 70_000} HTTP/1.1\r\n\r\n", 414),
        (f"GET {LIST} HTTP/1.1\r\n" + "".join(f"X-{n}: y\r\n" for n in range(200)) + "\r\n", 431),
        (f"PUT {FIRST} HTTP/1.1\r\n{HEAD}Content-Length: -1\r\n\r\n", 400),
        (f"PUT {FIRST} HTTP/1.1\r\n{HEAD}Content-Length: 1_0\r\n\r\n0123456789", 400),
        (f"PUT {FIRST} HTTP/1.1\r\n{HEAD}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}", 400),
        (f"PUT {FIRST} HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n", 411),
        (f"PUT {FIRST} HTTP/1.1\r\n{HEAD}\r\n", 400),
    ],
    ids=["line", "version", "long", "headers", "negative", "underscore", "two", "chunks", "none"],
)  # fmt: skip
def test_a_malformed_request_is_refused_in_the_envelope(
    sandbox: Sandbox, request_text: str, status: int
) -> None:
    """What is not HTTP as it should be gets one JSON answer and the end of the connection."""
    head, _, body = spoken(sandbox, request_text).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nDate: " in head
    assert json.loads(body)["code"] == status


def test_a_lone_surrogate_is_refused(sandbox: Sandbox) -> None:
    """JSON can spell what is no text; it is a 400 and not a failure of the store."""
    assert asked(sandbox, "PUT", FIRST, b'{"reason": "\\ud800"}')[0] == 400
