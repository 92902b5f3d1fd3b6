"""Bad input to a real `cmdstat batch`: told with file and line, nothing sent, nothing left."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from harness import Home, Result
from logging_server import LoggingServer

WITH_INPUT = ("sh", "-c", 'exec "$@" < a.csv', "sh")
"""The command with the file as its standard input."""

BOM = b"\xef\xbb\xbf"


@pytest.fixture
def server():
    """A server with many commands, which these tests never reach."""
    with LoggingServer() as started:
        yield started


@pytest.fixture
def refused(home: Home, server: LoggingServer) -> Callable[..., Result]:
    """Run `batch` with an input that has to be refused, and check that it left no trace."""

    def run(name: str, data: bytes | str | None, *more: str) -> Result:
        if data is not None:
            (home.path / name).write_bytes(data.encode() if isinstance(data, str) else data)
        result = home.run("batch", name, "-y", *more)
        assert result.exit == 2, result.describe()
        assert result.stdout == ""
        check_nothing_left(home, server)
        return result

    return run


def check_nothing_left(home: Home, server: LoggingServer) -> None:
    """Nothing was sent, and the journal holds neither a row nor a run."""
    assert server.log == []
    assert home.journal() == []
    if home.journal_file.exists():
        with closing(sqlite3.connect(home.journal_file)) as database:
            assert database.execute("SELECT count(*) FROM runs").fetchone() == (0,)


@pytest.mark.parametrize(
    ("name", "data", "line", "words"),
    [
        ("a.csv", "state,reason\nsuccess,x\n", 1, "no column id"),
        ("a.csv", "id,state\na,success\nb,done\n", 3, '"done" is not a state'),
        ("a.csv", b"id,state,reason\na,success,caf\xe9\n", 2, "UTF-8"),
        ("a.csv", b"id,state\na,success\nb\0,success\n", 3, "NUL"),
        ("a.csv", 'id,state,reason\na,success,"x\ny"\nb,success,"never\nclosed\n', 4, "table"),
        ("a.csv", "id,state\na,success,more,cells\n", 2, "4 cells"),
        ("a.csv", "id,state,ID\na,success,b\n", 1, "more than once"),
        ("a.csv", b"id,state\na," + b"x" * 10_000_000, 2, "1024 KiB"),
        ("a.tsv", "id\tstate\na\tsuccess\n\tsuccess\n", 3, "no id"),
        ("a.jsonl", '{"id": "a", "state": "success"}\n{"id": 5, "state": "success"}\n', 2, "text"),
        ("a.jsonl", '{"id": "a", "state": NaN}\n', 1, "not JSON"),
        ("a.jsonl", '\n\n["a", "success"]\n', 3, "not a JSON object"),
        ("a.jsonl", '{"id": "a", "state": {"name": "success"}}', 1, "state is not a text"),
        ("a.json", '[{"id": "a",\n "state": "success"},\n{"id": "b"}]', 3, "nothing to update"),
        ("a.json", '[[{"id": "a", "state": "success"}]]', 1, "not a JSON object"),
        ("a.json", '{"id": "a", "state": "success"', 1, "not JSON"),
        ("a.json", "[NaN]", 1, "not JSON"),
        ("a.json", b'[{"id": "\xe9"}]', 1, "UTF-8"),
        ("a.txt", "a\nb c \n", 2, "white space"),
        ("a.ids", "a\n\x1b[31m\n", 2, "control"),
    ],
)  # fmt: skip
def test_bad_row_names_file_and_line(refused, name, data, line, words):
    """A bad input is exit 2, its file and line named with the cause; nothing sent or kept."""
    result = refused(name, data)
    assert f"{name}:{line}: " in result.stderr
    assert words in result.stderr
    assert "nothing was sent" in result.stderr
    assert len(result.stderr) < 1000


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.csv", "", "nothing to send"),
        ("a.csv", BOM, "nothing to send"),
        ("a.csv", "id,state\n", "nothing to send"),
        ("a.json", "[]", "nothing to send"),
        ("a.txt", "\n \n", "nothing to send"),
        ("missing.csv", None, "No such file"),
        ("rows.xlsx", "id,state\na,success\n", "format"),
        (".", None, "directory"),
    ],
)
def test_nothing_to_read(refused, name, data, words):
    """An empty, absent or unknown kind of file is a usage error that says so."""
    assert words in refused(name, data).stderr


def test_input_that_cannot_be_read_on(home, server):
    """An input whose reading fails is a bad input, named with its line, and no defect."""
    if not Path("/proc/self/mem").exists():
        pytest.skip("no file at hand that opens and cannot be read")
    result = home.run("batch", "/proc/self/mem", "--format", "ids", "--state", "success")
    assert result.exit == 2, result.describe()
    assert "/proc/self/mem:1: cannot be read on" in result.stderr
    check_nothing_left(home, server)


def test_error_in_json(refused):
    """With -o json the last line of stderr is the error object, and stdout stays empty."""
    result = refused("a.csv", "id,state\na,done\n", "-o", "json")
    assert result.error["kind"] == "usage"


def test_first_twenty_then_a_count(refused):
    """Of many bad rows the first twenty are named, and the rest counted."""
    rows = "".join(f"c{number},bad\n" for number in range(100))
    result = refused("a.csv", "id,state\n" + rows)
    named = [line for line in result.stderr.splitlines() if line.startswith("a.csv:")]
    assert [int(line.split(":")[1]) for line in named[:20]] == list(range(2, 22))
    assert named[20:] == ["a.csv: and 80 more"]
    assert "100 rows are wrong" in result.stderr


def test_last_of_a_hundred_thousand(refused):
    """A bad state in the last of 100,000 rows is found before anything is sent."""
    rows = "".join(f"c{number},success\n" for number in range(99_999))
    result = refused("a.csv", f"id,state\n{rows}last,finished\n")
    assert 'a.csv:100001: "finished" is not a state' in result.stderr


def test_hostile_text_in_a_message_is_harmless(refused):
    """A file's text that reaches a message cannot steer the terminal, nor fill it."""
    data = json.dumps({"id": "a", "state": "\u202e\x1b]0;gone\x07" + "q" * 500_000})
    result = refused("a.jsonl", data)  # `run` looks for raw control characters
    assert len(result.stderr) < 1000


def test_fifo_is_an_input_like_any_other(home, server, tmp_path):
    """A named pipe is read to its end, and checked whole before anything leaves."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes there")
    for rows, code in (("a,success\nb,success\n", 0), ("a,success\nb,nope\n", 2)):
        fifo = tmp_path / f"{code}.csv"
        os.mkfifo(fifo)
        writer = threading.Thread(target=fifo.write_text, args=[f"id,state\n{rows}"])
        writer.start()
        result = home.run("batch", str(fifo), "-y")
        writer.join()
        assert result.exit == code, result.describe()
    assert sorted(seen.id for seen in server.log) == ["a", "b"]


@pytest.mark.parametrize(
    ("form", "data"),
    [
        ("csv", BOM + b'id,state,reason\r\na,success,"one\r\ntwo"\r\n\r\nb,SUCCESS,\xc3\xa9\r\n'),
        ("tsv", b'reason\tid\tstate\n"one\r\ntwo"\ta\tsuccess\n\xc3\xa9\tb\tCommand-Success\n'),
        ("jsonl", (b'{"id":"a","state":"success","reason":"one\\r\\ntwo"}\n\n'
          b'{"reason":"\\u00e9","id":"b","state":"success"}')),
        ("json", BOM + b'[{"id":"a","state":"success","reason":"one\\r\\ntwo"},\n'
         + b'{"reason":"\xc3\xa9","id":"b","state":"success"}]'),
    ],
)  # fmt: skip
def test_same_updates_from_every_format(home, server, form, data):
    """BOM, CRLF, quoted newlines and column order: what is sent is the same from every format."""
    result = home.run("batch", "-", "--format", form, input=data)
    assert result.exit == 0, result.describe()
    assert {seen.id: seen.body for seen in server.log} == {
        "a": {"state": "Command Success", "reason": "one\r\ntwo"},
        "b": {"state": "Command Success", "reason": "é"},
    }


def test_skip_invalid_sends_the_rest(home, server):
    """With --skip-invalid the good rows go, the bad ones are named, and the exit is 8."""
    result = home.run(
        "batch", "-", "--format", "csv", "--skip-invalid",
        input="id,state\na,success\nb,nope\nc,success\n",
    )  # fmt: skip
    assert result.exit == 8, result.describe()
    assert "standard input:3:" in result.stderr
    assert sorted(seen.id for seen in server.log) == ["a", "c"]
    assert "1 of 3 rows" in result.stderr
    assert "--retry-failed" not in result.stderr, "there is nothing to retry"


def test_ignored_columns_are_noticed(home):
    """Columns of no meaning here are ignored, with one notice, and none with -q."""
    data = "id,state,device,owner\na,success,x,y\nb,success,x,y\n"
    result = home.run("batch", "-", "--format", "csv", input=data)
    assert result.stderr.count("ignored: device, owner") == 1
    assert home.run("batch", "-", "--format", "csv", "-q", input=data).stderr == ""


def test_report_is_checked_before_anything_is_sent(refused, tmp_path):
    """A report that cannot be written there is told before the run, not after it."""
    rows = "id,state\na,success\n"
    assert "report" in refused("a.csv", rows, "--report", str(tmp_path / "no" / "r.csv")).stderr
    assert ".csv or .jsonl" in refused("a.csv", rows, "--report", "r.xml").stderr


@pytest.mark.parametrize("form", ["same name", "hard link", "symbolic link", "standard input"])
def test_report_never_replaces_the_input(home, server, form):
    """A report that is the input by another name is refused, and the input stays as it is."""
    rows, file = "id,state\na,success\n", home.path / "a.csv"
    file.write_text(rows)
    report = "a.csv" if form in ("same name", "standard input") else "b.csv"
    if form == "hard link":
        os.link(file, home.path / report)
    if form == "symbolic link":
        (home.path / report).symlink_to("a.csv")
    source, wrap = ("./a.csv", ()) if form != "standard input" else ("-", WITH_INPUT)
    result = home.run(
        "batch", source, "--format", "csv", "-y", "--report", report, wrap=wrap
    )  # fmt: skip
    assert result.exit == 2, result.describe()
    assert "same file as the input" in result.stderr
    assert file.read_text() == rows
    check_nothing_left(home, server)


@pytest.mark.parametrize("there", [True, False])
def test_report_never_replaces_the_journal(home, server, there):
    """A report that is, or would become, the journal is refused."""
    journal = home.path / "j.csv"
    (home.path / "a.csv").write_text("id,state\na,success\n")
    env = {"CMDSTAT_JOURNAL": str(journal)}
    if there:
        assert home.run("history", env=env).exit == 0
        journal.touch(mode=0o600)
    result = home.run("batch", "a.csv", "-y", "--report", "./j.csv", env=env)
    assert result.exit == 2, result.describe()
    assert "same file as the journal" in result.stderr
    assert server.log == []
    assert home.run("batch", "--resume", "--report", "./j.csv", env=env).exit == 2


@pytest.mark.parametrize(
    "words",
    [
        ["--rate", "0"],
        ["--rate", "nan"],
        ["--rate", "-1"],
        ["-j", "0"],
        ["--max-failures", "0"],
        ["--state", "queued"],
        ["--state", "sucess"],
        ["--if-state", "nope"],
        ["--format", "xml"],
        ["--resume", "--retry-failed"],
    ],
)
def test_bad_options(refused, words):
    """An option that cannot be is a usage error, and nothing is sent."""
    refused("a.csv", "id,state\na,success\n", *words)


def test_no_file_at_all(home):
    """Without a file the error says how to name one."""
    result = home.run("batch")
    assert result.exit == 2
    assert "cmdstat batch FILE" in result.stderr


def test_missing_key_or_broken_certificates_leave_no_run(home, server, tmp_path):
    """A configuration that cannot work is told before a run is made of the input."""
    Path(home.path / "a.csv").write_text("id,state\na,success\nb,success\n")
    assert home.run("batch", "a.csv", env={"CMDSTAT_API_KEY": None}).exit == 3
    broken = tmp_path / "ca.pem"
    broken.write_text("this is no certificate")
    result = home.run("batch", "a.csv", env={"REQUESTS_CA_BUNDLE": str(broken)})
    assert result.exit == 3, result.describe()
    check_nothing_left(home, server)
