"""The commands, options and arguments as completion knows them: `table.tsv`, read.

Importing Typer and a command to ask it for its options costs three times as much as all the rest of
a completion, so they are written down beside this module by `cmdstat.completion.tabulate`; a test
holds the file to the commands.
"""

from __future__ import annotations

import os
from typing import NamedTuple

TABLE_FILE = os.path.join(os.path.dirname(__file__), "table.tsv")  # noqa: PTH118, PTH120 - pathlib is slow to import

COMMAND, OPTION, ARGUMENT = "command", "option", "argument"
"""The first column: what a line is about."""


class Option(NamedTuple):
    """An option's names, what its value can be ("" for a flag), and what it is for."""

    names: tuple[str, ...]
    values: str
    note: str


class Command:
    """What may follow a command or group: sub-commands with notes, options, arguments' values."""

    def __init__(self) -> None:
        self.commands: dict[str, str] = {}
        self.options: list[Option] = []
        self.arguments: list[str] = []

    def option(self, name: str) -> Option | None:
        """The option of that name."""
        return next((option for option in self.options if name in option.names), None)


def read_table(text: str) -> dict[str, Command]:
    """Commands by their path as typed ("profile add"; "" is cmdstat itself).

    A line has five columns: what it is about, the path, the names, the values and the note.
    """
    table: dict[str, Command] = {}
    for line in text.splitlines():
        kind, path, names, values, note = line.split("\t")
        owner = table.setdefault(path, Command())
        if kind == COMMAND:
            owner.commands[names] = note
            table.setdefault(f"{path} {names}".lstrip(), Command())
        elif kind == OPTION:
            owner.options.append(Option(tuple(names.split(" ")), values, note))
        else:
            owner.arguments.append(values)
    return table


def load_table() -> dict[str, Command]:
    """The table of this cmdstat."""
    with open(TABLE_FILE, encoding="utf-8") as file:
        return read_table(file.read())
