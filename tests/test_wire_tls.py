"""TLS and proxies: what cannot be trusted is not spoken to, and the key is not shown to it."""

from __future__ import annotations

import ssl
import time

import pytest
import trustme
from faulty_server import (
    FaultyServer,
    answer,
    applied,
    behave,
    busy,
    close,
    forever,
    raw,
    reset,
    silence,
    tunnel,
)
from harness import KEY


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority that nobody trusts unless told to."""
    return trustme.CA()


def context_for(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture
def tls_server(authority):
    """A server with a certificate of that authority for localhost."""
    with FaultyServer(tls=context_for(authority, "localhost"), host="localhost") as started:
        yield started


@pytest.fixture
def trusted(authority, tls_server, tmp_path):
    """The environment in which that server is trusted."""
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    return {"REQUESTS_CA_BUNDLE": str(bundle), "CMDSTAT_BASE_URL": tls_server.base_url}


def test_trusted_certificate(set_state, tls_server, trusted):
    """With the authority in `REQUESTS_CA_BUNDLE` an update goes through, read-back included."""
    tls_server.on("PUT", applied(busy))
    record = set_state(env=trusted).record
    assert (record["outcome"], record["confirmed"]) == ("updated", "read")
    assert tls_server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_untrusted_certificate(set_state, tls_server):
    """A certificate of nobody's: unreachable, nothing sent, and `ca_bundle` is named."""
    result = set_state(env={"CMDSTAT_BASE_URL": tls_server.base_url})
    assert (result.record["outcome"], result.exit) == ("unreachable", 7)
    assert "ca_bundle" in result.error["message"] + result.error["hint"]
    assert tls_server.requests == []


def test_untrusted_certificate_in_text(home, tls_server):
    """The same in words, without `-o json`."""
    result = home.run(
        "set", "an-id", "success", "--retries", "0", env={"CMDSTAT_BASE_URL": tls_server.base_url}
    )
    assert result.exit == 7
    assert "certificate" in result.stderr
    assert "ca_bundle" in result.stderr


def test_certificate_of_another_host(set_state, authority, trusted):
    """A trusted certificate for another name is not this host's: unreachable, nothing sent."""
    with FaultyServer(tls=context_for(authority, "elsewhere.example"), host="localhost") as there:
        result = set_state(env=trusted | {"CMDSTAT_BASE_URL": there.base_url})
        assert (result.record["outcome"], result.exit) == ("unreachable", 7)
        assert there.requests == []


def test_expired_certificate(set_state, authority, trusted):
    """A certificate that is over is not trusted either."""
    import datetime as dt

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    past = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    authority.issue_cert("localhost", not_before=past, not_after=past).configure_cert(context)
    with FaultyServer(tls=context, host="localhost") as there:
        assert set_state(env=trusted | {"CMDSTAT_BASE_URL": there.base_url}).exit == 7
        assert there.requests == []


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("kind", ["missing", "junk"])
def test_ca_bundle_that_is_none(set_state, tls_server, tmp_path, variable, kind):
    """A CA bundle that is not there, or is none, is told of plainly, and nothing is sent."""
    file = tmp_path / "bundle.pem"
    if kind == "junk":
        file.write_text("no certificate at all")
    result = set_state(env={"CMDSTAT_BASE_URL": tls_server.base_url, variable: str(file)})
    assert result.exit in (3, 7)
    assert tls_server.requests == []


def test_plain_http_on_a_tls_port(set_state, tls_server, trusted):
    """Plain HTTP to a TLS port was sent and not understood: never updated."""
    plain = tls_server.base_url.replace("https", "http")
    result = set_state(env=trusted | {"CMDSTAT_BASE_URL": plain}, timeout=2)
    assert result.exit in (7, 10)
    assert tls_server.requests == []


def test_tls_on_a_plain_port(set_state, server, trusted):
    """TLS to a plain port fails in the handshake: unreachable, and the key has not left."""
    wrong = server.base_url.replace("http", "https")
    result = set_state(env=trusted | {"CMDSTAT_BASE_URL": wrong}, timeout=0.5)
    assert (result.record["outcome"], result.exit) == ("unreachable", 7)
    assert KEY.encode() not in server.received


@pytest.mark.parametrize(
    ("how", "longest"),
    [(silence, 4.0), (reset, 4.0), (close, 4.0), (raw(b"HTTP/1.1 400 Bad\r\n\r\n"), 4.0)],
    ids=["stalls", "resets", "closes", "babbles"],
)
def test_handshake_that_fails(set_state, tls_server, trusted, how, longest):
    """A handshake that fails surely sent nothing: unreachable, tried again, and bounded."""
    tls_server.on("accept", forever(how))
    result = set_state(env=trusted, retries=1, timeout=0.5)
    assert (result.record["outcome"], result.exit) == ("unreachable", 7)
    assert result.record["attempts"] == 2
    assert result.seconds < longest


def test_handshake_that_fails_once(set_state, tls_server, trusted):
    """A handshake that fails once is tried again, without a read in between."""
    tls_server.on("accept", reset)
    record = set_state(env=trusted, retries=1).record
    assert (record["outcome"], record["attempts"]) == ("updated", 2)
    assert tls_server.methods == ["PUT"]


def test_handshake_that_drips_is_bounded(set_state, server, trusted):
    """`--timeout` is wall-clock time for a handshake too, however busily the server drips."""
    from faulty_server import endless

    # The start of a handshake record of 16 KiB whose body comes a byte at a time.
    server.on("accept", forever(endless(b"\x00", b"\x16\x03\x03\x40\x00\x02", pause=0.1)))
    wrong = server.base_url.replace("http", "https")
    result = set_state(env=trusted | {"CMDSTAT_BASE_URL": wrong}, timeout=0.5)
    assert (result.record["outcome"], result.exit) == ("unreachable", 7)
    assert result.record["elapsed_ms"] < 3000


@pytest.mark.parametrize("lost", [reset, close], ids=["reset", "close"])
def test_tls_connection_lost_after_sending(set_state, tls_server, trusted, lost):
    """A connection lost after the handshake is in doubt like any other, and read back."""
    tls_server.on("PUT", applied(lost))
    record = set_state(env=trusted, retries=1).record
    assert (record["outcome"], record["confirmed"]) == ("updated", "read")
    assert tls_server.methods == ["PUT", "GET"]


# Proxies.


@pytest.fixture
def proxy(other_server):
    """Where the second server is, as a proxy."""
    return f"http://127.0.0.1:{other_server.port}"


@pytest.mark.parametrize(
    ("variable", "status"), [("HTTPS_PROXY", 403), ("https_proxy", 502), ("ALL_PROXY", 407)]
)
def test_proxy_that_refuses(set_state, tls_server, trusted, other_server, proxy, variable, status):
    """A proxy that refuses to connect: unreachable, and it was never shown the key."""
    other_server.on("CONNECT", forever(answer(status)))
    result = set_state(env=trusted | {variable: proxy})
    assert (result.record["outcome"], result.exit) == ("unreachable", 7)
    assert other_server.methods == ["CONNECT"]
    assert KEY.encode() not in other_server.received
    assert tls_server.connections == 0


@pytest.mark.parametrize("how", [silence, reset, close], ids=["silence", "reset", "close"])
def test_proxy_that_breaks(set_state, trusted, other_server, proxy, how):
    """A proxy that never connects through surely passed nothing on: unreachable."""
    other_server.on("CONNECT", forever(how))
    started = time.monotonic()
    result = set_state(env=trusted | {"HTTPS_PROXY": proxy}, timeout=0.5)
    assert (result.record["outcome"], result.exit) == ("unreachable", 7)
    assert KEY.encode() not in other_server.received
    assert time.monotonic() - started < 4


def test_proxy_that_is_not_there(set_state, trusted, free_port):
    """A proxy that nobody runs: unreachable."""
    env = trusted | {"HTTPS_PROXY": f"http://127.0.0.1:{free_port}"}
    result = set_state(env=env)
    assert (result.record["outcome"], result.exit) == ("unreachable", 7)


@pytest.mark.parametrize("address", ["http://[", "unheard-of://x", "http://"])
def test_proxy_address_that_cannot_be(set_state, tls_server, trusted, address):
    """A proxy address that is none is told of plainly: no traceback, nothing sent."""
    result = set_state(env=trusted | {"HTTPS_PROXY": address})
    assert result.exit in (0, 3, 7), result.describe()
    assert (result.exit == 0) == bool(tls_server.requests)


def test_proxy_password_is_not_shown(set_state, trusted, free_port):
    """The password of a proxy's address is a secret too."""
    env = trusted | {"HTTPS_PROXY": f"http://user:pr0xy-pass@127.0.0.1:{free_port}"}
    result = set_state("-v", env=env)
    assert result.exit == 7
    assert "pr0xy-pass" not in result.stdout + result.stderr


def test_no_proxy_is_honoured(set_state, tls_server, trusted, other_server, proxy):
    """`NO_PROXY` excepts a host from the proxy."""
    env = trusted | {"HTTPS_PROXY": proxy, "NO_PROXY": "localhost"}
    assert set_state(env=env).record["outcome"] == "updated"
    assert other_server.connections == 0


def test_proxy_that_works(set_state, tls_server, trusted, other_server, proxy):
    """Through a proxy an update goes as without one, and the proxy sees nothing of it."""
    other_server.on("CONNECT", forever(tunnel))
    tls_server.on("PUT", applied(busy))
    address = proxy.replace("//", "//user:pass@")
    record = set_state(env=trusted | {"HTTPS_PROXY": address}).record
    assert (record["outcome"], record["confirmed"]) == ("updated", "read")
    assert tls_server.methods == ["PUT", "GET"]
    assert other_server.requests[0].path == f"localhost:{tls_server.port}"
    assert other_server.requests[0].headers["proxy-authorization"] == "Basic dXNlcjpwYXNz"
    assert "proxy-authorization" not in tls_server.requests[0].headers
    assert KEY.encode() not in other_server.received


def test_proxy_that_works_and_loses(set_state, tls_server, trusted, other_server, proxy):
    """A connection lost behind a proxy, after the request began to be sent, is in doubt."""
    other_server.on("CONNECT", forever(tunnel))
    tls_server.on("PUT", applied(reset))
    record = set_state(env=trusted | {"HTTPS_PROXY": proxy}).record
    assert (record["outcome"], record["confirmed"]) == ("updated", "read")


def test_handshake_behind_a_proxy_stalls(set_state, tls_server, trusted, other_server, proxy):
    """A handshake that stalls behind a proxy sent nothing: unreachable, and bounded."""
    other_server.on("CONNECT", forever(tunnel))
    tls_server.on("accept", forever(silence))
    result = set_state(env=trusted | {"HTTPS_PROXY": proxy}, timeout=0.5)
    assert (result.record["outcome"], result.exit) == ("unreachable", 7)
    assert result.seconds < 4


@pytest.mark.parametrize("lost", [False, True])
def test_proxy_of_plain_http(set_state, server, other_server, proxy, lost):
    """A proxy of plain HTTP is asked by the whole address; what it loses is in doubt."""
    if lost:
        other_server.on("PUT", forever(close))
        other_server.on("GET", forever(close))
    record = set_state(env={"HTTP_PROXY": proxy, "http_proxy": proxy}).record
    if server.requests:  # loopback may be excepted from proxies
        assert (record["outcome"], other_server.connections) == ("updated", 0)
    else:
        assert record["outcome"] == ("unknown" if lost else "updated")
        whole = f"{server.base_url}/commands/v0/status/an-id/"
        assert other_server.puts[0].path == whole


def test_two_runs_at_once_do_not_hinder_each_other(home, tls_server, trusted):
    """Two updates at once share the journal and nothing else: both are recorded."""
    args = ["an-id", "success", "-o", "json"]
    tls_server.on("PUT", forever(behave))
    running = [home.start("set", *args, env=trusted) for _ in range(4)]
    results = [each.wait() for each in running]
    assert [each.exit for each in results] == [0] * 4
    assert len({each.record["n"] for each in results}) == 4
    assert len(home.journal()) == 4
