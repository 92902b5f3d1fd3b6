"""What a slip of the hand was meant to be: unknown commands and options, arguments too many."""

from __future__ import annotations

import re
from collections.abc import Sequence

import typer

from cmdstat.errors import UsageError

_SUGGESTION = re.compile(r"\(Possible options: (.*)\)|Did you mean (.*)\?")
_SHARED = re.compile(
    r"no such option: (-[poqvn]|--(profile|output|quiet|verbose|timeout|retries))\b", re.IGNORECASE
)
_OTHER_WORDS = {
    **dict.fromkeys(("status", "show", "read", "view", "describe"), "get"),
    **dict.fromkeys(("update", "put", "edit", "patch"), "set"),
    **dict.fromkeys(("ls", "all"), "list"),
    **dict.fromkeys(("delete", "rm", "del"), "remove"),
    **dict.fromkeys(("log", "journal", "runs"), "history"),
    **dict.fromkeys(("new", "create", "login"), "add"),
    **dict.fromkeys(("watch", "poll"), "wait"),
    **dict.fromkeys(("import", "bulk"), "batch"),
    **dict.fromkeys(("test", "verify", "ping"), "check"),
    **dict.fromkeys(("start", "run"), "serve"),
    **dict.fromkeys(("mv", "move"), "rename"),
}
"""What other tools call a command."""


def unknown_command(path: str, name: str, known: Sequence[str]) -> UsageError:
    """The error for a command that is not there, with the one that was probably meant."""
    from difflib import get_close_matches

    meant = _OTHER_WORDS.get(name.lower())
    near = [meant] if meant in known else get_close_matches(name, known, n=1)
    hint = f"did you mean: {path} {near[0]}" if near else f"see: {path} --help"
    return UsageError(f'there is no command "{path} {name}"', hint)


def usage_error(error: typer.TyperException) -> UsageError:
    """Ours for one of Typer's: its words, and where the command's help is."""
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx is not None else "cmdstat"
    message = " ".join(error.format_message().split()).rstrip(".")
    meant = _SUGGESTION.search(message)
    hint = f"did you mean {(meant[1] or meant[2]).replace(', ', ' or ')}? " if meant else ""
    message = _SUGGESTION.sub("", message).rstrip(" .?")
    if path == "cmdstat" and _SHARED.search(message):
        hint = "options go after the command: cmdstat set ID STATE --profile NAME. "
    if "unexpected extra argument" in message:
        if " profile " in path:  # somebody may have put a key there
            message = "got unexpected extra arguments"
            hint = "a key is never an argument; see --api-key-stdin. "
        elif path == "cmdstat set":
            hint = 'a state of several words goes in quotes: "Command Success". '
    return UsageError(message[:1].lower() + message[1:], f"{hint}see: {path} --help")
