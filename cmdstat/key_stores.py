"""The two places in which cmdstat itself keeps keys, behind one interface: the file, the keyring.

Callers that change something hold the configuration folder's lock.
"""

from __future__ import annotations

from cmdstat.credentials import BoundKey, CredentialFile
from cmdstat.errors import ConfigurationError
from cmdstat.key_sources import KeyKind
from cmdstat.keys import ApiKey
from cmdstat.paths import Paths


class KeyStores:
    """Keys by profile name, in `credentials.toml` or the system keyring.

    `kind` says which of the two; for a source that cmdstat does not keep, there is never a key.
    All methods raise `ConfigurationError` for a store that is unsafe, damaged or not available.
    """

    def __init__(self, paths: Paths) -> None:
        self.file = CredentialFile(paths.credentials_file)

    def probe(self, kind: KeyKind) -> None:
        """Raise `ConfigurationError` unless the store answers."""
        if kind is KeyKind.STORED:
            self.file.find("")
        elif kind is KeyKind.KEYRING:
            from cmdstat import system_keyring

            system_keyring.probe()

    def find(self, kind: KeyKind, profile: str) -> BoundKey | None:
        """The key kept for a profile, with the origin that it is for, or None."""
        if kind is KeyKind.STORED:
            return self.file.find(profile)
        if kind is KeyKind.KEYRING:
            from cmdstat import system_keyring

            return system_keyring.find(profile)
        return None

    def keep(self, kind: KeyKind, profile: str, key: ApiKey, origin: str) -> None:
        """Keep a key for a profile, in place of the one that it had there."""
        if kind is KeyKind.STORED:
            self.file.store(profile, key, origin)
        elif kind is KeyKind.KEYRING:
            from cmdstat import system_keyring

            system_keyring.store(profile, key, origin)

    def copy(self, kind: KeyKind, old: str, new: str) -> None:
        """Keep the key of one profile for another too, if it has one."""
        bound = self.find(kind, old)
        if bound is not None:
            self.keep(kind, new, bound.key, bound.origin)

    def let_go(self, kind: KeyKind, profile: str) -> tuple[bool, str | None]:
        """Forget a key that nothing uses any more: whether there was one, and what may be left.

        A keyring that does not answer must not hold its profile for ever, so that is told in a
        line for the user, and not raised.
        """
        try:
            return self.forget(kind, profile), None
        except ConfigurationError as problem:
            if kind is not KeyKind.KEYRING:
                raise
            return False, (
                f"{problem.message}; the old key may still be there: once it works, take out the"
                f" entry {profile} of cmdstat"
            )

    def forget(self, kind: KeyKind, profile: str) -> bool:
        """Remove a profile's key; returns whether there was one."""
        if kind is KeyKind.STORED:
            return self.file.remove(profile)
        if kind is KeyKind.KEYRING:
            from cmdstat import system_keyring

            return system_keyring.remove(profile)
        return False
