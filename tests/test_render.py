"""What a person sees: whole ids, harmless text, signs that agree with colours, at any width."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from screens import ID, NOW, content, drawn, record

from cmdstat.foreign import clean, clean_line
from cmdstat.models import Outcome
from cmdstat.render.content import show_content
from cmdstat.render.signs import OUTCOME_SIGNS, STATE_SIGNS
from cmdstat.render.tables import Column, show_rows
from cmdstat.render.terminal import encodable
from cmdstat.render.texts import outcome_text, state_text
from cmdstat.render.update import show_update
from cmdstat.states import STATES

WIDTHS = [100, 60, 40, 20, 5, 1, 0]
ENCODINGS = ["utf-8", "ascii", "cp1252", "cp437", "gb18030"]
HOSTILE = [
    "\x1b[31m\x1b]0;owned\x07",
    "\x9b2J",
    "[red]x[/x] :smile: [link=http://x]",
    "\u202eevil\u2066",
    "lone \ud800 surrogate",
    "nul \x00 back \x08 return \r tab \t",
    "two\nlines\r\nthree",
    "日本語の理由" * 5,
    "e\u0301\u0300 \U0001f468\u200d\U0001f469 \ufe0f",
    "word " * 2000,
    "x" * 10_000,
    "",
]
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def joined(text):
    return re.sub(r"\s", "", text)


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("width", WIDTHS)
def test_ids_and_states_are_in_one_piece_at_any_width(width, encoding, colour):
    """No width, encoding or colour breaks an id or a state: each can be searched for and copied."""
    options = {"width": width, "encoding": encoding, "colour": colour}
    text = drawn(show_update, record(), now=NOW, **options)
    for whole in (ID, content()["request"], content()["device"], "Command Success", "updated"):
        assert whole in text
    rows = [[ID, state_text(state.text, encoding), "why " * 9] for state in STATES]
    columns = [Column("id", whole=True), Column("state", whole=True), Column("reason")]
    text = drawn(show_rows, columns, rows, **options)
    assert text.count(ID) == len(STATES)
    assert all(state.text in text for state in STATES)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", [100, 60, 20, 5])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_foreign_text_is_whole_and_harmless_wherever_it_stands(hostile, width, encoding):
    """Text that would steer the terminal, or be markup, is shown spelt out and complete."""
    hostile_content = content(
        id=hostile, state=hostile, reason=hostile, created_at=hostile, **{hostile: hostile},
        command_meta={"result": {hostile: [hostile, {"x": hostile}]}},
    )  # fmt: skip
    update = record(
        id=hostile, content=hostile_content, before=content(state=hostile), message=hostile,
        requested={"state": hostile, "reason": hostile}, profile=hostile, base_url=hostile,
        error={"kind": "x", "message": hostile, "hint": hostile}, by=hostile, run=hostile,
    )  # fmt: skip
    text = drawn(show_update, update, now=NOW, full=True, width=width, encoding=encoding)
    assert not STEERING.search(text)
    assert encodable(clean_line(hostile), encoding) in text
    assert joined(encodable(clean(hostile), encoding)) in joined(text)
    coloured = drawn(
        show_update, update, now=NOW, full=True, width=width, encoding=encoding, colour=True
    )
    assert coloured == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=12,
).filter(lambda value: "inf" not in repr(value))


@settings(max_examples=60, deadline=None)
@given(
    fields=st.dictionaries(st.sampled_from([*content(), "more"]), json_values),
    result=json_values,
    width=st.sampled_from([*WIDTHS, 21, 33]),
    encoding=st.sampled_from(ENCODINGS),
)
def test_no_content_however_misshapen_ends_in_an_exception(fields, result, width, encoding):
    """Missing, null, unknown and wrong-typed fields are drawn at any width, and steer nothing."""
    for shown in (fields, fields | {"command_meta": {"result": result}}):
        text = drawn(show_content, shown, now=NOW, width=width, encoding=encoding)
        assert not STEERING.search(text)


@pytest.mark.parametrize("width", [100, 60, 40, 30])
def test_running_text_folds_to_the_width_and_lines_up(width):
    """No line is wider than the terminal, and none ends in blanks."""
    long = content(id="a", request="b", device="c", reason="some words " * 50, note="日本 " * 50)
    text = drawn(show_update, record(content=long), now=NOW, width=width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert all(line == line.rstrip() for line in text.splitlines())


def test_values_stand_in_one_column():
    """In a table of details every value starts where the others do."""
    text = drawn(show_content, content(), now=NOW, utc=True)
    lines = [line for line in text.splitlines() if not line.startswith("─")]
    assert {re.match(r"\w+ +", line).end() for line in lines} == {13}
    assert "2026-11-23 12:00:00 UTC (3 h ago)" in text


@pytest.mark.parametrize("table", [STATE_SIGNS, OUTCOME_SIGNS])
def test_signs_tell_all_apart_without_colour(table):
    """Each state and each outcome has a sign of its own, one column wide, in both alphabets."""
    for signs in ({sign.sign for sign in table.values()}, {sign.ascii for sign in table.values()}):
        assert len(signs) == len(table)
        assert {cell_len(sign) for sign in signs} == {1}
    assert all(sign.ascii.isascii() for sign in table.values())


def test_every_state_and_outcome_has_a_sign():
    """The signs cover the nine states and eight outcomes; what is unknown is shown plain."""
    assert list(STATE_SIGNS) == [state.text for state in STATES]
    assert list(OUTCOME_SIGNS) == list(Outcome)
    assert outcome_text("server_error", "ascii").plain == "! server error"
    assert state_text("Command [bold]\x1bX").plain == "Command [bold]\\x1bX"
    assert state_text(None).plain == "—"


def test_an_update_shows_how_it_went():
    """Outcome, place, both states, the change, confirmation and time are all there."""
    before = content(state="Command In Progress")
    got = content(state="Command Failure")
    shown = record(content=got, before=before, confirmed="read", attempts=3, elapsed_ms=14_000)
    text = drawn(show_update, shown, now=NOW)
    for line in (
        "Command      ✗ Command Failure",
        "Update       ✓ updated",
        "profile      prod",
        "host         acme-api.example.test:8443",
        "requested    ✓ Command Success",
        "reported     ✗ Command Failure  not as requested",
        "change       ◑ Command In Progress → ✗ Command Failure",
        "answer       HTTP 200, code 0",
        "confirmed    by reading it back",
        "took         14 s, 3 attempts",
    ):
        assert f"{line}\n" in text
    assert "user:pw" not in text
    assert "ann@desk" not in text
    assert "by           ann@desk\n" in drawn(show_update, shown, now=NOW, full=True)


def test_an_update_without_content_shows_its_id_and_one_table():
    """When nothing came back there is no empty "Command" table, and the id still stands there."""
    lost = record(content=None, outcome="unreachable", http_status=None, profile=None)
    text = drawn(show_update, lost, now=NOW, width=40)
    assert text.startswith("Update  ↯ unreachable\n")
    assert f"id: {ID}\n" in text
    assert "answer: none\n" in text
    assert "reported" not in text


def test_columns_share_what_is_left_and_numbers_end_flush():
    """Columns that may fold get what the others leave; a `right` column is aligned at its end."""
    columns = [Column("id", whole=True), Column("reason"), Column("rows", right=True)]
    rows = [["a" * 20, "short", "1"], ["b", "one two three four five six seven", "1000"]]
    text = drawn(show_rows, columns, rows, width=50, title="Runs")
    assert text.splitlines() == [
        "Runs",
        "id                    reason                  rows",
        "─" * 50,
        "aaaaaaaaaaaaaaaaaaaa  short                      1",
        "b                     one two three four      1000",
        "                      five six seven",
    ]
