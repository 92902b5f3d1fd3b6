"""Base URLs: one spelling for each place, and no text that two parsers could read differently."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmdstat.base_urls import (
    check_transport,
    host,
    is_loopback,
    normalise,
    origin,
    same_origin,
    tenant_base_url,
)
from cmdstat.errors import ConfigurationError, UsageError

ACME = "https://acme-api.esper.cloud/api"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("acme", ACME),
        ("ACME", ACME),
        ("https://acme-api.esper.cloud", ACME),
        ("https://acme-api.esper.cloud/", ACME),
        ("https://acme-api.esper.cloud/api/", ACME),
        ("HTTPS://Acme-API.Esper.Cloud:443/api//", ACME),
        ("https://acme-api.esper.cloud./api", ACME),
        ("https://proxy.example.com", "https://proxy.example.com"),
        ("https://proxy.example.com/Esper/API/", "https://proxy.example.com/Esper/API"),
        ("http://127.0.0.1:8080/api", "http://127.0.0.1:8080/api"),
        ("http://localhost:80", "http://localhost"),
        ("https://[0:0:0:0:0:0:0:1]:8443/api", "https://[::1]:8443/api"),
        ("https://bücher.example/api", "https://xn--bcher-kva.example/api"),
        ("https://notesper.cloud", "https://notesper.cloud"),
        ("https://h.example/a b".replace(" ", "%20"), "https://h.example/a%20b"),
        ("https://h.example/ä", "https://h.example/%C3%A4"),
    ],
)
def test_one_spelling(text, meant):
    """Every way of writing a base URL ends as the one spelling, and that one stays as it is."""
    assert normalise(text) == meant
    assert normalise(meant) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "https://",
        "https:///api",
        "https://:443/api",
        "acme.esper.cloud",
        "localhost:8080",
        "ftp://h.example/api",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "//h.example/api",
        "https:/h.example/api",
        "https://h.example/api?key=s3cret",
        "https://h.example/api?",
        "https://h.example/api#s3cret",
        "https://h.example:0/api",
        "https://h.example:/api",
        "https://h.example:65536/api",
        "https://h.example:99999999999999999999/api",
        "https://h.example:-1/api",
        "https://h.example:8o/api",
        "https://h.example:٨٠/api",
        "https://h .example/api",
        " https://h.example/api",
        "https://h.example/api\n",
        "https://h.exam\tple/api",
        "https://h.example/\x00",
        "https://h.example\\@evil.example/api",
        "https://h.example/\u2028",
        "https://h.example/\udc80",
        "https://h..example/api",
        "https://-h.example/api",
        "https://h%2eexample/api",
        "https://h.example/api/../admin",
        "https://h.example/api/%2E%2e/admin",
        "https://h.example/./api",
        "https://[::1/api",
        "https://[nonsense]/api",
        "https://[fe80::1%25eth0]/api",
        "https://[::1]evil",
        "https://[::1]evil:443/api",
        "https://[::1].evil.example/api",
        "https://evil[::1]/api",
        "https://1.2.3/api",
        "https://0177.0.0.1/api",
        "https://2130706433/api",
        "https://" + "a" * 64 + ".example/api",
        "https://xn--" + "ü" * 70 + ".example",
        "a" * 64,
        "-acme",
        "ac me",
    ],
)
def test_refused(text):
    """What is not clearly one base URL is a usage error, and its secrets are not repeated."""
    with pytest.raises(UsageError) as caught:
        normalise(text)
    assert "s3cret" not in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "https://user:s3cret@h.example/api",
        "https://s3cret@h.example",
        "https://h.example@s3cret.example",
        "https://user:s3cret word@h.example/",
        "ftp://user:s3cret@h.example",
        "https://user:s3cret@",
    ],
)
def test_no_user_name(text):
    """A user name or password is refused before anything else, and never repeated."""
    with pytest.raises(UsageError, match="user name or a password") as caught:
        normalise(text)
    assert "s3cret" not in f"{caught.value!r} {caught.value.hint}"


def test_at_sign_in_the_path():
    """An @ behind the host is no user name."""
    assert normalise("https://h.example/@me") == "https://h.example/@me"


@pytest.mark.parametrize("tenant", ["", "a.b", "a/b", "https://acme", "acme_", "a@b", "ä"])
def test_tenant_refused(tenant):
    """A text that could leave the cloud's domain is not taken for a tenant."""
    with pytest.raises(UsageError):
        tenant_base_url(tenant)


def test_origin():
    """Scheme, host and effective port make an origin; paths do not."""
    assert origin(ACME) == "https://acme-api.esper.cloud:443"
    assert origin("http://[::1]:8080/x") == "http://[::1]:8080"
    assert same_origin("https://h.example/a", "https://h.example/b")
    for other in ("http://h.example", "https://h.example:8443", "https://i.example"):
        assert not same_origin("https://h.example", other)


def test_host():
    """The host is shown with a port only where that is not the scheme's own."""
    assert host(ACME) == "acme-api.esper.cloud"
    assert host(normalise("http://localhost:8080/api")) == "localhost:8080"


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.255.0.9", True),
        ("http://[::1]:8", True),
        ("http://LOCALHOST", True),
        ("http://localhost.example", False),
        ("http://127.0.0.1.example", False),
        ("http://10.0.0.1", False),
        ("http://0.0.0.0", False),
        ("http://[::ffff:8.8.8.8]", False),
    ],
)
def test_loopback(text, stays):
    """Only addresses of this machine are loopback, however much a name resembles one."""
    base_url = normalise(text)
    assert is_loopback(base_url) is stays
    if stays:
        check_transport(base_url, allow_http=False)
    else:
        check_transport(base_url, allow_http=True)
        with pytest.raises(ConfigurationError, match="not encrypted"):
            check_transport(base_url, allow_http=False)


@given(st.text(max_size=40) | st.from_regex(r"https://[^\s]{1,30}", fullmatch=True))
def test_any_text(text):
    """Any text at all is refused or ends as a URL that the standard parser reads the same way."""
    try:
        base_url = normalise(text)
    except UsageError:
        return
    parts = urlsplit(base_url)
    assert base_url.isascii()
    assert parts.scheme in ("http", "https")
    assert "@" not in parts.netloc
    assert not parts.query
    assert not parts.fragment
    assert normalise(base_url) == base_url
    assert parts.hostname
    assert parts.hostname in origin(base_url)
