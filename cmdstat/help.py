"""What `--help` says of a command beyond its options: examples, exit codes, and options in groups.

Plain text, not rich's panels: it reads the same in a pipe, in a narrow terminal and in the README,
and drawing panels would cost more than the whole start.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from typer.core import TyperCommand

from cmdstat.errors import EXIT_MEANINGS, ExitCode

OWN = "Options"


class GroupedCommand(TyperCommand):
    """A command whose help has its arguments, its own options, then the shared ones by group."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], OWN: []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            is_argument = param.param_type_name == "argument"
            name = "Arguments" if is_argument else getattr(param, "rich_help_panel", None) or OWN
            groups.setdefault(name, []).append(record)
        for name, records in groups.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)


def exit_code_lines(codes: Iterable[ExitCode]) -> str:
    """Exit codes and their meanings, one a line, in a block that is not wrapped."""
    lines = [f"  {code.value:>3}  {EXIT_MEANINGS[code]}" for code in sorted(codes)]
    return "\b\n" + "\n".join(["Exit codes:", *lines])


def epilog(module: ModuleType) -> str:
    """The end of a command's help, from its module's `EXAMPLES`, `EPILOG` and `EXIT_CODES`."""
    parts = []
    examples: tuple[str, ...] = getattr(module, "EXAMPLES", ())
    if examples:
        parts.append("\b\n" + "\n".join(["Examples:", *(f"  {line}" for line in examples)]))
    parts += [text for text in [getattr(module, "EPILOG", "")] if text]
    codes: tuple[ExitCode, ...] = getattr(module, "EXIT_CODES", ())
    if codes:
        parts.append(exit_code_lines(codes))
    return "\n\n".join(parts)
