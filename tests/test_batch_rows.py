"""Reading the rows of a batch: every format into updates, every bad row into a numbered problem."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmdstat.batch.rows import (
    LONGEST_LINE,
    NO_DEFAULTS,
    Defaults,
    InputFormat,
    Problem,
    Row,
    format_of,
    read_rows,
)
from cmdstat.errors import UsageError
from cmdstat.models import StatusUpdate

CSV, TSV, JSONL, JSON, IDS = InputFormat
SUCCESS = "Command Success"


def read(
    data: bytes | str, form: InputFormat = CSV, defaults: Defaults = NO_DEFAULTS
) -> list[Row | Problem]:
    source = io.BytesIO(data.encode() if isinstance(data, str) else data)
    return list(read_rows(source, form, defaults, lambda _: None))


def row(line: int, command_id: str, state: str | None = SUCCESS, reason: str | None = None) -> Row:
    return Row(line, StatusUpdate(command_id, state, reason))


def problem_of(data: bytes | str, form: InputFormat = CSV) -> Problem:
    """The last of what was read, which has to be a problem."""
    problem = read(data, form)[-1]
    assert isinstance(problem, Problem), problem
    return problem


# Formats.


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.csv", CSV), ("A.CSV", CSV), ("a.tsv", TSV), ("a.jsonl", JSONL), ("a.ndjson", JSONL),
        ("a.json", JSON), ("ids.txt", IDS), ("x/y.z/a.ids", IDS),
    ],
)  # fmt: skip
def test_extension_tells_the_format(name, form):
    """A file's extension tells its format, in any letter case."""
    assert format_of(name) is form


@pytest.mark.parametrize("name", ["-", "a", "a.xlsx", "csv"])
def test_unknown_extension_is_a_usage_error(name):
    """What no extension tells has to be said with --format."""
    with pytest.raises(UsageError) as caught:
        format_of(name)
    assert "--format" in caught.value.hint


@pytest.mark.parametrize(
    ("form", "data"),
    [
        (CSV, "id,state\na,success\n\nb,Command Success\n"),
        (CSV, "\ufeffID , State\r\na,SUCCESS\r\n\r\nb,success"),
        (TSV, "state\tid\nsuccess\ta\n\nsuccess\tb\n"),
        (JSONL, '{"id": "a", "state": "success"}\n\n{"id": "b", "state": "success"}'),
        (JSON, '[{"id": "a",\n"state": "success"},\n{"state": "success", "id": "b"}]'),
    ],
)
def test_same_rows_in_every_format(form, data):
    """Each format gives the same updates: BOM, CRLF, blank lines and letter case do not matter."""
    assert [each.update for each in read(data, form)] == [
        StatusUpdate("a", SUCCESS),
        StatusUpdate("b", SUCCESS),
    ]


def test_ids_take_the_defaults():
    """Plain ids, one a line, are filled with the state and reason that were given."""
    defaults = Defaults(SUCCESS, "by phone", ("Command Queued",))
    assert read("\ufeffa\r\n\r\n b c \n\nd", IDS, defaults) == [
        Row(1, StatusUpdate("a", SUCCESS, "by phone", ("Command Queued",))),
        Problem(3, "the ID has white space around it"),
        Row(5, StatusUpdate("d", SUCCESS, "by phone", ("Command Queued",))),
    ]


@pytest.mark.parametrize(
    ("form", "data"),
    [
        (CSV, "id,state,reason\na,,\n"),
        (CSV, "id,state,reason\na\n"),
        (JSONL, '{"id": "a", "state": null, "reason": null}'),
        (JSONL, '{"id": "a"}'),
        (JSONL, '{"id": "a", "requested": {"state": null, "reason": null}}'),
    ],
)
def test_what_is_not_given_takes_the_default(form, data):
    """An empty cell, a missing one and a null are filled with what was given for all."""
    defaults = Defaults(SUCCESS, "why")
    assert read(data, form, defaults) == [row(2 if form is CSV else 1, "a", SUCCESS, "why")]


def test_empty_reason_of_json_is_given():
    """In JSON an empty reason is a reason, which clears it; in CSV there is no way to write it."""
    assert read('{"id": "a", "reason": ""}', JSONL, Defaults(SUCCESS, "why")) == [
        row(1, "a", SUCCESS, "")
    ]


@pytest.mark.parametrize(
    ("form", "data", "conditions"),
    [
        (CSV, "id,state,if_state\na,success,queued\n", ("Command Queued",)),
        (CSV, "id,state,if_state\na,success,queued|ack\n",
         ("Command Queued", "Command Acknowledged")),
        (JSONL, '{"id": "a", "state": "success", "if_state": ["queued"]}', ("Command Queued",)),
        (JSONL, '{"id": "a", "state": "success", "if_state": "queued"}', ("Command Queued",)),
        (CSV, "id,state,if_state\na,success,\n", ()),
    ],
)  # fmt: skip
def test_conditions(form, data, conditions):
    """`if_state` is one state, several with `|` between them, or an array of texts."""
    (only,) = read(data, form)
    assert only.update.if_state == conditions


def test_record_is_a_row():
    """A record is valid input: what it requested is asked for again, the rest is ignored."""
    record = {
        "n": 4, "id": "a", "requested": {"state": SUCCESS, "reason": None}, "outcome": "unknown",
        "content": {"state": "Command Failure"},
    }  # fmt: skip
    assert read(json.dumps(record), JSONL) == [row(1, "a")]
    assert read(json.dumps([record]), JSON) == [row(1, "a")]


def test_ignored_columns_are_told_once():
    """Other columns are ignored with one notice that names the first of them."""
    told: list[str] = []
    data = io.BytesIO(b"id,state,a,b,c,d,e,f\nx,success,1,2,3,4,5,6\n")
    assert list(read_rows(data, CSV, NO_DEFAULTS, told.append)) == [row(2, "x")]
    assert told == ["columns that are ignored: a, b, c, d, e and 1 more"]
    told.clear()
    lines = io.BytesIO(b'{"id":"x","state":"success"}\n' + b'{"id":"x","state":"ack","u":1}\n' * 3)
    list(read_rows(lines, JSONL, NO_DEFAULTS, told.append))
    assert told == ["columns that are ignored: u"]


# Lines.


def test_a_row_stands_on_the_line_that_it_starts_on():
    """With quoted newlines and blank lines, a row's line is the physical one that it starts on."""
    data = (
        'id,state,reason\na,success,"one\ntwo\r\nthree"\n\nb,success,x\nc,no,"1\n2"\nd,success,\n'
    )
    first, second, third, fourth = read(data)
    assert first == row(2, "a", SUCCESS, "one\ntwo\r\nthree")
    assert second == row(6, "b", SUCCESS, "x")
    assert isinstance(third, Problem)
    assert third.line == 7
    assert fourth == row(9, "d")


def test_items_of_an_array_know_their_lines():
    """Each item of a JSON array has the line on which it starts, however it is laid out."""
    data = '\ufeff\n[ {"id": "a[,]\\"", "state": "success"},\n\n{"id":\n"b", "state": 1}\r\n,\n  7]'
    assert read(data, JSON) == [
        row(2, 'a[,]"'),
        Problem(4, "the state is not a text; write it in quotes"),
        Problem(7, "not a JSON object"),
    ]


texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)
ids = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=12).filter(
    lambda text: text not in (".", "..") and not text.startswith("\ufeff")
)
states = st.sampled_from(["Command Success", "Command TimeOut", None])


@given(
    st.lists(st.tuples(ids, states, texts), max_size=8), st.sampled_from([CSV, TSV, JSONL, JSON])
)
def test_what_was_written_is_read(rows, form):
    """Any ids, states and reasons, written by the usual writers, are read back as they were."""
    rows = [(each, state, reason or "r") for each, state, reason in rows]
    names = ("id", "state", "reason")
    if form in (CSV, TSV):
        file = io.StringIO(newline="")
        writer = csv.writer(file, delimiter="," if form is CSV else "\t")
        writer.writerows([names, *rows])
        data = file.getvalue()
    else:
        items = [dict(zip(names, each, strict=True)) for each in rows]
        data = json.dumps(items) if form is JSON else "\n".join(map(json.dumps, items))
    assert [each.update for each in read(data, form)] == [StatusUpdate(*each) for each in rows]


@given(st.binary(max_size=200), st.sampled_from(list(InputFormat)))
def test_no_bytes_raise(data, form):
    """Whatever the bytes are, they become rows and numbered problems, never an exception."""
    for each in read(data, form):
        assert each.line >= 1


@given(
    st.text(alphabet='id,state\n\r"\t{}[]:\\u0 ', max_size=60), st.sampled_from(list(InputFormat))
)
def test_no_broken_syntax_raises(data, form):
    """Nor does anything that looks like a table or JSON and is not quite one."""
    lines = data.count("\n") + data.count("\r") + 1
    for each in read("id,state\n" + data if form is CSV else data, form, Defaults(SUCCESS)):
        assert 1 <= each.line <= lines + 1


# Problems.


@pytest.mark.parametrize(
    ("form", "data", "line", "text"),
    [
        (CSV, "state\nsuccess\n", 1, "no column id"),
        (CSV, "id,state,state\na,success,ack\n", 1, "more than once"),
        (CSV, "id,ID\na,b\n", 1, "more than once"),
        (CSV, "id,state\na,success\nb,delivered\n", 3, "not a state"),
        (CSV, "id,state\na,sucess\n", 2, "did you mean success"),
        (CSV, "id,state\na,queued\n", 2, "cannot be set"),
        (CSV, "id,state\n,success\n", 2, "no id"),
        (CSV, "id,state\n.,success\n", 2, "step to another path"),
        (CSV, "id,state\n a,success\n", 2, "white space"),
        (CSV, "id,state\na,\n", 2, "nothing to update"),
        (CSV, "id,state\na,success,,x\n", 2, "4 cells"),
        (CSV, 'id,state\na,success\nb,"succ\nc,ack\n', 3, "not readable as a table"),
        (CSV, 'id,state\na,"success"x\n', 2, "not readable as a table"),
        (CSV, b"id,state,reason\na,success,\xe9t\xe9\n", 2, "not UTF-8 (byte 11"),
        (CSV, b"id,state\na,suc\0cess\n", 2, "NUL"),
        (CSV, "id,state\na,success\n".encode("utf-16"), 1, "not UTF-8"),
        (CSV, "id,state\na,success\n".encode("utf-16-le"), 1, "NUL"),
        (CSV, "id,state,if_state\na,success,never\n", 2, "not a state"),
        (IDS, b"a\0b\n", 1, "NUL"),
        (IDS, "a\n..\n", 2, "step to another path"),
        (IDS, b"a\n\xff\n", 2, "not UTF-8"),
        (JSONL, '{"id": "a", "state": "ack"}\n{"id": 7, "state": "ack"}', 2, "id is not a text"),
        (JSONL, '{"id": "a", "reason": {"x": 1}}', 1, "reason is not a text"),
        (JSONL, '{"id": "a", "state": ["ack"]}', 1, "state is not a text"),
        (JSONL, '{"id": "a", "state": "ack", "if_state": [1]}', 1, "if_state"),
        (JSONL, '{"id": "a", "reason": "\\ud800"}', 1, "UTF-8"),
        (JSONL, '\n["a"]', 2, "not a JSON object"),
        (JSONL, '{"id": NaN}', 1, "not JSON"),
        (JSONL, '{"id": "a"', 1, "not JSON"),
        (JSONL, "[" * 5000, 1, "nested too deeply"),
        (JSONL, '{"id": "a", "x": ' + "[" * 200 + "]" * 200 + "}", 1, "nested too deeply"),
        (JSONL, '{"id": "a", "x": ' + "9" * 5000 + "}", 1, "not JSON"),
        (JSONL, b'{"id": "\xe9"}', 1, "not UTF-8"),
        (JSONL, b'{"id": "a\0"}', 1, "not JSON"),
        (JSON, '"a"', 1, "not a JSON object"),
        (JSON, "[NaN]", 1, "not JSON"),
        (JSON, "", 1, "empty"),
        (JSON, "[1, 2", 1, "not JSON"),
        (JSON, b"\xff\xfe[\0]\0", 1, "not UTF-8"),
    ],
)  # fmt: skip
def test_problem_names_line_and_cause(form, data, line, text):
    """Each kind of bad input is a problem of the line that it stands on, in plain words."""
    problem = problem_of(data, form)
    assert problem.line == line
    assert text in problem.text


def test_rows_after_a_bad_one_are_still_read():
    """A bad row is no reason not to check the ones after it."""
    data = "id,state\na,success\n,ack\nb,success\nc,nope\nd,success\n"
    assert [each.line for each in read(data) if isinstance(each, Problem)] == [3, 5]
    assert [each.update.id for each in read(data) if isinstance(each, Row)] == ["a", "b", "d"]


@pytest.mark.parametrize("form", list(InputFormat))
def test_endless_line_is_not_read_whole(form):
    """A line of 10 MB is a problem in every format that streams, and is not held in memory."""

    class Endless(io.RawIOBase):
        given = 0

        def readline(self, size=-1):
            self.given += size
            return b"x" * size

        def read(self, size=-1):
            self.given += size
            return b"x" * size

    source = Endless()
    (problem,) = read_rows(source, form, NO_DEFAULTS, lambda _: None)
    assert isinstance(problem, Problem)
    assert "over" in problem.text
    assert source.given <= (LONGEST_LINE + 1 if form is not JSON else 64 * 1024 * 1024 + 1)


def test_quoted_text_has_an_end():
    """A quote that is never closed does not take in the rest of a large file as one cell."""
    source = io.BytesIO(b'id,state\na,"' + b"success\n" * (LONGEST_LINE // 4))
    (problem,) = read_rows(source, CSV, NO_DEFAULTS, lambda _: None)
    assert isinstance(problem, Problem)
    assert problem.line == 2
    assert source.tell() < 2 * LONGEST_LINE


@pytest.mark.parametrize(
    ("form", "data"),
    [
        (CSV, "q" * 900_000),
        (CSV, "id,state\na," + "q" * 900_000),
        (JSONL, json.dumps({"id": "a", "state": "q" * 900_000})),
    ],
)
def test_problem_is_short_whatever_it_quotes(form, data):
    """A message quotes the beginning of what is wrong, not a megabyte of it."""
    assert len(problem_of(data, form).text) < 300


def test_rows_stream():
    """Rows come while the input is still being read: a million of them need no memory."""
    consumed = 0

    class Lines(io.RawIOBase):
        def readline(self, size=-1):
            nonlocal consumed
            consumed += 1
            return b"id,state\n" if consumed == 1 else b"a,success\n"

    rows = read_rows(Lines(), CSV, NO_DEFAULTS, lambda _: None)
    for _ in range(1000):
        next(rows)
    assert consumed == 1001


def test_input_that_breaks_off_is_a_problem():
    """An input that cannot be read on, like a folder on standard input, is named with its line."""

    class Broken(io.RawIOBase):
        lines = iter([b"id,state\n", b"a,success\n"])

        def readline(self, size=-1):
            for line in self.lines:
                return line
            raise OSError(5, "Input/output error")

    assert list(read_rows(Broken(), CSV, NO_DEFAULTS, lambda _: None)) == [
        row(2, "a"),
        Problem(3, "cannot be read on: Input/output error", ends_input=True),
    ]
