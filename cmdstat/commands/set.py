"""`cmdstat set`: update one command's state, reason, or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from cmdstat import options
from cmdstat.attempts import Clock
from cmdstat.context import Context, open_context
from cmdstat.errors import READING_EXITS, ExitCode, Interrupted, UsageError
from cmdstat.foreign import quoted
from cmdstat.interrupts import Interruption
from cmdstat.models import GIVE_ONE, Outcome, StatusUpdate, UpdateRecord, check_id, check_reason
from cmdstat.output import RECORD, flat
from cmdstat.states import find_state, parse_settable_state, parse_state

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = (
    'cmdstat set 5d1f0c2b-8e77-4a35-b0c9-6f2d3e4a5b6c success --reason "by phone"',
    'cmdstat set 5d1f0c2b-8e77-4a35-b0c9-6f2d3e4a5b6c "Command Failure" --if-state in-progress',
    'cat ids.txt | cmdstat set - cancelled --reason "store closed"',
)
EXIT_CODES = (*READING_EXITS, ExitCode.CONDITION_NOT_MET, ExitCode.UNKNOWN)
STANDARD_INPUT = "-"
LARGEST_REASON_FILE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SetOptions:
    """What `cmdstat set` was asked for, as typed."""

    command_id: str
    state: str | None
    reason: str | None
    reason_file: str | None
    if_state: tuple[str, ...]
    dry_run: bool


def command(
    ctx: typer.Context,
    command_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="The id of the command status; - reads ids from standard input."
        ),
    ],
    state: Annotated[
        str | None,
        typer.Argument(
            metavar="[STATE]",
            help='The new state: "Command Success" or short, success. See: cmdstat states',
        ),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option("--reason", metavar="TEXT", help="Why; an empty text clears the reason."),
    ] = None,
    reason_file: Annotated[
        str | None,
        typer.Option(
            "--reason-file",
            metavar="FILE",
            help="A file that holds the reason; - is standard input.",
        ),
    ] = None,
    if_state: Annotated[
        list[str] | None,
        typer.Option(
            "--if-state",
            metavar="STATE",
            help="Read first, and send only if the command is in this state; repeatable. Another"
            " writer may still come in between.",
        ),
    ] = None,
    dry_run: options.DryRun = False,
    profile: options.Profile = None,
    timeout: options.Timeout = None,
    retries: options.Retries = None,
    output: options.Output = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    utc: options.Utc = False,
) -> None:
    """Update one command's state, reason, or both."""
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
    given = SetOptions(command_id, state, reason, reason_file, tuple(if_state or ()), dry_run)
    if command_id == STANDARD_INPUT:
        send_ids(context, given)
    elif dry_run:
        rehearse(context, parse(given, context))
    else:
        run(context, parse(given, context))


def parse(given: SetOptions, context: Context) -> StatusUpdate:
    """The update that was asked for. Raises `UsageError`, before anything is sent."""
    _check_order(given)
    check_id(given.command_id)
    state = None if given.state is None else parse_settable_state(given.state).text
    return StatusUpdate(given.command_id, state, _reason(given, context), _conditions(given))


def send_ids(context: Context, given: SetOptions) -> None:
    """`set -`: ids from standard input, one a line, as `batch - --format ids -y` sends them."""
    from cmdstat.batch.rows import Defaults, InputFormat
    from cmdstat.batching import BatchOptions, send_file

    if given.reason_file == STANDARD_INPUT:
        raise UsageError(
            "the ids and the reason cannot both come from standard input",
            "give the reason with --reason, or in a file",
        )
    state = None if given.state is None else parse_settable_state(given.state).text
    defaults = Defaults(state, _reason(given, context), _conditions(given))
    if defaults.state is None and defaults.reason is None:
        raise UsageError("nothing to update: neither a state nor a reason was given", GIVE_ONE)
    send_file(
        context,
        BatchOptions(
            file=STANDARD_INPUT,
            form=InputFormat.IDS,
            defaults=defaults,
            yes=True,
            dry_run=given.dry_run,
        ),
    )


def _reason(given: SetOptions, context: Context) -> str | None:
    """The reason, from wherever it was given."""
    if given.reason_file is None:
        return None if given.reason is None else check_reason(given.reason)
    if given.reason is not None:
        raise UsageError(
            "both --reason and --reason-file were given", "give one of the two, not both"
        )
    return _read_reason(given.reason_file, context)


def _conditions(given: SetOptions) -> tuple[str, ...]:
    """The exact states in which the update may be sent, each once."""
    return tuple(dict.fromkeys(parse_state(name).text for name in given.if_state))


def _check_order(given: SetOptions) -> None:
    """Notice `set success ID`: the state stands where the ID belongs."""
    if given.state is not None and find_state(given.state) is None:
        swapped = find_state(given.command_id)
        if swapped is not None:
            raise UsageError(
                "the ID comes first, then the state",
                f"write: cmdstat set {quoted(given.state)} {swapped.short}",
            )


def _read_reason(name: str, context: Context) -> str:
    """The reason in a file, one trailing newline dropped. Raises `UsageError`."""
    shown = "standard input" if name == STANDARD_INPUT else name
    try:
        if name == STANDARD_INPUT:
            raw = context.stdin.buffer.read(LARGEST_REASON_FILE + 1)
        else:
            with open(name, "rb") as file:
                raw = file.read(LARGEST_REASON_FILE + 1)
    except OSError as failure:
        raise UsageError(
            f"the reason cannot be read from {shown}: {failure.strerror or failure}",
            "give a readable file, or the reason itself with --reason",
        ) from failure
    if len(raw) > LARGEST_REASON_FILE:
        raise UsageError(f"the reason in {shown} is over 16 MiB", "give a shorter reason")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        raise UsageError(
            f"the reason in {shown} is not UTF-8 (byte {failure.start})", "save it as UTF-8"
        ) from failure
    return text.removesuffix("\n").removesuffix("\r")


def run(context: Context, update: StatusUpdate) -> None:
    """Send the update, show what came of it, and raise the error that it came to, if any."""
    from cmdstat.dispatch import dispatch

    journal = context.journal
    client = context.client()
    with (
        Interruption(context.acknowledge_interrupt) as interruption,
        context.progress() as progress,
    ):
        record, not_recorded = dispatch(
            update,
            client,
            journal,
            context.origin,
            interruption,
            policy=context.policy,
            clock=Clock(),
            watch=progress.watch,
        )
    if not_recorded is not None:
        context.warn(f"the outcome could not be recorded: {not_recorded.message}")
    with context.showing_what_was_done():
        show(context, record)
    if interruption.stopping:
        raise Interrupted(
            f"interrupted; the update ended as: {record.outcome}",
            "" if record.failure is None else record.failure.hint,
            terminated=interruption.terminated,
        )
    if record.failure is not None:
        raise record.failure


def show(context: Context, record: UpdateRecord) -> None:
    """Show a record in the format that was asked for, and warn of what does not fit."""

    def table(console: Console) -> None:
        from cmdstat.render.update import show_update

        show_update(console, record.to_dict(), now=context.now(), utc=context.common.utc)

    context.show_one(record.to_dict(), RECORD, table)
    if record.outcome is not Outcome.UPDATED or record.content is None:
        return
    asked, reported = record.requested["state"], record.content.get("state")
    if asked is not None and reported is not None and reported != asked:
        context.warn(f"the server reports the state {reported}, not {asked} as asked for")
    if record.content.get("id", record.id) != record.id:
        context.warn(f"the server's answer speaks of another id: {record.content['id']}")


def rehearse(context: Context, update: StatusUpdate) -> None:
    """Show the exact request and a `curl` line for it; send and record nothing."""
    import shlex

    from cmdstat.client import status_path, update_body

    assert context.key  # a missing key is an error of a rehearsal too
    url = context.base_url + status_path(update.id)
    body = update_body(update).decode("ascii")
    curl = (
        f"curl -X PUT {shlex.quote(url)} -H 'Content-Type: application/json'"
        f' -H "Authorization: Bearer $CMDSTAT_API_KEY" --data-raw {shlex.quote(body)}'
    )
    request = {"method": "PUT", "url": url, "body": update.body}

    def table(console: Console) -> None:
        from cmdstat.render.request import show_request

        show_request(console, request, curl)

    if update.if_state:
        context.tell(f"it would be sent only if the state is then {' or '.join(update.if_state)}")
    shape = flat("dry_run", "request", "curl")
    context.show_one({"dry_run": True, "request": request, "curl": curl}, shape, table)
