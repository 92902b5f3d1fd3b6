"""`cmdstat completion`: print the completion script of a shell."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from cmdstat.context import open_context

EPILOG = """\b
How to install it:
  bash        cmdstat completion bash > ~/.local/share/bash-completion/completions/cmdstat
  zsh         cmdstat completion zsh > ~/.zfunc/_cmdstat
  fish        cmdstat completion fish > ~/.config/fish/completions/cmdstat.fish
  powershell  cmdstat completion powershell >> $PROFILE

In zsh the folder must be in fpath before compinit runs. To try it in this shell alone:
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
