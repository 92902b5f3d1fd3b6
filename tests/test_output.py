"""Results for scripts survive the standard parsers, whatever text is in them."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmdstat.foreign import clean
from cmdstat.models import CONTENT_FIELDS, RECORD_FIELDS, Outcome, UpdateRecord
from cmdstat.output import CONTENT, RECORD, Format, Results, flat, flatten_content, flatten_record

CONTENT_OBJECT = {
    "id": "a-1", "request": "r-1", "device": "d-1", "state": "Command Success", "reason": "",
    "created_at": "2026-11-23T15:04:05Z", "updated_at": None,
    "command_meta": {"result": [{"is_critical": True, "download_size": 10**30}]},
    "unheard_of": "kept in JSON",
}  # fmt: skip
RECORD_OBJECT = UpdateRecord(
    n=17,
    id="a-1",
    requested={"state": "Command Success", "reason": 'says "no",\nthen yes'},
    outcome=Outcome.UPDATED,
    http_status=200,
    code=10**4000,
    content=CONTENT_OBJECT,
    before={"state": "Command Queued"},
    elapsed_ms=131.5,
    base_url="https://example.test/api",
).to_dict()
HOSTILE = "\x1b[31m \x9b2J [red] \u202eevil \ud800 =1+1 \x00 \r \u2028 日本 é"
STEERING = set("\x1b\x9b\x00\r\u2028\u202e\ud800")

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


class Stream(io.TextIOWrapper):
    """A stream of a given encoding that tells what has been flushed down to its bytes."""

    def __init__(self, encoding="utf-8"):
        super().__init__(io.BytesIO(), encoding=encoding, newline="", write_through=False)

    @property
    def text(self):
        return self.buffer.getvalue().decode(self.encoding)


def written(form, *items, shape=RECORD, encoding="utf-8"):
    stream = Stream(encoding)
    with Results(stream, form, shape).stream() as write:
        for item in items:
            write(item)
    return stream.text


def one(form, item, shape=RECORD, encoding="utf-8"):
    stream = Stream(encoding)
    Results(stream, form, shape).one(item)
    return stream.text


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
@settings(deadline=None)
@given(value=json_values)
def test_json_is_what_went_in_and_cannot_steer(encoding, value):
    """Any value comes back from a JSON parser unchanged, and no steering character is written."""
    item = {"value": value}
    for text in (
        one(Format.JSON, item, encoding=encoding),
        one(Format.JSONL, item, encoding=encoding),
        written(Format.JSON, item, encoding=encoding)[1:-2],
    ):
        assert json.loads(text) == item
        assert not STEERING & set(text)


def test_one_object_is_indented_and_one_line_is_one_line():
    """`json` shows one object over several lines for a reader; `jsonl` has exactly one line."""
    assert '\n  "n": 17,\n' in one(Format.JSON, RECORD_OBJECT)
    line = one(Format.JSONL, RECORD_OBJECT)
    assert line.count("\n") == 1
    assert line.endswith("}\n")
    assert list(json.loads(line)) == list(RECORD_FIELDS)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_array_is_closed_when_the_command_fails_midway(count):
    """What was written before a failure is a whole JSON array, and the failure goes on."""
    stream = Stream()
    items = [{"n": number} for number in range(count)]

    def fail_midway():
        with Results(stream, Format.JSON, RECORD).stream() as write:
            for item in items:
                write(item)
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fail_midway()
    assert json.loads(stream.text) == items


def test_an_item_that_is_not_json_leaves_the_array_whole():
    """An item that cannot be written raises, and the array around it still parses."""
    stream = Stream()
    with Results(stream, Format.JSON, RECORD).stream() as write:
        write({"n": 1})
        with pytest.raises(ValueError):
            write({"n": float("nan")})
        write({"n": 2})
    assert json.loads(stream.text) == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("form", [Format.JSON, Format.JSONL, Format.CSV])
def test_every_item_has_left_when_write_returns(form):
    """A reader at the other end of the pipe sees each result as soon as it is there."""
    stream = Stream()
    with Results(stream, form, RECORD).stream() as write:
        for name in ("first", "second"):
            write(RECORD_OBJECT | {"message": name})
            assert name in stream.text


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "utf-16", "cp1252"])
def test_csv_of_records_has_fixed_columns_and_harmless_cells(encoding):
    """Records with and without content or error have the same header, and cells parse back."""
    bare = UpdateRecord(
        n=None, id=HOSTILE, requested={"state": None, "reason": HOSTILE},
        outcome=Outcome.UNREACHABLE,
        error={"kind": "unreachable", "message": "no\nname", "hint": ""},
    ).to_dict()  # fmt: skip
    text = written(Format.CSV, RECORD_OBJECT, bare, encoding=encoding)
    assert not STEERING & set(text)
    header, full, empty = csv.reader(io.StringIO(text, newline=""))
    assert tuple(header) == RECORD.columns
    full, empty = dict(zip(header, full, strict=True)), dict(zip(header, empty, strict=True))
    assert full["state"] == full["content.state"] == "Command Success"
    assert full["reason"] == 'says "no",\nthen yes'
    assert full["before.state"] == "Command Queued"
    assert full["code"] == str(10**4000)
    assert full["elapsed_ms"] == "131.5"
    assert json.loads(full["content.command_meta"]) == CONTENT_OBJECT["command_meta"]
    assert (empty["n"], empty["content.id"], empty["state"]) == ("", "", "")
    assert (empty["error.kind"], empty["error.message"]) == ("unreachable", "no\nname")
    if encoding.startswith("utf"):
        assert empty["reason"] == clean(HOSTILE)
    assert "\\x1b" in empty["id"]


def test_csv_writes_json_that_parses_where_the_encoding_is_poor():
    """A nested value stays JSON even when its characters have to be escaped."""
    text = one(Format.CSV, {"command_meta": {"é": "日本"}}, CONTENT, "ascii")
    row = next(csv.DictReader(io.StringIO(text)))
    assert json.loads(row["command_meta"]) == {"é": "日本"}


def test_flat_items_and_contents_have_a_header_even_without_rows():
    """A listing that found nothing is still a CSV file with its columns."""
    assert written(Format.CSV, shape=CONTENT) == ",".join(CONTENT_FIELDS) + "\n"
    shape = flat("short", "settable")
    text = written(Format.CSV, {"short": "success", "settable": True, "more": 1}, shape=shape)
    assert text == "short,settable\nsuccess,true\n"


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*RECORD_FIELDS, *CONTENT_FIELDS]), json_values))
def test_flattening_never_raises_and_always_has_the_same_columns(item):
    """Missing, null and wrong-typed fields give cells, never a traceback or another header."""
    assert tuple(flatten_record(item)) == RECORD.columns
    assert tuple(flatten_content(item)) == CONTENT.columns == CONTENT_FIELDS
