"""Faults in the middle of a real `cmdstat batch`: the server's, the machine's, the user's.

Whatever happens, the journal says truly what became of each row, and the run can be resumed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from harness import KEY, Home, Result, Running
from logging_server import Fault, LoggingServer, Seen, always, every, first
from simulated_fleet import Bench

from cmdstat.batch.engine import NotRecorded
from cmdstat.journal import database
from cmdstat.models import StatusUpdate

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals, limits and descriptors")
LIMITED = Fault(429, headers=(("Retry-After", "1"),))


@pytest.fixture
def server():
    """A server with many commands that keeps a log."""
    with LoggingServer() as started:
        yield started


def table(count: int, *, same: int = 0) -> str:
    """A CSV of so many rows; the reason names the line. `same`: of so many different ids."""
    rows = (f"c{line % same if same else line},success,row-{line}" for line in range(2, count + 2))
    return "id,state,reason\n" + "\n".join(rows) + "\n"


def batch(home: Home, count: int, *more: str, **options: object) -> Result:
    """Run a batch of so many rows from standard input."""
    return home.run("batch", "-", "--format", "csv", *more, input=table(count), **options)


def start(home: Home, count: int, *more: str, **options: object) -> Running:
    return home.start("batch", "-", "--format", "csv", *more, input=table(count), **options)


def outcomes(home: Home) -> Counter[str]:
    return Counter(row["outcome"] for row in home.journal())


def check_resumable(home: Home, server: LoggingServer, *more: str, count: int) -> None:
    """The server is well again: the run goes on to its end, and what was done stays untouched."""
    done = {row["id"] for row in home.journal() if row["outcome"] == "updated"}
    server.rule = lambda _: None
    requests = len(server.log)
    result = home.run("batch", "--resume", *more)
    assert result.exit == 0, result.describe()
    assert outcomes(home) == {"updated": count}
    assert not done & {seen.id for seen in server.log[requests:]}


def resume_line(result: Result) -> str:
    found = re.search(r"cmdstat batch --resume (\S+?)[\s\"]", result.stderr)
    assert found is not None, result.describe()
    return found[1]


# 429.


def test_storm_with_retry_after_pauses_everything(home, server):
    """A 429 with Retry-After: no request leaves for that long, and no attempt is used up."""
    server.latency = 0.002
    limits = iter([20, 60])
    at = next(limits)

    def rule(seen: Seen) -> Fault | None:
        nonlocal at
        if seen.number < at:
            return None
        at = next(limits, 10**9)
        return LIMITED

    server.rule = rule
    result = batch(home, 90, "-j", "8", "--retries", "0", "-o", "jsonl")
    assert result.exit == 0, result.describe()
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert {record["attempts"] for record in records} == {1}
    limited = [seen for seen in server.log if seen.status == 429]
    assert len(limited) == 2
    for each in limited:
        meanwhile = [
            seen for seen in server.log if each.answered + 0.1 < seen.at < each.answered + 0.95
        ]
        assert meanwhile == []


def test_storm_without_retry_after_backs_off(home, server):
    """A 429 that names no time pauses the run for the backoff; every row is done in the end."""
    server.rule = first(2, Fault(429))
    result = batch(home, 30, "-j", "8", "--retries", "0")
    assert result.exit == 0, result.describe()
    limited = [seen for seen in server.log if seen.status == 429]
    began = limited[0].answered
    later = [seen.at - began for seen in server.log if seen.at > began + 0.1]
    assert min(later) >= 0.45
    assert outcomes(home) == {"updated": 30}


def test_long_retry_after_stops_with_6(home, server):
    """A Retry-After above 120 s stops the run with 6, at once; nothing is lost."""
    rule = first(1, Fault(429, headers=(("Retry-After", "3600"),)))
    server.rule = lambda seen: rule(seen) if seen.number > 5 else None
    result = batch(home, 20, "-j", "1")
    assert result.exit == 6, result.describe()
    assert "3600 s" in result.stderr
    assert outcomes(home) == {"updated": 5, "pending": 15}
    assert resume_line(result)
    check_resumable(home, server, count=20)


def test_ten_pauses_that_help_nobody_stop_with_6(home, server):
    """Ten pauses without a row done between them stop the run with 6, and all stays pending."""
    server.rule = always(Fault(429, headers=(("Retry-After", "0"),)))
    result = batch(home, 20, "-j", "4", "-o", "json")
    assert result.exit == 6, result.describe()
    assert outcomes(home) == {"pending": 20}
    assert {record["outcome"] for record in json.loads(result.stdout)} == {"pending"}
    check_resumable(home, server, count=20)


# A server that fails.


def test_server_goes_away_and_comes_back(home, server):
    """A server that is gone for a while costs nothing: every row is done, and none twice."""
    away = threading.Thread(target=lambda: (server.go_away(), time.sleep(0.6), server.come_back()))

    def rule(seen: Seen) -> None:
        if seen.number == 30:
            away.start()

    server.rule = rule
    result = batch(home, 80, "-j", "4", "--retries", "5")
    away.join()
    assert result.exit == 0, result.describe()
    assert outcomes(home) == {"updated": 80}


def test_server_that_stays_away_stops_with_7(home, server):
    """Twenty rows in a row that cannot reach the server stop the run with 7; all stay pending."""
    server.rule = lambda seen: server.go_away() if seen.number == 10 else None
    result = batch(home, 60, "-j", "1", "--retries", "0", "-o", "json")
    assert result.exit == 7, result.describe()
    counts = outcomes(home)
    assert counts["updated"] + counts["unknown"] == 10
    assert counts["pending"] == 50
    shown = json.loads(result.stdout)
    assert [record["line"] for record in shown] == list(range(2, 62))
    server.come_back()
    server.rule = lambda _: None
    assert home.run("batch", "--resume").exit == (8 if counts["unknown"] else 0)
    assert outcomes(home)["pending"] == 0


@pytest.mark.parametrize("applied", [True, False])
def test_every_tenth_connection_is_reset(home, server, applied):
    """Resets after applying, or before: read back, sent again only if it was not applied."""
    server.rule = every(10, Fault(reset=True, applied=applied))
    result = batch(home, 100, "-j", "8", "-o", "jsonl")
    assert result.exit == 0, result.describe()
    records = [json.loads(line) for line in result.stdout.splitlines()]
    by_reading = [record for record in records if record["confirmed"] == "read"]
    applied_ids = Counter(seen.id for seen in server.applied())
    assert len(applied_ids) == 100
    assert max(applied_ids.values()) == 1, "an update was applied twice"
    assert len(by_reading) == (10 if applied else 0)
    read = {seen.id for seen in server.seen("GET")}
    assert {record["id"] for record in by_reading} <= read


def test_slow_answers_are_read_back(home, server):
    """An answer that comes too late is learned by reading; nothing is sent twice."""
    slow = Fault(applied=True, delay=3)
    rule = every(10, slow)
    server.rule = lambda seen: rule(seen) if seen.number <= 40 else None
    result = batch(home, 40, "-j", "8", "--timeout", "0.4", "-o", "jsonl")
    assert result.exit == 0, result.describe()
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert sum(record["confirmed"] == "read" for record in records) >= 3
    assert max(Counter(seen.id for seen in server.applied()).values()) == 1


@pytest.mark.parametrize(
    ("put", "get", "code", "outcome"),
    [
        (Fault(500), None, 6, "server_error"),
        (Fault(reset=True), Fault(503), 10, "unknown"),
        (Fault(content=False), None, 10, "unknown"),
    ],
)
def test_twenty_failures_in_a_row_stop_it(home, server, put, get, code, outcome):
    """Twenty rows in a row that the server fails stop the run: 6 when certain, 10 in doubt."""
    server.rule = lambda seen: put if seen.method == "PUT" else get
    result = batch(home, 50, "-j", "1", "--retries", "0", "-o", "jsonl")
    assert result.exit == code, result.describe()
    assert outcomes(home) == {outcome: 20, "pending": 30}
    assert result.error["exit_code"] == code
    assert resume_line(result)


def test_max_failures(home, server):
    """The run stops after as many failed rows as --max-failures allows, with 8."""
    server.rule = every(2, Fault(400))
    result = batch(home, 40, "-j", "1", "--max-failures", "3")
    assert result.exit == 8, result.describe()
    assert outcomes(home) == {"updated": 3, "refused": 3, "pending": 34}
    assert "--max-failures" in result.stderr
    assert resume_line(result)


@pytest.mark.parametrize(("status", "left"), [(401, "pending"), (403, "unauthorized")])
def test_key_revoked_at_row_500(home, server, status, left):
    """A key refused in the middle stops the run with 4; a 401 row goes with the new key."""
    server.rule = lambda seen: Fault(status) if seen.number > 500 and seen.key == KEY else None
    result = batch(home, 520, "-j", "4")
    assert result.exit == 4, result.describe()
    assert len(server.log) <= 504
    counts = outcomes(home)
    assert counts["updated"] == 500
    assert counts["sending"] == 0
    assert 0 <= counts["unauthorized"] <= 4
    assert (counts["unauthorized"] > 0) == (left == "unauthorized")
    new = {"CMDSTAT_API_KEY": "a-new-key-that-is-long-enough"}
    again = home.run("batch", "--retry-failed" if status == 403 else "--resume", env=new)
    assert again.exit == 0, again.describe()
    assert outcomes(home) == {"updated": 520}
    assert len({seen.id for seen in server.applied()}) == 520
    assert max(Counter(seen.id for seen in server.applied()).values()) == 1


# The machine.


@posix
def test_disk_full_under_the_journal(home, server):
    """A journal that cannot grow: exit 3, no more is sent; a resume loses and repeats nothing."""
    limit = (
        "import os, resource, sys; n = 400 * 1024;"
        " resource.setrlimit(resource.RLIMIT_FSIZE, (n, n)); os.execv(sys.argv[1], sys.argv[1:])"
    )
    wrap = (sys.executable, "-c", limit)
    result = batch(home, 600, "-j", "4", "-q", wrap=wrap)
    assert result.exit == 3, result.describe()
    assert "journal" in result.stderr
    asked = len(server.log)
    counts = outcomes(home)
    assert 0 < counts["updated"] < 600, "the limit of this test no longer falls into the run"
    assert counts["sending"] <= 4
    assert counts["updated"] + counts["sending"] >= asked
    check_resumable(home, server, count=600)
    assert max(Counter(seen.id for seen in server.applied()).values()) == 1


@posix
def test_disk_full_while_rows_are_read_in(home, server):
    """When the journal cannot take the rows in, nothing is sent, and nothing is left of them."""
    limit = (
        "import os, resource, sys; n = 200 * 1024;"
        " resource.setrlimit(resource.RLIMIT_FSIZE, (n, n)); os.execv(sys.argv[1], sys.argv[1:])"
    )
    result = batch(home, 8000, wrap=(sys.executable, "-c", limit))
    assert result.exit == 3, result.describe()
    assert server.log == []
    assert batch(home, 3).exit == 0
    assert outcomes(home) == {"updated": 3}


@posix
def test_stdout_that_is_closed_early(home, server):
    """`| head -1`: the run goes on quietly to its end, and the journal has every row."""
    reading, writing = os.pipe()
    running = start(home, 60, "-o", "jsonl", stdout=writing)
    os.close(writing)
    assert os.read(reading, 10)
    os.close(reading)
    result = running.wait()
    result.check_harmless()
    assert (result.exit, result.stderr) == (0, ""), result.describe()
    assert outcomes(home) == {"updated": 60}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_full_stdout_loses_no_row(home, server, form):
    """A full disk under stdout is warned of, and the run goes on to its end all the same."""
    full = os.open("/dev/full", os.O_WRONLY)
    running = start(home, 30, "-o", form, stdout=full)
    os.close(full)
    result = running.wait()
    result.check_harmless()
    assert result.exit == 0, result.describe()
    assert result.stderr.count("No space left") == 1
    assert outcomes(home) == {"updated": 30}


def test_journal_locked_for_a_while(home, server):
    """A journal that another process locks for a moment is waited for, and nobody hears of it."""
    server.latency = 0.005
    running = start(home, 60, "-j", "4", "-q")
    server.wait_for(10)
    with closing(sqlite3.connect(home.journal_file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(0.3)
        stood = len(server.log)
        time.sleep(0.5)
        assert len(server.log) == stood, "a request left that the journal has not marked"
        other.execute("COMMIT")
    result = running.wait()
    assert (result.exit, result.stderr) == (0, ""), result.describe()
    assert outcomes(home) == {"updated": 60}


def test_journal_locked_too_long_stops_the_run(tmp_path, monkeypatch):
    """A journal that stays locked stops the run, with the records of what was sent still told."""
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    rows = [StatusUpdate(f"c{line}", "Command Success", f"row-{line}") for line in range(1, 20)]
    made = Bench(tmp_path, rows)
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None, check_same_thread=False)

    def lock(record: object) -> None:
        if len(made.told) == 5:
            other.execute("BEGIN IMMEDIATE")

    engine = made.engine(jobs=2, tell=lock)
    other.close()
    assert isinstance(engine.failure, NotRecorded)
    assert "in use by another process" in engine.failure.error.message
    counts = Counter(made.outcomes().values())
    assert counts["sending"] <= 2
    assert len(made.fleet.log) == counts["sending"] + counts["updated"]
    made.engine(jobs=2)
    assert Counter(made.outcomes().values()) == {"updated": 19}
    made.close()


# The user.


@posix
@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_finishes_what_is_under_way(home, server, sign, code):
    """One Ctrl-C or SIGTERM: what is in flight is finished and recorded, the rest is resumable."""
    server.latency = 0.3
    running = start(home, 40, "-j", "4", "-o", "json")
    server.wait_for(6)
    running.signal(sign)
    asked = len(server.log)
    result = running.wait()
    result.check_harmless()
    assert result.exit == code, result.describe()
    assert len(server.log) <= asked + 4
    assert outcomes(home) == {"updated": len(server.log), "pending": 40 - len(server.log)}
    records = json.loads(result.stdout)
    assert [record["line"] for record in records] == list(range(2, 42))
    assert resume_line(result) == records[0]["run"]
    assert result.error["kind"] == "interrupted"
    server.latency = 0.0
    check_resumable(home, server, resume_line(result), count=40)


@posix
def test_second_ctrl_c_stops_at_once(home, server):
    """A second Ctrl-C waits for nothing: the rows under way stay in doubt, and are read later."""
    server.rule = always(Fault(applied=True, delay=20), method=None)
    running = start(home, 40, "-j", "4")
    server.wait_for(4)
    running.signal(signal.SIGINT)
    time.sleep(0.3)
    sent = time.monotonic()
    running.signal(signal.SIGINT)
    result = running.wait()
    result.check_harmless()
    assert time.monotonic() - sent < 2
    assert result.exit == 130
    assert outcomes(home) == {"sending": 4, "pending": 36}
    assert resume_line(result)
    server.rule = lambda _: None
    requests = len(server.log)
    assert home.run("batch", "--resume").exit == 0
    since = server.log[requests:]
    assert Counter(seen.method for seen in since) == {"GET": 4, "PUT": 36}
    assert max(Counter(seen.id for seen in server.applied()).values()) == 1


@posix
def test_signal_during_a_pause_ends_it(home, server):
    """Ctrl-C during a long pause does not wait for its end."""
    server.rule = always(Fault(429, headers=(("Retry-After", "100"),)))
    running = start(home, 20)
    server.wait_for(1)
    time.sleep(0.3)
    sent = time.monotonic()
    running.signal(signal.SIGINT)
    result = running.wait()
    assert time.monotonic() - sent < 2
    assert result.exit == 130
    assert outcomes(home) == {"pending": 20}
    check_resumable(home, server, count=20)


@posix
def test_signal_while_rates_are_waited_for(home, server):
    """Ctrl-C does not wait for the next slots of a slow --rate either."""
    running = start(home, 20, "--rate", "0.5", "-j", "4")
    server.wait_for(1)
    sent = time.monotonic()
    running.signal(signal.SIGINT)
    result = running.wait()
    assert time.monotonic() - sent < 2
    assert result.exit == 130
    assert outcomes(home)["sending"] == 0
    check_resumable(home, server, count=20)


@posix
def test_signal_while_reading_in_leaves_nothing(home, server):
    """Ctrl-C while a pipe is still being read in: nothing sent, nothing kept."""
    import subprocess

    process = subprocess.Popen(
        [sys.executable, "-m", "cmdstat", "batch", "-", "--format", "ids", "--state", "success"],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=home.env, cwd=home.path,
    )  # fmt: skip
    process.stdin.write(b"".join(b"c%d\n" % number for number in range(20_000)))
    process.stdin.flush()
    ends = time.monotonic() + 10
    while not home.journal() and time.monotonic() < ends:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert process.returncode == 130, said
    assert server.log == []
    assert home.journal() == []
