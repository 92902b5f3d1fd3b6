"""The stored keys, `credentials.toml`: each with the scheme, host and port that it was stored for.

    [keys.prod]
    key = "…"
    origin = "https://acme-api.esper.cloud:443"

A base URL that was edited by hand therefore takes no key elsewhere. The file is the user's alone
(`config_files`: secret); nothing here shows a key, parse errors included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmdstat.config_files import ConfigFile
from cmdstat.errors import ConfigurationError
from cmdstat.key_sources import how_to_store
from cmdstat.keys import ApiKey

SOURCE = "credentials.toml"


@dataclass(frozen=True, slots=True)
class BoundKey:
    """A key and the origin that it may be sent to."""

    key: ApiKey
    origin: str

    def for_origin(self, origin: str, profile: str) -> ApiKey:
        """The key, if it may be sent there; else `ConfigurationError`, and how to store one."""
        if origin != self.origin:
            raise ConfigurationError(
                f"the key of profile {profile} ({self.key.source}) was stored for"
                f" {self.origin}, and the profile's base URL is at {origin}",
                f"to store a key for the new place: {how_to_store(profile)}",
            )
        return self.key


class CredentialFile:
    """The keys in one `credentials.toml`. Whoever changes it holds the folder's lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = ConfigFile(path, secret=True)

    def find(self, profile: str) -> BoundKey | None:
        """The key stored for a profile, or None.

        Raises `ConfigurationError` for a file that is corrupt or unsafe.
        """
        entry = self._entries().get(profile)
        if entry is None:
            return None
        match entry:
            case {"key": str(text), "origin": str(origin), **others} if not others:
                return BoundKey(ApiKey.parse(text, SOURCE), origin)
        raise ConfigurationError(
            f"{self._path}: [keys.{profile}] must have a key and an origin, and nothing else",
            f"take that entry out, then: {how_to_store(profile)}",
        )

    def store(self, profile: str, key: ApiKey, origin: str) -> None:
        """Keep a key for a profile, in place of the one that it had."""
        from cmdstat.config_edits import add_table, set_values

        values = {"key": key.reveal(), "origin": origin}
        known = profile in self._entries()
        change = set_values if known else add_table
        self._edit(lambda text: change(text, ("keys", profile), values))

    def remove(self, profile: str) -> bool:
        """Forget a profile's key; returns whether there was one."""
        from cmdstat.config_edits import remove_table

        if profile not in self._entries():
            return False
        self._edit(lambda text: remove_table(text, ("keys", profile)))
        return True

    def copy(self, old: str, new: str) -> bool:
        """Keep the key of one profile for another as well; returns whether there was one."""
        bound = self.find(old)
        if bound is not None:
            self.store(new, bound.key, bound.origin)
        return bound is not None

    def _edit(self, change: Callable[[str], str]) -> None:
        self._file.edit(change)

    def _entries(self) -> dict[str, Any]:
        content = self._file.read()
        entries = content.get("keys", {})
        if set(content) - {"keys"} or not isinstance(entries, dict):
            raise ConfigurationError(
                f"{self._path} must have [keys.PROFILE] tables and nothing else",
                "mend it by hand: a file that cannot be read is never overwritten",
            )
        return entries
