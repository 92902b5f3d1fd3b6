"""`cmdstat get`: show one command status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cmdstat import options
from cmdstat.context import Context, open_context
from cmdstat.errors import READING_EXITS
from cmdstat.models import Content, check_id
from cmdstat.output import CONTENT
from cmdstat.reading import content_of, read
from cmdstat.stopping import PromptInterruption

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = (
    "cmdstat get 5d1f0c2b-8e77-4a35-b0c9-6f2d3e4a5b6c",
    "cmdstat get 5d1f0c2b-8e77-4a35-b0c9-6f2d3e4a5b6c -o json",
)
EXIT_CODES = READING_EXITS


def command(
    ctx: typer.Context,
    command_id: Annotated[
        str, typer.Argument(metavar="ID", help="The id of the command status, as it is.")
    ],
    profile: options.Profile = None,
    timeout: options.Timeout = None,
    retries: options.Retries = None,
    output: options.Output = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    utc: options.Utc = False,
) -> None:
    """Show one command status."""
    context = open_context(
        ctx,
        profile=profile,
        output=output,
        quiet=quiet,
        verbose=verbose,
        timeout=timeout,
        retries=retries,
        utc=utc,
    )
    run(context, check_id(command_id))


def run(context: Context, command_id: str) -> None:
    """Read the command and show it."""
    client = context.client()
    with (
        PromptInterruption("reading the command") as interruption,
        interruption.stoppable(),
        context.progress() as progress,
    ):
        answer = read(lambda: client.get(command_id), interruption, context.policy, progress.watch)
    show(context, content_of(answer, command_id))


def show(context: Context, content: Content) -> None:
    """Show a command's content in the format that was asked for."""

    def table(console: Console) -> None:
        from cmdstat.render.content import show_content

        show_content(console, content, now=context.now(), utc=context.common.utc)

    context.show_one(content, CONTENT, table)
