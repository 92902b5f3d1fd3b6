"""What stands in a cell: states, outcomes, moments, sizes, and foreign text made harmless.

Everything is a rich `Text`, never markup, in characters that the given encoding has.
"""

from __future__ import annotations

from typing import Any

from rich.text import Text

from cmdstat.foreign import clean, clean_line, to_json
from cmdstat.instants import describe_moment
from cmdstat.models import Outcome
from cmdstat.render.signs import OUTCOME_SIGNS, STATE_SIGNS, Sign
from cmdstat.render.terminal import draws, encodable

_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")
_BAR_CELLS = 20

LONGEST_SHOWN = 20_000
"""Characters of one value on a screen."""
MOST_LINES = 500
"""Lines of one value on a screen."""


def plain(text: str, encoding: str = "utf-8", style: str = "") -> Text:
    """Foreign text, harmless; it may have several lines."""
    return Text(encodable(clean(text), encoding), style)


def plain_line(text: str, encoding: str = "utf-8", style: str = "") -> Text:
    """Foreign text, harmless, on one line: for ids, states and names."""
    return Text(encodable(clean_line(text), encoding), style)


def nothing(encoding: str = "utf-8") -> Text:
    """What stands for null and missing values."""
    return Text("—" if draws(encoding) else "-", "dim")


def more_text(text: str, encoding: str = "utf-8") -> Text:
    """What ends something that was cut: `… and 312 more`."""
    return Text(f"{'…' if draws(encoding) else '...'} {text}", "dim")


def value_text(value: Any, encoding: str = "utf-8") -> Text:
    """Any JSON value for a person: `yes`, a number, text, a dash for null; the rest as JSON."""
    if value is None:
        return nothing(encoding)
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, str):
        return plain(shortened(value), encoding) if value else Text("(empty)", "dim")
    return plain(shortened(to_json(value)), encoding)


def shortened(text: str) -> str:
    """As much of a text as anybody would read on a screen, and how much more there is.

    Never for an id or a state. The machine formats have the whole of it.
    """
    if len(text) <= LONGEST_SHOWN and text.count("\n") < MOST_LINES:
        return text
    shown = "\n".join(text[:LONGEST_SHOWN].split("\n")[:MOST_LINES])
    return f"{shown} … and {len(text) - len(shown):,} characters more"


def id_text(value: Any, encoding: str = "utf-8") -> Text:
    """An id, whole and on one line, as it came."""
    if isinstance(value, str) and value:
        return plain_line(value, encoding)
    return value_text(value, encoding)


def state_text(state: Any, encoding: str = "utf-8") -> Text:
    """A reported state with its sign and colour; one that cmdstat does not know as it came."""
    sign = STATE_SIGNS.get(state) if isinstance(state, str) else None
    return id_text(state, encoding) if sign is None else _signed(sign, state, encoding)


def outcome_text(outcome: str, encoding: str = "utf-8") -> Text:
    """An outcome with its sign and colour, in words: `server error`."""
    return _signed(OUTCOME_SIGNS[Outcome(outcome)], outcome.replace("_", " "), encoding)


def change_text(before: Any, after: Any, encoding: str = "utf-8") -> Text:
    """Two states and the arrow from one to the other."""
    arrow = " → " if draws(encoding) else " -> "
    return Text.assemble(state_text(before, encoding), arrow, state_text(after, encoding))


def moment_text(value: Any, encoding: str, *, now: float, utc: bool) -> Text:
    """A server's timestamp in local time with its age, or as it came if it tells no moment."""
    described = describe_moment(value, now=now, utc=utc)
    return value_text(value, encoding) if described is None else Text(described)


def size_text(value: Any, encoding: str = "utf-8") -> Text:
    """A number of bytes as phones say it, in powers of 1000: `437 MB`, `6.3 GB`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e21:
        return value_text(value, encoding)
    if value < 1000:
        return Text(f"{value:.0f} B")
    size, unit = float(value), ""
    for unit in _UNITS:  # noqa: B007 - the unit that the loop ends with is the one to show
        size /= 1000
        if round(size) < 1000:
            break
    return Text(
        f"{size:.1f}".removesuffix(".0") + f" {unit}" if size < 9.95 else f"{size:.0f} {unit}"
    )


def percentage_text(value: Any, encoding: str = "utf-8") -> Text:
    """A share with a bar: from 0 to 1 a fraction, above 1 per cent; 99.99 is not called 100."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e6:
        return value_text(value, encoding)
    percent = value * 100 if value <= 1 else float(value)
    shown = int(percent * 10 + 1e-6) / 10
    filled = min(_BAR_CELLS, int(percent / 100 * _BAR_CELLS + 1e-6))
    done, left = ("━", "┄") if draws(encoding) else ("#", ".")
    return Text.assemble(
        f"{shown:g} %  ", (done * filled, "cyan"), (left * (_BAR_CELLS - filled), "dim")
    )


def _signed(sign: Sign, text: str, encoding: str) -> Text:
    return Text(f"{sign.drawn(ascii_only=not draws(encoding))} {text}", sign.style)
