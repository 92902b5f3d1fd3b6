"""The options that say where a profile's key comes from, and the asking for it.

`profile add` and `profile set` share them. No option takes a key itself: an argument is seen by
everybody on the machine and kept in the shell's history.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import typer

from cmdstat.context import Context
from cmdstat.errors import ConfigurationError, UsageError
from cmdstat.key_sources import KeyKind, KeySource
from cmdstat.keys import LONGEST_KEY, ApiKey

FromStdin = Annotated[
    bool,
    typer.Option(
        "--api-key-stdin",
        help="Read the key from standard input.",
    ),
]
FromCommand = Annotated[
    str | None,
    typer.Option(
        "--api-key-command",
        metavar="COMMAND",
        help="Run this, without a shell, each time a key is needed; its first line is the key.",
    ),
]
FromVariable = Annotated[
    str | None,
    typer.Option(
        "--api-key-env",
        metavar="VAR",
        help="Take the key from this environment variable.",
    ),
]
InKeyring = Annotated[
    bool | None,
    typer.Option(
        "--keyring/--no-keyring",
        help="Keep a typed or piped key in the system keyring, or in the file.",
        show_default=False,
    ),
]


_USUAL_VARIABLE = re.compile(r"[A-Z0-9_]+")


@dataclass(frozen=True, slots=True)
class KeyOptions:
    """The key options as given. `keyring` is None where neither form was."""

    stdin: bool
    command: str | None
    variable: str | None
    keyring: bool | None

    @property
    def is_given(self) -> bool:
        """Whether anything was said about the key."""
        return self != KeyOptions(stdin=False, command=None, variable=None, keyring=None)

    def source(self, env: Mapping[str, str], current: KeySource | None = None) -> KeySource:
        """The source that these options name; a stored key stays where it is kept now.

        Raises `UsageError` for two that exclude each other, and for a command or a variable that
        cannot be one, or that looks like a key.
        """
        given = [
            name
            for name, is_given in (
                ("--api-key-stdin", self.stdin),
                ("--api-key-command", self.command is not None),
                ("--api-key-env", self.variable is not None),
            )
            if is_given
        ]
        if self.keyring and (self.command is not None or self.variable is not None):
            given.append("--keyring")
        if len(given) > 1:
            raise UsageError(f"{given[0]} and {given[1]} exclude each other", "give one of them")
        if self.command is not None:
            from cmdstat.key_helper import split_command

            split_command(self.command)
            return KeySource(KeyKind.COMMAND, self.command)
        if self.variable is not None:
            return KeySource(KeyKind.VARIABLE, _variable(self.variable, env))
        if self.keyring is not None:
            return KeySource(KeyKind.KEYRING if self.keyring else KeyKind.STORED)
        return current if current is not None and current.is_store else KeySource()


def _variable(name: str, env: Mapping[str, str]) -> str:
    """A variable's name, unchanged. It is kept and shown, so it must be told from a key."""
    from cmdstat.profile_tables import check_variable

    check_variable(name)
    if name not in env and not _USUAL_VARIABLE.fullmatch(name):
        raise UsageError(
            "no environment variable of that name is set, and it may be a key",
            "give the variable's name, not the key: --api-key-env ESPER_API_KEY",
        )
    return name


def ask_for_key(context: Context, source: KeySource, options: KeyOptions, host: str) -> ApiKey:
    """The key for a source that keeps one: typed at a hidden prompt, or piped.

    The store is known to work before anybody is asked. Raises `UsageError` where there is neither
    a terminal nor `--api-key-stdin`, and `ConfigurationError` for what cannot be a key.
    """
    is_piped = options.stdin and not context.stdin.isatty()
    if not is_piped and not context.can_ask:
        raise UsageError(
            "there is no terminal to ask for the API key on",
            "pipe it in with --api-key-stdin, or name its source with --api-key-command or"
            " --api-key-env",
        )
    context.profiles.check_store(source.kind)
    if is_piped:
        return ApiKey.parse(_read_piped(context), "standard input")
    return ApiKey.parse(_read_typed(context, f"API key for {host} (not shown): "), "the prompt")


def _read_piped(context: Context) -> str:
    """What is piped in, which may be no more than a key."""
    held = context.stdin.buffer.read(LONGEST_KEY * 2)
    try:
        return str(held.decode("utf-8-sig"))
    except UnicodeDecodeError:
        pass  # leaving the handler first keeps the bytes out of the chained exceptions
    raise ConfigurationError("what came on standard input is not text", "pipe in the API key alone")


def _read_typed(context: Context, question: str) -> str:
    """What is typed at a prompt that shows none of it, or nothing is asked at all."""
    import warnings
    from getpass import GetPassWarning, getpass

    problem = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", GetPassWarning)
            return getpass(question, context.stderr)
    except GetPassWarning:
        problem = "this terminal cannot hide what is typed"
    except EOFError:
        context.stderr.write("\n")
        problem = "no API key was given"
    except UnicodeDecodeError:
        problem = "what was typed is not text in this terminal's encoding"
    raise UsageError(problem, "pipe the key in: --api-key-stdin")
