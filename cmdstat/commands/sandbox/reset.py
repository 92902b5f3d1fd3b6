"""`cmdstat sandbox reset`: bring the sandbox back to its first content."""

from __future__ import annotations

from typing import Annotated

import typer

from cmdstat import options
from cmdstat.context import open_context
from cmdstat.errors import LOCAL_EXITS

EXAMPLES = (
    "cmdstat sandbox reset",
    "cmdstat sandbox reset --commands 2000",
)
EXIT_CODES = LOCAL_EXITS


def command(
    ctx: typer.Context,
    commands: Annotated[
        int | None,
        typer.Option("--commands", metavar="N", min=1, help="How many commands; default 12."),
    ] = None,
    db: Annotated[
        str | None,
        typer.Option("--db", metavar="FILE", help="The file with the data; see: sandbox path"),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Bring the sandbox back to its first content."""
    context = open_context(ctx, quiet=quiet)
    with context.sandbox_store(db) as store:
        store.reset(commands) if commands else store.reset()
        context.tell(f"the sandbox has its first {store.count()} commands again")
