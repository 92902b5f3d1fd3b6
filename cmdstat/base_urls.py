"""Base URLs, understood once: what a person typed becomes the one spelling that all else compares.

Which host a key may go to is decided by comparing origins (design §4), so two parsers must never
read one text differently: whatever could be read in two ways (a user name, a backslash, white
space, `..`, an address written as a number) is refused here, before any library sees it. Pure.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from urllib.parse import SplitResult, quote, urlsplit

from cmdstat.errors import ConfigurationError, UsageError

CLOUD = ".esper.cloud"
"""Hosts below this domain have their API under `/api`; no other host's layout is assumed."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_WRITTEN = "write it like https://acme-api.esper.cloud/api"
_EXAMPLE = f"{_WRITTEN}, or give the tenant alone: acme"
_TENANT = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,57}[a-z0-9])?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NEVER = re.compile(r"[\x00-\x20\x7f-\xa0\\\ud800-\udfff]|\s")
_PATH_SAFE = "/%:@!$&'()*+,;=~"


def normalise(text: str) -> str:
    """The base URL that a text means: `scheme://host[:port][/path]`, no slash at the end.

    A bare word is a tenant: `acme` is `https://acme-api.esper.cloud/api`. Scheme and host are
    lower-cased, an international host becomes punycode, a default port is dropped. Raises
    `UsageError` for anything that is not clearly one base URL; the message never repeats a text
    that may hold a password.
    """
    if _TENANT.fullmatch(text.lower()):
        return tenant_base_url(text)
    parts = _split(text)
    authority = _host(parts)
    port = _port(parts)
    if port != _DEFAULT_PORTS[parts.scheme]:
        authority += f":{port}"
    path = _path(parts.path)
    if not path and authority.endswith(CLOUD):
        path = "/api"
    return f"{parts.scheme}://{authority}{path}"


def normalise_url(text: str) -> str:
    """`normalise` for a place where only a whole URL may stand, and a bare word may be a key."""
    if "://" not in text:
        raise UsageError("it is not a URL", _WRITTEN)
    try:
        return normalise(text)
    except UsageError as error:
        hint = _WRITTEN if error.hint == _EXAMPLE else error.hint
        raise UsageError(error.message, hint) from None


def tenant_base_url(tenant: str) -> str:
    """The base URL of a tenant. Raises `UsageError` for a text that cannot be a tenant's name."""
    if not _TENANT.fullmatch(tenant.lower()):
        raise UsageError(
            "that is not a tenant: its name has letters, digits and hyphens only",
            "the tenant is the first part of the console's address, before .esper.cloud",
        )
    return f"https://{tenant.lower()}-api{CLOUD}/api"


def origin(base_url: str) -> str:
    """Scheme, host and effective port of a normalised base URL: `https://host:443`."""
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{_bracketed(parts.hostname or '')}:{_port(parts)}"


def same_origin(one: str, other: str) -> bool:
    """Whether two normalised base URLs lead to the same scheme, host and port."""
    return origin(one) == origin(other)


def host(base_url: str) -> str:
    """The host of a normalised base URL for showing; with its port where that is unusual."""
    return urlsplit(base_url).netloc


def is_loopback(base_url: str) -> bool:
    """Whether a normalised base URL stays on this machine: 127.0.0.0/8, ::1 or localhost."""
    name = urlsplit(base_url).hostname or ""
    if name == "localhost":
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return address.is_loopback
    return address == IPv6Address("::1")


def check_transport(base_url: str, *, allow_http: bool) -> None:
    """Raise `ConfigurationError` for plain `http://` to another machine that nobody has allowed."""
    if base_url.startswith("http://") and not allow_http and not is_loopback(base_url):
        raise ConfigurationError(
            f"{base_url} is not encrypted: anyone on the way could read the key",
            "use https://, or allow it for one profile: cmdstat profile set NAME allow_http=true",
        )


def _split(text: str) -> SplitResult:
    if not text:
        raise UsageError("the base URL is empty", _EXAMPLE)
    if "@" in re.split("[/?#]", text.partition("://")[2], maxsplit=1)[0]:
        raise UsageError(
            "the base URL has a user name or a password in it",
            "leave it out: the API key is kept by the profile, not in the address",
        )
    if _NEVER.search(text):
        raise UsageError(
            "the base URL has white space, control characters or a backslash in it", _EXAMPLE
        )
    try:
        parts = urlsplit(text)
    except ValueError:
        raise UsageError("the base URL is not valid", _EXAMPLE) from None
    if "://" not in text:
        raise UsageError("the base URL has no https:// in front", _EXAMPLE)
    if parts.scheme not in _DEFAULT_PORTS:
        raise UsageError(f"the base URL's scheme is {parts.scheme or 'missing'}", _EXAMPLE)
    if "?" in text or "#" in text:
        raise UsageError(
            "the base URL has a query (?) or a fragment (#) in it",
            "leave it out: the paths and queries of the API are added to it",
        )
    return parts


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0 or (port is None and parts.netloc.endswith(":")):
        raise UsageError("the base URL's port is not a number from 1 to 65535", _EXAMPLE)
    return port or _DEFAULT_PORTS[parts.scheme]


def _host(parts: SplitResult) -> str:
    """The host part as it stands in the URL: a name, an IPv4 address, or `[an IPv6 address]`."""
    name = (parts.hostname or "").removesuffix(".")
    if not name:
        raise UsageError("the base URL names no host", _EXAMPLE)
    if parts.netloc.startswith("[") and "%" not in name:
        if parts.netloc.partition("]")[2][:1] not in ("", ":"):
            raise UsageError("the base URL has something other than a port behind ]", _EXAMPLE)
        try:
            return _bracketed(IPv6Address(name).compressed)
        except AddressValueError:
            raise UsageError("the base URL's host is not an IPv6 address", _EXAMPLE) from None
    name = _punycode(name)
    if name.rpartition(".")[2].isdigit():
        try:
            return str(IPv4Address(name))
        except AddressValueError:
            raise UsageError("the base URL's host is not an IPv4 address", _EXAMPLE) from None
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise UsageError("the base URL's host is not a host name", _EXAMPLE)
    return name


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def _punycode(name: str) -> str:
    if name.isascii():
        return name
    import idna  # what requests itself encodes hosts with, so both arrive at the same name

    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise UsageError("the base URL's host is not a host name", _EXAMPLE) from None


def _path(path: str) -> str:
    path = path.rstrip("/")
    steps = path.lower().replace("%2e", ".").split("/")
    if "." in steps or ".." in steps:
        raise UsageError("the base URL has . or .. as a step of its path", _EXAMPLE)
    return quote(path, safe=_PATH_SAFE)
