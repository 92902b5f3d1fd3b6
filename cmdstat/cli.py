"""The Typer app, and the one place that catches errors, shows them and decides the exit code."""

from __future__ import annotations

import errno
import gc
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperGroup
from typer.main import get_command

from cmdstat import __version__
from cmdstat.commands import COMMANDS
from cmdstat.errors import (
    CmdstatError,
    ConfigurationError,
    Defect,
    ExitCode,
    Interrupted,
)
from cmdstat.foreign import clean_line, to_json
from cmdstat.help import GroupedCommand, epilog, exit_code_lines
from cmdstat.keys import redact_known
from cmdstat.mistakes import unknown_command, usage_error
from cmdstat.output import Format
from cmdstat.render.terminal import has_colour
from cmdstat.talk import Surroundings

_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_HELP = "Update the state of device commands, and be certain what became of each update."
_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class LazyGroup(TyperGroup):
    """A group whose commands are imported only when they are chosen."""

    package: ClassVar[str]
    summaries: ClassVar[dict[str, str]]

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.summaries)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.summaries:
            return None
        module = import_module(f"{self.package}.{cmd_name}")
        if hasattr(module, "COMMANDS"):
            app = make_group(module.__name__, module.COMMANDS, self.summaries[cmd_name])
        else:
            app = _new_app()
            app.command(
                cmd_name,
                context_settings=_SETTINGS,
                cls=GroupedCommand,
                epilog=epilog(module),
            )(module.command)
        made = get_command(app)
        made.name = cmd_name
        return made

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.summaries and not args[0].startswith("-"):
            raise unknown_command(ctx.command_path, args[0], list(self.summaries))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries.items()))


def _new_app(**settings: Any) -> typer.Typer:
    """An app with what all of them share: plain help, no completion options, no tracebacks."""
    return typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_SETTINGS,
        **settings,
    )


def make_group(package: str, summaries: dict[str, str], text: str) -> typer.Typer:
    """A group of lazily imported commands; without one, it shows its help."""
    cls = type("Group", (LazyGroup,), {"package": package, "summaries": summaries})
    app = _new_app(cls=cls)

    @app.callback(invoke_without_command=True, help=text)
    def show_help(ctx: typer.Context) -> None:
        if ctx.invoked_subcommand is None:
            _show_help(ctx)

    return app


def _show_help(ctx: typer.Context) -> None:
    surroundings: Surroundings = ctx.find_root().obj
    surroundings.stdout.write(ctx.get_help() + "\n")


def make_root() -> Any:
    """The command `cmdstat` itself, with everything below it."""
    cls = type("Root", (LazyGroup,), {"package": "cmdstat.commands", "summaries": COMMANDS})
    app = _new_app(cls=cls)

    @app.callback(invoke_without_command=True, help=_HELP, epilog=exit_code_lines(ExitCode))
    def root(
        ctx: typer.Context,
        version: Annotated[
            bool, typer.Option("--version", help="Show the version.", is_eager=True)
        ] = False,
    ) -> None:
        if version:
            ctx.find_root().obj.stdout.write(f"cmdstat {__version__}\n")
            raise typer.Exit
        if ctx.invoked_subcommand is None:
            _show_help(ctx)

    return get_command(app)


def main(arguments: Sequence[str], surroundings: Surroundings) -> int:
    """Run cmdstat and return its exit code; every error is caught, shown and coded here."""
    gc.freeze()  # what the imports made is there to stay; `__main__` switched the collector off
    gc.enable()
    error: CmdstatError | None = None
    try:
        ended = make_root().main(
            args=list(arguments), prog_name="cmdstat", standalone_mode=False, obj=surroundings
        )
        surroundings.stdout.flush()
        if ended == ExitCode.INTERRUPTED:  # how Typer returns a Ctrl-C
            error = _interrupted()
    except (BrokenPipeError, SystemExit):
        pass  # nobody reads any more, which ends a command quietly; Typer makes it a SystemExit
    except BaseException as raised:  # noqa: BLE001 - the one boundary
        error = _as_error(raised, surroundings)
    return ExitCode.DONE if error is None else _report(error, arguments, surroundings)


def _as_error(raised: BaseException, surroundings: Surroundings) -> CmdstatError:
    """The error to report for whatever a command raised."""
    if isinstance(raised, CmdstatError):
        return raised
    if isinstance(raised, typer.TyperException):
        return usage_error(raised)
    if isinstance(raised, (KeyboardInterrupt, typer.Abort)):
        return _interrupted()
    if isinstance(raised, OSError) and raised.errno in _CANNOT_WRITE:
        return ConfigurationError(
            f"the result cannot be written to stdout: {raised.strerror}", "make room for it"
        )
    return _defect(raised, surroundings)


def _interrupted() -> Interrupted:
    return Interrupted("interrupted before anything was sent")


def _defect(error: BaseException, surroundings: Surroundings) -> Defect:
    """A defect: the traceback goes to a private file, a line about it to the user."""
    from cmdstat.defects import keep_details

    where = keep_details(error, surroundings.env)
    return Defect(
        f"this is a defect in cmdstat: {type(error).__name__}",
        f"please report it with the details in {where}" if where else "please report it",
    )


def _report(error: CmdstatError, arguments: Sequence[str], surroundings: Surroundings) -> int:
    """Show an error on stderr, as text or, with a JSON format, as one line of JSON."""
    stderr = surroundings.stderr
    message, hint = redact_known(error.message), redact_known(error.hint)
    with suppress(OSError):
        surroundings.stdout.flush()
    with suppress(OSError):  # if nobody is left to tell, the exit code still does
        if _wanted_format(arguments, surroundings) in (Format.JSON, Format.JSONL):
            shown = {
                "kind": error.kind,
                "exit_code": int(error.exit_code),
                "message": message,
                "hint": hint,
            }
            stderr.write(to_json({"error": shown}) + "\n")
        else:
            colour = has_colour(stderr, surroundings.env)
            label = "\x1b[1;31merror:\x1b[0m" if colour else "error:"
            stderr.write(f"{label} {clean_line(message)}\n")
            if hint:
                stderr.write(f"hint: {clean_line(hint)}\n")
        stderr.flush()
    return error.exit_code


def _wanted_format(arguments: Sequence[str], surroundings: Surroundings) -> str | None:
    """The output format, looked up in the raw arguments: after a usage error none is parsed."""
    wanted = surroundings.env.get("CMDSTAT_OUTPUT")
    previous = ""
    for argument in arguments:
        if argument == "--":
            break
        is_short = argument.startswith("-") and not argument.startswith("--")
        if previous == "--output" or (previous.startswith("-") and previous.endswith("o")):
            wanted = argument
        elif argument.startswith("--output="):
            wanted = argument.partition("=")[2]
        elif is_short and "o" in argument[1:-1]:
            wanted = argument.partition("o")[2].removeprefix("=")
        previous = argument if is_short or argument == "--output" else ""
    return wanted.lower() if wanted else None


def surroundings_of_process() -> Surroundings:
    """The real environment and streams; a stream that was closed is one that swallows."""
    import os

    def stream(existing: Any, mode: str) -> Any:
        return existing if existing is not None else open(os.devnull, mode, encoding="utf-8")

    for output in (sys.stdout, sys.stderr):
        if output is not None:
            output.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    return Surroundings(
        env=os.environ,
        stdin=stream(sys.stdin, "r"),
        stdout=stream(sys.stdout, "w"),
        stderr=stream(sys.stderr, "w"),
    )
