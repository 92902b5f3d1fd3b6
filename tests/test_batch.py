"""`cmdstat batch` from outside: real processes, a real server, what is sent, shown and recorded."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import stat
import sys
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace

import pytest
from harness import KEY, RECORD_FIELDS, Home, Result
from logging_server import Fault, LoggingServer, Seen, always

from cmdstat import batch_screen
from cmdstat.batch.tally import Tally
from cmdstat.reports import write_report


@pytest.fixture
def server():
    """A server with many commands that keeps a log."""
    with LoggingServer() as started:
        yield started


def table(*rows: str, head: str = "id,state,reason") -> str:
    return "\n".join([head, *rows]) + "\n"


def numbered(count: int) -> str:
    """So many rows of different ids; the reason names the line."""
    return table(*(f"c{line},success,row-{line}" for line in range(2, count + 2)))


def batch(home: Home, data: str, *more: str, **options: object) -> Result:
    return home.run("batch", "-", "--format", "csv", *more, input=data, **options)


def outcomes(home: Home) -> Counter[str]:
    return Counter(row["outcome"] for row in home.journal())


def run_name(home: Home) -> str:
    return str(home.journal()[-1]["run"])


def refuse(*ids: str, status: int = 400):
    """A rule: updates of these ids are refused."""
    return lambda seen: Fault(status) if seen.id in ids and seen.method == "PUT" else None


# What is sent and shown.


def test_a_file_is_sent_and_recorded(home, server):
    """Every row of a file is sent once, exactly as asked, and is a record of the run."""
    (home.path / "rows.csv").write_text(
        table("a,success,by phone", "b,,only why", "c/ d,Command Failure,", "e,ack,é", "f,ack,")
    )
    result = home.run("batch", "rows.csv")
    assert result.exit == 0, result.describe()
    assert {seen.id: seen.body for seen in server.log} == {
        "a": {"state": "Command Success", "reason": "by phone"},
        "b": {"reason": "only why"},
        "c/ d": {"state": "Command Failure"},
        "e": {"state": "Command Acknowledged", "reason": "é"},
        "f": {"state": "Command Acknowledged"},
    }
    assert {seen.method for seen in server.log} == {"PUT"}
    assert {seen.key for seen in server.log} == {KEY}
    assert outcomes(home) == {"updated": 5}
    assert "5 of 5 done" in result.stdout
    assert run_name(home) in result.stdout
    assert result.stderr == ""


def test_every_record_has_the_shape_of_all_records(home, server):
    """A row's record is the record of `set`, with its run and its line."""
    server.rule = refuse("c3")
    result = batch(home, numbered(4), "-o", "json")
    assert result.exit == 8
    records = json.loads(result.stdout)
    assert [list(record) for record in records] == [RECORD_FIELDS] * 4
    assert [record["line"] for record in records] == [2, 3, 4, 5]
    assert {record["run"] for record in records} == {run_name(home)}
    assert [record["outcome"] for record in records] == ["updated", "refused"] + ["updated"] * 2
    assert records[0]["content"]["reason"] == "row-2"
    assert records[1]["error"]["kind"] == "refused"
    assert {record["base_url"] for record in records} == {server.base_url}


def test_jobs_are_at_work_at_once_and_no_more(home, server):
    """As many requests as there are jobs are under way at a time, on as many connections."""
    server.latency = 0.05
    result = batch(home, numbered(40), "-j", "5")
    assert result.exit == 0
    moments = sorted(
        [(seen.at, 1) for seen in server.log] + [(seen.answered, -1) for seen in server.log]
    )
    under_way = most = 0
    for _, step in moments:
        under_way += step
        most = max(most, under_way)
    assert most == 5


def test_same_ids_go_in_file_order(home, server):
    """Rows of one id are sent in file order, each after the answer to the one before."""
    server.latency = 0.003
    rows = [f"{'abc'[line % 3]},{['success', 'failure'][line % 2]},row-{line}"
            for line in range(2, 62)]  # fmt: skip
    assert batch(home, table(*rows), "-j", "16").exit == 0
    for each in "abc":
        seen = [one for one in server.log if one.id == each]
        assert [int(one.reason.removeprefix("row-")) for one in seen] == [
            line for line in range(2, 62) if "abc"[line % 3] == each
        ]
        for one, other in pairwise(seen):
            assert other.at >= one.answered


def test_rate_is_kept(home, server):
    """With --rate, however many the jobs, no more requests leave than that in any second."""
    assert batch(home, numbered(16), "--rate", "20", "-j", "8").exit == 0
    moments = [seen.at for seen in server.log]
    assert moments[-1] - moments[0] >= 15 / 20 - 0.1
    for early, late in zip(moments, moments[9:], strict=False):
        assert late - early >= 9 / 20 - 0.1


def test_conditions_skip(home, server):
    """A row whose command is in another state is skipped and not sent; the rest goes; exit 0."""
    server.change("b", {"state": "Command Queued"})
    data = table("a,success,queued", "b,success,queued|ack", "c,success,", head="id,state,if_state")
    result = batch(home, data, "-o", "json")
    assert result.exit == 0, result.describe()
    first, second, third = json.loads(result.stdout)
    assert (first["outcome"], first["before"]["state"]) == ("skipped", "Command In Progress")
    assert second["outcome"] == third["outcome"] == "updated"
    assert sorted((seen.method, seen.id) for seen in server.log) == [
        ("GET", "a"), ("GET", "b"), ("PUT", "b"), ("PUT", "c"),
    ]  # fmt: skip
    again = batch(home, table("d,success,"), "--if-state", "queued", "-o", "jsonl")
    assert (again.exit, json.loads(again.stdout)["outcome"]) == (0, "skipped")


def test_closing_table_names_the_first_failures(home, server):
    """The closing table counts the outcomes and names the first 20 failures with line and why."""
    server.rule = always(Fault(400))
    result = batch(home, numbered(30))
    assert result.exit == 8
    lines = [line.split() for line in result.stdout.splitlines()]
    named = [int(words[0]) for words in lines if words and words[0].isdigit()]
    assert named == list(range(2, 22))
    assert "c2" in result.stdout
    assert "made up 400" in result.stdout
    assert "first 20 of 30" in result.stdout
    assert re.search(r"refused\s+30", result.stdout)
    assert "30 of 30 rows are not done" in result.stderr
    assert "--retry-failed" in result.stderr


def test_jsonl_and_csv_stream_while_it_runs(home, server):
    """A record is written as its row ends, when it is in the journal, and not at the end."""
    server.latency = 0.05
    reading, writing = os.pipe()
    data = numbered(40)
    running = home.start("batch", "-", "--format", "csv", "-o", "jsonl", "-j", "2",
                         input=data, stdout=writing)  # fmt: skip
    os.close(writing)
    with open(reading, encoding="utf-8") as lines:
        record = json.loads(lines.readline())
        stored = {row["n"]: row["outcome"] for row in home.journal()}
        assert stored[record["n"]] == record["outcome"] == "updated"
        assert Counter(stored.values())["pending"] > 10
        rest = [json.loads(line) for line in lines]
    assert running.wait().exit == 0
    assert sorted(each["line"] for each in [record, *rest]) == list(range(2, 42))
    table_of = list(csv.DictReader(io.StringIO(batch(home, data, "-o", "csv").stdout)))
    assert sorted(int(each["line"]) for each in table_of) == list(range(2, 42))
    assert {each["outcome"] for each in table_of} == {"updated"}


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_quiet_says_nothing(home, server, form):
    """With -q a good run writes nothing at all, and a bad one its error alone."""
    result = batch(home, numbered(3), "-q", "-o", form)
    assert (result.exit, result.stdout, result.stderr) == (0, "", "")
    server.rule = refuse("c3")
    result = batch(home, numbered(3), "-q", "-o", form)
    assert (result.exit, result.stdout) == (8, "")
    assert "1 of 3" in result.stderr


def test_dry_run_sends_and_records_nothing(home, server):
    """--dry-run checks all, shows counts and the first requests, and leaves no trace."""
    data = table(*(f"c{line},{'ack' if line % 2 else ''},why" for line in range(8)))
    result = batch(home, data, "--dry-run", "-o", "json")
    assert result.exit == 0, result.describe()
    shown = json.loads(result.stdout)
    assert shown["dry_run"] is True
    assert shown["counts"]["rows"] == 8
    assert shown["counts"]["states"] == {"Command Acknowledged": 4, "the reason only": 4}
    assert [list(each) for each in shown["requests"]] == [["method", "url", "body"]] * 5
    assert shown["requests"][0]["url"] == f"{server.base_url}/commands/v0/status/c0/"
    as_table = batch(home, data, "--dry-run")
    assert "not sent" in as_table.stdout
    assert batch(home, table("a,nope,"), "--dry-run").exit == 2
    assert server.log == []
    assert home.journal() == []


# The question, and the progress.


@pytest.mark.parametrize(("answer", "code", "sent"), [("y", 0, 2), ("n", 2, 0), ("", 2, 0)])
def test_question_on_a_terminal(home, server, answer, code, sent):
    """On a terminal it asks before sending more than one, naming count and host; no means no."""
    pexpect = pytest.importorskip("pexpect")
    (home.path / "rows.csv").write_text(numbered(2))
    child = spawn(pexpect, home, "rows.csv")
    child.expect(rf"Send 2 updates to 127\.0\.0\.1:{server.port}\? \[y/N\] ")
    child.sendline(answer)
    child.read()
    child.close()
    assert child.exitstatus == code
    assert len(server.log) == len(home.journal()) == sent


def test_question_after_rows_typed_on_the_same_terminal(home, server):
    """Rows that were typed in are asked about on the terminal that they came from."""
    pexpect = pytest.importorskip("pexpect")
    child = spawn(pexpect, home, "-", "--format", "ids", "--state", "success")
    child.sendline("a")
    child.sendline("b")
    child.sendeof()
    child.expect("Send 2 updates")
    child.sendline("y")
    shown = child.read()
    child.close()
    assert child.exitstatus == 0, shown
    assert sorted(seen.id for seen in server.log) == ["a", "b"]


@pytest.mark.parametrize("words", [["-y"], ["one.csv"]])
def test_no_question(home, server, words):
    """Neither with -y nor for a single update is anything asked."""
    pexpect = pytest.importorskip("pexpect")
    (home.path / "one.csv").write_text(numbered(1))
    (home.path / "rows.csv").write_text(numbered(2))
    child = spawn(pexpect, home, *(words if len(words[0]) > 2 else ["rows.csv", *words]))
    shown = child.read()
    child.close()
    assert child.exitstatus == 0
    assert b"[y/N]" not in shown


def spawn(pexpect, home: Home, *words: str, columns: int = 100):
    return pexpect.spawn(
        sys.executable, ["-m", "cmdstat", "batch", *words], cwd=str(home.path), timeout=20,
        env=home.env | {"TERM": "xterm-256color"}, dimensions=(40, columns),
    )  # fmt: skip


@pytest.mark.parametrize("columns", [24, 100])
def test_progress_bar_stays_on_one_line(home, server, columns):
    """On a terminal of any width a bar shows how far it is, on one line, and is gone in the end."""
    pexpect, pyte = pytest.importorskip("pexpect"), pytest.importorskip("pyte")
    server.latency = 0.1
    (home.path / "rows.csv").write_text(numbered(32))
    child = spawn(pexpect, home, "rows.csv", "-y", "-j", "2", columns=columns)
    screen = pyte.Screen(columns, 40)
    stream = pyte.ByteStream(screen)
    bars = []
    while True:
        try:
            stream.feed(child.read_nonblocking(4096, timeout=20))
        except pexpect.EOF:
            break
        shown = [line.strip() for line in screen.display if line.strip()]
        bars += [line for line in shown if line.startswith("[")]
        assert len(shown) <= 1 or "Batch" in shown[0], shown
    child.close()
    assert child.exitstatus == 0
    assert bars
    assert columns < 100 or "of 32" in bars[-1]
    assert not [line for line in screen.display if line.startswith("[")]


def test_line_every_ten_seconds_where_there_is_no_terminal(monkeypatch):
    """Elsewhere a line is told every ten seconds, and not more often."""

    told: list[str] = []
    common = SimpleNamespace(quiet=False)
    context = SimpleNamespace(
        format="table", env={}, stderr=io.StringIO(), common=common, tell=told.append
    )
    now = [0.0]
    monkeypatch.setattr(batch_screen, "monotonic", lambda: now[0])
    tally = Tally({"pending": 5, "updated": 2, "refused": 1}, lambda: now[0])
    screen = batch_screen.BatchScreen(context, tally, None)
    for second in range(35):
        now[0] = float(second)
        screen.tick()
    assert told == ["3 of 8, 1 failed"] * 3


# Reports.


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_report_has_every_row_and_its_failures_go_again(home, server, form):
    """A report has every row in order, and the failed rows of it are valid input again."""
    server.rule = refuse("c3", "c5")
    report = home.path / f"report.{form}"
    assert batch(home, numbered(5), "--report", report.name, "-q").exit == 8
    text = report.read_text()
    if form == "csv":
        head, *lines = csv.reader(io.StringIO(text))
        rows = [dict(zip(head, line, strict=True)) for line in lines]
    else:
        head, rows = [], [json.loads(line) for line in text.splitlines()]
        lines = rows
    assert [int(row["line"]) for row in rows] == [2, 3, 4, 5, 6]
    failed = [line for row, line in zip(rows, lines, strict=True) if row["outcome"] == "refused"]
    assert len(failed) == 2
    again = home.path / f"again.{form}"
    with again.open("w", newline="") as file:
        if form == "csv":
            csv.writer(file).writerows([head, *failed])
        else:
            file.writelines(json.dumps(each) + "\n" for each in failed)
    server.rule = lambda _: None
    assert home.run("batch", again.name).exit == 0
    again_sent = sorted((seen.reason, seen.body["state"]) for seen in server.log[5:])
    assert again_sent == [("row-3", "Command Success"), ("row-5", "Command Success")]


def test_report_is_written_where_nobody_waits_for_it(tmp_path):
    """A report follows no link that was planted beside it, and is its owner's alone."""
    trap = tmp_path / "trap"
    trap.write_text("untouched")
    (tmp_path / f".r.csv-{os.getpid()}").symlink_to(trap)
    write_report(str(tmp_path / "r.csv"), [])
    assert trap.read_text() == "untouched"
    assert stat.S_IMODE((tmp_path / "r.csv").stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.iterdir())[1:] == ["r.csv", "trap"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_report_of_an_interrupted_run_is_whole(home, server):
    """Interrupted or not, the report has every row, those that stay pending too."""
    server.latency = 0.1
    running = home.start("batch", "-", "--format", "csv", "-j", "2", "--report", "r.jsonl",
                         input=numbered(30))  # fmt: skip
    server.wait_for(4)
    running.signal(signal.SIGINT)
    assert running.wait().exit == 130
    rows = [json.loads(line) for line in (home.path / "r.jsonl").read_text().splitlines()]
    assert len(rows) == 30
    assert {row["outcome"] for row in rows} == {"updated", "pending"}


# Resume, retry, discard.


@pytest.fixture
def interrupted(home, server):
    """A run of 30 rows that was interrupted after a few; its name."""
    if os.name == "nt":
        pytest.skip("POSIX signals")
    server.latency = 0.1
    running = home.start("batch", "-", "--format", "csv", "-j", "2", input=numbered(30))
    server.wait_for(4)
    running.signal(signal.SIGTERM)
    assert running.wait().exit == 143
    server.latency = 0.0
    return run_name(home)


@pytest.mark.parametrize("named", [True, False])
def test_resume_goes_on(home, server, interrupted, named):
    """--resume needs neither the pipe nor a name; it says what it takes up, and does the rest."""
    done = outcomes(home)["updated"]
    result = home.run("batch", "--resume", *([interrupted] if named else []), "-o", "json")
    assert result.exit == 0, result.describe()
    assert f"run {interrupted}" in result.stderr
    assert f"127.0.0.1:{server.port}" in result.stderr
    assert f"{30 - done} rows left" in result.stderr
    assert len(json.loads(result.stdout)) == 30
    assert max(Counter(seen.id for seen in server.log).values()) == 1
    again = home.run("batch", "--resume")
    assert again.exit == 2
    assert "no unfinished run" in again.stderr


def test_resume_takes_the_newest_that_nobody_holds(home, server, interrupted):
    """Without a name it is the newest unfinished run; one that a living process holds is left."""
    server.latency = 0.2
    other = home.start("batch", "-", "--format", "csv", "-j", "1", input=numbered(8))
    server.wait_for(1 + len(server.log))
    held = run_name(home)
    assert held != interrupted
    told = home.run("batch", "--resume", held)
    assert told.exit == 3, told.describe()
    assert "another process is working on the run" in told.stderr
    given_up = home.run("batch", "--discard", held)
    assert given_up.exit == 3
    server.latency = 0.0
    resumed = home.run("batch", "--resume")
    assert resumed.exit == 0
    assert f"run {interrupted}" in resumed.stderr
    assert other.wait().exit == 0
    assert outcomes(home) == {"updated": 38}


def test_two_that_resume_the_same_run(home, server, interrupted):
    """Of two processes that resume one run at once, one is told so; no row is sent twice."""
    server.latency = 0.02
    both = [home.start("batch", "--resume", interrupted) for _ in range(2)]
    codes = sorted(running.wait().exit for running in both)
    assert codes in ([0, 3], [0, 0])  # the second may have come when all was done
    assert max(Counter(seen.id for seen in server.log).values()) == 1
    assert outcomes(home) == {"updated": 30}


def test_resume_under_another_base_url(home, server, other_server, interrupted):
    """A run without a profile goes only where it was meant to go."""
    asked = len(server.log)
    result = home.run("batch", "--resume", env={"CMDSTAT_BASE_URL": other_server.base_url})
    assert result.exit == 3, result.describe()
    assert server.base_url in result.stderr
    assert other_server.requests == []
    assert len(server.log) == asked


def test_resume_with_a_profile_that_points_elsewhere(home, server, other_server):
    """A run keeps to its profile and base URL: another profile is 2, a moved one is 3."""
    alone = {"CMDSTAT_BASE_URL": None, "CMDSTAT_API_KEY": None, "FLEET_KEY": KEY}
    for name, url in (("fleet", server.base_url), ("other", other_server.base_url)):
        added = home.run("profile", "add", name, "--base-url", url, "--api-key-env", "FLEET_KEY",
                         env=alone)  # fmt: skip
        assert added.exit == 0, added.describe()
    server.rule = lambda seen: Fault(401) if seen.number > 3 else None
    assert batch(home, numbered(9), "-j", "1", "-p", "fleet", env=alone).exit == 4
    server.rule = lambda _: None
    moved = home.path / "config" / "cmdstat" / "config.toml"
    was = moved.read_text()
    refused = home.run("batch", "--resume", "-p", "other", env=alone)
    assert refused.exit == 2
    assert "fleet" in refused.stderr
    moved.write_text(was.replace(server.base_url, other_server.base_url))
    refused = home.run("batch", "--resume", env=alone)
    assert refused.exit == 3, refused.describe()
    assert len(server.log) == 4
    assert other_server.requests == []
    moved.write_text(was)
    gone_on = home.run("batch", "--resume", env=alone)
    assert gone_on.exit == 0, gone_on.describe()
    assert "profile fleet" in gone_on.stderr
    assert outcomes(home) == {"updated": 9}


def test_retry_failed_takes_up_what_failed(home, server):
    """--retry-failed sends refused and failed rows again, and leaves the done ones alone."""
    server.rule = lambda seen: {"c3": Fault(400), "c5": Fault(403), "c6": Fault(500)}.get(seen.id)
    first = batch(home, numbered(6), "-j", "1", "--retries", "0")
    assert first.exit == 4
    server.rule = lambda seen: Fault(500) if seen.id == "c6" and seen.method == "PUT" else None
    assert home.run("batch", "--retry-failed", "--retries", "0").exit == 8
    server.rule = lambda _: None
    requests = len(server.log)
    assert home.run("batch", "--retry-failed").exit == 0
    assert {seen.id for seen in server.log[requests:]} == {"c6"}
    assert outcomes(home) == {"updated": 6}


def test_retry_failed_reads_unknown_rows_first(home, server):
    """An unknown row is read before it is sent again: one that took effect is only confirmed."""

    def rule(seen: Seen) -> Fault | None:
        if seen.method == "GET":
            return Fault(503)
        return {"c2": Fault(reset=True, applied=True), "c3": Fault(reset=True)}.get(seen.id)

    server.rule = rule
    assert batch(home, numbered(4), "--retries", "0").exit == 8
    assert outcomes(home) == {"updated": 2, "unknown": 2}
    server.rule = lambda _: None
    requests = len(server.log)
    result = home.run("batch", "--retry-failed", "-o", "json")
    assert result.exit == 0, result.describe()
    since = [(seen.method, seen.id) for seen in server.log[requests:]]
    assert sorted(since) == [("GET", "c2"), ("GET", "c3"), ("PUT", "c3")]
    assert [each["confirmed"] for each in json.loads(result.stdout)] == ["read", None, None, None]


def test_retry_failed_never_overwrites_a_later_row(home, server):
    """A failed row stays failed when a later row of its id was sent: that one is the newer wish."""
    server.rule = lambda seen: Fault(400) if seen.reason in ("one", "three") else None
    data = table("a,failure,one", "a,success,two", "b,failure,three", "c,ack,x")
    assert batch(home, data).exit == 8
    server.rule = lambda _: None
    requests = len(server.log)
    result = home.run("batch", "--retry-failed", "-o", "json")
    assert result.exit == 8, result.describe()
    assert [seen.reason for seen in server.log[requests:]] == ["three"]
    assert server.state_of("a")["reason"] == "two"
    assert "later row of the same id" in result.stderr
    assert [each["outcome"] for each in json.loads(result.stdout)] == [
        "refused", "updated", "updated", "updated",
    ]  # fmt: skip


def test_discard_gives_a_run_up(home, server, interrupted):
    """A discarded run is over: what was not sent never will be, what was sent stays recorded."""
    done = outcomes(home)["updated"]
    result = home.run("batch", "--discard", interrupted)
    assert result.exit == 0, result.describe()
    assert f"{30 - done} rows were never sent" in result.stderr
    assert outcomes(home) == {"updated": done}
    assert home.run("batch", "--resume").exit == 2
    assert home.run("batch", "--discard", "no-such-run").exit == 2


# Many at once.


def test_two_batches_and_many_sets_on_one_journal(home, server):
    """Two batches and sixteen `set` on one journal: nothing is lost, and no lock is heard of."""
    (home.path / "one.csv").write_text(numbered(150))
    (home.path / "two.csv").write_text(numbered(150).replace("\nc", "\nd"))
    started = [home.start("batch", name, "-j", "4", "-q") for name in ("one.csv", "two.csv")]
    started += [home.start("set", f"s{number}", "success", "-q") for number in range(16)]
    results = [running.wait() for running in started]
    for result in results:
        result.check_harmless()
        assert (result.exit, result.stderr) == (0, ""), result.describe()
    assert outcomes(home) == {"updated": 316}
    assert len({row["n"] for row in home.journal()}) == 316
    assert Counter(seen.id for seen in server.applied()) == Counter(
        row["id"] for row in home.journal()
    )


def test_ids_of_set_and_batch_meet_in_one_history(home, server):
    """A batch knows what `set` recorded: its own doing of a moment ago is nobody else's change."""
    assert home.run("set", "c2", "ack", "-q").exit == 0
    server.rule = lambda seen: Fault(503) if seen.number == 2 else None
    result = batch(home, numbered(1), "-o", "jsonl")
    assert result.exit == 0, result.describe()
    assert [seen.method for seen in server.log] == ["PUT", "PUT", "GET", "PUT"]


def test_a_resumed_run_keeps_the_rate_it_was_begun_with(home, server):
    """A run begun with --rate goes on at that rate, and does not fall upon the service."""
    server.rule = lambda seen: Fault(401) if seen.number == 1 else None
    assert batch(home, numbered(9), "--rate", "20", "-j", "1").exit == 4
    server.rule = lambda seen: None
    begun = len(server.log)
    assert home.run("batch", "--resume").exit == 0
    moments = [seen.at for seen in server.log[begun:]]
    assert moments[-1] - moments[0] >= 8 / 20 - 0.1
