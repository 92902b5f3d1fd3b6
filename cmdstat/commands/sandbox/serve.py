"""`cmdstat sandbox serve`: the API on loopback, until Ctrl-C."""

from __future__ import annotations

import shlex
import signal
from types import FrameType
from typing import Annotated

import typer

from cmdstat import options
from cmdstat.context import Context, open_context
from cmdstat.errors import LOCAL_EXITS, ExitCode, Interrupted
from cmdstat.sandbox import DEFAULT_KEY

EXAMPLES = (
    "cmdstat sandbox serve --port 8765",
    "cmdstat sandbox serve --fail-rate 0.2 --latency 50",
)
EXIT_CODES = (*LOCAL_EXITS, ExitCode.TERMINATED)


def command(
    ctx: typer.Context,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="A loopback address.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option("--port", metavar="N", min=0, max=65535, help="0 takes a free port."),
    ] = 0,
    db: Annotated[
        str | None,
        typer.Option("--db", metavar="FILE", help="The file with the data; see: sandbox path"),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            "--api-key", metavar="KEY", help="The key to ask for; it guards nothing real."
        ),
    ] = None,
    latency: Annotated[
        float, typer.Option("--latency", metavar="MS", help="Milliseconds before each answer.")
    ] = 0.0,
    fail_rate: Annotated[
        float, typer.Option("--fail-rate", metavar="0..1", help="The share of answers that fail.")
    ] = 0.0,
    rate_limit: Annotated[
        float | None,
        typer.Option("--rate-limit", metavar="N", help="Requests a second; above it, 429."),
    ] = None,
    commands: Annotated[
        int | None,
        typer.Option("--commands", metavar="N", min=1, help="Reset first, to so many commands."),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Serve the sandbox until Ctrl-C."""
    from cmdstat.sandbox.faults import Faults
    from cmdstat.sandbox.server import Sandbox

    context = open_context(ctx, quiet=quiet)
    faults = Faults(latency_ms=latency, fail_rate=fail_rate, rate_limit=rate_limit)
    with context.sandbox_store(db) as store:
        sandbox = Sandbox(
            store,
            host=host,
            port=port,
            api_key=api_key or DEFAULT_KEY,
            faults=faults,
            log=context.tell,
        )
        if commands is not None:
            store.reset(commands)  # only once it listens: a port in use must not cost the content
        _announce(context, sandbox.base_url, sandbox.api_key, store.count())
        signal.signal(signal.SIGTERM, _terminate)
        try:
            sandbox.serve_forever()
        except KeyboardInterrupt:
            context.tell("stopped")
        except _Terminated:
            context.tell("stopped")
            raise Interrupted("the sandbox was told to end", terminated=True) from None


class _Terminated(BaseException):
    """SIGTERM came."""


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise _Terminated


def _announce(context: Context, base_url: str, api_key: str, count: int) -> None:
    """What to know to use it, and the two lines to paste."""
    context.stdout.write(
        f"sandbox with {count} commands\n"
        f"  base URL  {base_url}\n"
        f"  API key   {api_key}\n"
        "paste into another terminal:\n"
        f"  export CMDSTAT_BASE_URL={shlex.quote(base_url)}\n"
        f"  export CMDSTAT_API_KEY={shlex.quote(api_key)}\n"
        "stop it with Ctrl-C\n"
    )
    context.stdout.flush()
