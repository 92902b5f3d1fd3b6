"""`cmdstat profile check`: call the API once, and say whether address and key are right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from cmdstat import options
from cmdstat.attempts import Step
from cmdstat.commands.profile.choice import Name, chosen
from cmdstat.context import Context, open_context
from cmdstat.errors import READING_EXITS
from cmdstat.output import flat
from cmdstat.profile_check import QUERY, Finding, Place, check
from cmdstat.profile_warnings import proxy_in_force

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = (
    "cmdstat profile check sandbox",
    "cmdstat profile check sandbox -o json",
)
EXIT_CODES = READING_EXITS


def command(
    ctx: typer.Context,
    name: Name = None,
    profile: options.Profile = None,
    timeout: options.Timeout = None,
    output: options.Output = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Call the API once, and say whether address and key are right."""
    context = open_context(
        ctx,
        profile=chosen(name, profile),
        timeout=timeout,
        output=output,
        quiet=quiet,
        verbose=verbose,
    )
    run(context)


def run(context: Context) -> None:
    """Make the call, show what it came to, and raise the error that it came to, if any."""
    target = context.target
    assert context.key  # a missing key is found out before anything is connected
    client = context.client()
    place = Place(target.profile, context.base_url, target.timeout, proxy_in_force(target))
    from cmdstat.client import listing_path

    with context.progress() as progress:
        progress.watch(Step("sending", 1, 1))
        finding = check(place, lambda: client.page(place.base_url + listing_path(QUERY)))
    item = _item(context, place, finding)

    def table(console: Console) -> None:
        from cmdstat.render.profiles import show_check

        show_check(console, item)

    context.show_one(item, flat(*item), table)
    if finding.error is not None:
        raise finding.error


def _item(context: Context, place: Place, finding: Finding) -> dict[str, Any]:
    """The finding as `-o json` has it."""
    answer, error = finding.answer, finding.error
    return {
        "profile": place.profile,
        "base_url": place.base_url,
        "works": error is None,
        "verdict": finding.verdict.value,
        "http_status": answer.status,
        "elapsed_ms": round(answer.elapsed * 1000, 1),
        "key": context.key.masked,
        "key_source": context.key.source,
        "proxy": place.proxy,
        "error": None if error is None else error.to_dict(),
    }
