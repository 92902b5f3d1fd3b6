"""What became of a batch, for a person: outcomes by count, the first failures, how long it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from cmdstat.batch.tally import Tally
from cmdstat.foreign import to_json
from cmdstat.instants import describe_duration
from cmdstat.models import Outcome
from cmdstat.render.signs import OUTCOME_SIGNS
from cmdstat.render.tables import Column, Detail, show_details, show_rows
from cmdstat.render.terminal import draws
from cmdstat.render.texts import outcome_text, plain

_BAR = 24


def show_batch(
    console: Console, run: str, counts: Mapping[str, int], tally: Tally, left: int
) -> None:
    """The closing tables of a run: `counts` are all its rows by outcome, `left` what is to do."""
    encoding = console.encoding
    if tally.failures:
        columns = [
            Column("LINE", right=True),
            Column("ID", whole=True),
            Column("OUTCOME", whole=True),
            Column("MESSAGE"),
        ]
        rows = [
            (
                str(record.line or ""),
                record.id,
                outcome_text(record.outcome, encoding),
                (record.error or {}).get("message", record.message or ""),
            )
            for record in tally.failures
        ]
        show_rows(console, columns, rows, title=_title(tally))
        console.line()
    total = sum(counts.values())
    by_outcome = dict(counts)
    by_outcome["unknown"] = by_outcome.get("unknown", 0) + by_outcome.pop("sending", 0)
    details = [
        Detail(f"{outcome_text(outcome, encoding)}", _bar(outcome, number, total, encoding))
        for outcome in Outcome
        if (number := by_outcome.get(outcome))
    ]
    details += [
        Detail("run", plain(run, encoding), whole=True),
        Detail("took", Text(f"{describe_duration(tally.seconds)}, {tally.rate:.0f} a second")),
    ]
    done = sum(counts.get(outcome, 0) for outcome in (Outcome.UPDATED, Outcome.SKIPPED))
    glance = Text(f"{done} of {total} done", "bold green" if done == total else "bold yellow")
    if left:
        glance.append(f", {left} left")
    show_details(console, "Batch", glance, details)


def _title(tally: Tally) -> str:
    failed = sum(
        number
        for outcome, number in tally.ended.items()
        if outcome not in (Outcome.UPDATED, Outcome.SKIPPED)
    )
    shown = len(tally.failures)
    return "Not done" if shown == failed else f"Not done: the first {shown} of {failed}"


def _bar(outcome: Outcome, number: int, total: int, encoding: str) -> Text:
    """A number, and its share of the total as a bar."""
    full = "━" if draws(encoding) else "#"
    length = max(1, round(_BAR * number / total))
    return Text(f"{number:>8}  ").append(full * length, OUTCOME_SIGNS[outcome].style)


def show_rehearsal(
    console: Console,
    place: str,
    counts: Mapping[str, Any],
    requests: Sequence[Mapping[str, Any]],
) -> None:
    """What a batch would send: how many of what, and its first requests."""
    encoding = console.encoding
    details = [Detail("to", plain(place, encoding)), Detail("rows", Text(str(counts["rows"])))]
    details += [Detail(state, Text(str(number))) for state, number in counts["states"].items()]
    details += [
        Detail(label, Text(str(counts[name])))
        for label, name in (("on a condition", "conditional"), ("invalid", "invalid"))
        if counts[name]
    ]
    show_details(console, "Batch", Text("not sent", "bold yellow"), details)
    console.line()
    columns = [Column("METHOD"), Column("URL", whole=True), Column("BODY")]
    rows = [(each["method"], each["url"], to_json(each["body"])) for each in requests]
    show_rows(console, columns, rows, title="The first requests")
