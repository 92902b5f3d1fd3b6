"""Several commands for a person: as many columns as the screen is wide enough for.

An id takes 36 columns and a state up to 22, so in a narrow terminal something has to give: ids and
states stay whole, the reason moves below the id, the age below the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from cmdstat.instants import describe_age, parse_timestamp
from cmdstat.models import Content
from cmdstat.render.lines import GAP, cells, folded
from cmdstat.render.tables import Column, fits, show_rows
from cmdstat.render.terminal import WIDEST
from cmdstat.render.texts import id_text, moment_text, more_text, state_text, value_text

_LAYOUTS = (
    ("ID", "STATE", "UPDATED", "REQUEST", "DEVICE", "REASON"),
    ("ID", "STATE", "UPDATED", "DEVICE", "REASON"),
    ("ID", "STATE", "AGE", "REASON"),
)
_NARROW_IN_UTC = ("ID", "STATE", "UPDATED", "REASON")
_WHOLE = ("ID", "STATE", "AGE", "REQUEST", "DEVICE")
_LONGEST_REASON = 200
"""A table is for looking over; `get`, a pipe and JSON have the whole of a long reason."""


def show_listing(
    console: Console, contents: Sequence[Content], *, now: float, utc: bool = False
) -> None:
    """A table of commands in the widest layout that fits, or blocks where none does.

    `now` is seconds since the epoch, for how long ago; `utc` shows times in UTC instead of local.
    """
    rows = [_cells(console, content, now=now, utc=utc) for content in contents]
    for names in (*_LAYOUTS[:2], _NARROW_IN_UTC, *_LAYOUTS[2:]) if utc else _LAYOUTS:
        columns = [Column(name, whole=name in _WHOLE) for name in names]
        chosen = [[row[name] for name in names] for row in rows]
        if fits(console, columns, chosen):
            return show_rows(console, columns, chosen)
    room = console.width - GAP - max(max(cells(row["STATE"]), cells(row["AGE"])) for row in rows)
    if all(cells(row["ID"]) <= room for row in rows):
        return show_rows(
            console,
            [Column("ID, REASON", whole=True), Column("STATE, AGE", whole=True)],
            [_stacked(console, row, room) for row in rows],
        )
    names = _LAYOUTS[1]
    columns = [Column(name, whole=name in _WHOLE) for name in names]
    return show_rows(console, columns, [[row[name] for name in names] for row in rows])


def _cells(console: Console, content: Content, *, now: float, utc: bool) -> dict[str, Text]:
    """Every cell that a layout may show of a command, by the name of its column."""
    encoding = console.encoding
    changed = content.get("updated_at")
    moment = parse_timestamp(changed)
    age = value_text(changed, encoding)
    if moment is not None:
        age = Text(describe_age(now - moment.timestamp()))
    return {
        "ID": id_text(content.get("id"), encoding),
        "STATE": state_text(content.get("state"), encoding),
        "UPDATED": moment_text(changed, encoding, now=now, utc=utc),
        "AGE": age,
        "REQUEST": id_text(content.get("request"), encoding),
        "DEVICE": id_text(content.get("device"), encoding),
        "REASON": _reason(console, content.get("reason")),
    }


def _reason(console: Console, reason: Any) -> Text:
    text = Text() if reason in ("", None) else value_text(reason, console.encoding)
    rest = len(text) - _LONGEST_REASON
    if console.width == WIDEST or rest <= 0:
        return text
    more = more_text(f"and {rest:,} more characters", console.encoding)
    return Text.assemble(text[:_LONGEST_REASON], " ", more)


def _stacked(console: Console, row: dict[str, Text], room: int) -> tuple[Text, Text]:
    """Two cells of a narrow table: the reason below the id, the age below the state."""
    indent = Text(" " * GAP)
    reason = [indent + line for line in folded(console, row["REASON"], room - GAP) if line]
    age = row["AGE"].copy()
    age.stylize("dim")
    return Text("\n").join([row["ID"], *reason]), Text("\n").join([row["STATE"], age])
