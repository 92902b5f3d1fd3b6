"""How fast `cmdstat history` answers from a journal of a million rows, filter by filter.

Run it as: python tests/benchmarks/past.py [ROWS]

A tenth of the rows are single updates, the others belong to runs, the largest of half of all rows.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from yardstick import seconds

from cmdstat.journal.database import open_database, transaction

CMDSTAT = str(Path(sys.executable).with_name("cmdstat"))
GOAL = 1.0
OUTCOMES = ["updated"] * 96 + ["refused", "server_error", "unknown", "skipped"]


def main() -> None:
    """Make the journal, time each question, and fail if one takes longer than `GOAL` seconds."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as home:
        journal = Path(home, "journal.db")
        env = {"PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8"}
        env["CMDSTAT_JOURNAL"] = str(journal)
        fill(journal, rows)
        print(f"{rows:,} rows, {journal.stat().st_size / 1e6:.0f} MB")
        slow = [question for question in questions(rows) if ask(question, env) > GOAL]
        sys.exit(bool(slow))


def questions(rows: int) -> list[list[str]]:
    """What is asked, as the words after `cmdstat history`."""
    return [
        [],
        [f"id-{rows // 3}"],
        ["--run", "run-large"],
        ["--run", "run-small"],
        ["--run", "run-large", "--outcome", "refused"],
        ["--since", "1m"],
        ["--since", "36500d"],
        *(["--outcome", outcome] for outcome in ("updated", "refused", "unknown", "pending")),
        ["--outcome", "unauthorized"],
        ["--since", "365d", "--outcome", "refused"],
        ["--show", str(rows // 2)],
        ["--runs"],
    ]


def ask(question: list[str], env: dict[str, str]) -> float:
    """The median of five runs, printed, in seconds."""
    times = sorted(seconds([CMDSTAT, "history", *question, "-o", "jsonl"], env) for _ in range(5))
    verdict = "reached" if times[2] <= GOAL else "MISSED"
    print(f"history {' '.join(question):<40} {times[2] * 1000:7.1f} ms   {verdict}")
    return times[2]


def fill(path: Path, rows: int) -> None:
    """A journal of so many rows, the last of them a moment ago, one every 20 seconds before."""
    with closing(open_database(path)) as database:
        database.execute("PRAGMA synchronous = OFF")
        with transaction(database):
            database.executemany(
                "INSERT INTO runs (run, started, ended, ready, base_url, by, source, options)"
                " VALUES (?, ?, ?, 1, 'https://acme-api.example.test/api', 'ann@desk', '-', '{}')",
                [("run-large", 1.0, 2.0), ("run-small", 3.0, 4.0), ("run-late", 5.0, None)],
            )
            database.executemany(
                "INSERT INTO updates (n, run, line, id, state, outcome, sent_at, at, profile,"
                " base_url, by, result) VALUES (?, ?, ?, ?, 'Command Success', ?, ?, ?, 'prod',"
                " 'https://acme-api.example.test/api', 'ann@desk', ?)",
                made_up(rows),
            )


def made_up(rows: int) -> Iterator[tuple[object, ...]]:
    """The rows, oldest first: single ones, a large run, a small one, one that was not sent."""
    now = time.time()
    for n in range(1, rows + 1):
        part = n / rows
        run = "run-large" if 0.1 < part <= 0.6 else "run-late" if part > 0.7 else None
        if 0.6 < part <= 0.6 + 100 / rows:
            run = "run-small"
        moment = now - 20.0 * (rows - n)
        content = {"id": f"id-{n}", "state": "Command Success", "reason": "made up " * 5}
        result = json.dumps({"http_status": 200, "code": 200, "message": "OK", "content": content})
        late = run == "run-late" and part > 0.8
        outcome = "pending" if late else OUTCOMES[n % len(OUTCOMES)]
        known = (None, None, None) if late else (moment, moment, result)
        yield (n, run, None if run is None else n, f"id-{n}", outcome, *known)


if __name__ == "__main__":
    main()
