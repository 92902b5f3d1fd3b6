"""One profile: its fields, and how a `[profiles.NAME]` table says them.

Tables are written by people too, so each is read strictly: an unknown key, a wrong type or a value
out of range is an error that names the file, the profile and the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from cmdstat.errors import ConfigurationError, UsageError
from cmdstat.key_sources import KeyKind, KeySource
from cmdstat.settings import BY_NAME, FILE_SETTINGS, SETTINGS, named, nearest

SANDBOX = "sandbox"
"""The profile that is built in: the API on this machine, to rehearse against."""

_NAME = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SOURCE_KEYS = {
    "keyring": KeyKind.KEYRING,
    "api_key_command": KeyKind.COMMAND,
    "api_key_env": KeyKind.VARIABLE,
}


@dataclass(frozen=True, slots=True)
class Profile:
    """Where to send, how, and where the key is. None is "not set here": a default holds.

    `base_url` is normalised; `ca_bundle` and `client_cert` are absolute paths. `timeout` is
    seconds for one attempt.
    """

    name: str
    base_url: str
    timeout: float | None = None
    retries: int | None = None
    ca_bundle: str | None = None
    client_cert: str | None = None
    allow_http: bool | None = None
    key_source: KeySource = field(default_factory=KeySource)


def check_name(name: str) -> str:
    """A profile's name, unchanged. Raises `UsageError` for one that a profile cannot have."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f'"{name}" cannot be a profile\'s name',
            "use up to 64 letters, digits, dots, hyphens and underscores; no hyphen in front",
        )
    if name.lower() == SANDBOX:
        raise UsageError(
            "the profile sandbox is built in", "give your profile another name, for example staging"
        )
    return name


def check_variable(name: str) -> str:
    """The name of an environment variable, unchanged. Raises `UsageError`."""
    if not _VARIABLE.fullmatch(name):
        raise UsageError(
            "that is not the name of an environment variable",
            "give the name, not the key: --api-key-env ESPER_API_KEY",
        )
    return name


def read_profile(name: str, table: object, file: Path) -> Profile:
    """The profile that a table of the configuration file says. Raises `ConfigurationError`."""

    def refuse(problem: str, hint: str) -> NoReturn:
        raise ConfigurationError(f"{file}: profile {name}: {problem}", hint)

    if not isinstance(table, dict):
        refuse("it must be a [profiles.NAME] table", "write its settings below such a header")
    known = [*BY_NAME, *_SOURCE_KEYS]
    for key in table:
        if key not in known:
            refuse(f'"{key}" is not a setting', nearest(key, known))
    if "base_url" not in table:
        refuse("it has no base_url", f"give one: cmdstat profile set {name} base_url=URL")
    try:
        settings = {
            rule.name: named(rule.name, rule.accept, table[rule.name])
            for rule in SETTINGS
            if rule.name in table
        }
        source = _read_key_source(table)
    except UsageError as error:
        refuse(error.message, error.hint)
    for setting in FILE_SETTINGS:
        if setting in settings:
            settings[setting] = str(file.parent / Path(settings[setting]).expanduser())
    return Profile(name, **settings, key_source=source)


def settings_values(profile: Profile) -> dict[str, Any]:
    """A profile's settings as its table has them; None for what is not set."""
    values = {rule.name: getattr(profile, rule.name) for rule in SETTINGS}
    if profile.timeout is not None and profile.timeout.is_integer():
        values["timeout"] = int(profile.timeout)
    return values


def key_source_values(source: KeySource) -> dict[str, Any]:
    """A key's source as a table has it: at most one of the keys is not None."""
    values: dict[str, Any] = dict.fromkeys(_SOURCE_KEYS)
    for key, kind in _SOURCE_KEYS.items():
        if source.kind is kind:
            values[key] = source.argument or True
    return values


def _read_key_source(table: Mapping[str, Any]) -> KeySource:
    from cmdstat.key_helper import split_command

    named_here = [key for key in _SOURCE_KEYS if key in table]
    if len(named_here) > 1:
        raise UsageError(
            f"{' and '.join(named_here)} name two sources of the key", "leave one of them"
        )
    if not named_here:
        return KeySource()
    key = named_here[0]
    value = table[key]
    if key == "keyring":
        if value is not True:
            raise UsageError("keyring: it can only be true", "leave it out for a stored key")
        return KeySource(KeyKind.KEYRING)
    if not isinstance(value, str):
        raise UsageError(f"{key}: it must be a text in quotes", f'for example {key} = "…"')
    if key == "api_key_command":
        named(key, split_command, value)
    else:
        named(key, check_variable, value)
    return KeySource(_SOURCE_KEYS[key], value)
