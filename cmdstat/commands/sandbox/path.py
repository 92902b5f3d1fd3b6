"""`cmdstat sandbox path`: where the sandbox keeps its data."""

from __future__ import annotations

import typer

from cmdstat.context import open_context
from cmdstat.errors import ExitCode

EXAMPLES = ("cmdstat sandbox path",)
EXIT_CODES = (ExitCode.DONE, ExitCode.USAGE)


def command(ctx: typer.Context) -> None:
    """Show where the sandbox keeps its data."""
    context = open_context(ctx)
    context.stdout.write(f"{context.paths.sandbox_file}\n")
