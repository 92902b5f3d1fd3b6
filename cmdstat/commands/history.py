"""`cmdstat history`: what was sent from this machine, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from cmdstat import options
from cmdstat.context import Context, open_context
from cmdstat.errors import LOCAL_EXITS, UsageError
from cmdstat.instants import parse_duration, timestamp
from cmdstat.models import Outcome
from cmdstat.output import RECORD, Format, flat

if TYPE_CHECKING:
    from rich.console import Console

    from cmdstat.journal.history import History, Wanted

EXAMPLES = (
    "cmdstat history --since 2h",
    "cmdstat history --outcome unknown -o jsonl",
    "cmdstat history --runs",
)
EXIT_CODES = LOCAL_EXITS
DEFAULT_LIMIT = 50
_RUN_FIELDS = (
    "run", "state", "started", "ended", "profile", "base_url", "by", "source", "rows",
    *(outcome.value for outcome in Outcome), "left", "dropped",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """What `cmdstat history` was asked for; durations are in seconds."""

    command_id: str | None
    run: str | None
    since: float | None
    outcome: Outcome | None
    limit: int | None
    show: int | None
    runs: bool
    prune: float | None

    def check(self) -> None:
        """Raise `UsageError` for options that do not go together."""
        filters = {
            "an ID": self.command_id,
            "--run": self.run,
            "--outcome": self.outcome,
            "--since": self.since,
            "--limit": self.limit,
        }
        given = [name for name, value in filters.items() if value is not None]
        modes = {"--show": self.show, "--prune": self.prune, "--runs": self.runs or None}
        chosen = [name for name, value in modes.items() if value is not None]
        allowed = ("--since", "--limit") if chosen == ["--runs"] else ()
        clashing = [name for name in given if chosen and name not in allowed] + chosen
        if len(clashing) > 1:
            raise UsageError(
                f"{clashing[0]} and {clashing[1]} exclude each other", "see: cmdstat history --help"
            )


def command(
    ctx: typer.Context,
    command_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Only updates of this command.")
    ] = None,
    run_name: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="Only updates of this batch run.")
    ] = None,
    since: Annotated[
        float | None,
        typer.Option(
            "--since",
            metavar="DURATION",
            parser=parse_duration,
            help="Only what was recorded within this time, such as 2h or 7d.",
        ),
    ] = None,
    outcome: Annotated[
        Outcome | None,
        typer.Option("--outcome", help="Only updates that ended so.", case_sensitive=False),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="At most so many; default 50."),
    ] = None,
    show: Annotated[
        int | None,
        typer.Option("--show", metavar="N", help="One update in full, by its number."),
    ] = None,
    runs: Annotated[
        bool, typer.Option("--runs", help="The batch runs instead of single updates.")
    ] = False,
    prune: Annotated[
        float | None,
        typer.Option(
            "--prune",
            metavar="DURATION",
            parser=parse_duration,
            help="Remove what is older, such as 90d; never an unfinished run.",
        ),
    ] = None,
    output: options.Output = None,
    quiet: options.Quiet = False,
    utc: options.Utc = False,
) -> None:
    """Show what was sent from this machine, and what came of it."""
    context = open_context(ctx, output=output, quiet=quiet, utc=utc)
    given = HistoryOptions(command_id, run_name, since, outcome, limit, show, runs, prune)
    given.check()
    if given.prune is not None:
        prune_old(context, given.prune)
    elif given.show is not None:
        show_one(context, given.show)
    elif given.runs:
        show_runs(context, given)
    else:
        show_updates(context, given)


def show_updates(context: Context, given: HistoryOptions) -> None:
    """Show the newest updates that pass the filters."""
    from cmdstat.journal.history import Wanted

    wanted = Wanted(
        id=given.command_id,
        run=given.run,
        since=None if given.since is None else context.now() - given.since,
        outcome=given.outcome,
        limit=given.limit or DEFAULT_LIMIT,
    )
    records = _history(context).updates(wanted)
    if context.format is not Format.TABLE:
        items = (record.to_dict() for record in records)
        context.show_many(items, RECORD, lambda _console: None)
        return
    rows = [record.to_dict() for record in records]

    def table(console: Console) -> None:
        from cmdstat.render.history import show_history

        show_history(console, rows, now=context.now(), utc=context.common.utc)

    if rows:
        context.show_many(rows, RECORD, table)
    _tell_how_many(context, len(rows), wanted)


def _tell_how_many(context: Context, shown: int, wanted: Wanted) -> None:
    if not shown:
        context.tell("no update was recorded" if wanted == type(wanted)() else "no update matches")
    elif shown == wanted.limit:
        context.tell(f"the newest {shown:,}, see --limit")


def show_one(context: Context, number: int) -> None:
    """Show one record as it was shown then, and what the history knows besides."""
    history = _history(context)
    record = history.update(number)

    def table(console: Console) -> None:
        from cmdstat.render.update import show_update

        show_update(console, record.to_dict(), now=context.now(), utc=context.common.utc, full=True)

    context.show_one(record.to_dict(), RECORD, table)
    if history.is_under_way(number):
        context.tell("it is being sent at this moment")


def show_runs(context: Context, given: HistoryOptions) -> None:
    """Show the newest batch runs."""
    since = None if given.since is None else context.now() - given.since
    runs = _history(context).runs(given.limit or DEFAULT_LIMIT, since)

    def table(console: Console) -> None:
        from cmdstat.render.history import show_runs

        if runs:
            show_runs(console, runs, now=context.now(), utc=context.common.utc)
        else:
            context.tell("no run matches" if since else "there was no batch run")

    context.show_many(runs, flat(*_RUN_FIELDS), table)


def prune_old(context: Context, age: float) -> None:
    """Remove what is older than an age in seconds, and say how much that was."""
    from cmdstat.journal.pruning import prune

    before = context.now() - age
    pruned = prune(context.journal, before)

    def table(console: Console) -> None:
        runs = f" and {pruned.runs:,} runs" if pruned.runs else ""
        console.print(f"removed {pruned.updates:,} updates{runs} from before {timestamp(before)}")

    item = {"before": timestamp(before), "updates": pruned.updates, "runs": pruned.runs}
    context.show_one(item, flat(*item), table)


def _history(context: Context) -> History:
    from cmdstat.journal.history import History

    return History(context.journal)
