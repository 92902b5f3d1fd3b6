"""A key that a server or a gateway echoes, whole or in pieces, in whatever dress, never shows."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from faulty_server import after, answer, envelope, forever
from harness import KEY, Home

from cmdstat.keys import ApiKey


def pieces(text: str, size: int = 8) -> list[str]:
    return [text[start : start + size] for start in range(len(text) - size + 1)]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(("<html>" + "x" * 4080 + KEY * 3).encode(), id="across-a-cut"),
        pytest.param(f"<html>{KEY}".encode("utf-16"), id="utf-16"),
        pytest.param(f"<html>{KEY.upper()} {KEY.lower()}".encode(), id="letter-case"),
        pytest.param(f"<html>{KEY.encode().hex()}".encode(), id="hex"),
    ],
)
def test_no_piece_of_an_echoed_key_shows(home, server, body):
    """However a gateway's page echoes the key, no piece of eight characters of it is shown."""
    server.on("GET", forever(answer(502, body)))
    result = home.run("get", "an-id", "--retries", "0", "-v")
    shown = (result.stdout + result.stderr).replace("\\x00", "")
    found = [piece for piece in pieces(KEY) if piece in shown or piece.encode().hex() in shown]
    assert found == []


def test_a_key_of_digits_is_redacted_in_numbers(home, server):
    """A key made of digits does not come through as a JSON number."""
    key = "123456789012"
    content = {"id": "an-id", "state": "Command Success", "other": int(key), "text": key}
    server.on("GET", answer(200, envelope(content)))
    result = home.run("get", "an-id", "-o", "json", env={"CMDSTAT_API_KEY": key})
    assert json.loads(result.stdout)["other"] == "[key]"
    assert key not in result.stdout


def test_a_next_link_with_white_space_in_it_is_refused(home, server):
    """Pieces of a key that URL parsing would join again are not put together for the log."""
    link = f"{server.base_url}/commands/?token={KEY[:8]}\t{KEY[8:]}"
    page = envelope({"count": 2, "previous": None, "next": link, "results": [{"id": "a"}]})
    server.on("GET", answer(200, page))
    result = home.run("list", "--all", "-v", "-o", "jsonl", "--retries", "0")
    assert result.exit == 6
    assert KEY not in result.stdout + result.stderr


def test_redaction_takes_linear_time():
    """A long run of backslashes in an answer costs time in proportion to its length."""
    key = ApiKey(KEY, "a test")
    began = time.perf_counter()
    key.redact("\\" * 400_000)
    assert time.perf_counter() - began < 10


def test_the_key_for_this_machine_goes_to_no_proxy_elsewhere(home, server):
    """Plain HTTP to loopback does not take the way through another machine's proxy."""
    proxy = "http://192.0.2.1:9"
    result = home.run("get", "an-id", "--timeout", "3", "--retries", "0", env={"HTTP_PROXY": proxy})
    assert (result.exit, server.methods) == (0, ["GET"])


def test_a_journal_that_others_can_write_is_refused(home, server):
    """A journal that somebody else could have filled is exit 3, and nothing is sent."""
    home.run("set", "an-id", "success")
    home.journal_file.chmod(0o666)
    result = home.run("set", "an-id", "failed")
    assert result.exit == 3
    assert "chmod 600" in result.stderr
    assert len(server.puts) == 1


def test_a_journal_with_a_trigger_is_refused(home, server):
    """A trigger in the journal, which could change what is sent, is exit 3."""
    home.run("set", "an-id", "success")
    with sqlite3.connect(home.journal_file) as database:
        database.execute(
            "CREATE TRIGGER evil AFTER INSERT ON updates"
            " BEGIN UPDATE updates SET id = 'victim'; END"
        )
    assert home.run("set", "an-id", "failed").exit == 3
    assert len(server.puts) == 1


def test_a_foreign_database_is_left_as_it_was(home, tmp_path):
    """Another program's SQLite file, named by mistake, is refused, and no byte of it changed."""
    foreign = tmp_path / "other.db"
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE theirs (a)")
    foreign.chmod(0o600)
    before = foreign.read_bytes()
    result = home.run("set", "an-id", "success", env={"CMDSTAT_JOURNAL": str(foreign)})
    assert result.exit == 3
    assert foreign.read_bytes() == before


@pytest.mark.parametrize(
    "damage", ["outcome = 'bogus'", "result = '{'", "result = '{\"new\": 1}'", "at = 1e300"]
)
def test_a_row_that_makes_no_sense_is_a_damaged_journal(home, damage):
    """A row that no cmdstat has written is exit 3, not a defect."""
    home.run("set", "an-id", "success")
    with sqlite3.connect(home.journal_file) as database:
        database.execute(f"UPDATE updates SET {damage}")
    result = home.run("history")
    assert result.exit == 3
    assert "damaged" in result.stderr


def test_a_hint_can_be_pasted_into_a_shell(home):
    """A command that a hint shows has foreign text in quotes."""
    result = home.run("set", "success", "x; touch pwned $(id)")
    assert "cmdstat set 'x; touch pwned $(id)' success" in result.stderr


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
def test_the_process_list_never_shows_a_stored_key(home, server):
    """While an update with a stored key is under way, no process has the key in its arguments."""
    none = {"CMDSTAT_BASE_URL": None, "CMDSTAT_API_KEY": None}
    profile = Home(home.path.parent / "with-profile")
    add = ("profile", "add", "prod", "--base-url", server.base_url, "--api-key-stdin")
    assert profile.run(*add, env=none, input=KEY).exit == 0
    server.on("PUT", after(0.5, answer(200, envelope({"id": "an-id"}))))
    running = profile.start("set", "an-id", "success", env=none, fresh=True)
    server.wait_for(1)
    arguments = contents(Path("/proc").glob("[0-9]*/cmdline"))
    assert any(b"an-id" in each for each in arguments)
    assert not any(KEY.encode() in each for each in arguments)
    assert running.wait().exit == 0


def contents(paths: Iterable[Path]) -> list[bytes]:
    """What the files hold that are still there; processes come and go meanwhile."""
    found = []
    for path in paths:
        with suppress(OSError):
            found.append(path.read_bytes())
    return found
