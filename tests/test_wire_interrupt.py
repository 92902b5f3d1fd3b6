"""Interruptions: Ctrl-C, SIGTERM, `kill -9`, a closed or full output. What was sent is recorded."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from contextlib import closing

import pytest
from faulty_server import (
    FaultyServer,
    after,
    answer,
    applied,
    behave,
    busy,
    forever,
    silence,
)
from harness import Home, Running, set_args

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and descriptors")


@pytest.fixture
def started(home: Home, server: FaultyServer):
    """Start a `set`, and come back when its first PUT has arrived."""

    def start(*more: str, retries: int = 0, timeout: float = 20, **options: object) -> Running:
        running = home.start(*set_args(*more, retries=retries, timeout=timeout), **options)
        server.wait_for(1)
        return running

    return start


def outcomes(home: Home) -> list[str]:
    return [each["outcome"] for each in home.journal()]


# Signals.


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_lets_the_attempt_finish(home, server, started, sign, code):
    """One Ctrl-C or SIGTERM: the attempt under way finishes and is recorded; exit 130 or 143."""
    server.on("PUT", after(1.0, behave))
    running = started()
    running.signal(sign)
    result = running.wait()
    result.check_harmless()
    assert result.exit == code
    assert (result.record["outcome"], result.record["http_status"]) == ("updated", 200)
    assert result.seconds >= 1.0
    assert result.error["kind"] == "interrupted"
    assert outcomes(home) == ["updated"]
    assert server.methods == ["PUT"]


@pytest.mark.parametrize(("sign", "codes"), [(signal.SIGINT, [130]), (signal.SIGTERM, [130, 143])])
def test_second_ctrl_c_leaves_it_unknown(home, server, started, sign, codes):
    """A Ctrl-C after a first signal ends at once: the update is unknown, recorded and printed."""
    server.on("PUT", after(10.0, behave))
    running = started()
    running.signal(sign)
    time.sleep(0.3)
    sent = time.monotonic()
    running.signal(signal.SIGINT)
    result = running.wait()
    result.check_harmless()
    assert time.monotonic() - sent < 2
    assert result.exit in codes
    assert result.record["outcome"] == "unknown"
    assert outcomes(home) == ["unknown"]
    assert server.methods.count("PUT") == 1


def test_two_signals_in_text(home, server):
    """Without `-o json` the end says in words that the update is unknown."""
    server.on("PUT", after(10.0, behave))
    running = home.start("set", "an-id", "success")
    server.wait_for(1)
    running.signal(signal.SIGINT)
    time.sleep(0.3)
    running.signal(signal.SIGINT)
    result = running.wait()
    result.check_harmless()
    assert result.exit == 130
    assert "unknown" in (result.stdout + result.stderr).lower()


@pytest.mark.parametrize("status", [400, 401, 429, 503])
def test_signal_while_an_attempt_fails(home, server, started, status):
    """The attempt under way fails: that is recorded, nothing more is sent, exit 130."""
    server.on("PUT", after(0.6, answer(status)))
    running = started(retries=3)
    running.signal(signal.SIGINT)
    result = running.wait()
    result.check_harmless()
    assert result.exit == 130
    expected = {
        400: {"refused"}, 401: {"unauthorized"}, 429: {"pending", "server_error"},
        503: {"server_error", "unknown"},
    }[status]  # fmt: skip
    assert result.record["outcome"] in expected
    assert outcomes(home) == [result.record["outcome"]]
    assert server.methods.count("PUT") == 1


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("status", [429, 503])
def test_signal_during_a_wait(home, server, started, sign, code, status):
    """During a wait a signal ends at once with what is known; nothing more is sent."""
    server.on("PUT", forever(answer(status, headers=[("Retry-After", "60")])))
    running = started(retries=3)
    time.sleep(0.4)
    sent = time.monotonic()
    running.signal(sign)
    result = running.wait()
    result.check_harmless()
    assert time.monotonic() - sent < 2
    assert result.exit == code
    expected = {"pending", "server_error"} if status == 429 else {"server_error", "unknown"}
    assert result.record["outcome"] in expected
    assert outcomes(home) == [result.record["outcome"]]
    assert server.methods.count("PUT") == 1


def test_signal_during_the_read_back(home, server, started):
    """Interrupted while reading back: the update is never taken for done or lost."""
    server.on("PUT", busy)
    server.on("GET", after(0.6, forever(answer(503))))
    running = started(retries=1)
    server.wait_for(1, "GET")
    running.signal(signal.SIGINT)
    result = running.wait()
    result.check_harmless()
    assert result.exit == 130
    assert result.record["outcome"] in ("unknown", "server_error", "updated")
    assert server.methods.count("PUT") == 1


def test_applied_and_lost_while_interrupted(home, server, started):
    """The attempt under way ends in doubt after a Ctrl-C: updated or unknown, and never lost."""
    server.on("PUT", after(0.6, applied(answer(503))))
    running = started(retries=3)
    running.signal(signal.SIGINT)
    result = running.wait()
    result.check_harmless()
    assert result.exit == 130
    assert result.record["outcome"] in ("updated", "unknown")
    assert outcomes(home) == [result.record["outcome"]]
    assert server.methods.count("PUT") == 1


def test_interrupted_before_anything(home, server):
    """Interrupted while a handshake hangs: nothing was sent, and the end comes soon."""
    server.on("accept", forever(silence))
    env = {"CMDSTAT_BASE_URL": server.base_url.replace("http", "https")}
    running = home.start(*set_args(timeout=20), env=env)
    deadline = time.monotonic() + 10
    while not server.connections and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    running.signal(signal.SIGINT)
    time.sleep(0.3)
    running.signal(signal.SIGINT)
    result = running.wait()
    result.check_harmless()
    assert result.exit == 130
    assert result.seconds < 10
    assert outcomes(home) in ([], ["pending"], ["unreachable"], ["unknown"])


def test_kill_leaves_a_trace(home, server, started):
    """`kill -9` while sending leaves a row that is later shown as unknown, and a sound journal."""
    server.on("PUT", applied(silence))
    running = started()
    running.signal(signal.SIGKILL)
    assert running.wait().exit == -signal.SIGKILL
    (row,) = home.journal()
    assert row["id"] == "an-id"
    assert row["outcome"] in (None, "sending", "unknown")
    assert home.run(*set_args(state="in-progress")).record["outcome"] == "updated"
    assert [each["id"] for each in home.journal()] == ["an-id", "an-id"]
    assert outcomes(home)[-1] == "updated"


def test_update_after_a_kill_sees_no_doing_of_its_own(home, server, started):
    """What a killed run may have done is not known to be ours: nothing is sent over it."""
    server.on("PUT", applied(silence))
    running = started()
    running.signal(signal.SIGKILL)
    running.wait()
    server.on("PUT", busy)
    record = home.run(*set_args(state="failure", retries=1)).record
    assert (record["outcome"], record["content"]["state"]) == ("unknown", "Command Success")


# Where the output goes.


def test_reader_is_gone(home, server):
    """The reader of the output is gone (`| head -c 0`): quiet, recorded, the outcome's code."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = home.run(*set_args(), stdout=writing, fresh=True)
    finally:
        os.close(writing)
    assert (result.exit, result.stderr) == (0, "")
    assert outcomes(home) == ["updated"]


@pytest.mark.parametrize(
    ("output", "status", "code", "outcome"),
    [
        ("json", 200, 0, "updated"), ("table", 200, 0, "updated"), ("csv", 200, 0, "updated"),
        ("json", 400, 5, "refused"), ("table", 400, 5, "refused"),
    ],
)  # fmt: skip
def test_disk_is_full(home, server, output, status, code, outcome):
    """A full output (`> /dev/full`): the record is in the journal, and the exit code stays."""
    server.on("PUT", behave if status == 200 else answer(status))
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        result = home.run("set", "an-id", "success", "-o", output, stdout=full, fresh=True)
    finally:
        os.close(full)
    assert result.exit == code
    assert outcomes(home) == [outcome]


@pytest.mark.parametrize("status", [200, 400])
def test_output_is_closed(home, server, status):
    """No standard output at all (`>&-`): nothing is written into another file, all is recorded."""
    server.on("PUT", behave if status == 200 else answer(status))
    shell = ("sh", "-c", 'exec "$@" >&-', "sh")
    result = home.run(*set_args(), wrap=shell)
    assert result.exit == (0 if status == 200 else 5)
    assert outcomes(home) == ["updated" if status == 200 else "refused"]


def test_everything_is_closed(home, server):
    """No standard input, output or error: the update is made and recorded all the same."""
    shell = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
    assert home.run(*set_args(), wrap=shell).exit == 0
    assert outcomes(home) == ["updated"]


@pytest.mark.parametrize("output", ["json", "table"])
def test_error_output_is_full(home, server, output):
    """Standard error is full: the result is shown, and the exit code is the outcome's."""
    server.on("PUT", answer(400))
    shell = ("sh", "-c", 'exec "$@" 2>/dev/full', "sh")
    result = home.run("set", "an-id", "success", "-o", output, wrap=shell)
    assert result.exit == 5
    assert "refused" in result.stdout


@pytest.mark.parametrize("output", ["json", "table", "csv"])
def test_output_that_carries_little(home, server, output):
    """An output that takes ASCII alone gets all there is to tell, spelt in ASCII."""
    server.reset_status(reason="déjà vu — ✓")
    env = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    result = home.run("set", "an-id", "success", "-o", output, env=env, fresh=True)
    assert result.exit == 0
    assert result.stdout.isascii()
    assert "Command Success" in result.stdout


def test_recorded_before_shown(home, server):
    """The outcome is in the journal before anything is shown: a reader that looks finds it."""
    reading, writing = os.pipe()
    running = home.start(*set_args(), stdout=writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        first = pipe.read(1)
        assert outcomes(home) == ["updated"]
        shown = json.loads(first + pipe.read())
    assert running.wait().exit == 0
    assert shown["outcome"] == "updated"


# A journal that cannot be written.


@pytest.mark.parametrize("kind", ["folder", "junk", "below-a-file"])
def test_journal_that_cannot_be_written(home, server, tmp_path, kind):
    """A journal that cannot be written, or is none, is exit 3 before anything is sent."""
    file = tmp_path / "journal.db"
    if kind == "folder":
        file.mkdir()
    elif kind == "junk":
        file.write_bytes(b"this is no database, and must stay as it is\n" * 100)
    else:
        file.write_text("a file")
        file = file / "journal.db"
    before = (tmp_path / "journal.db").read_bytes() if kind == "junk" else None
    result = home.run(*set_args(), env={"CMDSTAT_JOURNAL": str(file)})
    assert result.exit == 3
    assert result.error["kind"] == "configuration"
    assert "journal.db" in result.error["message"]
    assert server.connections == 0
    if before is not None:
        assert file.read_bytes() == before


def test_outcome_that_cannot_be_recorded(home, server, started):
    """The journal is lost while the request is under way: shown all the same, with a warning."""
    server.on("PUT", after(0.5, behave))
    running = started()
    with closing(sqlite3.connect(home.journal_file)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in tables:
            if not name.startswith("sqlite_"):
                database.execute(f'DROP TABLE "{name}"')
        database.commit()
    result = running.wait()
    result.check_harmless()
    assert result.exit == 0
    assert result.record["outcome"] == "updated"
    assert "journal" in result.stderr


def test_journal_is_private(home, server):
    """The journal's file is readable by its owner alone."""
    assert home.run(*set_args()).exit == 0
    assert home.journal_file.stat().st_mode & 0o777 == 0o600
