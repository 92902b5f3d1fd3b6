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

- add:     the key, then the profile. Cut off: a key that no profile uses; `remove` of that name
           clears it, and so does `add`, or puts a new one in its place.
- rename:  the key under the new name too, then the profile, then the old key goes.
- remove:  the profile, then its key. Cut off: as for add.
- update:  the new key, then the settings, then the place that held the old one. If the base URL
           leads elsewhere, settings first: the old key is refused there until the new one is kept.

A keyring that does not answer holds up neither a removal nor a move out of it: what may be left
there is told.

All of it happens under one lock, waited for at most 10 seconds. Damage to one of the two files is
noticed before the other is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cmdstat.base_urls import check_transport, host, origin, same_origin
from cmdstat.errors import ConfigurationError, UsageError
from cmdstat.key_sources import (
    KeyDescription,
    KeyKind,
    KeySource,
    describe,
    how_to_store,
    variable_key,
)
from cmdstat.keys import ApiKey
from cmdstat.paths import Paths, private_folder
from cmdstat.profile_tables import SANDBOX, Profile, check_name

if TYPE_CHECKING:
    from cmdstat.key_stores import KeyStores
    from cmdstat.locks import FileLock
    from cmdstat.profile_file import ProfileFile

__all__ = ["SANDBOX", "Profile", "ProfileStore", "Removal", "check_address", "check_name"]


@dataclass(frozen=True, slots=True)
class Removal:
    """What `remove` took away, what it left alone, and what it could not take away, in words."""

    removed: tuple[str, ...]
    left: tuple[str, ...]
    was_default: bool = False
    warning: str | None = None


class ProfileStore:
    """The profiles in one configuration folder. Nothing is read before it is asked for.

    Every method raises `ConfigurationError` for files that are damaged, unsafe or not writable.
    """

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    @cached_property
    def _file(self) -> ProfileFile:
        from cmdstat.profile_file import ProfileFile

        return ProfileFile(self._paths.config_file)

    @cached_property
    def _keys(self) -> KeyStores:
        from cmdstat.key_stores import KeyStores

        return KeyStores(self._paths)

    def names(self) -> tuple[str, ...]:
        """The configured profiles in the file's order; `sandbox`, which is built in, is not one."""
        return self._file.names()

    def default_name(self) -> str | None:
        """The default profile's name, or None. It may name one that is not there."""
        return self._file.default_name()

    def get(self, name: str) -> Profile:
        """A profile. Raises `ConfigurationError` for an unknown one, with the nearest name."""
        return self._file.get(name)

    def check_free(self, name: str) -> None:
        """Raise `UsageError` for a name that a new profile cannot have.

        For before a key is asked for; it is checked again, under the lock, when it is added.
        """
        check_name(name)
        if name in self.names():
            raise UsageError(
                f"there is a profile {name} already",
                f"change it with: cmdstat profile set {name} KEY=VALUE",
            )

    def check_store(self, kind: KeyKind) -> None:
        """Raise `ConfigurationError` unless keys can be kept there: for before one is asked for."""
        self._keys.probe(kind)

    def key(self, profile: Profile, env: Mapping[str, str]) -> ApiKey:
        """The key of a profile, from its own source and for its own base URL.

        Raises `ConfigurationError` if it cannot be had, or was stored for another place.
        """
        source = profile.key_source
        if source.kind is KeyKind.VARIABLE:
            return variable_key(source.argument, profile.name, env)
        if source.kind is KeyKind.COMMAND:
            from cmdstat.key_helper import run_helper

            return run_helper(source.argument)
        bound = self._keys.find(source.kind, profile.name)
        if bound is None:
            raise ConfigurationError(
                f"no key is stored for profile {profile.name} ({source.words})",
                f"store one: {how_to_store(profile.name)}",
            )
        return bound.for_origin(origin(profile.base_url), profile.name)

    def describe_key(self, profile: Profile, env: Mapping[str, str]) -> KeyDescription:
        """The key of a profile, masked, and its source; a problem is told, not raised."""
        return describe(profile.key_source, lambda: self.key(profile, env))

    def add(self, profile: Profile, key: ApiKey | None = None) -> bool:
        """Add a profile, and its key if its source is one that cmdstat keeps keys in.

        Returns whether it became the default, as the first one does. Raises `UsageError` for a
        name that is taken or cannot be one, and for an address that may not be used.
        """
        assert profile.key_source.is_store == (key is not None)
        check_address(profile)
        with self._lock():
            self.check_free(profile.name)
            is_first = not self.names() and self.default_name() is None
            if profile.key_source.kind is not KeyKind.STORED:
                self._keys.forget(KeyKind.STORED, profile.name)  # left by a change that was cut off
            if key is not None:
                where = origin(profile.base_url)
                self._keys.keep(profile.key_source.kind, profile.name, key, where)
            self._file.add(profile, as_default=is_first)
        return is_first

    def update(
        self,
        name: str,
        changes: Mapping[str, Any],
        *,
        key_source: KeySource | None = None,
        key: ApiKey | None = None,
    ) -> tuple[Profile, str | None]:
        """Change settings (None goes back to the default), the key's source, or the key.

        A `key` comes with the `key_source` that is to keep it. Returns the profile as it is now
        (ask `stale_key` about it), and a line for the user if its old key may still be where it
        was. Raises `UsageError` for an address that may not be used.
        """
        assert (key_source is not None and key_source.is_store) == (key is not None)
        with self._lock():
            old = self.get(name)
            new = replace(old, **changes, key_source=key_source or old.key_source)
            check_address(new)
            kind, where = new.key_source.kind, origin(new.base_url)
            leaves_store = old.key_source.is_store and kind is not old.key_source.kind
            if leaves_store and old.key_source.kind is KeyKind.STORED:
                self._keys.find(KeyKind.STORED, name)  # damaged, it is found out now
            moved = not same_origin(old.base_url, new.base_url)
            if key is not None and not moved:
                self._keys.keep(kind, name, key, where)
            self._file.change(old, new)
            if key is not None and moved:
                self._keys.keep(kind, name, key, where)
            if leaves_store:
                return new, self._keys.let_go(old.key_source.kind, name)[1]
        return new, None

    def stale_key(self, profile: Profile) -> str | None:
        """A line for the user if the stored key is for another place than the profile, or None."""
        if profile.key_source.kind is not KeyKind.STORED:
            return None
        bound = self._keys.find(KeyKind.STORED, profile.name)
        if bound is None or bound.origin == origin(profile.base_url):
            return None
        return (
            f"the stored key is for {bound.origin} and is not used for {host(profile.base_url)};"
            f" store a new one: {how_to_store(profile.name)}"
        )

    def use(self, name: str) -> None:
        """Make a profile the default; `sandbox` may be it too."""
        with self._lock():
            if name != SANDBOX:
                self.get(name)
            self._file.set_default(name)

    def rename(self, old: str, new: str) -> None:
        """Give a profile, its key and its place as the default another name."""
        _refuse_sandbox(old, "renamed")
        with self._lock():
            kind = self.get(old).key_source.kind
            self.check_free(new)
            self._keys.copy(kind, old, new)
            self._file.rename(old, new)
            self._keys.forget(kind, old)

    def remove(self, name: str) -> Removal:
        """Remove a profile and the key that was stored for it.

        Also removes a stored key that a cut-off change left without a profile that uses it. If
        `credentials.toml` is damaged, nothing is changed.
        """
        _refuse_sandbox(name, "removed")
        with self._lock():
            if name not in self.names() and self._keys.forget(KeyKind.STORED, name):
                return Removal((f"a key that was stored for {name}",), ())
            profile = self.get(name)
            source = profile.key_source
            self._keys.find(KeyKind.STORED, name)  # damaged, it is found out now
            was_default = self._file.remove(name)
            had_key, warning = self._keys.let_go(source.kind, name)
            had_other = self._keys.forget(KeyKind.STORED, name)  # left by a cut-off change
        removed = [f"profile {name} ({host(profile.base_url)})"]
        left = [path for path in (profile.ca_bundle, profile.client_cert) if path]
        if had_key:
            removed.append(f"its key ({source.words})")
        if had_other:
            removed.append(f"a key that was stored for {name}")
        if not source.is_store:
            left.append(f"its key, which is not kept here ({source.words})")
        left.append("the history of what was sent with it")
        return Removal(tuple(removed), tuple(left), was_default, warning)

    def _lock(self) -> FileLock:
        from cmdstat.locks import FileLock

        private_folder(self._paths.config_dir)
        return FileLock(self._paths.config_lock_file)


def check_address(profile: Profile) -> None:
    """Raise `UsageError` for a profile whose base URL may not be used: http:// to elsewhere."""
    try:
        check_transport(profile.base_url, allow_http=bool(profile.allow_http))
    except ConfigurationError as error:
        raise UsageError(error.message, "use https://, or say allow_http=true") from None


def _refuse_sandbox(name: str, verb: str) -> None:
    if name == SANDBOX:
        raise UsageError(
            f"the profile sandbox is built in and cannot be {verb}",
            "to start it afresh: cmdstat sandbox reset",
        )
