"""`cmdstat profile list`: the profiles, the built-in one among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from cmdstat import options
from cmdstat.commands.profile.items import SHAPE, damaged_item, profile_item, sandbox_item
from cmdstat.context import Context, open_context
from cmdstat.errors import LOCAL_EXITS, ConfigurationError
from cmdstat.profiles import SANDBOX

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = (
    "cmdstat profile list",
    "cmdstat profile list -o json",
)
EXIT_CODES = LOCAL_EXITS


def command(
    ctx: typer.Context,
    output: options.Output = None,
    quiet: options.Quiet = False,
) -> None:
    """List the profiles."""
    context = open_context(ctx, output=output, quiet=quiet)
    names = context.profiles.names()
    items = [*(_item(context, name) for name in names), sandbox_item(context)]

    def table(console: Console) -> None:
        from cmdstat.render.profiles import show_profiles

        show_profiles(console, items)

    context.show_many(items, SHAPE, table)
    for item in items:
        if item["problem"] is not None:
            context.warn(item["problem"])
    _tell_of_default(context, names)


def _item(context: Context, name: str) -> dict[str, Any]:
    """A profile, or what is wrong with it: one that is damaged does not hide the others."""
    try:
        return profile_item(context, context.profiles.get(name))
    except ConfigurationError as error:
        return damaged_item(name, context.profiles.default_name(), error.message)


def _tell_of_default(context: Context, names: tuple[str, ...]) -> None:
    default = context.profiles.default_name()
    if not names and default is None:
        context.tell("there is no profile of your own yet; make one: cmdstat profile add")
    elif default is None:
        context.tell("none of them is the default; choose one: cmdstat profile use NAME")
    elif default not in (*names, SANDBOX):
        context.warn(
            f"the default profile {default} is not there; choose one: cmdstat profile use NAME"
        )
