"""`cmdstat completion`: print the completion script of a shell."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from cmdstat.context import open_context
from cmdstat.errors import ExitCode

EXAMPLES = (
    "cmdstat completion bash",
    "cmdstat completion zsh",
)
EXIT_CODES = (ExitCode.DONE, ExitCode.USAGE)
EPILOG = """\b
To install it (the folders must exist; in zsh, name yours in fpath before compinit runs):
  cmdstat completion bash > ~/.local/share/bash-completion/completions/cmdstat
  cmdstat completion zsh > ~/.zfunc/_cmdstat
  cmdstat completion fish > ~/.config/fish/completions/cmdstat.fish
  cmdstat completion powershell >> $PROFILE

\b
To try it in this shell alone:
  source <(cmdstat completion bash)
"""


class Shell(StrEnum):
    """The shells that there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def command(
    ctx: typer.Context,
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="Whose script to print.")],
) -> None:
    """Print the completion script of a shell."""
    from cmdstat.completion.scripts import script

    open_context(ctx).stdout.write(script(shell))
