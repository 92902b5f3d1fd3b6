"""Where a key comes from: the environment's two variables, or a profile's own source.

The order is the design's (§1): `CMDSTAT_API_KEY`, `CMDSTAT_API_KEY_FILE`, then the profile's
source. Only the one that is chosen is ever touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cmdstat.base_urls import origin
from cmdstat.credentials import BoundKey, CredentialFile, how_to_store
from cmdstat.errors import ConfigurationError
from cmdstat.keys import MASK, ApiKey, read_key_file

KEY_VARIABLE = "CMDSTAT_API_KEY"
KEY_FILE_VARIABLE = "CMDSTAT_API_KEY_FILE"


class KeyKind(StrEnum):
    """The four sources that a profile can have."""

    STORED = "credentials.toml"
    KEYRING = "system keyring"
    COMMAND = "helper command"
    VARIABLE = "environment variable"


@dataclass(frozen=True, slots=True)
class KeySource:
    """A profile's source of its key. `argument` is the command line, or the variable's name."""

    kind: KeyKind = KeyKind.STORED
    argument: str = ""

    @property
    def holds_key(self) -> bool:
        """Whether cmdstat stores the key there, bound to an origin, and removes it again."""
        return self.kind in (KeyKind.STORED, KeyKind.KEYRING)

    @property
    def words(self) -> str:
        """The source for a person: `helper command: pass show esper`."""
        return f"{self.kind}: {self.argument}" if self.argument else str(self.kind)


@dataclass(frozen=True, slots=True)
class KeyDescription:
    """A key as `profile list` and `show` tell of it; `problem` says why it cannot be had."""

    masked: str
    source: str
    problem: ConfigurationError | None = None


def environment_key_name(env: Mapping[str, str]) -> str | None:
    """The variable that the environment's key comes from, or None; an empty one is unset."""
    return next((name for name in (KEY_VARIABLE, KEY_FILE_VARIABLE) if env.get(name)), None)


def environment_key(env: Mapping[str, str]) -> ApiKey:
    """The environment's key; ask `environment_key_name` first whether there is one."""
    text = env.get(KEY_VARIABLE)
    if text:
        return ApiKey.parse(text, KEY_VARIABLE)
    return read_key_file(Path(env[KEY_FILE_VARIABLE]), KEY_FILE_VARIABLE)


def profile_key(
    source: KeySource,
    *,
    profile: str,
    base_url: str,
    credentials: CredentialFile,
    env: Mapping[str, str],
) -> ApiKey:
    """A profile's key, for use at its base URL.

    Raises `ConfigurationError` if it cannot be had, or was stored for another place.
    """
    if source.kind is KeyKind.VARIABLE:
        text = env.get(source.argument)
        if not text:
            raise ConfigurationError(
                f"profile {profile} takes its key from the variable {source.argument},"
                " which is not set",
                f"set {source.argument} or CMDSTAT_API_KEY",
            )
        return ApiKey.parse(text, source.argument)
    if source.kind is KeyKind.COMMAND:
        from cmdstat.key_helper import run_helper

        return run_helper(source.argument)
    bound = find_stored(source.kind, profile, credentials)
    if bound is None:
        raise ConfigurationError(
            f"no key is stored for profile {profile} ({source.words})",
            f"store one: {how_to_store(profile)}",
        )
    return bound.for_origin(origin(base_url), profile)


def find_stored(kind: KeyKind, profile: str, credentials: CredentialFile) -> BoundKey | None:
    """The key that cmdstat stored for a profile, wherever the profile says, or None."""
    if kind is KeyKind.STORED:
        return credentials.find(profile)
    from cmdstat import system_keyring

    return system_keyring.find(profile)


def describe_key(
    source: KeySource,
    *,
    profile: str,
    base_url: str,
    credentials: CredentialFile,
    env: Mapping[str, str],
) -> KeyDescription:
    """A profile's key, masked. A keyring is not opened and no helper is run just to be shown."""
    if source.kind in (KeyKind.KEYRING, KeyKind.COMMAND):
        return KeyDescription(MASK, source.words)
    try:
        key = profile_key(
            source, profile=profile, base_url=base_url, credentials=credentials, env=env
        )
    except ConfigurationError as problem:
        return KeyDescription("", source.words, problem)
    return KeyDescription(key.masked, source.words)
