"""What a command works with: makers of the target, client and journal, built when used.

A command that only prints a table opens no journal and imports no `requests`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cmdstat.attempts import Policy
from cmdstat.errors import ConfigurationError, UsageError
from cmdstat.options import Common
from cmdstat.paths import Paths
from cmdstat.talk import Surroundings, Talk

if TYPE_CHECKING:
    from cmdstat.client import Client
    from cmdstat.journal.records import Journal, Origin
    from cmdstat.keys import ApiKey
    from cmdstat.profiles import ProfileStore
    from cmdstat.sandbox.server import Sandbox
    from cmdstat.sandbox.store import Store
    from cmdstat.target import Target


class Context(Talk):
    """How a command talks, and what is made from its surroundings and shared options on demand."""

    def __init__(self, surroundings: Surroundings, common: Common) -> None:
        super().__init__(surroundings, common)
        self._closers = ExitStack()

    def close(self) -> None:
        """Close whatever was made."""
        self._closers.close()

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

    @property
    def place(self) -> str:
        """Where updates go, in words: host and profile."""
        from cmdstat.base_urls import host

        where, profile = host(self.base_url), self.target.profile
        return f"{where} (profile {profile})" if profile else where

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
