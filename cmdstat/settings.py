"""The settings of a profile: one table of names, types, ranges, defaults and variables.

`profile set KEY=VALUE`, `profile show`, the configuration file and the resolving of flags and
variables all read this table, so a setting is spelt, checked and explained in one way everywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmdstat.base_urls import normalise
from cmdstat.errors import UsageError
from cmdstat.instants import parse_duration

LONGEST_TIMEOUT = 86400.0
MOST_RETRIES = 100
_YES = ("true", "yes", "on", "1")
_NO = ("false", "no", "off", "0")
_NO_SETTING = "there is no such setting"
_LIKE_A_NAME = re.compile(r"[a-z_]{1,20}")


@dataclass(frozen=True, slots=True)
class SettingRule:
    """What is known of one setting.

    `parse` makes the value from a text (command line, variable), `accept` from a value of the
    configuration file or a flag; both raise `UsageError` with a message that starts with what is
    wrong, not with the setting's name. `variable` and `flag` are "" where there is none.
    `fallback_variables` are other programs' variables, which the profile overrides.
    """

    name: str
    meaning: str
    parse: Callable[[str], Any]
    accept: Callable[[object], Any]
    default: Any = None
    variable: str = ""
    flag: str = ""
    fallback_variables: tuple[str, ...] = ()


def _accept_text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError("it must be a text in quotes", 'write it as in: name = "value"')
    return value


def _accept_base_url(value: object) -> str:
    return normalise(_accept_text(value))


def _accept_timeout(value: object) -> float:
    if isinstance(value, str):
        value = parse_duration(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise UsageError("it must be a number of seconds", "for example 30")
    if not 0 < value <= LONGEST_TIMEOUT:
        raise UsageError(
            f"it must be more than 0 and at most {LONGEST_TIMEOUT:.0f} seconds", "for example 30"
        )
    return float(value)


def _accept_retries(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_RETRIES:
        raise UsageError(f"it must be a whole number from 0 to {MOST_RETRIES}", "for example 3")
    return value


def _accept_yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise UsageError("it must be true or false", "write it without quotes")
    return value


def _parse_retries(text: str) -> int:
    digits = text.strip()
    return _accept_retries(int(digits) if digits.isdecimal() and len(digits) < 10 else None)


def _parse_yes_or_no(text: str) -> bool:
    word = text.strip().lower()
    if word not in _YES + _NO:
        raise UsageError("it must be true or false", "for example allow_http=true")
    return word in _YES


def _parse_file(text: str) -> str:
    path = Path(text).expanduser().absolute()
    if not path.exists():
        raise UsageError(f"there is no file {path}", "give the path of a file in PEM format")
    return str(path)


SETTINGS: tuple[SettingRule, ...] = (
    SettingRule(
        "base_url", "where the API is; a tenant's name alone is understood",
        normalise, _accept_base_url, None, "CMDSTAT_BASE_URL",
    ),
    SettingRule(
        "timeout", "seconds for one attempt, the whole answer included",
        _accept_timeout, _accept_timeout, 30.0, "CMDSTAT_TIMEOUT", "--timeout",
    ),
    SettingRule(
        "retries", "attempts after the first",
        _parse_retries, _accept_retries, 3, "CMDSTAT_RETRIES", "--retries",
    ),
    SettingRule(
        "ca_bundle", "certificates to trust, a PEM file, in place of the usual ones",
        _parse_file, _accept_text, fallback_variables=("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    ),
    SettingRule(
        "client_cert", "certificate and private key to show to the server, one PEM file",
        _parse_file, _accept_text,
    ),
    SettingRule(
        "allow_http", "whether http:// may be used to another machine",
        _parse_yes_or_no, _accept_yes_or_no, default=False,
    ),
)  # fmt: skip

BY_NAME: dict[str, SettingRule] = {rule.name: rule for rule in SETTINGS}
FILE_SETTINGS: tuple[str, ...] = ("ca_bundle", "client_cert")
"""Settings that name a file; in the configuration file, relative to its folder."""


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """`KEY=VALUE` texts as setting values; None for `KEY=`, which goes back to the default.

    Raises `UsageError` for an unknown setting (with the nearest known one; it is repeated only if
    it cannot be a key that ends in =), for one that is named twice, for a bad value, and for taking
    away the base URL, without which a profile is none.
    """
    changes: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip()
        if not equals:
            raise UsageError("a setting is written KEY=VALUE", f"known are: {', '.join(BY_NAME)}")
        if name not in BY_NAME:
            what = f'there is no setting "{name}"' if _LIKE_A_NAME.fullmatch(name) else _NO_SETTING
            raise UsageError(what, nearest(name, BY_NAME))
        if name in changes:
            raise UsageError(f"{name} is set twice", "give each setting once")
        if not text and name == "base_url":
            raise UsageError("a profile needs its base_url", "give base_url=URL")
        changes[name] = named(name, BY_NAME[name].parse, text) if text else None
    return changes


def named(subject: str, read: Callable[[Any], Any], value: object) -> Any:
    """`read(value)`, with the name of what was read in front of the error that it may raise."""
    try:
        return read(value)
    except UsageError as error:
        raise UsageError(f"{subject}: {error.message}", error.hint) from None


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: the nearest known one, or all of them."""
    from difflib import get_close_matches

    names = list(known)
    match = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {match[0]}?" if match else f"known are: {', '.join(names)}"
