"""`cmdstat batch`: update many commands, from a file or a pipe; durable, resumable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from cmdstat import options
from cmdstat.batch.rows import Defaults, InputFormat
from cmdstat.batching import BatchOptions, discard, resume, send_file
from cmdstat.context import open_context
from cmdstat.errors import READING_EXITS, ExitCode, UsageError
from cmdstat.models import check_reason
from cmdstat.states import parse_settable_state, parse_state

EXAMPLES = (
    "cmdstat batch updates.csv --dry-run",
    "cmdstat batch updates.csv --yes --report done.jsonl",
    'cmdstat batch ids.txt --state cancelled --reason "store closed" --yes',
)
EXIT_CODES = (*READING_EXITS, ExitCode.INCOMPLETE, ExitCode.UNKNOWN)


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which of the four things `batch` does; at most one of the flags may be given."""

    resume: bool
    retry_failed: bool
    discard: str | None

    def check(self, file: str | None) -> None:
        given = [
            name
            for name, is_given in (
                ("--resume", self.resume),
                ("--retry-failed", self.retry_failed),
                ("--discard", self.discard is not None),
            )
            if is_given
        ]
        if len(given) > 1:
            raise UsageError(f"{given[0]} and {given[1]} exclude each other", "give one of them")
        if not given and file is None:
            raise UsageError(
                "no file was given", "write: cmdstat batch FILE, or - for standard input"
            )


def command(
    ctx: typer.Context,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE|RUN",
            help="CSV, TSV, JSONL, JSON or ids; - is standard input. With --resume or"
            " --retry-failed: the run, else the newest unfinished one.",
        ),
    ] = None,
    form: Annotated[
        InputFormat | None,
        typer.Option("--format", help="The input's format; else its extension tells."),
    ] = None,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="STATE", help="The state for rows that have none."),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option("--reason", metavar="TEXT", help="The reason for rows that have none."),
    ] = None,
    if_state: Annotated[
        list[str] | None,
        typer.Option(
            "--if-state",
            metavar="STATE",
            help="Send a row only if its command is in this state; repeatable. Another writer may"
            " come in between.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", "-j", metavar="N", min=1, max=256, help="Requests at a time; default 8."
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", metavar="N", help="At most so many requests a second."),
    ] = None,
    max_failures: Annotated[
        int | None,
        typer.Option("--max-failures", metavar="N", min=1, help="Stop after N failed rows."),
    ] = None,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Send the good rows of a file with bad ones.")
    ] = False,
    resume_run: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was interrupted.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Go on, and take up the failed rows again.")
    ] = False,
    discard_run: Annotated[
        str | None, typer.Option("--discard", metavar="RUN", help="Give a run up.")
    ] = None,
    report: Annotated[
        str | None,
        typer.Option("--report", metavar="FILE", help="Write every row's record: .csv or .jsonl"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before sending.")] = False,
    dry_run: options.DryRun = False,
    profile: options.Profile = None,
    timeout: options.Timeout = None,
    retries: options.Retries = None,
    output: options.Output = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Update many commands, from CSV, TSV, JSONL or JSON; durable, resumable."""
    context = open_context(
        ctx,
        profile=profile,
        output=output,
        quiet=quiet,
        verbose=verbose,
        timeout=timeout,
        retries=retries,
    )
    choice = _Choice(resume_run, retry_failed, discard_run)
    choice.check(file)
    given = BatchOptions(
        file=file or "-",
        form=form,
        defaults=parse_defaults(state, reason, if_state),
        jobs=jobs,
        rate=check_rate(rate),
        max_failures=max_failures,
        skip_invalid=skip_invalid,
        report=report,
        yes=yes,
        dry_run=dry_run,
    )
    if choice.discard is not None:
        discard(context, choice.discard)
    elif choice.resume or choice.retry_failed:
        resume(context, file, given, retry_failed=choice.retry_failed)
    else:
        send_file(context, given)


def parse_defaults(state: str | None, reason: str | None, if_state: list[str] | None) -> Defaults:
    """What fills the rows that lack it, checked."""
    return Defaults(
        state=None if state is None else parse_settable_state(state).text,
        reason=None if reason is None else check_reason(reason),
        if_state=tuple(parse_state(name).text for name in if_state or ()),
    )


def check_rate(rate: float | None) -> float | None:
    """A rate that can be kept. Raises `UsageError`."""
    if rate is not None and not 0 < rate < float("inf"):
        raise UsageError(f"a rate of {rate:g} cannot be", "give requests a second, more than 0")
    return rate
