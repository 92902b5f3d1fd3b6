"""The sandbox as a server: where it listens, whom it lets in, what it logs, how it ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from talk import FIRST, HEAD, KEYED, LIST, asked, connected, has_ipv6, spoken, until

from cmdstat.errors import UsageError
from cmdstat.sandbox import FIRST_COMMAND
from cmdstat.sandbox.faults import Faults
from cmdstat.sandbox.server import Sandbox
from cmdstat.sandbox.store import Store


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
    "host",
    [
        "0.0.0.0",
        "::",
        "192.168.1.4",
        "8.8.8.8",
        "example.com",
        "",
        "localhost.x",
        "127.1",
        "::1%lo",
    ],
)
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
    """Names and both families work; the base URL and the links of a page are of that address."""
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    sandbox = start(host=host)
    assert sandbox.base_url.startswith(begins)
    status, answer, _ = asked(sandbox, "GET", f"{LIST}?limit=1")
    assert status == 200
    assert answer["content"]["next"] == f"{sandbox.base_url}/commands/v0/status/?limit=1&offset=1"


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


@pytest.mark.parametrize(
    "options",
    [{"port": -1}, {"port": 65536}, {"api_key": ""}, {"api_key": "a\nb"}, {"api_key": "ключ"}],
)
def test_options_that_cannot_be_are_refused(store: Store, options: dict[str, Any]) -> None:
    """A port beyond ports and a key that no header can carry are usage errors."""
    with pytest.raises(UsageError):
        Sandbox(store, **options)


def test_the_key_is_the_one_it_was_given(start: Callable[..., Sandbox]) -> None:
    """With a key of its own a sandbox takes that one and not the default; Bearer in any case."""
    sandbox = start(api_key="another!")
    assert asked(sandbox, "GET", FIRST)[0] == 401
    assert asked(sandbox, "GET", FIRST, headers={"Authorization": "bearer another!"})[0] == 200


def test_the_lines_to_paste_are_safe_to_paste(tmp_path: Path) -> None:
    """Whatever the key, a shell that is given the two export lines takes it as it is."""
    key = "k;$(touch${IFS}owned)'\"`id`"
    serving = subprocess.Popen(
        [sys.executable, "-m", "cmdstat", "sandbox", "serve", "--api-key", key],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "XDG_DATA_HOME": str(tmp_path / "data")},
        text=True,
    )
    with serving:
        assert serving.stdout is not None
        shown = [next(serving.stdout) for _ in range(6)]
        serving.terminate()
    script = "".join(shown[4:]) + 'printf %s "$CMDSTAT_API_KEY"'
    pasted = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert (pasted.stdout, pasted.stderr) == (key, "")
    assert not (tmp_path / "owned").exists()


def test_a_client_that_goes_away_is_no_event(start: Callable[..., Sandbox], capfd: Any) -> None:
    """A reset in the middle of a body, or before the answer, prints nothing and changes nothing."""
    lines: list[str] = []
    sandbox = start(log=lines.append)
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
    assert [line.split()[:2] for line in lines] == [["GET", FIRST]]


def test_each_request_is_one_harmless_line_of_the_log(start: Callable[..., Sandbox]) -> None:
    """Method, path, status and milliseconds; no escape character reaches the terminal."""
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
    start: Callable[..., Sandbox], store: Store
) -> None:
    """An answer under way arrives, an idle connection ends, nobody gets in, all of it at once."""
    sandbox = start(faults=Faults(latency_ms=600_000))
    idle, busy = connected(sandbox), connected(sandbox)
    idle.connect()
    answers: list[tuple[int, str]] = []
    update = {"reason": "under way"}

    def send() -> None:
        status, _, headers = asked(busy, "PUT", FIRST, update)
        answers.append((status, headers["Connection"]))

    thread = threading.Thread(target=send)
    thread.start()
    until(lambda: store.get(FIRST_COMMAND)["reason"] == "under way")
    began = time.monotonic()
    sandbox.close()
    sandbox.close()
    assert time.monotonic() - began < 1.5
    thread.join()
    assert answers == [(200, "close")]
    assert idle.sock.recv(1) == b""
    with pytest.raises(OSError, match=r"refused|reset"):
        connected(sandbox).connect()


def test_many_clients_may_arrive_at_once(store: Store) -> None:
    """A hundred connections wait their turn without one being turned away or sent round again."""
    sandbox = Sandbox(store)
    address = urlsplit(sandbox.base_url)
    waiting = [
        socket.create_connection((address.hostname, address.port), timeout=2) for _ in range(100)
    ]
    with sandbox:
        for connection in waiting:
            connection.sendall(f"HEAD {FIRST} HTTP/1.1\r\n{HEAD}\r\n".encode())
        assert {connection.recv(12) for connection in waiting} == {b"HTTP/1.1 200"}
    for connection in waiting:
        connection.close()


def test_a_sandbox_that_was_closed_does_not_serve(store: Store) -> None:
    """Closed before it served, it ends at once instead of failing on its closed socket."""
    sandbox = Sandbox(store)
    sandbox.close()
    sandbox.serve_forever()
    with pytest.raises(OSError, match=r"refused|reset"):
        connected(sandbox).connect()


def test_serving_in_the_foreground_ends_when_closed(store: Store) -> None:
    """`serve_forever` returns once another thread closes the sandbox."""
    sandbox = Sandbox(store)
    thread = threading.Thread(target=sandbox.serve_forever)
    thread.start()
    assert asked(sandbox, "GET", FIRST)[0] == 200
    sandbox.close()
    thread.join(timeout=5)
    assert not thread.is_alive()
