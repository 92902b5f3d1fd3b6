"""What a person who wonders about a profile should know, and no setting says.

A `~/.netrc` that other programs would obey, a proxy that everything goes through, a key file that
somebody else can change, an environment that names another place than the profile.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from cmdstat.base_urls import host
from cmdstat.key_sources import KEY_FILE_VARIABLE
from cmdstat.profile_choice import BASE_URL_VARIABLE, Setting
from cmdstat.target import Target


def warnings_about(target: Target, env: Mapping[str, str]) -> list[str]:
    """A line for each thing that deserves one."""
    found = [
        _other_base_url(target),
        _key_file(target, env),
        _netrc(target, env),
        _proxy(target),
        _key_problem(target),
    ]
    return [line for line in found if line is not None]


def proxy_in_force(target: Target) -> str | None:
    """Host and port of the proxy in the way of a target, without its password; None for none."""
    if target.is_sandbox:
        return None
    from cmdstat.client import proxy_of

    proxy = proxy_of(target.base_url)
    if not proxy:
        return None
    return proxy.rpartition("@")[2].rpartition("//")[2].partition("/")[0] or "(without a host)"


def _setting(target: Target, name: str) -> Setting:
    return next(each for each in target.settings if each.name == name)


def _other_base_url(target: Target) -> str | None:
    """A base URL of the environment that is not the profile's: one of the two is not in force."""
    base_url = _setting(target, "base_url")
    for value, source in base_url.overrides:
        if value == base_url.value:
            continue
        if source == BASE_URL_VARIABLE:
            own = host(base_url.value) if base_url.value else "inside this process"
            return f"{source} names {value}, and is not used: {base_url.source} is {own}"
        if base_url.source == BASE_URL_VARIABLE:
            return f"{base_url.source} names {base_url.value}, not {value} as {source} does"
    return None


def _key_file(target: Target, env: Mapping[str, str]) -> str | None:
    if _setting(target, "key").source != KEY_FILE_VARIABLE or sys.platform == "win32":
        return None
    path = Path(env[KEY_FILE_VARIABLE])
    with contextlib.suppress(OSError):
        mode = path.stat().st_mode & 0o777
        if mode & 0o022:
            return (
                f"others can write {path} (mode {mode:04o}), which {KEY_FILE_VARIABLE} names: they"
                " decide which key is sent"
            )
    return None


def _netrc(target: Target, env: Mapping[str, str]) -> str | None:
    """Whether curl and its like would send something else than the key to the same host."""
    import netrc

    name = urlsplit(target.base_url).hostname
    named = env.get("NETRC")
    files = [Path(named)] if named else [Path("~/.netrc"), Path("~/_netrc")]
    for file in files if name else ():
        with contextlib.suppress(OSError, ValueError, RuntimeError, netrc.NetrcParseError):
            if netrc.netrc(str(file.expanduser())).authenticators(name or ""):
                return f"{file} has an entry for {name}; it is ignored, and the key is sent"
    return None


def _proxy(target: Target) -> str | None:
    proxy = proxy_in_force(target)
    if proxy is None:
        return None
    return f"requests go through the proxy {proxy}, which the environment names"


def _key_problem(target: Target) -> str | None:
    problem = target.describe_key().problem
    return None if problem is None else f"{problem.message}; {problem.hint}"
