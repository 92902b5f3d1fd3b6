"""Where a key comes from: the environment's two variables, or one of a profile's four sources.

The order is the design's (§1): `CMDSTAT_API_KEY`, `CMDSTAT_API_KEY_FILE`, then the profile's own
source. Only the one that is chosen is ever touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

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
    def is_store(self) -> bool:
        """Whether cmdstat keeps the key there, bound to an origin, and removes it again."""
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


def how_to_store(profile: str) -> str:
    """The command that stores a profile's key anew."""
    return f"cmdstat profile set {profile} --api-key-stdin"


def environment_key_name(env: Mapping[str, str]) -> str | None:
    """The variable that the environment's key comes from, or None; an empty one is unset."""
    return next((name for name in (KEY_VARIABLE, KEY_FILE_VARIABLE) if env.get(name)), None)


def check_environment_key(env: Mapping[str, str]) -> None:
    """Raise `ConfigurationError` for an address in the key's place.

    The base URL beside it is then the key, so this comes before that is used or shown anywhere.
    """
    text = env.get(KEY_VARIABLE, "").strip().lower()
    if text.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"{KEY_VARIABLE} holds an address, not a key",
            f"see whether it and CMDSTAT_BASE_URL are swapped; {KEY_VARIABLE} is the key alone",
        )


def environment_key(env: Mapping[str, str]) -> ApiKey:
    """The environment's key; ask `environment_key_name` first whether there is one."""
    text = env.get(KEY_VARIABLE)
    if text:
        return ApiKey.parse(text, KEY_VARIABLE)
    return read_key_file(_key_file(env[KEY_FILE_VARIABLE]), KEY_FILE_VARIABLE)


def _key_file(name: str) -> Path:
    """The file that the variable names; what may be the key itself is not repeated.

    Only a name whose folder exists is surely no key, which may have slashes in it too.
    """
    path = Path(name)
    try:
        is_there = path.exists() or (len(path.parts) > 2 and path.parent.is_dir())
    except PermissionError:
        is_there = True
    except OSError:
        is_there = False  # longer than a name can be
    if is_there:
        return path
    raise ConfigurationError(
        f"the file that {KEY_FILE_VARIABLE} names does not exist",
        f"name a file that holds the API key; the key itself goes into {KEY_VARIABLE}",
    )


def variable_key(name: str, profile: str, env: Mapping[str, str]) -> ApiKey:
    """The key in the variable that a profile names. Raises `ConfigurationError`."""
    text = env.get(name)
    if not text:
        raise ConfigurationError(
            f"profile {profile} takes its key from the variable {name}, which is not set",
            f"set {name}, or {KEY_VARIABLE}",
        )
    return ApiKey.parse(text, name)


def describe(source: KeySource, key: Callable[[], ApiKey]) -> KeyDescription:
    """A key masked, for showing. No keyring is opened and no helper is run just for that."""
    if source.kind in (KeyKind.KEYRING, KeyKind.COMMAND):
        return KeyDescription(MASK, source.words)
    return described(source.words, key)


def described(source: str, key: Callable[[], ApiKey]) -> KeyDescription:
    """A key that costs nothing to read, masked; the problem with it, if it cannot be had."""
    try:
        return KeyDescription(key().masked, source)
    except ConfigurationError as problem:
        return KeyDescription("", source, problem)
