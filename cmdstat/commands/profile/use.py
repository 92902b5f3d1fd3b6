"""`cmdstat profile use`: make a profile the default."""

from __future__ import annotations

from typing import Annotated

import typer

from cmdstat import options
from cmdstat.commands.profile.items import profile_item, sandbox_item, show_item
from cmdstat.context import open_context
from cmdstat.errors import LOCAL_EXITS
from cmdstat.profiles import SANDBOX

EXAMPLES = ("cmdstat profile use prod",)
EXIT_CODES = LOCAL_EXITS


def command(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which profile.")],
    output: options.Output = None,
    quiet: options.Quiet = False,
) -> None:
    """Make a profile the default."""
    context = open_context(ctx, output=output, quiet=quiet)
    store = context.profiles
    store.use(name)
    item = sandbox_item(context) if name == SANDBOX else profile_item(context, store.get(name))
    show_item(context, item, "the default now")
