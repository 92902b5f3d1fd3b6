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
_LONGEST_IN_A_LIST = 40

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
        yield 0, _leaf(value, encoding)
    elif not value:
        yield 0, Text("(none)", "dim")
    elif _is_one_line(value):
        yield 0, _inline(value, encoding)
    elif depth == _DEEPEST:
        yield 0, more_text(f"{len(value):,} more, nested deeper", encoding)
    else:
        yield from (_fields if isinstance(value, dict) else _items)(value, encoding, depth)
        if len(value) > _MOST_ENTRIES:
            yield 0, more_text(f"and {len(value) - _MOST_ENTRIES:,} more", encoding)


def _fields(value: Any, encoding: str, depth: int) -> Iterator[Line]:
    """`name: value` where the value is one line, else `name:` and the value's lines below it."""
    for name, inner in islice(value.items(), _MOST_ENTRIES):
        label = plain_line(name, encoding, "dim") + Text(":", "dim")
        lines = _outline(inner, encoding, depth + 1)
        if _is_one_line(inner):
            yield from ((0, Text.assemble(label, " ", line)) for _, line in lines)
        else:
            yield 0, label
            yield from ((indent + 2, line) for indent, line in lines)


def _items(value: Any, encoding: str, depth: int) -> Iterator[Line]:
    """Each item's lines, the first of them after a dash."""
    for inner in islice(value, _MOST_ENTRIES):
        mark = Text("- ", "dim")
        for indent, line in _outline(inner, encoding, depth + 1):
            yield (indent if mark else indent + 2), Text.assemble(mark, line)
            mark = Text()


def _is_one_line(value: Any) -> bool:
    """Whether a value needs no lines of its own: not a container, or one of short values alone."""
    if isinstance(value, list):
        return not any(
            isinstance(each, (dict, list))
            or (isinstance(each, str) and ("\n" in each or len(each) > _LONGEST_IN_A_LIST))
            for each in value
        )
    return not isinstance(value, dict) or not value


def _inline(values: Any, encoding: str) -> Text:
    """A list of short values: `1, 2, 3, … and 312 more`."""
    parts = [value_text(each, encoding) for each in values[:_MOST_ENTRIES]]
    if len(values) > _MOST_ENTRIES:
        parts.append(more_text(f"and {len(values) - _MOST_ENTRIES:,} more", encoding))
    return Text(", ").join(parts)


def _leaf(value: Any, encoding: str) -> Text:
    if not isinstance(value, str) or len(value) <= _LONGEST_TEXT:
        return value_text(value, encoding)
    rest = f"and {len(value) - _LONGEST_TEXT:,} more characters"
    return Text.assemble(plain(value[:_LONGEST_TEXT], encoding), " ", more_text(rest, encoding))
