"""Which service, with which settings, and whose key: flags, environment, profile and defaults.

The rules of precedence are the design's (§1 "Shared options", §4 on keys): a flag beats the
environment, the environment the profile, the profile the default, and an empty variable is unset.
`CMDSTAT_BASE_URL` with a key variable is a pair that needs no profile and no file; `--profile`
sets the pair aside, and so does choosing the sandbox (`profile_choice`). A profile's key never
follows a lone `CMDSTAT_BASE_URL` to another scheme, host or port.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from cmdstat.base_urls import check_transport, host, normalise_url, same_origin
from cmdstat.errors import ConfigurationError, UsageError
from cmdstat.key_sources import (
    KEY_FILE_VARIABLE,
    KEY_VARIABLE,
    KeyDescription,
    check_environment_key,
    describe,
    described,
    environment_key,
)
from cmdstat.keys import MASK, ApiKey
from cmdstat.profile_choice import (
    BASE_URL_VARIABLE,
    Candidate,
    Choice,
    Setting,
    choose,
    decide,
)
from cmdstat.profiles import Profile, ProfileStore
from cmdstat.settings import BY_NAME, FILE_SETTINGS, SettingRule, named

__all__ = ["Setting", "Target", "resolve"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go. `profile` is None for the environment's pair.

    The sandbox has the `base_url` "" and no key before it runs. `timeout` is seconds for one
    attempt, `retries` the attempts after the first. `notices` are lines for stderr.
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
        """The key. Its source is read or run now, for the first time, and only once.

        Raises `ConfigurationError` if there is none that may be sent to this target.
        """
        return self._key()

    def describe_key(self) -> KeyDescription:
        """The key masked, for showing; a problem with it is told, not raised."""
        return self._describe_key()


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
    be chosen, or what it says is not safe to use.
    """
    env = {name: value for name, value in env.items() if value}
    choice = choose(profile_flag, env, store)
    if not choice.ignores_pair:
        check_environment_key(env)
    base_url = _base_url(choice, env)
    flags = {"timeout": timeout_flag, "retries": retries_flag}
    values = {
        name: _setting(rule, choice, env, flags.get(name))
        for name, rule in BY_NAME.items()
        if name != "base_url"
    }
    if not choice.is_sandbox:
        check_transport(base_url.value, allow_http=values["allow_http"].value)
        for name in FILE_SETTINGS:
            _check_file(values[name])
    key_setting, key, describe_key = _key(choice, base_url.value, env, store)
    return Target(
        profile=choice.setting.value,
        is_sandbox=choice.is_sandbox,
        base_url=base_url.value,
        **{name: setting.value for name, setting in values.items()},
        notices=choice.notices,
        settings=(choice.setting, base_url, key_setting, *values.values()),
        _key=key,
        _describe_key=describe_key,
    )


def _base_url(choice: Choice, env: Mapping[str, str]) -> Setting:
    """The base URL in force. One that is set aside is shown if it can be, and never refused."""
    own: list[Candidate] = []
    if choice.is_sandbox:
        own = [("", choice.words)]
    elif choice.profile is not None:
        own = [(choice.profile.base_url, choice.words)]
    text = env.get(BASE_URL_VARIABLE)
    if text is None:
        return decide("base_url", own)
    try:
        variable = [(named(BASE_URL_VARIABLE, normalise_url, text), BASE_URL_VARIABLE)]
    except UsageError:
        if not choice.ignores_pair:
            raise
        variable = [("(not a base URL)", BASE_URL_VARIABLE)]
    return decide("base_url", own + variable if choice.ignores_pair else variable + own)


def _setting(rule: SettingRule, choice: Choice, env: Mapping[str, str], flag: Any) -> Setting:
    """A setting in force. A variable that a flag overrides is shown as it is, and not checked."""
    candidates: list[Candidate] = []
    if flag is not None:
        candidates.append((named(rule.flag, rule.accept, flag), rule.flag))
    if rule.variable in env:
        text = env[rule.variable]
        value = text if candidates else named(rule.variable, rule.parse, text)
        candidates.append((value, rule.variable))
    if choice.profile is not None:
        candidates.append((getattr(choice.profile, rule.name), choice.words))
    candidates += [(env.get(variable), variable) for variable in rule.fallback_variables]
    candidates.append((rule.default, "default"))
    return decide(rule.name, candidates)


def _check_file(setting: Setting) -> None:
    if setting.value is not None and not Path(setting.value).exists():
        raise ConfigurationError(
            f"{setting.name}: there is no file {setting.value}, which {setting.source} names",
            "give the path of a file in PEM format",
        )


def _key(
    choice: Choice, base_url: str, env: Mapping[str, str], store: ProfileStore
) -> tuple[Setting, Callable[[], ApiKey], Callable[[], KeyDescription]]:
    """Where the key comes from, the maker of the key, and the maker of its description."""
    profile = choice.profile
    own = [choice.words] if choice.is_sandbox else [profile.key_source.words] if profile else []
    variables = [name for name in (KEY_VARIABLE, KEY_FILE_VARIABLE) if name in env]
    source, *overridden = own + variables if choice.ignores_pair else variables + own
    setting = Setting("key", None, source, tuple((None, each) for each in overridden))
    if choice.is_sandbox:
        return setting, _no_key_yet, lambda: KeyDescription(MASK, source)
    if variables and not choice.ignores_pair:
        from_variable = cache(lambda: environment_key(env))
        return setting, from_variable, lambda: described(source, from_variable)
    assert profile is not None
    own_key = cache(lambda: _own_key(profile, base_url, env, store))
    if not same_origin(profile.base_url, base_url):
        return setting, own_key, lambda: described(source, own_key)
    return setting, own_key, lambda: describe(profile.key_source, own_key)


def _own_key(
    profile: Profile, base_url: str, env: Mapping[str, str], store: ProfileStore
) -> ApiKey:
    """A profile's key, which is for the profile's own origin, whatever the environment names."""
    if same_origin(profile.base_url, base_url):
        return store.key(profile, env)
    raise ConfigurationError(
        f"the key of profile {profile.name} is for {host(profile.base_url)} and was not used:"
        f" {BASE_URL_VARIABLE} names {host(base_url)}",
        f"give the key for {host(base_url)} in {KEY_VARIABLE}, or unset {BASE_URL_VARIABLE}",
    )


def _no_key_yet() -> ApiKey:
    raise ConfigurationError(
        "the sandbox has no key before it runs", "start it, and take the key that it has"
    )
