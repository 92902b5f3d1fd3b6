"""Which place in the command line the cursor is at: what may stand there, and what is typed of it.

The values that a place can take are named as in the table: `@states`, `@ids` and so on for what
`sources` looks up, `a|b|c` for a closed list, `*` for what only the user can know.
"""

from __future__ import annotations

from typing import NamedTuple

from cmdstat.completion.table import Command, Option
from cmdstat.completion.words import Word

COMMANDS, OPTIONS = "@commands", "@options"
REST = "…"
"""Ends the values of an argument that takes all the words that are left."""


class Place(NamedTuple):
    """`head` is the part of the word that is not the value: `--state=`. `given`: options before."""

    path: str
    values: str
    head: str
    typed: str
    given: frozenset[str]


def find_place(words: list[Word], table: dict[str, Command]) -> Place:
    """The place of the last of `words`, which are those after the program's name."""
    *before, current = words
    reading = _Reading(table)
    for word in before:
        reading.pass_over(word.text)
    head, values = reading.expected(current.text)
    return Place(reading.path, values, head, current.text[len(head) :], frozenset(reading.given))


class _Reading:
    """What is known after some words: the command, which argument is next, what an option wants."""

    def __init__(self, table: dict[str, Command]) -> None:
        self.path = ""
        self.given: set[str] = set()
        self._table = table
        self._wanted: str | None = None
        self._arguments = 0
        self._only_arguments = False

    @property
    def _command(self) -> Command:
        return self._table.get(self.path) or Command()  # nothing is known of an unknown command

    def pass_over(self, text: str) -> None:
        """Take notice of a word that is complete."""
        if self._wanted is not None:
            self._wanted = None
        elif self._only_arguments or not text.startswith("-") or text == "-":
            self._pass_over_argument(text)
        elif text == "--":
            self._only_arguments = True
        else:
            head, values = self._value_in(text)
            self._wanted = None if head else values

    def expected(self, current: str) -> tuple[str, str]:
        """The head of the current word, and which values may follow it."""
        if self._wanted is not None:
            return "", self._wanted
        if current.startswith("-") and not self._only_arguments:
            head, values = self._value_in(current)
            return (head, values) if head and values else ("", OPTIONS)
        if self._command.commands:
            return "", COMMANDS
        arguments = self._command.arguments
        if self._arguments < len(arguments):
            return "", arguments[self._arguments].removesuffix(REST)
        if arguments and arguments[-1].endswith(REST):
            return "", arguments[-1].removesuffix(REST)
        return "", OPTIONS

    def _pass_over_argument(self, text: str) -> None:
        if self._command.commands:
            self.path = f"{self.path} {text}".lstrip()
        else:
            self._arguments += 1

    def _value_in(self, text: str) -> tuple[str, str | None]:
        """What stands before an option's value in the same word, and which values it can take.

        Without such a value in the word the first is empty, and the values are the next word's;
        they are None where no value is wanted.
        """
        if text.startswith("--"):
            name, equals, _ = text.partition("=")
            option = self._take(name)
            return name + equals if equals else "", option.values or None if option else None
        for place in range(1, len(text)):
            option = self._take("-" + text[place])
            if option is None:
                break
            if option.values:
                return text[: place + 1] if text[place + 1 :] else "", option.values
        return "", None

    def _take(self, name: str) -> Option | None:
        option = self._command.option(name)
        if option is not None:
            self.given.update(option.names)
        return option
