"""`cmdstat profile rename`: another name for a profile, its key and its place as the default."""

from __future__ import annotations

from typing import Annotated

import typer

from cmdstat import options
from cmdstat.commands.profile.items import profile_item, show_item
from cmdstat.context import open_context
from cmdstat.errors import LOCAL_EXITS

EXAMPLES = ("cmdstat profile rename prod production",)
EXIT_CODES = LOCAL_EXITS


def command(
    ctx: typer.Context,
    old: Annotated[str, typer.Argument(metavar="OLD", help="The name that it has.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The name that it is to have.")],
    output: options.Output = None,
    quiet: options.Quiet = False,
) -> None:
    """Give a profile another name."""
    context = open_context(ctx, output=output, quiet=quiet)
    context.profiles.rename(old, new)
    item = profile_item(context, context.profiles.get(new))
    show_item(context, item, f"renamed from {old}")
