"""Labelled details, and columns: aligned where they fit, and blocks of `name: value` where not.

An id or a state is never cut and never broken by cmdstat, so that it can be selected, copied and
searched for: where a column cannot hold one, lines take the place of columns, and the terminal
itself folds what is wider than it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from cmdstat.render.lines import GAP, READING_WIDTH, cells, hanging, print_lines, rule, side_by_side
from cmdstat.render.terminal import WIDEST
from cmdstat.render.texts import plain, plain_line

NARROWEST = 20
"""Below this many columns nothing is folded or indented: the terminal does it better."""

_LABELS_AT_LEAST = 11  # "product key": details below each other line up
_LABELS_AT_MOST = 20
_FOLDED_AT_LEAST = 16
_LONGEST_RULE = 200


class Detail(NamedTuple):
    """One labelled value. `whole` is an id or a state, which no line break may go through."""

    label: str
    value: Text
    whole: bool = False


class Column(NamedTuple):
    """One column. `whole` as in `Detail`, what is not whole may fold; `right` aligns numbers."""

    name: str
    whole: bool = False
    right: bool = False


def show_details(console: Console, title: str, glance: Text, details: Sequence[Detail]) -> None:
    """A title with what matters most beside it, a rule, and the labelled values.

    Labels may be foreign text (a field that nobody documented); one too long for the column of
    labels stands on a line of its own.
    """
    labels = [plain_line(each.label, console.encoding, "dim") for each in details]
    short = [cells(label) for label in labels if cells(label) <= _LABELS_AT_MOST]
    width = max([_LABELS_AT_LEAST, len(title), *short])
    room = console.width - width - GAP
    running = room if console.width == WIDEST else min(room, READING_WIDTH - width - GAP)
    heading = [Text(title, "bold"), glance]
    below = cells(glance) > 0 and len(title) + GAP + cells(glance) > console.width
    if not _values_fit([Detail(title, glance, whole=True), *details], room):
        lines = [*(heading if below else [Text("  ").join(heading)]), rule(console)]
        for label, detail in zip(labels, details, strict=True):
            lines += _block(console, label, detail.value, whole=detail.whole)
        return print_lines(console, lines)
    lines = [*side_by_side(console, [heading], [width, room]), rule(console)]
    for label, detail in zip(labels, details, strict=True):
        row = [label, detail.value]
        if cells(label) > width:
            lines.append(label)
            row[0] = Text()
        lines += side_by_side(console, [row], [width, room if detail.whole else running])
    return print_lines(console, lines)


def show_rows(
    console: Console,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Text | str]],
    *,
    title: str = "",
) -> None:
    """A table; a cell is a `Text` that `texts` made, or foreign text, made harmless here."""
    body = [
        [_cell(console, column, value) for column, value in zip(columns, row, strict=True)]
        for row in rows
    ]
    lines = [Text(title, "bold")] if title else []
    names = [Text(column.name, "dim") for column in columns]
    widths = _fitted(console, columns, [names, *body])
    if widths is None:
        for row in body:
            for column, name, value in zip(columns, names, row, strict=True):
                if value:
                    lines += _block(console, name, value, whole=column.whole)
            lines.append(Text())
        return print_lines(console, lines[:-1])
    right = [index for index, column in enumerate(columns) if column.right]
    lines += side_by_side(console, [names], widths, right=right)
    lines.append(rule(console, min(_LONGEST_RULE, sum(widths) + GAP * (len(widths) - 1))))
    lines += side_by_side(console, body, widths, right=right)
    return print_lines(console, lines)


def fits(console: Console, columns: Sequence[Column], rows: Iterable[Sequence[Text | str]]) -> bool:
    """Whether `show_rows` would show these as a table: for whoever has a narrower one to offer."""
    body = [
        [_cell(console, column, value) for column, value in zip(columns, row, strict=True)]
        for row in rows
    ]
    return _fitted(console, columns, [[Text(column.name) for column in columns], *body]) is not None


def _cell(console: Console, column: Column, value: Text | str) -> Text:
    if isinstance(value, Text):
        return value
    return (plain_line if column.whole else plain)(value, console.encoding)


def _values_fit(details: Sequence[Detail], room: int) -> bool:
    """Whether whole values fit, and the others have a sensible width to fold to."""
    return all(
        (cells(each.value) if each.whole else min(cells(each.value), _FOLDED_AT_LEAST)) <= room
        for each in details
    )


def _fitted(
    console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Text]]
) -> list[int] | None:
    """The width of each column, or None if they would not fit: what folds shares what is left."""
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    folding = [index for index, each in enumerate(columns) if not each.whole and not each.right]
    left = console.width - GAP * (len(columns) - 1)
    left -= sum(width for index, width in enumerate(widths) if index not in folding)
    if sum(min(widths[index], _FOLDED_AT_LEAST) for index in folding) > left or left < 0:
        return None
    folding.sort(key=lambda index: widths[index])
    for position, index in enumerate(folding):
        widths[index] = min(widths[index], left // (len(folding) - position))
        left -= widths[index]
    return widths


def _block(console: Console, label: Text, value: Text, *, whole: bool) -> list[Text]:
    """`label: value` on one line, or the value below its label, or folded if it is not whole."""
    line = Text.assemble(label, (": ", "dim"), value)
    if cells(line) > console.width >= cells(value) + GAP:
        return [label + Text(":", "dim"), *hanging(console, value, console.width, GAP)]
    return [line] if whole or console.width < NARROWEST else hanging(console, line, console.width)
