"""Lines of a screen: folded, set beside each other, ruled off, printed in one piece.

rich's own tables pad every line to the width of the longest, and break an id that is too wide for
its column; a 10 kB reason in a pipe, or an id that somebody wants to copy, deserve better.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from cmdstat.render.terminal import draws

GAP = 2
READING_WIDTH = 72
"""How wide a screen's running text may be before the eye loses its line."""


def cells(text: Text) -> int:
    """How many columns of the screen the widest line of a text takes."""
    return max(map(cell_len, text.plain.split("\n")))


def folded(console: Console, text: Text, width: int) -> list[Text]:
    """The lines of a text, broken between words where they are wider than `width`."""
    if cells(text) <= width:
        return list(text.split("\n", allow_blank=True))
    return list(text.wrap(console, width, overflow="fold"))


def hanging(console: Console, text: Text, width: int, indent: int = 0) -> list[Text]:
    """The lines of a text under an indent, those after the first two columns deeper."""
    first, *more = folded(console, text, width - indent)
    if more:
        first, *more = folded(console, text, width - indent - 2)
    return [Text(" " * indent) + first, *(Text(" " * (indent + 2)) + line for line in more)]


def side_by_side(
    console: Console,
    rows: Iterable[Sequence[Text]],
    widths: Sequence[int],
    *,
    right: Sequence[int] = (),
) -> Iterator[Text]:
    """The lines of rows whose cells are folded to `widths`; `right` are the columns that end flush.

    No line ends in blanks.
    """
    for row in rows:
        columns = [folded(console, cell, width) for cell, width in zip(row, widths, strict=True)]
        for pieces in zip_longest(*columns, fillvalue=Text()):
            line = Text()
            for index, piece in enumerate(pieces):
                if index in right:
                    line.append(" " * (widths[index] - cells(piece)))
                line.append_text(piece)
                if index < len(pieces) - 1:
                    line.append(" " * (sum(widths[: index + 1]) + GAP * (index + 1) - cells(line)))
            line.rstrip()
            yield line


def rule(console: Console, length: int = READING_WIDTH) -> Text:
    """A thin horizontal line."""
    line = "─" if draws(console.encoding) else "-"
    return Text(line * min(length, console.width), "dim")


def print_lines(console: Console, lines: Iterable[Text]) -> None:
    """Print in one piece, so that nobody sees half of it; the terminal folds what is too wide."""
    console.print(Text("\n").join(lines), soft_wrap=True)
