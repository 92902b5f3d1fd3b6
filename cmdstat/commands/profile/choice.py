"""Which profile `show` and `check` are about: NAME, which is the same as `--profile NAME`."""

from __future__ import annotations

from typing import Annotated

import typer

from cmdstat.errors import UsageError

Name = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]", help="Which profile; else the one in force, as for every command."
    ),
]


def chosen(name: str | None, flag: str | None) -> str | None:
    """The profile that was asked for, if one was. Raises `UsageError` for two of them."""
    if name is not None and flag is not None and name != flag:
        raise UsageError(f"two profiles were given: {name} and {flag}", "give one of them")
    return name if name is not None else flag
