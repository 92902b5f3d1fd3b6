"""What a command works with: makers of the target, client, journal and screens, built when used.

A command that only prints a table opens no journal and imports no `requests`. The streams and the
environment are passed in, so that a test can give its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer

from cmdstat.attempts import Policy
from cmdstat.errors import ConfigurationError, UsageError
from cmdstat.foreign import clean_line
from cmdstat.options import Common
from cmdstat.output import CsvShape, Format, Item, Results
from cmdstat.paths import Paths
from cmdstat.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console

    from cmdstat.client import Client
    from cmdstat.journal.records import Journal, Origin
    from cmdstat.keys import ApiKey
    from cmdstat.profiles import ProfileStore
    from cmdstat.sandbox.server import Sandbox
    from cmdstat.sandbox.store import Store
    from cmdstat.target import Target

Hiding = Callable[[], AbstractContextManager[None]]
"""Makes the context in which a status line is off the screen, so that something can be written."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The process as a command sees it: its environment and its three streams."""

    env: Mapping[str, str]
    stdin: TextIO
    stdout: TextIO
    stderr: TextIO


class Context:
    """The surroundings and shared options of one command, and what is made from them on demand."""

    def __init__(self, surroundings: Surroundings, common: Common) -> None:
        self.env = surroundings.env
        self.stdin = surroundings.stdin
        self.stdout = surroundings.stdout
        self.stderr = surroundings.stderr
        self.common = common
        self._closers = ExitStack()

    def close(self) -> None:
        """Close whatever was made."""
        self._closers.close()

    @cached_property
    def format(self) -> Format:
        """The output format: the flag, else `CMDSTAT_OUTPUT`, else table."""
        if self.common.output is not None:
            return self.common.output
        named = self.env.get("CMDSTAT_OUTPUT") or Format.TABLE.value
        try:
            return Format(named.lower())
        except ValueError:
            raise UsageError(
                f'CMDSTAT_OUTPUT is "{named}", which is not a format',
                "set it to one of " + ", ".join(Format),
            ) from None

    @cached_property
    def paths(self) -> Paths:
        """Where files live."""
        return Paths.from_environment(self.env)

    @cached_property
    def profiles(self) -> ProfileStore:
        """The profiles that are configured."""
        from cmdstat.profiles import ProfileStore

        return ProfileStore(self.paths)

    @cached_property
    def target(self) -> Target:
        """Which service, with what settings and key; its notices are told once."""
        from cmdstat.target import resolve

        target = resolve(
            profile_flag=self.common.profile,
            timeout_flag=self.common.timeout,
            retries_flag=self.common.retries,
            env=self.env,
            store=self.profiles,
        )
        for notice in target.notices:
            self.tell(notice)
        return target

    def use_run(self, origin: Origin) -> None:
        """Go on as the run of that origin: with its profile, to its base URL and no other.

        Raises `UsageError` for another `--profile`, and `ConfigurationError` if the profile, or the
        environment's pair, points elsewhere now.
        """
        name = origin.profile
        if name is not None:
            if self.common.profile not in (None, name):
                raise UsageError(
                    f"the run was made with the profile {name}",
                    f"leave --profile out, or say {name}",
                )
            self.common = replace(self.common, profile=name)
        if self.target.profile != name:
            raise ConfigurationError(
                f"the run was made for {origin.base_url}, without a profile",
                "set CMDSTAT_BASE_URL and CMDSTAT_API_KEY as they were then",
            )
        if not self.target.is_sandbox and self.target.base_url != origin.base_url:
            raise ConfigurationError(
                f"the run was made for {origin.base_url}, not {self.target.base_url}",
                "point the profile to where it was, or give the run up with --discard",
            )

    @cached_property
    def base_url(self) -> str:
        """The base URL to send to; for the built-in profile, of a sandbox started here and now."""
        return self._sandbox.base_url if self.target.is_sandbox else self.target.base_url

    @cached_property
    def key(self) -> ApiKey:
        """The key for the target, read now."""
        from cmdstat.keys import ApiKey

        if self.target.is_sandbox:
            return ApiKey.parse(self._sandbox.api_key, "sandbox")
        return self.target.key()

    def client(self, jobs: int = 1) -> Client:
        """A client of the target with room for that many requests at a time."""
        from cmdstat.client import Client, Connection

        connection = Connection(
            base_url=self.base_url,
            timeout=self.target.timeout,
            ca_bundle=self.target.ca_bundle,
            client_cert=self.target.client_cert,
            jobs=jobs,
            uses_proxy=not self.target.is_sandbox,
        )
        client = Client(connection, self.key, log=self.log if self.common.verbose else None)
        self._closers.callback(client.close)
        return client

    @cached_property
    def policy(self) -> Policy:
        """How often to try."""
        return Policy(retries=self.target.retries)

    @cached_property
    def journal(self) -> Journal:
        """The journal, opened and known to be usable."""
        from cmdstat.journal.records import Journal

        journal = Journal(self.paths.journal_file)
        self._closers.callback(journal.close)
        return journal

    @cached_property
    def origin(self) -> Origin:
        """Who sends, with which profile, to where: the fields that records share."""
        from cmdstat.journal.records import Origin

        return Origin(self.target.profile, self.base_url, who(self.env))

    @cached_property
    def console(self) -> Console:
        """The screen for results in tables, on stdout."""
        from cmdstat.render.console import make_console

        return make_console(self.stdout, self.env)

    def results(self, shape: CsvShape) -> Results:
        """Results for machines, on stdout."""
        return Results(self.stdout, self.format, shape)

    def show_one(self, item: Item, shape: CsvShape, table: Callable[[Console], None]) -> None:
        """Show one result in the format asked for, or nothing with `--quiet`."""
        if self.common.quiet:
            return
        if self.format is Format.TABLE:
            table(self.console)
        else:
            self.results(shape).one(item)

    def show_many(
        self, items: Iterable[Item], shape: CsvShape, table: Callable[[Console], None]
    ) -> None:
        """Show a list of results in the format asked for, or nothing with `--quiet`."""
        if self.common.quiet:
            return
        if self.format is Format.TABLE:
            table(self.console)
        else:
            with self.results(shape).stream() as write:
                for item in items:
                    write(item)

    @contextmanager
    def showing_what_was_done(self) -> Iterator[None]:
        """Show the result of a change, which stands even if stdout is full or nobody reads it."""
        try:
            yield
            self.stdout.flush()
        except BrokenPipeError:
            self._give_stdout_up()
        except OSError as failure:
            self.warn(f"the result cannot be written to stdout: {failure.strerror or failure}")
            self._give_stdout_up()

    def _give_stdout_up(self) -> None:
        """Let what is still to be written, and could not be, go nowhere without another error."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stdout.fileno())
            os.close(nowhere)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Tell what is waited for: on a terminal after a second, and all of it with `--verbose`."""
        progress = Progress(self.log)
        with self.status_line(progress.text):
            yield progress

    @contextmanager
    def status_line(self, say: Callable[[], str], *, delay: float = 1.0) -> Iterator[Hiding]:
        """A line on the terminal of what `say` says after `delay` seconds, while the block runs.

        Gives the context in which to write to the same terminal meanwhile. With `--verbose` there
        is no line, since what is logged tells more.
        """
        from cmdstat.render.waiting import WaitingLine

        if self.common.quiet or self.common.verbose:
            yield nullcontext
        else:
            with WaitingLine(self.stderr, self.env, say, delay=delay) as line:
                yield line.hidden

    def tell(self, text: str) -> None:
        """Chatter: one line on stderr, unless `--quiet`."""
        if not self.common.quiet:
            self._write_line(text)

    def complain(self, text: str) -> None:
        """A line on stderr about what is wrong, `--quiet` or not."""
        self._write_line(text)

    @property
    def can_ask(self) -> bool:
        """Whether a person is there to answer: standard input and stderr are terminals."""
        return self.stdin.isatty() and self.stderr.isatty()

    def confirm(self, question: str) -> None:
        """Ask on a terminal, and only there. Raises `UsageError` for a no."""
        if not self.can_ask:
            return
        self.stderr.write(f"{clean_line(question)} [y/N] ")
        self.stderr.flush()
        if self.stdin.readline().strip().lower() not in ("y", "yes"):
            raise UsageError("not confirmed; nothing was changed", "say y, or give --yes")

    def warn(self, text: str) -> None:
        """A warning: one line on stderr, `--quiet` or not."""
        self._write_line(f"warning: {text}")

    def log(self, text: str) -> None:
        """A line of `--verbose`."""
        if self.common.verbose:
            self._write_line(f"cmdstat: {text}")

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def _write_line(self, text: str) -> None:
        self.stderr.write(clean_line(text) + "\n")
        self.stderr.flush()

    def sandbox_store(self, file: str | None = None) -> Store:
        """The sandbox's data, in the given file or where it lives by default."""
        from cmdstat.sandbox.store import Store

        store = Store.open(Path(file) if file else self.paths.sandbox_file)
        self._closers.callback(store.close)
        return store

    @cached_property
    def _sandbox(self) -> Sandbox:
        from cmdstat.sandbox.server import Sandbox

        return self._closers.enter_context(Sandbox(self.sandbox_store()))


def who(env: Mapping[str, str]) -> str:
    """`user@machine`, for the journal: who sent an update."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = env.get("USER") or "unknown"
    return f"{user}@{socket.gethostname()}"


def open_context(ctx: typer.Context, **common: Any) -> Context:
    """The `Context` of a command, closed with it, from the shared options as they were given."""
    context = Context(ctx.find_root().obj, Common(**common))
    ctx.call_on_close(context.close)
    assert context.format  # a bad CMDSTAT_OUTPUT is an error before anything is done
    return context
