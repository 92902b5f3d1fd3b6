"""`cmdstat history`: who sent what, when, why, and what came of it; the runs; what is old goes."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
from contextlib import closing

import pytest
from faulty_server import answer, forever, silence
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from screens import ID, NOW, drawn, record

from cmdstat.errors import UsageError
from cmdstat.instants import timestamp
from cmdstat.journal import pruning
from cmdstat.journal.database import open_database
from cmdstat.journal.history import History, Wanted
from cmdstat.journal.pruning import prune
from cmdstat.journal.records import Journal
from cmdstat.models import Outcome
from cmdstat.render.history import show_history, show_runs

BEGAN = 1_800_000_000.0
DEAD = 4711
"""A holder whose process is gone."""
RUNS = {"done": BEGAN + 500, "later": BEGAN + 900, "cut-off": None, "at-work": None}
WRITING_SECONDS = float(os.environ.get("HISTORY_WRITING_SECONDS", "3"))


def fill(journal: Journal, rows: int = 400) -> list[dict]:
    """Runs in every state, and rows of every kind; the rows as they were written."""
    chance = random.Random(7)
    database = journal.database
    for number, (name, ended) in enumerate([*RUNS.items(), ("half-read", None)]):
        database.execute(
            "INSERT INTO runs (run, started, ended, ready, holder, base_url, by, source, options)"
            " VALUES (?, ?, ?, ?, ?, 'https://h.test/api', 'ann@desk', 'f.csv', '{}')",
            (
                name,
                BEGAN + number,
                ended,
                name != "half-read",
                journal.holder if name == "at-work" else None,
            ),
        )
    made = []
    for number in range(1, rows + 1):
        run = chance.choice([None, None, None, *RUNS, "half-read"])
        at_work = chance.random() < 0.3
        outcome = chance.choice([*(each.value for each in Outcome), "sending"])
        sent = outcome != "pending" or run is None
        row = {
            "n": number,
            "run": run,
            "id": f"id-{chance.randrange(9)}",
            "outcome": outcome,
            "holder": (journal.holder if at_work else DEAD) if outcome == "sending" else None,
            "sent_at": BEGAN + chance.randrange(1000) if sent else None,
            "at": BEGAN + chance.randrange(1000) if sent and outcome != "sending" else None,
        }
        made.append(row)
        database.execute(
            f"INSERT INTO updates ({', '.join(row)}, state, base_url, by)"
            " VALUES (:n, :run, :id, :outcome, :holder, :sent_at, :at, 'Command Success', ?, ?)"
            .replace("?, ?", "'https://h.test/api', 'ann@desk'"),
            row,
        )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A journal with rows of every kind, and these rows; nobody changes it."""
    journal = Journal(tmp_path_factory.mktemp("history") / "journal.db")
    yield journal, fill(journal)
    journal.close()


def shown_outcome(row: dict) -> str:
    if row["outcome"] != "sending":
        return row["outcome"]
    return "unknown" if row["holder"] == DEAD else "pending"


def expected(rows: list[dict], wanted: Wanted) -> list[int]:
    """The numbers of the rows that pass, newest first, by looking at each of them."""

    def moment(row: dict) -> float:
        return row["at"] or row["sent_at"] or 0.0

    kept = [
        row
        for row in rows
        if row["run"] != "half-read"
        and (wanted.id is None or row["id"] == wanted.id)
        and (wanted.run is None or row["run"] == wanted.run)
        and (wanted.outcome is None or shown_outcome(row) == wanted.outcome)
        and (wanted.since is None or moment(row) >= wanted.since)
        and (moment(row) or wanted.id or wanted.run or wanted.outcome)
    ]
    order = (lambda row: row["n"]) if wanted.run else (lambda row: (moment(row), row["n"]))
    return [row["n"] for row in sorted(kept, key=order, reverse=True)][: wanted.limit]


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    wanted=st.builds(
        Wanted,
        id=st.none() | st.sampled_from([f"id-{number}" for number in range(10)]),
        run=st.none() | st.sampled_from(list(RUNS)),
        since=st.none() | st.integers(-10, 1010).map(lambda seconds: BEGAN + seconds),
        outcome=st.none() | st.sampled_from(Outcome),
        limit=st.sampled_from([1, 5, 50, 1000]),
    )
)
def test_every_filter_keeps_what_it_says(filled, wanted):
    """Filters, alone and together, keep exactly the rows that pass, newest first."""
    journal, rows = filled
    found = list(History(journal).updates(wanted))
    assert [each.n for each in found] == expected(rows, wanted)
    assert [each.outcome for each in found] == [shown_outcome(rows[each.n - 1]) for each in found]


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        Wanted(id="id-1"),
        Wanted(run="done"),
        Wanted(run="done", outcome=Outcome.REFUSED),
        Wanted(outcome=Outcome.UNKNOWN),
        Wanted(since=BEGAN),
        Wanted(since=BEGAN, outcome=Outcome.REFUSED),
    ],
)
def test_no_filter_looks_at_every_row(filled, wanted):
    """Each filter has an index that finds its rows, in their order, without reading the others."""
    journal, _ = filled
    asked: list[str] = []
    journal.database.set_trace_callback(asked.append)
    list(History(journal).updates(wanted))
    journal.database.set_trace_callback(None)
    for statement in asked:
        plan = [row[3] for row in journal.database.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert not [step for step in plan if step.startswith("SCAN u")], (statement, plan)
        few = wanted.id or "u.outcome = 'sending'" in statement
        assert few or "USE TEMP B-TREE FOR ORDER BY" not in plan, (statement, plan)


def test_a_row_of_a_process_that_is_gone_is_unknown(filled):
    """What was being sent by a process that died says so, and how to learn what became of it."""
    journal, rows = filled
    for row in rows:
        if row["outcome"] != "sending" or row["run"] == "half-read":
            continue
        found = History(journal).update(row["n"])
        assert found.at == timestamp(row["sent_at"])
        assert History(journal).is_under_way(row["n"]) == (row["holder"] != DEAD)
        if row["holder"] == DEAD:
            assert "process that was sending it is gone" in found.error["message"]
            again = f"--resume {row['run']}" if row["run"] else f"get {row['id']}"
            assert again in found.error["hint"]
        else:
            assert (found.outcome, found.error) == (Outcome.PENDING, None)


def test_runs_and_their_counts(filled):
    """Each run with its state, its rows by outcome, and how many are left; none half read in."""
    journal, rows = filled
    runs = History(journal).runs(50)
    assert [each["run"] for each in runs] == list(reversed(RUNS))
    states = {each["run"]: each["state"] for each in runs}
    assert states == {
        "done": "finished", "later": "finished", "cut-off": "unfinished", "at-work": "at work",
    }  # fmt: skip
    for run in runs:
        own = [row["outcome"] for row in rows if row["run"] == run["run"]]
        assert run["rows"] == len(own) == sum(run[outcome] for outcome in Outcome)
        assert run["refused"] == own.count("refused")
        assert run["left"] == own.count("pending") + own.count("sending")
        in_doubt = own.count("sending") if run["run"] != "at-work" else 0
        assert run["unknown"] == own.count("unknown") + in_doubt
    assert len(History(journal).runs(2)) == 2
    assert [each["run"] for each in History(journal).runs(50, BEGAN + 2)] == ["at-work", "cut-off"]


@pytest.mark.parametrize("seconds", [0, 400, 501, 800, 901, 2000])
def test_prune_removes_what_is_old_and_nothing_else(tmp_path, seconds):
    """Single updates by their time, ended runs as a whole; what is unfinished or alive stays."""
    journal = Journal(tmp_path / "journal.db")
    rows = fill(journal)
    before = BEGAN + seconds

    def goes(row: dict) -> bool:
        if row["run"] is not None:
            return row["run"] != "half-read" and (RUNS[row["run"]] or before) < before
        if row["outcome"] == "sending":
            return row["holder"] == DEAD and row["sent_at"] < before
        return row["at"] < before

    pruned = prune(journal, before)
    left = [n for (n,) in journal.database.execute("SELECT n FROM updates ORDER BY n")]
    assert left == [row["n"] for row in rows if not goes(row)]
    assert pruned.updates == len(rows) - len(left)
    names = {name for (name,) in journal.database.execute("SELECT run FROM runs")}
    assert names == {
        "half-read",
        *(name for name, ended in RUNS.items() if not ended or ended >= before),
    }
    assert pruned.runs == 5 - len(names)
    journal.close()


def test_prune_leaves_a_run_that_was_taken_up_again(tmp_path):
    """A run that somebody resumes between being found and being claimed keeps all its rows."""
    journal = Journal(tmp_path / "journal.db")
    rows = fill(journal)
    for run in ("at-work", "cut-off", "half-read"):
        assert pruning._prune_run(journal, run, BEGAN + 10**6) is None
    journal.database.execute("UPDATE runs SET holder = 1 WHERE run = 'done'")
    assert pruning._prune_run(journal, "done", BEGAN + 10**6) is None
    assert journal.database.execute("SELECT count(*) FROM updates").fetchone() == (len(rows),)
    journal.close()


def test_prune_gives_the_room_back(tmp_path):
    """After a prune with nobody at work, the file is as small as what is left in it."""
    path = tmp_path / "journal.db"
    with closing(open_database(path)) as database:
        database.executemany(
            "INSERT INTO updates (id, outcome, at, result) VALUES ('x', 'updated', 1.0, ?)",
            [("x" * 1000,)] * 2000,
        )
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    journal = Journal(path)
    assert path.stat().st_size > 2_000_000
    assert prune(journal, 2.0) == (2000, 0)
    assert path.stat().st_size < 100_000
    journal.close()


def test_there_is_no_such_run_or_number(filled):
    """A run or number that is not there is the caller's mistake; half-read runs are not there."""
    journal, rows = filled
    for run in ("nope", "half-read"):
        with pytest.raises(UsageError, match="no run"):
            list(History(journal).updates(Wanted(run=run)))
    hidden = next(row["n"] for row in rows if row["run"] == "half-read")
    for number in (0, -1, 10**6, hidden):
        with pytest.raises(UsageError, match="no update"):
            History(journal).update(number)


WRITER = """
import sys, time
from pathlib import Path
from cmdstat.journal.records import Journal, Origin
from cmdstat.models import Outcome, StatusUpdate, UpdateRecord
journal = Journal(Path(sys.argv[1]))
origin = Origin(None, "https://h.test/api", "ann@desk")
ends, done = time.monotonic() + float(sys.argv[2]), 0
while time.monotonic() < ends:
    update = StatusUpdate(f"{sys.argv[3]}-{done}", "Command Success")
    number = journal.begin(update, origin)
    record = UpdateRecord(number, update.id, update.requested, Outcome.UPDATED, **origin._asdict())
    journal.finish(record, time.time())
    done += 1
print(done)
"""


def test_eight_processes_write_at_once_and_every_row_is_there(tmp_path):
    """Many `cmdstat set` at the same time lose no row, and none is left half written."""
    path = tmp_path / "journal.db"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, path, str(WRITING_SECONDS), str(number)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    written = [int(writer.communicate()[0]) for writer in writers]
    assert min(written) > 0
    journal = Journal(path)
    found = [each.id for each in History(journal).updates(Wanted(limit=10**9))]
    journal.close()
    assert len(found) == sum(written)
    assert set(found) == {f"{who}-{row}" for who, rows in enumerate(written) for row in range(rows)}


# The command.


@pytest.fixture
def past(home, server):
    """A home in which two updates worked and one was refused; the records that `set` showed."""
    server.on("PUT")
    records = [home.run("set", "an-id", "ack", "--reason", "by phone", "-o", "json").record]
    server.on("PUT", answer(400))
    records.append(home.run("set", "other", "failed", "-o", "json").record)
    records.append(home.run("set", "an-id", "success", "-o", "json").record)
    return records


def test_records_are_as_set_showed_them(home, past):
    """History has the same records as `set` had, newest first, field for field."""
    assert json.loads(home.run("history", "-o", "json").stdout) == past[::-1]
    lines = home.run("history", "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == past[::-1]
    rows = list(csv.DictReader(io.StringIO(home.run("history", "-o", "csv").stdout)))
    assert [row["n"] for row in rows] == ["3", "2", "1"]
    assert [row["error.kind"] for row in rows] == ["", "refused", ""]
    assert json.loads(home.run("history", "--show", "2", "-o", "json").stdout) == past[1]


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["an-id"], [3, 1]),
        (["--outcome", "refused"], [2]),
        (["--outcome", "UPDATED", "an-id", "--limit", "1"], [3]),
        (["--since", "1h"], [3, 2, 1]),
        (["--since", "0"], []),
        (["nobody"], []),
    ],
)
def test_filters_on_the_command_line(home, past, words, numbers):
    """Each filter reaches the journal."""
    found = json.loads(home.run("history", *words, "-o", "json").stdout)
    assert [each["n"] for each in found] == numbers


def test_the_tables_answer_who_when_why(home, past):
    """A person sees who sent what when, why, where, and what came of it; --utc has times in UTC."""
    shown = home.run("history", "--utc").stdout
    for wanted in ("✓ updated", "✗ refused", "by phone", past[0]["by"], "127.0.0.1:", "UTC"):
        assert wanted in shown
    full = home.run("history", "--show", "1").stdout
    assert all(word in full for word in ("recorded", past[0]["by"], "as reported above", "an-id"))
    assert "made up 400" in home.run("history", "--show", "2").stdout


@pytest.mark.parametrize(
    "words",
    [
        ["--show", "1", "--runs"],
        ["--prune", "1d", "--runs"],
        ["--prune", "1d", "--outcome", "updated"],
        ["an-id", "--show", "1"],
        ["--runs", "--run", "x"],
        ["--show", "99"],
        ["--run", "nope"],
        ["--outcome", "nope"],
        ["--prune", "soon"],
        ["--limit", "0"],
    ],
)
def test_a_wrong_call_is_exit_2(home, past, words):
    """What does not go together, or is not there, is told, and nothing is removed."""
    assert home.run("history", *words).exit == 2
    assert len(home.journal()) == 3


def test_nothing_was_sent_yet(home):
    """Without a past, history is empty, not an error."""
    result = home.run("history")
    assert (result.exit, result.stdout, result.stderr) == (0, "", "no update was recorded\n")
    assert home.run("history", "--runs", "-o", "json").stdout == "[]\n"


def test_prune_on_the_command_line(home, past):
    """`--prune` removes what is older than it says, and says how much that was."""
    assert json.loads(home.run("history", "--prune", "1d", "-o", "json").stdout)["updates"] == 0
    result = home.run("history", "--prune", "0")
    assert (result.exit, "removed 3 updates" in result.stdout) == (0, True)
    assert home.journal() == []


@pytest.mark.skipif(os.name == "nt", reason="kill -9")
def test_an_update_under_way_and_one_that_was_killed(home, server):
    """While its process lives an update is pending; when that is killed, unknown, and prunable."""
    server.on("PUT", forever(silence))
    running = home.start("set", "an-id", "success")
    server.wait_for(1)
    (under_way,) = json.loads(home.run("history", "-o", "json").stdout)
    assert (under_way["outcome"], under_way["error"]) == ("pending", None)
    assert "at this moment" in home.run("history", "--show", "1").stderr
    home.run("history", "--prune", "0")
    assert len(home.journal()) == 1
    running.signal(signal.SIGKILL)
    running.wait()
    (left,) = json.loads(home.run("history", "--outcome", "unknown", "-o", "json").stdout)
    assert left["error"]["kind"] == "unknown"
    assert "? unknown" in home.run("history").stdout
    home.run("history", "--prune", "0")
    assert home.journal() == []


def test_a_batch_run_in_the_history(home, server):
    """A run is listed with its counts, and its rows by its name; given up, it says so."""
    server.on("PUT", answer(400))
    (home.path / "f.csv").write_text("id,state\na,ack\nb,ack\n")
    home.run("batch", "f.csv", "-y", "-j", "1")
    (run,) = json.loads(home.run("history", "--runs", "-o", "json").stdout)
    assert (run["state"], run["rows"], run["updated"], run["refused"]) == ("finished", 2, 1, 1)
    assert (run["source"], run["left"], run["dropped"]) == ("f.csv", 0, None)
    rows = json.loads(home.run("history", "--run", run["run"], "-o", "json").stdout)
    assert [(row["line"], row["id"], row["run"]) for row in rows] == [
        (3, "b", run["run"]),
        (2, "a", run["run"]),
    ]
    server.on("PUT", answer(401))
    assert home.run("batch", "f.csv", "-y", "-j", "1").exit == 4
    latest, _ = json.loads(home.run("history", "--runs", "-o", "json").stdout)
    assert (latest["state"], latest["left"]) == ("unfinished", 2)
    assert home.run("history", "--prune", "0").exit == 0
    assert [
        run["state"] for run in json.loads(home.run("history", "--runs", "-o", "json").stdout)
    ] == ["unfinished"]
    assert home.run("batch", "--discard", latest["run"]).exit == 0
    (given_up,) = json.loads(home.run("history", "--runs", "-o", "json").stdout)
    assert (given_up["state"], given_up["dropped"]) == ("given up", 2)
    assert "↷ given up" in home.run("history", "--runs").stdout


def test_a_damaged_journal_is_named(home, past):
    """A journal that cannot be read is exit 3 with its path, and is left as it is."""
    home.journal_file.write_bytes(b"SQLite format 3\x00" + b"\xff" * 4000)
    for words in (["history"], ["history", "--runs"], ["history", "--prune", "0"]):
        result = home.run(*words, "-o", "json")
        assert result.exit == 3
        assert str(home.journal_file) in result.error["message"]
    assert home.journal_file.read_bytes().startswith(b"SQLite format 3\x00\xff")


def test_foreign_text_in_the_history_is_harmless(home, server):
    """What a server said is data, in the table of the past too."""
    server.on("PUT", answer(400, {"code": 400, "message": "\x1b[31m\u202e[bold]red"}))
    home.run("set", "id[/x]", "ack", "--reason", "[red]why\x9b31m")
    for words in (["history"], ["history", "--show", "1"], ["history", "-o", "csv"]):
        assert home.run(*words).exit == 0
    assert "[red]why" in home.run("history").stdout


# The table.


@pytest.mark.parametrize("width", [1, 20, 40, 60, 80, 100, 130, 160, 220])
def test_everything_is_there_at_any_width(width):
    """At any width the id is whole, and who, what, when and where are told."""
    rows = [record(), record(n=18, outcome="refused", error={"message": "no", "hint": ""})]
    shown = drawn(show_history, rows, width=width, now=NOW)
    assert shown.count(ID) == 2
    together = "".join(shown.split())
    for wanted in ("17", "✓updated", "✗refused", "CommandSuccess", "ann@desk", "prod@acme-api"):
        assert wanted in together
    assert ":pw@" not in together


def test_what_was_asked_and_what_was_reported():
    """One state where both are the same, both where they differ, a word where none was asked."""
    rows = [
        record(requested={"state": "Command Failure", "reason": "x" * 500}),
        record(requested={"state": None, "reason": ""}, profile=None),
    ]
    shown = drawn(show_history, rows, width=300, now=NOW)
    assert "✗ Command Failure → ✓ Command Success" in shown
    assert "the reason only" in shown
    assert "x" * 300 not in shown
    assert "(empty)" in shown
    assert " acme-api.example.test:8443 " in shown


@pytest.mark.parametrize("width", [1, 40, 80, 100, 200])
def test_runs_at_any_width(filled, width):
    """A run's name, which `--resume` wants, is whole in every layout."""
    journal, _ = filled
    shown = drawn(show_runs, History(journal).runs(9), width=width, now=BEGAN + 3600)
    assert all(name in shown for name in RUNS)
    assert "at work" in shown or width == 1
