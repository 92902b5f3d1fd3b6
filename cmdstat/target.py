"""Which service, with which settings, and whose key: flags, environment, profile and defaults.

The rules of precedence are the design's (§1 "Shared options", §4 on keys): a flag beats the
environment, the environment the profile, the profile the default, and an empty variable is unset.
`CMDSTAT_BASE_URL` with a key variable is a pair that needs no profile and no file; `--profile`
sets the pair aside, and so does choosing the sandbox. A profile's key never follows a lone
`CMDSTAT_BASE_URL` to another scheme, host or port.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from cmdstat.base_urls import check_transport, host, normalise, same_origin
from cmdstat.errors import ConfigurationError, UsageError
from cmdstat.key_sources import (
    KEY_FILE_VARIABLE,
    KEY_VARIABLE,
    KeyDescription,
    environment_key,
    environment_key_name,
)
from cmdstat.keys import MASK, ApiKey
from cmdstat.profiles import SANDBOX, Profile, ProfileStore
from cmdstat.settings import BY_NAME, FILE_SETTINGS, SettingRule, named

BASE_URL_VARIABLE = "CMDSTAT_BASE_URL"
PROFILE_VARIABLE = "CMDSTAT_PROFILE"

Candidate = tuple[Any, str]
"""A value and where it comes from; a value of None is no candidate."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting in force: its value, its source, and the (value, source) pairs it overrides.

    The key's value is None, see `Target.describe_key`.
    """

    name: str
    value: Any
    source: str
    overrides: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go. `profile` is None for the environment's pair.

    The sandbox has the `base_url` "" and no key before it runs. `notices` are lines for stderr.
    `key` is called by whoever is about to send, and reads or runs nothing before that.
    """

    profile: str | None
    is_sandbox: bool
    base_url: str
    timeout: float
    retries: int
    ca_bundle: str | None
    client_cert: str | None
    allow_http: bool
    notices: tuple[str, ...]
    settings: tuple[Setting, ...]
    _key: Callable[[], ApiKey] = field(repr=False, compare=False)
    _describe_key: Callable[[], KeyDescription] = field(repr=False, compare=False)

    def key(self) -> ApiKey:
        """The key; read once. Raises `ConfigurationError` if there is none for this target."""
        return self._key()

    def describe_key(self) -> KeyDescription:
        """The key masked, for showing; a problem with it is told, not raised."""
        return self._describe_key()


@dataclass(frozen=True, slots=True)
class _Choice:
    """Who was chosen, before any value is: a profile, the sandbox, or the environment's pair."""

    profile: Profile | None
    is_sandbox: bool
    ignores_pair: bool
    setting: Setting
    notices: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        return f"profile {self.profile.name}" if self.profile else "the built-in sandbox"


def resolve(
    *,
    profile_flag: str | None,
    timeout_flag: float | None,
    retries_flag: int | None,
    env: Mapping[str, str],
    store: ProfileStore,
) -> Target:
    """The target that flags, environment and configuration name together.

    Raises `UsageError` for a bad flag or variable, and `ConfigurationError` where no profile can
    be chosen or what it says is not safe to use.
    """
    env = {name: value for name, value in env.items() if value}
    choice = _choose(profile_flag, env, store)
    base_url = _base_url(choice, env)
    flags = {"timeout": timeout_flag, "retries": retries_flag}
    values = {
        name: _setting(rule, choice, env, flags.get(name))
        for name, rule in BY_NAME.items()
        if name != "base_url"
    }
    for name in FILE_SETTINGS:
        _check_file(values[name])
    if not choice.is_sandbox:
        check_transport(base_url.value, allow_http=values["allow_http"].value)
    key_setting, key, describe = _key(choice, base_url.value, env, store)
    return Target(
        profile=choice.setting.value,
        is_sandbox=choice.is_sandbox,
        base_url=base_url.value,
        **{name: setting.value for name, setting in values.items()},
        notices=choice.notices,
        settings=(choice.setting, base_url, key_setting, *values.values()),
        _key=key,
        _describe_key=describe,
    )


def _choose(flag: str | None, env: Mapping[str, str], store: ProfileStore) -> _Choice:
    key_name = environment_key_name(env)
    has_pair = BASE_URL_VARIABLE in env and key_name is not None
    named_by_variable = env.get(PROFILE_VARIABLE)
    candidates: list[Candidate] = [(flag, "--profile"), (named_by_variable, PROFILE_VARIABLE)]
    if flag is None and has_pair and named_by_variable != SANDBOX:
        pair = f"{BASE_URL_VARIABLE} and {key_name}"
        overridden = tuple(each for each in candidates if each[0] is not None)
        return _Choice(None, False, False, Setting("profile", None, pair, overridden))
    if flag is None and named_by_variable is None:
        candidates.append((_default_name(env, store), "default in config.toml"))
    setting = _decide("profile", candidates)
    is_sandbox = setting.value == SANDBOX
    set_aside = [name for name in (BASE_URL_VARIABLE, KEY_VARIABLE, KEY_FILE_VARIABLE)
                 if name in env] if is_sandbox or has_pair else []  # fmt: skip
    why = f"{setting.source} {setting.value}" if flag else f"the profile {setting.value}"
    notices = (f"{why} sets {_listed(set_aside)} aside",) if set_aside else ()
    profile = None if is_sandbox else _get(setting, store)
    return _Choice(profile, is_sandbox, bool(set_aside), setting, notices)


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _default_name(env: Mapping[str, str], store: ProfileStore) -> str:
    name = store.default_name()
    if name is not None:
        return name
    names = store.names()
    if names:
        raise ConfigurationError(
            "no profile was chosen, and none is the default",
            f"choose one with --profile ({', '.join(names)}), or: cmdstat profile use {names[0]}",
        )
    if BASE_URL_VARIABLE in env:
        raise ConfigurationError(
            f"{BASE_URL_VARIABLE} is set, but there is no key for it and no profile",
            f"set {KEY_VARIABLE} or {KEY_FILE_VARIABLE} too",
        )
    lone_key = environment_key_name(env)
    raise ConfigurationError(
        "there is no profile yet" + (f", and {lone_key} alone names no place" if lone_key else ""),
        "make one: cmdstat profile add NAME --tenant TENANT"
        " (to rehearse, --profile sandbox needs none)",
    )


def _get(setting: Setting, store: ProfileStore) -> Profile:
    try:
        return store.get(setting.value)
    except ConfigurationError as error:
        if setting.source == "--profile" or setting.value in store.names():
            raise
        raise ConfigurationError(
            f"{error.message}, which {setting.source} names", error.hint
        ) from None


def _decide(name: str, candidates: Iterable[Candidate]) -> Setting:
    """The first candidate that there is; those after it are what it overrides."""
    there = [each for each in candidates if each[0] is not None]
    (value, source), *overridden = there or [(None, "default")]
    return Setting(name, value, source, tuple(overridden))


def _base_url(choice: _Choice, env: Mapping[str, str]) -> Setting:
    """The base URL in force. One that is set aside is shown if it can be, and never refused."""
    text = env.get(BASE_URL_VARIABLE)
    from_profile: Candidate = (None, "")
    if choice.is_sandbox:
        from_profile = ("", "the built-in sandbox")
    elif choice.profile is not None:
        from_profile = (choice.profile.base_url, choice.words)
    if text is None:
        return _decide("base_url", [from_profile])
    try:
        from_variable = (named(BASE_URL_VARIABLE, normalise, text), BASE_URL_VARIABLE)
    except UsageError:
        if not choice.ignores_pair:
            raise
        from_variable = ("(not a base URL)", BASE_URL_VARIABLE)
    order = [from_variable, from_profile]
    return _decide("base_url", reversed(order) if choice.ignores_pair else order)


def _setting(rule: SettingRule, choice: _Choice, env: Mapping[str, str], flag: Any) -> Setting:
    candidates: list[Candidate] = []
    if flag is not None:
        candidates.append((named(rule.flag, rule.accept, flag), rule.flag))
    if rule.variable in env:
        value = named(rule.variable, rule.parse, env[rule.variable])
        candidates.append((value, rule.variable))
    if choice.profile is not None:
        candidates.append((getattr(choice.profile, rule.name), choice.words))
    candidates.append((rule.default, "default"))
    return _decide(rule.name, candidates)


def _check_file(setting: Setting) -> None:
    if setting.value is not None and not Path(setting.value).exists():
        raise ConfigurationError(
            f"{setting.source}: {setting.name}: there is no file {setting.value}",
            "give the path of a PEM file: cmdstat profile set NAME " + setting.name + "=FILE",
        )


def _key(
    choice: _Choice, base_url: str, env: Mapping[str, str], store: ProfileStore
) -> tuple[Setting, Callable[[], ApiKey], Callable[[], KeyDescription]]:
    """Which source the key is taken from, the maker of the key, and of its description."""
    profile = choice.profile
    own: list[Candidate] = []
    if profile is not None:
        own = [("", profile.key_source.words)]
    elif choice.is_sandbox:
        own = [("", "the built-in sandbox")]
    variables = [("", name) for name in (KEY_VARIABLE, KEY_FILE_VARIABLE) if name in env]
    order = own + variables if choice.ignores_pair else variables + own
    decided = _decide("key", order)
    setting = replace(
        decided, value=None, overrides=tuple((None, source) for _, source in decided.overrides)
    )
    if choice.is_sandbox:
        return setting, _no_key_yet, lambda: KeyDescription(MASK, setting.source)
    if variables and not choice.ignores_pair:
        from_variable = cache(lambda: environment_key(env))
        return setting, from_variable, lambda: _described(from_variable, setting.source)
    assert profile is not None

    def from_profile() -> ApiKey:
        _refuse_elsewhere(profile, base_url)
        return store.key(profile, env)

    return setting, cache(from_profile), lambda: store.describe_key(profile, env)


def _described(key: Callable[[], ApiKey], source: str) -> KeyDescription:
    try:
        return KeyDescription(key().masked, source)
    except ConfigurationError as problem:
        return KeyDescription("", source, problem)


def _no_key_yet() -> ApiKey:
    raise ConfigurationError(
        "the sandbox has no key before it runs", "start it, and take the key that it has"
    )


def _refuse_elsewhere(profile: Profile, base_url: str) -> None:
    """A profile's key is for the profile's own origin, whatever the environment names."""
    if not same_origin(profile.base_url, base_url):
        raise ConfigurationError(
            f"the key of profile {profile.name} is for {host(profile.base_url)}, and"
            f" {BASE_URL_VARIABLE} names {host(base_url)}: it was not used",
            f"give the key for {host(base_url)} in {KEY_VARIABLE}, or unset {BASE_URL_VARIABLE}",
        )
