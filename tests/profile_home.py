"""A home with profiles of its own and nothing in the environment that names a service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pexpect
from faulty_server import FaultyServer, answer, envelope, forever
from harness import KEY, Home, Result

OTHER_KEY = "0ther-Yw3kP8sJ5vB1-never-shown-too"

LIST_OF_ONE = {
    "count": 12,
    "next": None,
    "previous": None,
    "results": [{"id": "an-id", "state": "Command Success"}],
}


class ProfileHome(Home):
    """A home in which profiles are added, listed and read."""

    @property
    def config_file(self) -> Path:
        return self.path / "config" / "cmdstat" / "config.toml"

    @property
    def credentials_file(self) -> Path:
        return self.path / "config" / "cmdstat" / "credentials.toml"

    def add(self, name: str, base_url: str, *more: str, key: str = KEY, **options: Any) -> Result:
        """Add a profile with a piped key, which must work."""
        args = ["profile", "add", name, "--base-url", base_url, *more]
        if not {"--api-key-command", "--api-key-env"} & set(more):
            args.append("--api-key-stdin")
        result = self.run(*args, input=key, **options)
        assert result.exit == 0, result.describe()
        return result

    def read(self, *args: str, **options: Any) -> Any:
        """What a command prints with `-o json`, which must work."""
        result = self.run(*args, "-o", "json", **options)
        assert result.exit == 0, result.describe()
        return json.loads(result.stdout)

    def files(self) -> dict[str, bytes]:
        """The configuration as it is, byte by byte."""
        folder = self.config_file.parent
        return {each.name: each.read_bytes() for each in folder.glob("*") if each.is_file()}

    def on_terminal(self, *args: str, env: dict[str, str] | None = None) -> pexpect.spawn:
        """The command on a terminal of 100 columns, with everything that it showed in `shown`."""
        import io
        import sys

        child = pexpect.spawn(
            sys.executable,
            ["-m", "cmdstat", *args],
            env=self._environment({"TERM": "xterm-256color", **(env or {})}),
            cwd=str(self.path),
            dimensions=(50, 100),
            timeout=30,
        )
        child.shown = io.BytesIO()
        child.logfile_read = child.shown
        return child


def ended(child: pexpect.spawn) -> tuple[int, str]:
    """The exit code of a command on a terminal, and everything that it showed."""
    child.expect(pexpect.EOF)
    child.close()
    code = child.exitstatus if child.exitstatus is not None else -child.signalstatus
    return code, child.shown.getvalue().decode()


def lists(server: FaultyServer) -> None:
    """Make a server answer reads as the service answers a list of one."""
    server.on("GET", forever(answer(200, envelope(LIST_OF_ONE))))


def keys_seen(server: FaultyServer) -> list[str]:
    """The `Authorization` headers that reached a server."""
    return [each.headers.get("authorization", "") for each in server.requests]
