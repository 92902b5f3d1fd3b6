"""What was sent, for a person: who set what, when, why, and what came of it; and the batch runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text

from cmdstat.foreign import excerpt
from cmdstat.instants import describe_age, parse_timestamp
from cmdstat.models import Outcome
from cmdstat.render.signs import OUTCOME_SIGNS
from cmdstat.render.tables import Column, fits, show_rows
from cmdstat.render.terminal import WIDEST, draws
from cmdstat.render.texts import (
    change_text,
    moment_text,
    nothing,
    outcome_text,
    plain,
    plain_line,
    state_text,
    value_text,
)

Record = Mapping[str, Any]

_COLUMNS = (
    Column("N", right=True),
    Column("WHEN"),
    Column("OUTCOME", whole=True),
    Column("ID", whole=True),
    Column("STATE"),
    Column("REASON"),
    Column("WHERE"),
    Column("BY"),
)
_LONGEST_REASON = 200
_RUN_SIGNS = {
    "finished": OUTCOME_SIGNS[Outcome.UPDATED],
    "unfinished": OUTCOME_SIGNS[Outcome.UNKNOWN],
    "given up": OUTCOME_SIGNS[Outcome.SKIPPED],
    "at work": OUTCOME_SIGNS[Outcome.PENDING],
}


def show_history(
    console: Console, records: Sequence[Record], *, now: float, utc: bool = False
) -> None:
    """Updates in a table; where its columns do not fit, in one of fewer; then in blocks.

    `now` is seconds since the epoch, for how long ago; `utc` shows times in UTC instead of local.
    """
    rows = [_cells(console, record, now=now, utc=utc) for record in records]
    if not fits(console, _COLUMNS, rows):
        columns = [_COLUMNS[0], _COLUMNS[2], _COLUMNS[3], Column("STATE, REASON, WHEN, WHERE, BY")]
        stacked = [_stacked(row) for row in rows]
        if fits(console, columns, stacked):
            return show_rows(console, columns, stacked)
    return show_rows(console, _COLUMNS, rows)


def _cells(console: Console, record: Record, *, now: float, utc: bool) -> tuple[Text, ...]:
    encoding = console.encoding
    return (
        Text(str(record["n"])),
        moment_text(record["at"], encoding, now=now, utc=utc),
        outcome_text(record["outcome"], encoding),
        plain_line(record["id"], encoding),
        _state(record, encoding),
        _why(console, record),
        _where(record, encoding),
        plain_line(record["by"], encoding),
    )


def _stacked(row: tuple[Text, ...]) -> tuple[Text, ...]:
    """The cells of a narrower table: what has no column of its own stands in lines in the last."""
    number, when, outcome, command_id, state, why, where, by = row
    origin = Text.assemble(where, ", by ", by)
    lines = [state, why, when, origin]
    for line in (when, origin):
        line.stylize("dim")
    return number, outcome, command_id, Text("\n").join(line for line in lines if line)


def _state(record: Record, encoding: str) -> Text:
    """The state that was asked for, and the one that was reported if that is another."""
    asked = record["requested"]["state"]
    content = record["content"]
    reported = content.get("state") if isinstance(content, dict) else None
    if asked is None:
        return Text("the reason only", "dim")
    if reported in (None, asked):
        return state_text(asked, encoding)
    return change_text(asked, reported, encoding)


def _why(console: Console, record: Record) -> Text:
    """The reason that was given, and why it failed if it did."""
    reason, error = record["requested"]["reason"], record["error"]
    lines = []
    if reason is not None:
        short = reason if console.width == WIDEST else excerpt(reason, _LONGEST_REASON)
        lines.append(value_text(short, console.encoding))
    if error is not None:
        lines.append(plain(error.get("message") or "", console.encoding, "yellow"))
    return Text("\n").join(lines)


def _where(record: Record, encoding: str) -> Text:
    """`profile@host`, or the host alone where the environment named it."""
    try:
        host = urlsplit(record["base_url"]).netloc.rpartition("@")[2]
    except ValueError:
        host = record["base_url"]
    profile = record["profile"]
    return plain_line(host if profile is None else f"{profile}@{host}", encoding)


def show_runs(console: Console, runs: Sequence[Record], *, now: float, utc: bool = False) -> None:
    """Batch runs in a table; `now` and `utc` as in `show_history`."""
    encoding = console.encoding
    columns = [
        Column("RUN", whole=True),
        Column("STATE", whole=True),
        Column("STARTED", whole=True),
        Column("LEFT", right=True),
        Column("WHERE", whole=True),
        Column("ROWS"),
        Column("FROM"),
    ]
    rows = [
        (
            plain_line(run["run"], encoding),
            _run_state(run["state"], encoding),
            _started(console, run["started"], now=now, utc=utc),
            Text(f"{run['left']:,}") if run["left"] else nothing(encoding),
            _where(run, encoding),
            _counts(run, encoding),
            plain_line(run["source"], encoding),
        )
        for run in runs
    ]
    narrower = [row[:-1] for row in rows]
    if not fits(console, columns, rows) and fits(console, columns[:-1], narrower):
        return show_rows(console, columns[:-1], narrower)
    return show_rows(console, columns, rows)


def _started(console: Console, started: str, *, now: float, utc: bool) -> Text:
    """When a run was started; a run's name has the date and time, so a terminal shows the age."""
    moment = parse_timestamp(started)
    if console.width == WIDEST or utc or moment is None:
        return moment_text(started, console.encoding, now=now, utc=utc)
    return Text(describe_age(now - moment.timestamp()))


def _run_state(state: str, encoding: str) -> Text:
    sign = _RUN_SIGNS[state]
    return Text(f"{sign.drawn(ascii_only=not draws(encoding))} {state}", sign.style)


def _counts(run: Record, encoding: str) -> Text:
    """How many rows there are by outcome, in one line: `✓ 1,200 updated, ✗ 3 refused`."""
    parts = []
    for outcome in Outcome:
        if number := run[outcome]:
            sign, style = OUTCOME_SIGNS[outcome], OUTCOME_SIGNS[outcome].style
            mark = sign.drawn(ascii_only=not draws(encoding))
            parts.append(Text(f"{mark} {number:,} {outcome.replace('_', ' ')}", style))
    if run["dropped"]:
        parts.append(Text(f"{run['dropped']:,} given up", "dim"))
    return Text(", ").join(parts)
