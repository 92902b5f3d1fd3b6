"""`cmdstat list`: list command statuses, filtered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmdstat import options
from cmdstat.answers import Answer
from cmdstat.context import Context, open_context
from cmdstat.errors import READING_EXITS, UsageError
from cmdstat.foreign import to_json
from cmdstat.models import Content, check_id
from cmdstat.output import CONTENT, Format, flat
from cmdstat.paging import LARGEST_PAGE, Listing, Query
from cmdstat.progress import Progress
from cmdstat.reading import read
from cmdstat.states import STATES, parse_state
from cmdstat.stopping import PromptInterruption
from cmdstat.talk import Hiding

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = (
    "cmdstat list --state timeout --limit 5",
    "cmdstat list --all -o csv",
    "cmdstat list --summary",
)
EXIT_CODES = READING_EXITS
DEFAULT_LIMIT = 20
ROWS_OF_A_TABLE = 100
"""A long listing is shown in tables of so many rows, each when it is there."""


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What `cmdstat list` was asked for; `limit` None is all of it."""

    query: Query
    limit: int | None
    summary: bool


def command(
    ctx: typer.Context,
    requests: Annotated[
        list[str] | None,
        typer.Option("--request", metavar="ID", help="Of this command request; repeatable."),
    ] = None,
    devices: Annotated[
        list[str] | None,
        typer.Option("--device", metavar="ID", help="Of this device; repeatable."),
    ] = None,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="STATE", help="In this state. See: cmdstat states"),
    ] = None,
    internal: Annotated[
        bool | None,
        typer.Option(
            "--internal/--no-internal",
            help="With or without the service's own commands; else as the service decides.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="At most so many; default 20."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All of them, page after page, each shown as it comes.")
    ] = False,
    summary: Annotated[
        bool,
        typer.Option("--summary", help="Only how many there are by state; this reads all pages."),
    ] = False,
    profile: options.Profile = None,
    timeout: options.Timeout = None,
    retries: options.Retries = None,
    output: options.Output = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    utc: options.Utc = False,
) -> None:
    """List command statuses, filtered."""
    context = open_context(
        ctx,
        profile=profile,
        output=output,
        quiet=quiet,
        verbose=verbose,
        timeout=timeout,
        retries=retries,
        utc=utc,
    )
    if limit is not None and (everything or summary):
        raise UsageError(
            f"--limit and {'--all' if everything else '--summary'} exclude each other",
            "give one of the two",
        )
    most = None if everything or summary else limit or DEFAULT_LIMIT
    query = Query(
        requests=tuple(check_id(each) for each in requests or ()),
        devices=tuple(check_id(each) for each in devices or ()),
        state=None if state is None else parse_state(state).text,
        exclude_internal=None if internal is None else not internal,
        limit=LARGEST_PAGE if most is None else min(most, LARGEST_PAGE),
    )
    run(context, ListOptions(query, most, summary))


def run(context: Context, given: ListOptions) -> None:
    """Read the pages and show what is on them as they come."""
    with _reading(context, given.query) as (listing, hiding):
        results = listing.results(given.limit)
        if given.summary:
            _show_summary(context, results, hiding)
        elif context.common.quiet:
            for _ in results:
                pass
        elif context.format is Format.TABLE:
            _show_tables(context, results, hiding)
        else:
            with context.results(CONTENT).stream() as write:
                for content in results:
                    with hiding():
                        write(content)
    if context.format is Format.TABLE and not given.summary:
        _tell_how_many(context, listing, given.limit)


@contextmanager
def _reading(context: Context, query: Query) -> Iterator[tuple[Listing, Hiding]]:
    """The listing, read on demand, a line on the terminal about it, and how to hide that line."""
    from cmdstat.client import listing_path
    from cmdstat.render.terminal import is_terminal

    client = context.client()
    progress = Progress(context.log)
    shares_line = context.format is Format.JSON and is_terminal(context.stdout)

    def fetch(address: str) -> Answer:
        with interruption.stoppable():
            request = partial(client.page, address)
            return read(request, interruption, context.policy, progress.watch)

    def say() -> str:
        if not listing.received:
            return progress.text()
        if shares_line:
            return ""  # JSON breaks its line before an item, not after it: the line is its own
        of = "" if listing.count is None else f" of {listing.count:,}"
        return f"{listing.received:,}{of} read; {progress.text()}"

    listing = Listing(context.base_url + listing_path(query), fetch)
    with (
        PromptInterruption("listing") as interruption,
        context.status_line(say) as hiding,
    ):
        yield listing, hiding


def _show_tables(context: Context, results: Iterable[Content], hiding: Hiding) -> None:
    """Show tables of `ROWS_OF_A_TABLE` rows, and what had come when the listing broke off."""
    rows: list[Content] = []
    drawn = 0

    def draw() -> None:
        nonlocal drawn
        from cmdstat.render.listing import show_listing

        with hiding():
            if drawn:
                context.console.line()
            show_listing(context.console, rows, now=context.now(), utc=context.common.utc)
        drawn += len(rows)
        rows.clear()

    try:
        for content in results:
            rows.append(content)
            if len(rows) == ROWS_OF_A_TABLE:
                draw()
    finally:
        if rows:
            draw()


def _show_summary(context: Context, results: Iterable[Content], hiding: Hiding) -> None:
    """Show how many results there are in each state."""
    counts = Counter(_state_of(content) for content in results)
    known = [state.text for state in STATES if state.text in counts]
    others = [state for state, _ in counts.most_common() if state not in known]
    items = [{"state": state, "count": counts[state]} for state in (*known, *others)]

    def table(console: Console) -> None:
        from cmdstat.render.summary import show_summary

        show_summary(console, [(state, counts[state]) for state in (*known, *others)])

    with hiding():
        context.show_many(items, flat("state", "count"), table)


def _state_of(content: Content) -> str | None:
    """The state to count a result under: text, null, or the JSON of anything else."""
    state: Any = content.get("state")
    return state if state is None or isinstance(state, str) else to_json(state)


def _tell_how_many(context: Context, listing: Listing, limit: int | None) -> None:
    """Say on stderr what the tables do not show: that there is nothing, more, or less than told."""
    shown = listing.received if limit is None else min(listing.received, limit)
    count = listing.count
    if not shown:
        context.tell("no command matches")
    elif listing.has_more:
        of = f"{shown:,} of {count:,} shown" if count is not None else f"{shown:,} shown"
        context.tell(f"{of}; there are more, see --limit and --all")
    elif limit is None and count is not None and count > shown:
        context.tell(f"the service counts {count:,}, but its pages ended after {shown:,}")
