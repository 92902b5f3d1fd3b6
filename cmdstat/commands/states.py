"""`cmdstat states`: the states, what they mean, which can be set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from cmdstat import options
from cmdstat.context import open_context
from cmdstat.errors import ExitCode
from cmdstat.output import flat
from cmdstat.states import STATES

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = (
    "cmdstat states",
    "cmdstat states -o json",
)
EXIT_CODES = (ExitCode.DONE, ExitCode.USAGE)


def command(
    ctx: typer.Context,
    output: options.Output = None,
    quiet: options.Quiet = False,
) -> None:
    """Show the states, what they mean, and which can be set."""
    context = open_context(ctx, output=output, quiet=quiet)
    rows = [
        {
            "state": state.text,
            "name": state.short,
            "other_names": ", ".join(state.other_names),
            "settable": state.settable,
            "final": state.final,
            "meaning": state.meaning,
        }
        for state in STATES
    ]

    def table(console: Console) -> None:
        from cmdstat.render.tables import Column, show_rows
        from cmdstat.render.texts import state_text

        columns = [
            Column("STATE", whole=True),
            Column("NAME", whole=True),
            Column("SET"),
            Column("FINAL"),
            Column("MEANING"),
        ]
        cells = [
            (
                state_text(state.text, console.encoding),
                ", ".join((state.short, *state.other_names)),
                "yes" if state.settable else "no",
                "yes" if state.final else "no",
                state.meaning,
            )
            for state in STATES
        ]
        show_rows(console, columns, cells)

    context.show_many(rows, flat(*rows[0]), table)
