"""The completion scripts, one file a shell, under the names that the shells look for."""

from __future__ import annotations

from pathlib import Path

FILE_NAMES: dict[str, str] = {
    "bash": "cmdstat.bash",
    "zsh": "_cmdstat",
    "fish": "cmdstat.fish",
    "powershell": "cmdstat.ps1",
}


def script(shell: str) -> str:
    """The script of one of the shells in `FILE_NAMES`."""
    return (Path(__file__).parent / FILE_NAMES[shell]).read_text(encoding="utf-8")
