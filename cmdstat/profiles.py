"""The profiles: who we are, in `config.toml`, and the changes to it and to the keys together.

    default = "prod"

    [profiles.prod]
    base_url = "https://acme-api.esper.cloud/api"
    timeout = 60

A profile's key is in `credentials.toml`, unless one of `keyring = true`, `api_key_command = "…"`,
`api_key_env = "…"` names another source.

A change that touches both a key's place and `config.toml` may be cut off between the two. The order
is such that no key is lost and none is ever left for a wrong host (each is bound to the origin that
it was stored for, whatever `config.toml` says):

- add:     the key, then the profile. Cut off: a key that no profile uses; `add` or `remove` of the
           same name clears it.
- rename:  the key under the new name too, then the profile, then the old key goes.
- remove:  the profile, then its key. Cut off: as for add.
- update:  the new key, then the settings, then the place that held the old one. If the base URL
           leads elsewhere, settings first: the old key is refused there until the new one is kept.

All of it happens under one lock, waited for at most 10 seconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cmdstat.base_urls import host, origin, same_origin
from cmdstat.config_files import ConfigFile
from cmdstat.credentials import CredentialFile, how_to_store
from cmdstat.errors import ConfigurationError, UsageError
from cmdstat.key_sources import (
    KeyDescription,
    KeyKind,
    KeySource,
    describe_key,
    find_stored,
    profile_key,
)
from cmdstat.keys import ApiKey
from cmdstat.locks import FileLock
from cmdstat.paths import Paths, private_folder
from cmdstat.profile_tables import (
    SANDBOX,
    Profile,
    check_name,
    key_source_values,
    read_profile,
    settings_values,
)
from cmdstat.settings import nearest

__all__ = ["SANDBOX", "Profile", "ProfileStore", "Removal", "check_name"]

_ROOT_KEYS = ("default", "profiles")
_MEND = "mend it by hand: a file that cannot be read is never overwritten"


@dataclass(frozen=True, slots=True)
class Removal:
    """What `remove` took away and what it left alone, each in words."""

    removed: tuple[str, ...]
    left: tuple[str, ...]
    was_default: bool = False


class ProfileStore:
    """The profiles in one configuration folder. Nothing is read before it is asked for."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._config = ConfigFile(paths.config_file)
        self.credentials = CredentialFile(paths.credentials_file)

    def names(self) -> tuple[str, ...]:
        """The configured profiles in the file's order; `sandbox`, which is built in, is not one."""
        return tuple(self._tables())

    def default_name(self) -> str | None:
        """The default profile's name, or None. It may name one that is not there."""
        return self._default(self._content())

    def get(self, name: str) -> Profile:
        """A profile. Raises `ConfigurationError` for an unknown one, with the nearest name."""
        tables = self._tables()
        if name not in tables:
            known = [*tables, SANDBOX]
            raise ConfigurationError(f'there is no profile "{name}"', nearest(name, known))
        return read_profile(name, tables[name], self._paths.config_file)

    def check_free(self, name: str) -> None:
        """Raise `UsageError` for a name that a new profile cannot have: before a key is asked for.

        The same is checked again under the lock when it is added.
        """
        check_name(name)
        if name in self._tables():
            raise UsageError(
                f"there is a profile {name} already",
                f"change it with: cmdstat profile set {name} KEY=VALUE",
            )

    def key(self, profile: Profile, env: Mapping[str, str]) -> ApiKey:
        """The key of a profile, from the profile's own source. Raises `ConfigurationError`."""
        return profile_key(
            profile.key_source,
            profile=profile.name,
            base_url=profile.base_url,
            credentials=self.credentials,
            env=env,
        )

    def describe_key(self, profile: Profile, env: Mapping[str, str]) -> KeyDescription:
        """The key of a profile, masked, and its source; a problem is told, not raised."""
        return describe_key(
            profile.key_source,
            profile=profile.name,
            base_url=profile.base_url,
            credentials=self.credentials,
            env=env,
        )

    def add(self, profile: Profile, key: ApiKey | None = None) -> bool:
        """Add a profile, with its key if its source is one that stores keys.

        Returns whether it became the default, as the first one does. Raises `UsageError` for a
        name that is taken or cannot be one, else `ConfigurationError`.
        """
        assert profile.key_source.holds_key == (key is not None)
        check_name(profile.name)
        with self._lock():
            self.check_free(profile.name)
            first = not self.names() and self.default_name() is None
            if key is not None:
                self._keep(profile.key_source.kind, profile.name, key, origin(profile.base_url))
            self._add_table(profile, default=first)
            if profile.key_source.kind is not KeyKind.STORED:
                self.credentials.remove(profile.name)
        return first

    def update(
        self,
        name: str,
        changes: Mapping[str, Any],
        *,
        key_source: KeySource | None = None,
        key: ApiKey | None = None,
    ) -> Profile:
        """Change settings (None goes back to the default), the source of the key, or the key.

        A new `key` needs a `key_source` that stores keys. Returns the profile as it is now; see
        `stale_key` for a base URL that the kept key is not for. Raises `ConfigurationError`.
        """
        assert (key_source is not None and key_source.holds_key) == (key is not None)
        with self._lock():
            old = self.get(name)
            new = replace(old, **changes, key_source=key_source or old.key_source)
            moved = not same_origin(old.base_url, new.base_url)
            keep: Callable[[], None] = lambda: None  # noqa: E731  (one line, replaced below)
            if key is not None:
                kind, place = new.key_source.kind, origin(new.base_url)
                keep = lambda: self._keep(kind, name, key, place)  # noqa: E731  (as above)
            if not moved:
                keep()
            self._set_table(new, old)
            if moved:
                keep()
            if new.key_source.kind is not old.key_source.kind:
                self._forget(old.key_source.kind, name)
        return new

    def stale_key(self, profile: Profile) -> str | None:
        """A line for the user if a stored key is for another place than the profile's, or None."""
        if profile.key_source.kind is not KeyKind.STORED:
            return None
        bound = self.credentials.find(profile.name)
        if bound is None or bound.origin == origin(profile.base_url):
            return None
        return (
            f"the stored key is for {bound.origin} and is not used for {host(profile.base_url)};"
            f" store a new one: {how_to_store(profile.name)}"
        )

    def use(self, name: str) -> None:
        """Make a profile the default; `sandbox` may be it too. Raises `ConfigurationError`."""
        with self._lock():
            if name != SANDBOX:
                self.get(name)
            self._edit_root({"default": name})

    def rename(self, old: str, new: str) -> None:
        """Give a profile, its key and its place as the default another name."""
        from cmdstat.config_edits import rename_table, set_values

        _refuse_sandbox(old, "renamed")
        check_name(new)
        with self._lock():
            profile = self.get(old)
            self.check_free(new)
            kind = profile.key_source.kind
            if profile.key_source.holds_key:
                self._copy(kind, old, new)
            is_default = self.default_name() == old

            def change(text: str) -> str:
                text = rename_table(text, ("profiles", old), new)
                return set_values(text, (), {"default": new}) if is_default else text

            self._config.edit(change)
            self._forget(kind, old)

    def remove(self, name: str) -> Removal:
        """Remove a profile and the key that was stored for it.

        Also removes a key that a cut-off change left without a profile. If there is a keyring to
        ask and it does not answer, nothing is changed. Raises `ConfigurationError`.
        """
        _refuse_sandbox(name, "removed")
        with self._lock():
            if name not in self._tables() and self.credentials.remove(name):
                return Removal((f"the key stored for {name}",), ("there was no profile",))
            profile = self.get(name)
            kind = profile.key_source.kind
            if profile.key_source.holds_key:
                find_stored(kind, name, self.credentials)
            was_default = self.default_name() == name
            self._remove_table(name, was_default=was_default)
            had_key = self._forget(kind, name)
        removed = [f"profile {name} ({host(profile.base_url)})"]
        left = ["the journal of what was sent with it"]
        if had_key:
            removed.append(f"its key in {_place(kind)}")
        elif not profile.key_source.holds_key:
            left.insert(0, f"its key, which comes from the {profile.key_source.words}")
        left.extend(path for path in (profile.ca_bundle, profile.client_cert) if path)
        return Removal(tuple(removed), tuple(left), was_default)

    def _lock(self) -> FileLock:
        private_folder(self._paths.config_dir)
        return FileLock(self._paths.config_lock_file)

    def _content(self) -> dict[str, Any]:
        content = self._config.read()
        for key in content:
            if key not in _ROOT_KEYS:
                raise ConfigurationError(
                    f'{self._paths.config_file}: "{key}" is not known there',
                    nearest(key, _ROOT_KEYS),
                )
        return content

    def _tables(self) -> dict[str, Any]:
        tables = self._content().get("profiles", {})
        if not isinstance(tables, dict):
            raise ConfigurationError(
                f"{self._paths.config_file}: profiles must be [profiles.NAME] tables", _MEND
            )
        for name in tables:
            try:
                check_name(name)
            except UsageError as error:
                raise ConfigurationError(
                    f"{self._paths.config_file}: {error.message}", error.hint
                ) from None
        return tables

    def _default(self, content: dict[str, Any]) -> str | None:
        name = content.get("default")
        if name is not None and not isinstance(name, str):
            raise ConfigurationError(
                f"{self._paths.config_file}: default must be a profile's name", _MEND
            )
        return name or None

    def _add_table(self, profile: Profile, *, default: bool) -> None:
        from cmdstat.config_edits import add_table, set_values

        values = settings_values(profile) | key_source_values(profile.key_source)
        values = {name: value for name, value in values.items() if value is not None}

        def change(text: str) -> str:
            text = add_table(text, ("profiles", profile.name), values)
            return set_values(text, (), {"default": profile.name}) if default else text

        self._config.edit(change)

    def _set_table(self, new: Profile, old: Profile) -> None:
        """Write what differs, so that everything else in the table stays as its owner wrote it."""
        from cmdstat.config_edits import set_values

        now = settings_values(new) | key_source_values(new.key_source)
        before = settings_values(old) | key_source_values(old.key_source)
        values = {name: value for name, value in now.items() if value != before[name]}
        self._config.edit(lambda text: set_values(text, ("profiles", new.name), values))

    def _remove_table(self, name: str, *, was_default: bool) -> None:
        from cmdstat.config_edits import remove_table, set_values

        def change(text: str) -> str:
            text = remove_table(text, ("profiles", name))
            return set_values(text, (), {"default": None}) if was_default else text

        self._config.edit(change)

    def _edit_root(self, values: Mapping[str, Any]) -> None:
        from cmdstat.config_edits import set_values

        self._config.edit(lambda text: set_values(text, (), values))

    def _keep(self, kind: KeyKind, name: str, key: ApiKey, where: str) -> None:
        if kind is KeyKind.STORED:
            self.credentials.store(name, key, where)
        else:
            from cmdstat import system_keyring

            system_keyring.store(name, key, where)

    def _copy(self, kind: KeyKind, old: str, new: str) -> None:
        bound = find_stored(kind, old, self.credentials)
        if bound is not None:
            self._keep(kind, new, bound.key, bound.origin)

    def _forget(self, kind: KeyKind, name: str) -> bool:
        if kind is KeyKind.STORED:
            return self.credentials.remove(name)
        if kind is KeyKind.KEYRING:
            from cmdstat import system_keyring

            return system_keyring.remove(name)
        return False


def _refuse_sandbox(name: str, verb: str) -> None:
    if name == SANDBOX:
        raise UsageError(
            f"the profile sandbox is built in and cannot be {verb}",
            "to start it afresh: cmdstat sandbox reset",
        )


def _place(kind: KeyKind) -> str:
    return str(kind) if kind is KeyKind.STORED else f"the {kind}"
