"""Who was chosen: a profile, the built-in sandbox, or the environment's pair.

This comes before any value is looked at, because it says which sources count (design §1, "Shared
options"). Each decision keeps what it overrode, for `profile show`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cmdstat.errors import ConfigurationError
from cmdstat.key_sources import KEY_FILE_VARIABLE, KEY_VARIABLE, environment_key_name
from cmdstat.profiles import SANDBOX, Profile, ProfileStore

BASE_URL_VARIABLE = "CMDSTAT_BASE_URL"
PROFILE_VARIABLE = "CMDSTAT_PROFILE"
_OF_THE_PAIR = (BASE_URL_VARIABLE, KEY_VARIABLE, KEY_FILE_VARIABLE)

Candidate = tuple[Any, str]
"""A value and where it comes from; a value of None is no candidate."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting in force: its value, its source, and the (value, source) pairs it overrides.

    The value of "key" is always None; `Target.describe_key` shows it.
    """

    name: str
    value: Any
    source: str
    overrides: tuple[Candidate, ...] = ()


def decide(name: str, candidates: Iterable[Candidate]) -> Setting:
    """The first candidate that there is; those after it are what it overrides."""
    there = [each for each in candidates if each[0] is not None] or [(None, "default")]
    (value, source), *overridden = there
    return Setting(name, value, source, tuple(overridden))


@dataclass(frozen=True, slots=True)
class Choice:
    """Who was chosen. Neither a profile nor the sandbox: the environment's pair.

    `ignores_pair` says that the base URL and the key of the environment do not count.
    """

    setting: Setting
    profile: Profile | None = None
    is_sandbox: bool = False
    ignores_pair: bool = False
    notices: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The profile as a source: `profile prod`."""
        return "the built-in sandbox" if self.is_sandbox else f"profile {self.setting.value}"


def choose(flag: str | None, env: Mapping[str, str], store: ProfileStore) -> Choice:
    """The choice that `--profile`, the environment (no empty variables) and the default make.

    The pair beats `CMDSTAT_PROFILE`, whatever it names; only `--profile` sets it aside.
    """
    key_name = environment_key_name(env)
    has_pair = BASE_URL_VARIABLE in env and key_name is not None
    candidates: list[Candidate] = [
        (flag, "--profile"),
        (env.get(PROFILE_VARIABLE), PROFILE_VARIABLE),
    ]
    named = decide("profile", candidates)
    if flag is None and has_pair:
        pair = f"{BASE_URL_VARIABLE} and {key_name}"
        overridden = tuple(each for each in candidates if each[0] is not None)
        return Choice(Setting("profile", None, pair, overridden))
    if named.value is None:
        named = Setting("profile", _default_name(env, store), "default in config.toml")
    is_sandbox = named.value == SANDBOX
    set_aside = [name for name in _OF_THE_PAIR if name in env] if is_sandbox or has_pair else []
    return Choice(
        named,
        None if is_sandbox else _get(named, store),
        is_sandbox,
        bool(set_aside),
        (_notice(named, set_aside),) if set_aside else (),
    )


def _notice(named: Setting, set_aside: list[str]) -> str:
    """What is not used although it is set, in one line for stderr."""
    by = {"--profile": f"--profile {named.value}", PROFILE_VARIABLE: f"{PROFILE_VARIABLE}=sandbox"}
    listed = " and ".join(filter(None, (", ".join(set_aside[:-1]), set_aside[-1])))
    return f"{by.get(named.source, 'the default profile')} sets {listed} aside"


def _default_name(env: Mapping[str, str], store: ProfileStore) -> str:
    name = store.default_name()
    if name is not None:
        return name
    if names := store.names():
        raise ConfigurationError(
            "no profile was chosen, and none is the default",
            f"choose one with --profile ({', '.join(names)}), or: cmdstat profile use {names[0]}",
        )
    if BASE_URL_VARIABLE in env:
        raise ConfigurationError(
            f"{BASE_URL_VARIABLE} is set, but there is neither a key for it nor a profile",
            f"set {KEY_VARIABLE} or {KEY_FILE_VARIABLE} too",
        )
    lone = environment_key_name(env)
    raise ConfigurationError(
        "there is no profile yet" + (f", and {lone} alone names no place" if lone else ""),
        "make one: cmdstat profile add NAME --tenant TENANT"
        " (to rehearse, --profile sandbox needs none)",
    )


def _get(named: Setting, store: ProfileStore) -> Profile:
    if named.source != "--profile" and named.value not in store.names():
        try:
            return store.get(named.value)
        except ConfigurationError as error:
            why = f"{error.message}, which {named.source} names"
            raise ConfigurationError(why, error.hint) from None
    return store.get(named.value)
