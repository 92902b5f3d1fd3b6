"""Writes `table.tsv` from the real commands: python -m cmdstat.completion.tabulate

Run it after a command or an option has changed. Names, helps and closed lists of values come from
Typer; `_VALUES` adds what a metavar or an option's name says about values that are looked up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from cmdstat.cli import make_root
from cmdstat.completion.candidates import (
    FILES,
    FILES_OR_RUNS,
    IDS,
    PROFILES,
    RUNS,
    SETTABLE_STATES,
    STATES,
    UNFINISHED_RUNS,
)
from cmdstat.completion.place import REST
from cmdstat.completion.table import ARGUMENT, COMMAND, OPTION, TABLE_FILE
from cmdstat.models import Outcome
from cmdstat.settings import SETTINGS

_ANY = "*"
_VALUES: dict[str, str] = {
    "set STATE": SETTABLE_STATES,
    "batch --state": SETTABLE_STATES,
    "batch --discard": UNFINISHED_RUNS,
    "profile add NAME": _ANY,
    "list --request": _ANY,
    "list --device": _ANY,
    "history --outcome": "|".join(Outcome),
    "--profile": PROFILES,
    "--state": STATES,
    "--if-state": STATES,
    "--for": STATES,
    "--run": RUNS,
    "profile NAME": PROFILES,
    "profile OLD": PROFILES,
    "KEY=VALUE": "|".join(f"{rule.name}=" for rule in SETTINGS),
    "ID": IDS,
    "STATE": STATES,
    "RUN": RUNS,
    "FILE": FILES,
    "FILE|RUN": FILES_OR_RUNS,
}
"""Values by an option's long name or a metavar, with a command or group in front where only there.

The most particular one holds. What is not named here can be any text.
"""


def make_table() -> str:
    """The text of `table.tsv`, as `table.read_table` reads it."""
    return "".join("\t".join(columns) + "\n" for columns in _rows(make_root(), ""))


def write_table() -> None:
    """Bring `table.tsv` up to date."""
    with open(TABLE_FILE, "w", encoding="utf-8", newline="\n") as file:
        file.write(make_table())


def _rows(command: Any, path: str) -> Iterator[tuple[str, str, str, str, str]]:
    """The lines about a command or group, and all below it."""
    ctx = typer.Context(command, **command.context_settings)
    children = {}
    if hasattr(command, "list_commands"):
        children = {name: command.get_command(ctx, name) for name in command.list_commands(ctx)}
    for name, child in children.items():
        if not child.hidden:
            yield COMMAND, path, name, "", _note(child.get_short_help_str(200))
    for param in command.get_params(ctx):
        if param.param_type_name == "argument":
            name = _metavar(param)
            rest = REST if param.nargs == -1 else ""
            yield ARGUMENT, path, name, _values(param, path, name) + rest, _note(param.help)
        elif not param.hidden:
            for names in filter(None, (param.opts, param.secondary_opts)):
                values = "" if param.is_flag else _values(param, path, max(names, key=len))
                yield OPTION, path, " ".join(sorted(names, key=len)), values, _note(param.help)
    for name, child in children.items():
        yield from _rows(child, f"{path} {name}".lstrip())


def _values(param: Any, path: str, name: str) -> str:
    """What an option or argument can be: a closed list, the name of a source, or any text."""
    choices = getattr(param.type, "choices", None)
    if choices is not None:
        return "|".join(str(getattr(choice, "value", choice)) for choice in choices)
    group = path.partition(" ")[0]
    for where in (f"{path} ", f"{group} ", ""):
        for what in (name, _metavar(param)):
            if where + what in _VALUES:
                return _VALUES[where + what]
    return _ANY


def _metavar(param: Any) -> str:
    """A metavar without the marks of what is optional or may be repeated."""
    metavar: str = param.metavar or param.name.upper()
    return metavar.strip("[].…")


def _note(text: str | None) -> str:
    """The first clause of a help text: what fits beside a candidate."""
    note = " ".join((text or "").split())
    for end in (" [", "; ", ". ", ": "):
        note = note.partition(end)[0]
    return note.rstrip(".")


if __name__ == "__main__":
    write_table()
