"""`cmdstat profile remove`: a profile goes, and its key from wherever it is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cmdstat import options
from cmdstat.base_urls import host
from cmdstat.context import Context, open_context
from cmdstat.errors import LOCAL_EXITS
from cmdstat.output import flat

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = ("cmdstat profile remove prod --yes",)
EXIT_CODES = LOCAL_EXITS


def command(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which profile.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: options.Output = None,
    quiet: options.Quiet = False,
) -> None:
    """Remove a profile, and the API key that is stored for it."""
    context = open_context(ctx, output=output, quiet=quiet)
    if not yes and name in context.profiles.names():
        context.confirm(_question(context, name))
    run(context, name)


def _question(context: Context, name: str) -> str:
    profile = context.profiles.get(name)
    key = f" and its key ({profile.key_source.words})" if profile.key_source.is_store else ""
    return f"Remove profile {name} ({host(profile.base_url)}){key}?"


def run(context: Context, name: str) -> None:
    """Remove it, and say what was removed and what was left alone."""
    removal = context.profiles.remove(name)
    item = {
        "name": name,
        "removed": list(removal.removed),
        "left": list(removal.left),
        "was_default": removal.was_default,
    }

    def table(console: Console) -> None:
        from cmdstat.render.profiles import show_removal

        show_removal(console, item)

    with context.showing_what_was_done():
        context.show_one(item, flat(*item), table)
    if removal.warning is not None:
        context.warn(removal.warning)
    if removal.was_default and context.profiles.names():
        context.tell("it was the default; choose another: cmdstat profile use NAME")
