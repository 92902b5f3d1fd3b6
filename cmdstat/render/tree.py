"""Any JSON value as an indented outline, for what a device returned in no documented shape."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from rich.console import Console
from rich.text import Text

from cmdstat.render.lines import hanging, print_lines, rule
from cmdstat.render.tables import NARROWEST
from cmdstat.render.texts import more_text, plain, plain_line, value_text

_DEEPEST = 8
_MOST_ENTRIES = 50
_MOST_LINES = 200
_LONGEST_TEXT = 2000

Line = tuple[int, Text]
"""An indent in columns, and what stands there."""


def show_tree(console: Console, title: str, value: Any) -> None:
    """The value under a title; what is too long or too deep to read ends in `… and 312 more`."""
    lines = _outline(value, console.encoding, 0)
    shown = [Text(title, "bold"), rule(console)]
    for indent, text in islice(lines, _MOST_LINES):
        if console.width < NARROWEST:
            shown.append(text)
        else:
            shown += hanging(console, text, console.width, min(indent, console.width - NARROWEST))
    if next(lines, None) is not None:
        shown.append(more_text("more; -o json shows everything", console.encoding))
    print_lines(console, shown)


def _outline(value: Any, encoding: str, depth: int) -> Iterator[Line]:
    if not isinstance(value, (dict, list)):
        yield 1, _leaf(value, encoding)
    elif not value:
        yield 1, Text("(none)", "dim")
    elif depth == _DEEPEST:
        yield 1, more_text(f"{len(value):,} more, nested deeper", encoding)
    else:
        yield from (_fields if isinstance(value, dict) else _items)(value, encoding, depth)
        if len(value) > _MOST_ENTRIES:
            yield 1, more_text(f"and {len(value) - _MOST_ENTRIES:,} more", encoding)


def _fields(value: Any, encoding: str, depth: int) -> Iterator[Line]:
    """`name: value` where the value is one line, else `name:` and the value's lines below it."""
    for name, inner in islice(value.items(), _MOST_ENTRIES):
        label = plain_line(name, encoding, "dim") + Text(":", "dim")
        if isinstance(inner, (dict, list)) and inner:
            yield 1, label
            for indent, line in _outline(inner, encoding, depth + 1):
                yield indent + 2, line
        else:
            for _, line in _outline(inner, encoding, depth + 1):
                yield 1, Text.assemble(label, " ", line)


def _items(value: Any, encoding: str, depth: int) -> Iterator[Line]:
    """Each item's lines, the first of them after a dash."""
    for inner in islice(value, _MOST_ENTRIES):
        mark = Text("- ", "dim")
        for indent, line in _outline(inner, encoding, depth + 1):
            yield (indent if mark else indent + 2), mark + line
            mark = Text()


def _leaf(value: Any, encoding: str) -> Text:
    if not isinstance(value, str) or len(value) <= _LONGEST_TEXT:
        return value_text(value, encoding)
    rest = f"and {len(value) - _LONGEST_TEXT:,} more characters"
    return Text.assemble(plain(value[:_LONGEST_TEXT], encoding), " ", more_text(rest, encoding))
