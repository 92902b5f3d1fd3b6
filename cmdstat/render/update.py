"""What became of one update, for a person: the outcome first, then what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from cmdstat.instants import describe_duration
from cmdstat.models import Outcome
from cmdstat.render.content import show_content
from cmdstat.render.tables import Detail, show_details
from cmdstat.render.texts import (
    change_text,
    moment_text,
    outcome_text,
    plain_line,
    state_text,
    value_text,
)

Record = Mapping[str, Any]


def show_update(
    console: Console, record: Record, *, now: float, utc: bool = False, full: bool = False
) -> None:
    """The tables "Command" and "Update" of one record (its dict, design §3), then what it returned.

    Without a content there is only "Update". `full` adds what the history knows besides: number,
    who, when, run and line, and the error, which `set` shows on stderr instead.
    """
    content = record.get("content")
    if isinstance(content, dict):
        show_content(console, content, now=now, utc=utc)
        console.line()
    outcome = outcome_text(record["outcome"], console.encoding)
    outcome.stylize("bold")
    details = [*_destination(console, record), *_result(console, record)]
    if full:
        details += _history(console, record, now=now, utc=utc)
    show_details(console, "Update", outcome, details)


def _destination(console: Console, record: Record) -> Iterator[Detail]:
    """Where it went: a wrong tenant is the mistake that is hardest to see afterwards."""
    from urllib.parse import urlsplit

    base_url = record.get("base_url") or ""
    try:
        host = urlsplit(base_url).netloc.rpartition("@")[2] or base_url
    except ValueError:
        host = base_url
    if not isinstance(record.get("content"), dict):
        yield Detail("id", plain_line(record["id"], console.encoding), whole=True)
    profile = record.get("profile")
    if profile is None:
        yield Detail("profile", Text("none (from the environment)"))
    else:
        yield Detail("profile", plain_line(profile, console.encoding), whole=True)
    yield Detail("host", plain_line(host, console.encoding), whole=True)


def _result(console: Console, record: Record) -> Iterator[Detail]:
    """What was asked for beside what the server says, and how it said it."""
    encoding = console.encoding
    requested = record["requested"]
    content, before = record.get("content"), record.get("before")
    yield Detail("requested", _requested_state(requested.get("state"), encoding), whole=True)
    if isinstance(content, dict):
        yield Detail("reported", _reported_state(record, encoding), whole=True)
        if isinstance(before, dict) and record["outcome"] != Outcome.SKIPPED:
            change = change_text(before.get("state"), content.get("state"), encoding)
            yield Detail("change", change)
    if requested.get("reason") is not None:
        yield Detail("reason", _requested_reason(record, encoding))
    yield Detail("answer", _answer(record))
    if record.get("message") is not None:
        yield Detail("message", value_text(record["message"], encoding))
    if record.get("confirmed") is not None:
        yield Detail("confirmed", Text("by reading it back"))
    attempts = record.get("attempts") or 0
    took = describe_duration((record.get("elapsed_ms") or 0) / 1000)
    yield Detail("took", Text(f"{took}, {attempts} attempt{'' if attempts == 1 else 's'}"))


def _requested_state(state: str | None, encoding: str) -> Text:
    return Text("the reason only", "dim") if state is None else state_text(state, encoding)


def _requested_reason(record: Record, encoding: str) -> Text:
    """The reason that was asked for; long ones are not shown twice."""
    requested, content = record["requested"]["reason"], record.get("content")
    if requested and isinstance(content, dict) and content.get("reason") == requested:
        return Text("as reported above", "dim")
    return value_text(requested, encoding)


def _reported_state(record: Record, encoding: str) -> Text:
    """The reported state, and whether it is another than the one that was asked for."""
    requested, reported = record["requested"].get("state"), record["content"].get("state")
    text = state_text(reported, encoding)
    if requested not in (None, reported) and record["outcome"] != Outcome.SKIPPED:
        text.append("  not as requested", "bold yellow")
    return text


def _answer(record: Record) -> Text:
    status, code = record.get("http_status"), record.get("code")
    if status is None:
        return Text("none", "dim")
    return Text(f"HTTP {status}" + (f", code {code}" if code is not None else ""))


def _history(console: Console, record: Record, *, now: float, utc: bool) -> Iterator[Detail]:
    encoding = console.encoding
    error = record.get("error") or {}
    for name in ("message", "hint"):
        if error.get(name):
            yield Detail("error" if name == "message" else name, value_text(error[name], encoding))
    yield Detail("recorded", moment_text(record.get("at"), encoding, now=now, utc=utc))
    for name in ("by", "run", "line", "n"):
        if record.get(name) is not None:
            label = "number" if name == "n" else name
            yield Detail(label, value_text(record[name], encoding), whole=name != "by")
