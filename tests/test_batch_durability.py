"""`kill -9` at any moment, then `--resume`: nothing is lost, nothing is done twice, all is certain.

The invariants are read from the server's own log and from the journal. `ROUNDS` in the environment
says how many kills there are in all (25 without it), `SEED` repeats a run.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing

import pytest
from harness import KEY, Home, Result, Running
from logging_server import Fault, LoggingServer, Seen, every

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kill -9 is a signal of POSIX")

ROUNDS = int(os.environ.get("ROUNDS", "25"))
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
PARTS = 5
STATES = ["ack", "in-progress", "success", "failure", "cancelled"]


class KilledRun:
    """A batch that is killed again and again until it is through, and what it must keep to."""

    def __init__(self, chance: random.Random, home: Home, server: LoggingServer) -> None:
        self.chance = chance
        self.home = home
        self.server = server
        self.jobs = chance.choice([1, 2, 8, 16])
        self.rows = chance.randrange(40, 90)
        self.kills = 0
        self._ended: Result | None = None
        self.shown: Counter[int] = Counter()
        self.kinds: Counter[str] = Counter()
        ids = [f"id-{number}" for number in range(chance.choice([4, 12, self.rows]))]
        self.ids = {line: chance.choice(ids) for line in range(2, self.rows + 2)}
        self.file = home.path / "rows.csv"
        lines = (f"{each},{chance.choice(STATES)},row-{line}" for line, each in self.ids.items())
        self.file.write_text("id,state,reason\n" + "\n".join(lines) + "\n")

    def start(self, *what: str) -> Running:
        return self.home.start(
            "batch", *what, "-y", "-j", str(self.jobs), "-o", "jsonl", "--retries", "5"
        )

    def run(self, rounds: int) -> int:
        """Kill up to so many times; then let it end, and check all of it. How many kills it was."""
        running = self.start(str(self.file))
        before: dict[int, str] = {}
        requests = 0
        while self.kills < rounds and self._kill(running):
            self.server.settle()
            if before:
                self._check_resumed(before, self.server.seen()[requests:])
            before, requests = self._check_what_is_left(), len(self.server.log)
            running = self.start("--resume") if before else self.start(str(self.file))
            if set(before.values()) == {"updated"}:
                break
        result = self._ended or running.wait()
        self._count_shown(running)
        result.check_harmless()
        was_through = bool(before) and set(before.values()) == {"updated"}
        assert result.exit == 0 or (was_through and result.exit == 2), result.describe()
        if before:
            self._check_resumed(before, self.server.seen()[requests:])
        self._check_the_end()
        return self.kills

    def _kill(self, running: Running) -> bool:
        """Kill at a moment drawn by lot: right away, after a time, or after some requests."""
        if self.chance.random() < 0.25:
            time.sleep(self.chance.uniform(0.0, 0.35))
        else:
            wanted = len(self.server.log) + self.chance.randrange(1, 2 + self.rows // 4)
            ends = time.monotonic() + 2
            while len(self.server.log) < wanted and time.monotonic() < ends:
                if len(self.server.applied()) >= self.rows:
                    break
                time.sleep(0.001)
            time.sleep(self.chance.uniform(0.0, 0.004))
        try:
            running.signal(signal.SIGKILL)
        except ProcessLookupError:
            return False  # it was through
        result = running.wait()
        if result.exit != -signal.SIGKILL:
            self._ended = result
            return False
        self._count_shown(running)
        self.kills += 1
        return True

    def _count_shown(self, running: Running) -> None:
        for line in (running._folder / "out").read_text().splitlines():
            if line.endswith("}"):  # the last one may be cut off
                self.shown[json.loads(line)["line"]] += 1

    def _rows(self) -> list[dict[str, object]]:
        if not self.home.journal_file.exists():
            return []
        with closing(sqlite3.connect(self.home.journal_file, timeout=10)) as database:
            database.row_factory = sqlite3.Row
            try:
                found = database.execute(
                    "SELECT line, id, outcome FROM updates JOIN runs USING (run) WHERE ready"
                ).fetchall()
            except sqlite3.OperationalError:  # killed before the tables were there
                return []
        return [dict(row) for row in found]

    def _check_what_is_left(self) -> dict[int, str]:
        """What a kill leaves: every row, at most `jobs` of them in doubt; its outcomes by line."""
        rows = self._rows()
        if not rows:
            assert self.server.log == []
            return {}
        outcomes = {row["line"]: row["outcome"] for row in rows}
        assert len(rows) == len(outcomes) == self.rows
        assert set(outcomes.values()) <= {"pending", "sending", "updated"}
        self.kinds.update([kind_of(outcomes)])
        in_doubt = [self.ids[line] for line, each in outcomes.items() if each == "sending"]
        assert len(in_doubt) <= self.jobs
        assert len(in_doubt) == len(set(in_doubt)), "two rows of one id were under way at once"
        asked_for = {line_of(seen) for seen in self.server.seen("PUT")}
        pending = {line for line, each in outcomes.items() if each == "pending"}
        assert not asked_for & pending, "a row was sent that the journal has not marked"
        applied = {line_of(seen) for seen in self.server.applied()}
        done = {line for line, each in outcomes.items() if each == "updated"}
        assert done <= applied, "a row is recorded as done that the server never applied"
        return outcomes

    def _check_resumed(self, before: dict[int, str], since: list[Seen]) -> None:
        """What the requests after a kill must keep to, given what the journal had then."""
        touched_ids = {self.ids[line] for line, each in before.items() if each != "updated"}
        assert {seen.id for seen in since} <= touched_ids
        read: set[str] = set()
        for seen in since:
            if seen.method == "GET":
                read.add(seen.id)
                continue
            line = line_of(seen)
            assert before[line] != "updated", f"line {line} was done, and was sent again"
            if before[line] == "sending":
                assert seen.id in read, f"line {line} was in doubt, and was not read first"

    def _check_the_end(self) -> None:
        rows = self.home.journal()
        assert [row["line"] for row in rows] == list(self.ids)
        assert {row["outcome"] for row in rows} == {"updated"}
        assert all(row["result"] for row in rows)
        assert {line_of(seen) for seen in self.server.applied()} == set(self.ids)
        assert max(self.shown.values()) == 1, "a row was shown as ended more than once"
        last: dict[str, int] = {}
        for seen in self.server.seen("PUT"):
            assert last.get(seen.id, 0) <= line_of(seen), "rows of one id left out of order"
            last[seen.id] = line_of(seen)
        for command_id, line in last.items():
            assert self.server.state_of(command_id)["reason"] == f"row-{line}"


def kind_of(outcomes: dict[int, str]) -> str:
    """At what time a run was killed, to tell whether the lot drew all of them."""
    found = set(outcomes.values())
    if "sending" in found:
        return "under way"
    return "at the start" if found == {"pending"} else "at the end"


def line_of(seen: Seen) -> int:
    """The line of the row that a PUT carries out."""
    return int((seen.reason or "").removeprefix("row-"))


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_and_resumed(part, tmp_path):
    """However often a batch is killed, resuming it ends with every row done once, in order."""
    seed = SEED + part
    print(f"repeat this with SEED={SEED} ROUNDS={ROUNDS}, part {part}")
    chance = random.Random(seed)
    left = ROUNDS // PARTS
    number = 0
    while left > 0:
        number += 1
        with LoggingServer(latency=chance.choice([0.0, 0.002, 0.01])) as server:
            if chance.random() < 0.4:
                server.rule = every(25, Fault(reset=True, applied=chance.random() < 0.7))
            pair = {"CMDSTAT_BASE_URL": server.base_url, "CMDSTAT_API_KEY": KEY}
            home = Home(tmp_path / f"home-{number}", pair)
            killed = KilledRun(chance, home, server)
            left -= max(1, killed.run(left))
            print(f"{killed.rows} rows, {killed.jobs} jobs, killed {killed.kills} times:"
                  f" {dict(killed.kinds)}")  # fmt: skip
