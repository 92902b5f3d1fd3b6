"""The shared options: one spelling, one meaning, on every command that can take them (design §1).

`Common` is what they come to. The environment's say in them is `target.resolve`'s and `Context`'s,
since a flag, a variable and a profile must be weighed in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from cmdstat.instants import parse_duration
from cmdstat.output import Format

CONNECTION_PANEL = "Connection"
OUTPUT_PANEL = "Output"

Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        "-p",
        metavar="NAME",
        help="Which profile; else the default one. [env: CMDSTAT_PROFILE]",
        rich_help_panel=CONNECTION_PANEL,
    ),
]
Output = Annotated[
    Format | None,
    typer.Option(
        "--output",
        "-o",
        help="How results are written; default table. [env: CMDSTAT_OUTPUT]",
        case_sensitive=False,
        rich_help_panel=OUTPUT_PANEL,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="No results and no chatter; errors still on stderr.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Requests, answers, retries and timings on stderr.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        parser=parse_duration,
        help="Wall-clock time for one attempt; default 30. [env: CMDSTAT_TIMEOUT]",
        rich_help_panel=CONNECTION_PANEL,
    ),
]
Retries = Annotated[
    int | None,
    typer.Option(
        "--retries",
        metavar="N",
        min=0,
        max=100,
        help="Attempts after the first; default 3. [env: CMDSTAT_RETRIES]",
        rich_help_panel=CONNECTION_PANEL,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        "-n",
        help="Check everything and show the exact request; send and record nothing.",
    ),
]
Utc = Annotated[
    bool,
    typer.Option(
        "--utc", help="Show times in UTC instead of local time.", rich_help_panel=OUTPUT_PANEL
    ),
]


@dataclass(frozen=True, slots=True)
class Common:
    """The shared options as given on the command line; None where nothing was given."""

    profile: str | None = None
    output: Format | None = None
    quiet: bool = False
    verbose: bool = False
    timeout: float | None = None
    retries: int | None = None
    utc: bool = False
