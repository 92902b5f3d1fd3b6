"""A command line as typed, cut into words as its shell would, without evaluating any of it."""

from __future__ import annotations

from typing import NamedTuple


class Word(NamedTuple):
    """One word: what the command would get of it, how it stands there, and the quote left open.

    What a shell would substitute (`$x`, `$(…)`, `~`, `*`) stays as it is typed.
    """

    text: str
    typed: str
    quote: str


class Quoting(NamedTuple):
    """A shell's escape character, and what it may stand before within each kind of quotes."""

    escape: str
    within_double: str
    within_single: str


_POSIX = Quoting("\\", '"\\$`\n', "")
QUOTING: dict[str, Quoting] = {
    "bash": _POSIX,
    "zsh": _POSIX,
    "fish": Quoting("\\", '"\\$\n', "'\\"),
    "powershell": Quoting("`", '"`$', ""),
}
"""Every shell that there is a script for."""


def split(line: str, quoting: Quoting) -> list[Word]:
    """The words of a line; the last is the one at its end, empty after white space."""
    words: list[Word] = []
    escapable = {"": None, '"': quoting.within_double, "'": quoting.within_single}
    text = typed = quote = ""
    place = 0
    while place < len(line):
        character, after = line[place], line[place + 1 : place + 2]
        step = 1
        among = escapable[quote]
        if character == quoting.escape and (among is None or (after and after in among)):
            text += after
            step = 2
        elif quote:
            text, quote = (text, "") if character == quote else (text + character, quote)
        elif character in "\"'":
            quote = character
        elif character.isspace():
            if typed:
                words.append(Word(text, typed, ""))
            text = typed = ""
            place += 1
            continue
        else:
            text += character
        typed += line[place : place + step]
        place += step
    return [*words, Word(text, typed, quote)]
