"""The sandbox's server: what it is beyond the contract, on real sockets."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cmdstat.errors import UsageError
from cmdstat.instants import parse_http_date
from cmdstat.sandbox import DEFAULT_KEY, FIRST_COMMAND
from cmdstat.sandbox.faults import Faults, FaultSource
from cmdstat.sandbox.server import Sandbox
from cmdstat.sandbox.store import Store

LIST = "/api/commands/v0/status/"
FIRST = f"{LIST}{FIRST_COMMAND}/"
KEYED = {"Authorization": f"Bearer {DEFAULT_KEY}"}
HEAD = f"Host: 127.0.0.1\r\nAuthorization: Bearer {DEFAULT_KEY}\r\n"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A freshly seeded store."""
    with Store.open(tmp_path / "sandbox.db") as opened:
        yield opened


@pytest.fixture
def start(store: Store) -> Iterator[Callable[..., Sandbox]]:
    """Starts sandboxes on the store, with any options, and ends them."""
    running: list[Sandbox] = []

    def started(**options: Any) -> Sandbox:
        running.append(Sandbox(store, **options).__enter__())
        return running[-1]

    yield started
    for sandbox in running:
        sandbox.close()


@pytest.fixture
def sandbox(start: Callable[..., Sandbox]) -> Sandbox:
    """A sandbox that behaves."""
    return start()


def connected(sandbox: Sandbox) -> http.client.HTTPConnection:
    """A connection to a sandbox, not yet opened."""
    address = urlsplit(sandbox.base_url)
    return http.client.HTTPConnection(address.hostname, address.port, timeout=20)


def asked(
    where: Sandbox | http.client.HTTPConnection,
    method: str,
    path: str,
    body: Any = None,
    headers: dict[str, str] = KEYED,
) -> tuple[int, Any, http.client.HTTPMessage]:
    """Status, JSON and headers of the answer to one request."""
    connection = connected(where) if isinstance(where, Sandbox) else where
    sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, sent, headers)
    answer = connection.getresponse()
    text = answer.read()
    return answer.status, json.loads(text) if text.startswith(b"{") else text, answer.headers


def spoken(sandbox: Sandbox, request: str | bytes) -> bytes:
    """All that comes back on a connection on which these bytes are sent, and no more."""
    address = urlsplit(sandbox.base_url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(request.encode() if isinstance(request, str) else request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_importing_the_package_loads_no_server_and_no_database() -> None:
    """Options and help name the sandbox's constants; that must not cost what serving costs."""
    code = (
        "import sys, cmdstat.sandbox; print({'http.server', 'sqlite3', 'socket'} & {*sys.modules})"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.4", "8.8.8.8", "example.com", "", "localhost.evil", "127.1", "::1%lo"]
)  # fmt: skip
def test_an_address_that_is_not_loopback_is_refused(store: Store, host: str) -> None:
    """Nobody else's machine ever reaches a sandbox."""
    with pytest.raises(UsageError, match="loopback"):
        Sandbox(store, host=host)


@pytest.mark.parametrize(
    ("host", "begins"),
    [
        ("localhost", "http://127.0.0.1:"),
        ("127.0.0.1", "http://127.0.0.1:"),
        ("::1", "http://[::1]:"),
        ("[::1]", "http://[::1]:"),
    ],
)
def test_every_loopback_address_is_served(
    start: Callable[..., Sandbox], host: str, begins: str
) -> None:
    """Names and both families work, and the base URL and the links of a page are of that address."""
    try:
        sandbox = start(host=host)
    except UsageError:
        if ":" not in host or socket.has_ipv6 and _has_ipv6_loopback():
            raise
        pytest.skip("this machine has no IPv6")
    assert sandbox.base_url.startswith(begins)
    status, answer, _ = asked(sandbox, "GET", f"{LIST}?limit=1")
    assert status == 200
    assert answer["content"]["next"] == f"{sandbox.base_url}/commands/v0/status/?limit=1&offset=1"


def _has_ipv6_loopback() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        return probe.connect_ex(("::1", 1)) != 0 and probe.getsockname()[0] == "::1"


def test_links_are_of_the_host_that_the_client_used_if_that_is_loopback(sandbox: Sandbox) -> None:
    """A client that said localhost may follow `next`; no other name is ever echoed in a link."""
    port = urlsplit(sandbox.base_url).port
    for host, shown in ((f"localhost:{port}", "localhost"), ("evil.example", "127.0.0.1")):
        _, answer, _ = asked(sandbox, "GET", f"{LIST}?limit=1", headers=KEYED | {"Host": host})
        link = urlsplit(answer["content"]["next"])
        assert (link.hostname, link.port) == (shown, port)


def test_a_port_in_use_is_named(sandbox: Sandbox, store: Store) -> None:
    """The message names address and port, the hint offers another."""
    port = urlsplit(sandbox.base_url).port
    with pytest.raises(UsageError, match=f"127.0.0.1:{port}") as refused:
        Sandbox(store, port=port)
    assert "another port" in refused.value.hint


@pytest.mark.parametrize("options", [{"port": -1}, {"port": 65536}, {"api_key": ""}, {"api_key": "a\nb"}, {"api_key": "ключ"}])  # fmt: skip
def test_options_that_cannot_be_are_refused(store: Store, options: dict[str, Any]) -> None:
    """A port beyond ports and a key that no header can carry are usage errors."""
    with pytest.raises(UsageError):
        Sandbox(store, **options)


def test_the_key_is_the_one_it_was_given(start: Callable[..., Sandbox]) -> None:
    """With a key of its own a sandbox takes that one and not the default; Bearer in any case."""
    sandbox = start(api_key="another!")
    assert asked(sandbox, "GET", FIRST)[0] == 401
    assert asked(sandbox, "GET", FIRST, headers={"Authorization": "bearer another!"})[0] == 200


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
        "/", "/api", LIST[:-1], FIRST[:-1], FIRST + "/", f"{LIST}/", f"{LIST}../status/", f"{LIST}a/b/",
        f"{LIST}{FIRST_COMMAND}%2F/", f"{LIST}%2e%2e/", f"{LIST}%00/", f"{LIST}%ff/", f"{LIST}%/",
        f"{LIST}%F0%9F%94%8B/", "/api/commands/v0/status/..%2f..%2fsandbox.db/", "*",
    ],
)  # fmt: skip
def test_a_path_that_leads_nowhere_is_a_404_in_the_envelope(sandbox: Sandbox, path: str) -> None:
    """However a path is written, it names a command exactly or nothing."""
    for method in ("GET", "PUT"):
        status, answer, _ = asked(sandbox, method, path, {"state": "Command Success"})
        if (method, path) == ("GET", LIST):
            continue
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
        "state=Command+Done", "state=success", "exclude_internal_commands=maybe", "limit=" + "9" * 5000,
        "&".join(["a=b"] * 2000),
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
        (f"PUT {FIRST} HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n", 411),
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


def test_a_client_that_goes_away_is_no_event(sandbox: Sandbox, capfd: Any) -> None:
    """A reset in the middle of a body, or before the answer, prints nothing and changes nothing."""
    address = urlsplit(sandbox.base_url)
    for request in (f"PUT {FIRST} HTTP/1.1\r\n{HEAD}Content-Length: 50\r\n\r\n{{", f"GET {LIST}"):
        connection = socket.create_connection((address.hostname, address.port))
        connection.sendall(request.encode())
        linger_none = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_none)
        connection.close()
    assert asked(sandbox, "GET", FIRST)[1]["content"]["state"] == "Command In Progress"
    sandbox.close()
    assert capfd.readouterr() == ("", "")


def test_each_request_is_one_harmless_line_of_the_log(start: Callable[..., Sandbox]) -> None:
    """Method, path, status and milliseconds; no escape character of a client reaches the terminal."""
    lines: list[str] = []
    sandbox = start(log=lines.append)
    asked(sandbox, "PUT", FIRST, {"state": "Command Success"})
    spoken(sandbox, b"GET /\x1b[31m\xc2\x9b HTTP/1.1\r\n\r\n")
    spoken(sandbox, b"NONSENSE\r\n\r\n")
    assert len(lines) == 3
    assert lines[0].startswith(f"PUT {FIRST} 200 ")
    assert lines[0].endswith(" ms")
    assert all(line.isprintable() for line in lines)
    assert "/\\x1b[31m" in lines[1]


def test_a_log_that_cannot_be_written_does_not_stop_it(start: Callable[..., Sandbox]) -> None:
    """`sandbox serve | head -1` closes the pipe; the sandbox goes on answering."""

    def broken(line: str) -> None:
        raise BrokenPipeError

    sandbox = start(log=broken)
    assert asked(sandbox, "GET", FIRST)[0] == 200
    assert asked(sandbox, "GET", FIRST)[0] == 200


def test_a_defect_is_a_500_and_a_line_in_the_log(
    start: Callable[..., Sandbox], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client never meets a traceback, and whoever runs the sandbox learns what it was."""
    lines: list[str] = []
    sandbox = start(log=lines.append)
    monkeypatch.setattr(store, "get", lambda _: 1 / 0)
    assert asked(sandbox, "GET", FIRST)[:2] == (
        500,
        {"code": 500, "message": "Internal server error", "content": {}},
    )
    assert "ZeroDivisionError" in lines[0]


def test_a_reset_elsewhere_is_seen_while_serving(sandbox: Sandbox, store: Store) -> None:
    """Another process may reset the store under a running sandbox."""
    asked(sandbox, "PUT", FIRST, {"state": "Command Failure"})
    Store.open(store.path, commands=15, reset=True).close()
    assert asked(sandbox, "GET", FIRST)[1]["content"]["state"] == "Command In Progress"
    assert asked(sandbox, "GET", LIST)[1]["content"]["count"] == 15


def test_closing_finishes_what_is_under_way_and_ends_the_rest(
    start: Callable[..., Sandbox],
) -> None:
    """An answer under way arrives, an idle connection ends, nobody gets in, and it takes no time."""
    sandbox = start(faults=Faults(latency_ms=600_000))
    idle, busy = connected(sandbox), connected(sandbox)
    idle.connect()
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(asked(busy, "GET", FIRST)[0]))
    thread.start()
    _until_in_flight(sandbox)
    began = time.monotonic()
    sandbox.close()
    sandbox.close()
    assert time.monotonic() - began < 1.5
    thread.join()
    assert answers == [200]
    assert idle.sock.recv(1) == b""
    with pytest.raises(OSError, match="refused|reset"):
        connected(sandbox).connect()


def _until_in_flight(sandbox: Sandbox) -> None:
    """Wait until some thread of the sandbox is in the latency of an answer."""
    deadline = time.monotonic() + 10
    while not any(
        frame.f_code.co_name == "wait"
        for frame in _frames_under(sys._current_frames().values(), "perform")
    ):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _frames_under(frames: Any, name: str) -> list[Any]:
    found = []
    for frame in frames:
        stack, each = [], frame
        while each:
            stack.append(each)
            each = each.f_back
        if any(each.f_code.co_name == name for each in stack):
            found += stack
    return found


def test_serving_in_the_foreground_ends_when_closed(store: Store) -> None:
    """`serve_forever` returns once another thread closes the sandbox."""
    sandbox = Sandbox(store)
    thread = threading.Thread(target=sandbox.serve_forever)
    thread.start()
    assert asked(sandbox, "GET", FIRST)[0] == 200
    sandbox.close()
    thread.join(timeout=5)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    "values",
    [
        {"latency_ms": -1}, {"latency_ms": float("nan")}, {"latency_ms": float("inf")},
        {"fail_rate": -0.1}, {"fail_rate": 1.1}, {"fail_rate": float("nan")},
        {"rate_limit": 0}, {"rate_limit": -5}, {"rate_limit": float("nan")}, {"rate_limit": float("inf")},
    ],
)  # fmt: skip
def test_faults_that_cannot_be_are_refused(values: dict[str, float]) -> None:
    """Impossible numbers are a usage error before anything is served."""
    with pytest.raises(UsageError):
        Faults(**values)


def test_latency_delays_the_answer_and_not_the_update(
    start: Callable[..., Sandbox], store: Store
) -> None:
    """The answer comes that much later; a client that gave up finds its update applied."""
    sandbox = start(faults=Faults(latency_ms=120))
    began = time.monotonic()
    assert asked(sandbox, "GET", FIRST)[0] == 200
    assert time.monotonic() - began >= 0.12
    connection = connected(sandbox)
    connection.timeout = 0.05
    with pytest.raises(TimeoutError):
        asked(connection, "PUT", FIRST, {"reason": "in time"})
    assert store.get(FIRST_COMMAND)["reason"] == "in time"


def test_failures_come_at_the_rate_and_leave_updates_in_doubt(
    start: Callable[..., Sandbox], store: Store
) -> None:
    """About that share is a 500 or a 503, and some of those updates were applied all the same."""
    connection = connected(start(faults=Faults(fail_rate=0.4, seed=1)))
    seen = []
    for number in range(200):
        status, _, _ = asked(connection, "PUT", FIRST, {"reason": str(number)})
        seen.append((status, store.get(FIRST_COMMAND)["reason"] == str(number)))
    assert set(seen) == {(200, True), (500, True), (500, False), (503, True), (503, False)}
    assert 50 < sum(status != 200 for status, _ in seen) < 110


def test_the_rate_limit_lets_a_second_s_worth_in_and_then_one_at_a_time() -> None:
    """On a clock of its own: three at once, then one each third of a second."""
    now = 100.0
    source = FaultSource(Faults(rate_limit=3), clock=lambda: now)
    assert [source.seconds_to_wait() for _ in range(3)] == [0, 0, 0]
    assert source.seconds_to_wait() == pytest.approx(1 / 3)
    now += 0.2
    assert source.seconds_to_wait() == pytest.approx(1 / 3 - 0.2)
    now += 0.2
    assert source.seconds_to_wait() == 0
    assert source.seconds_to_wait() > 0
    now += 60
    assert [source.seconds_to_wait() > 0 for _ in range(4)] == [False, False, False, True]
