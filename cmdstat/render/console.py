"""The console that everything is drawn on: a rich one that has no opinion of its own.

rich would read the environment, wrap a pipe at 80 columns, turn colour on for `FORCE_COLOR=0`,
interpret `[red]` and `:smile:`, and end the process on a broken pipe. Here `terminal` decides, all
text is data, and a broken pipe is an error like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from rich.console import Console

from cmdstat.render.terminal import has_colour, width_of


class _PlainConsole(Console):
    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - rich calls this while it handles the BrokenPipeError


def make_console(stream: TextIO, env: Mapping[str, str]) -> Console:
    """A console on `stream` with the colour and width that the stream and `env` ask for."""
    colour = has_colour(stream, env)
    return _PlainConsole(
        file=stream,
        width=width_of(stream, env),
        height=24,
        color_system="standard" if colour else None,
        force_terminal=colour,
        force_interactive=False,
        force_jupyter=False,
        markup=False,
        emoji=False,
        highlight=False,
        _environ={},
    )
