"""How many commands are in each state, as bars: what a person asks of a listing first."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from cmdstat.render.lines import GAP, cells
from cmdstat.render.signs import STATE_SIGNS
from cmdstat.render.tables import Column, show_rows
from cmdstat.render.terminal import draws
from cmdstat.render.texts import state_text

_LONGEST_BAR = 40
_SHORTEST_BAR = 6


def show_summary(console: Console, counts: Sequence[tuple[str | None, int]]) -> None:
    """A bar for each state, the longest for the most frequent one, and the total in the title."""
    encoding = console.encoding
    total = sum(number for _, number in counts)
    most = max((number for _, number in counts), default=0)
    states = [state_text(state, encoding) for state, _ in counts]
    numbers = max(len("COUNT"), len(f"{most:,}")) + len("SHARE")
    taken = max(map(cells, states), default=0) + numbers + 3 * GAP
    room = min(_LONGEST_BAR, console.width - taken)
    columns = [
        Column("STATE", whole=True),
        Column("COUNT", right=True),
        Column("SHARE", right=True),
        Column("", whole=True),
    ]
    rows = [
        (text, f"{number:,}", _share(number, total), _bar(state, number, most, room, encoding))
        for text, (state, number) in zip(states, counts, strict=True)
    ]
    if room < _SHORTEST_BAR:
        columns.pop()
        rows = [row[:3] for row in rows]  # type: ignore[misc]
    title = f"{total:,} command{'' if total == 1 else 's'}"
    show_rows(console, columns, rows, title=title)


def _share(number: int, total: int) -> str:
    """A share in per cent; what is there is never called 0 %, what is not all never 100 %."""
    percent = 100 * number / total
    if 0 < percent < 1:
        return "<1 %"
    return f"{min(percent, 99) if number < total else percent:.0f} %"


def _bar(state: str | None, number: int, most: int, room: int, encoding: str) -> Text:
    sign = STATE_SIGNS.get(state) if state is not None else None
    length = max(1, round(room * number / most))
    return Text(("━" if draws(encoding) else "#") * length, "" if sign is None else sign.style)
