"""`cmdstat profile check`: one real call, and plain words for each way in which it can fail."""

from __future__ import annotations

import json
import ssl

import pytest
import trustme
from faulty_server import (
    FaultyServer,
    answer,
    close,
    envelope,
    forever,
    raw,
    redirect,
    silence,
    tunnel,
)
from harness import KEY
from profile_home import LIST_OF_ONE, ProfileHome, keys_seen, lists

HTML = "<!doctype html><title>Welcome</title>"


@pytest.fixture
def home(tmp_path):
    """A home without profiles."""
    return ProfileHome(tmp_path / "home")


@pytest.fixture
def prod(home, server):
    """A home whose default profile leads to the faulty server, which lists as the service does."""
    lists(server)
    home.add("prod", server.base_url)
    return home


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority that nobody trusts unless told to."""
    return trustme.CA()


@pytest.fixture
def bundle(authority, tmp_path):
    """The file that makes one trust it."""
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    return str(file)


def tls_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def tls_server(authority):
    """A server for localhost with a certificate of that authority, which lists."""
    with FaultyServer(tls=tls_context(authority), host="localhost") as started:
        lists(started)
        yield started


def verdict_of(result):
    """The object that `-o json` printed, which agrees with the exit code and the error."""
    found = json.loads(result.stdout)
    assert found["works"] == (result.exit == 0), result.describe()
    if found["error"] is not None:
        shown = {name: result.error[name] for name in ("kind", "message", "hint")}
        assert shown == found["error"]
        assert found["error"]["hint"]
    return found


def test_works(prod, server):
    """One list of one with the key is all that is sent, and the words say that it works."""
    result = prod.run("profile", "check")
    assert (result.exit, result.stderr) == (0, "")
    assert all(text in result.stdout for text in ("works", "prod", server.base_url, "HTTP 200"))
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/api/commands/v0/status/?limit=1")
    assert keys_seen(server) == [f"Bearer {KEY}"]


def test_object(prod, server):
    """In JSON it is one object, with the key masked."""
    found = verdict_of(prod.run("profile", "check", "prod", "-o", "json"))
    assert found.pop("elapsed_ms") > 0
    assert found == {
        "profile": "prod",
        "base_url": server.base_url,
        "works": True,
        "verdict": "works",
        "http_status": 200,
        "key": "…" + KEY[-4:],
        "key_source": "credentials.toml",
        "proxy": None,
        "error": None,
    }


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_other_formats(prod, form):
    """The other two formats carry the verdict too."""
    assert "works" in prod.run("profile", "check", "-o", form).stdout


EMPTY = envelope(LIST_OF_ONE | {"count": 0, "results": [], "next": None})


@pytest.mark.parametrize(
    ("step", "verdict", "code", "told"),
    [
        (answer(200, EMPTY), "works", 0, ""),
        (answer(401), "key_refused", 4, "refused the key"),
        (answer(403, HTML, media="text/html"), "key_refused", 4, "refused the key"),
        (answer(404), "wrong_address", 5, "wrong address"),
        (answer(404, HTML, media="text/html"), "wrong_address", 5, "wrong address"),
        (answer(400), "wrong_address", 5, "wrong address"),
        (redirect(302, "https://login.example/"), "wrong_address", 5, "https://login.example/"),
        (answer(200, HTML, media="text/html"), "wrong_address", 6, "<title>Welcome"),
        (answer(200, envelope({"id": "an-id"})), "wrong_address", 6, "wrong address"),
        (answer(204, b""), "wrong_address", 6, "204"),
        (answer(429), "server_failed", 6, "429"),
        (answer(500), "server_failed", 6, "500"),
        (answer(503, HTML, media="text/html"), "server_failed", 6, "503"),
        (close, "no_answer", 6, "cut the connection"),
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "no_answer", 6, "not HTTP"),
        (silence, "timed_out", 6, "within 400 ms"),
    ],
)
def test_answers(prod, server, step, verdict, code, told):
    """Each answer that is none of a list of one has its own words, and is asked for only once."""
    server.on("GET", forever(step))
    result = prod.run("profile", "check", "-o", "json", "--timeout", "0.4")
    found = verdict_of(result)
    assert (found["verdict"], result.exit) == (verdict, code)
    assert told in (found["error"] or {"message": ""})["message"]
    assert len(server.requests) == 1


def test_wrong_address_in_words(prod, server):
    """The hint shows the base URL that was used and the command that changes it."""
    server.on("GET", forever(answer(404)))
    result = prod.run("profile", "check")
    assert "wrong address" in result.stdout
    assert server.base_url in result.stderr
    assert "cmdstat profile set prod base_url=URL" in result.stderr


def test_name_unknown(home):
    """A name that nobody knows is said to be unknown."""
    home.add("prod", "https://no-such-tenant.invalid/api")
    result = home.run("profile", "check", "-o", "json")
    assert (verdict_of(result)["verdict"], result.exit) == ("name_unknown", 7)
    assert "not known" in result.error["message"]


def test_nothing_listens(home, free_port):
    """A port where nobody listens is said to be one."""
    home.add("prod", f"http://127.0.0.1:{free_port}/api")
    result = home.run("profile", "check", "-o", "json")
    assert (verdict_of(result)["verdict"], result.exit) == ("nothing_listens", 7)
    assert f"127.0.0.1:{free_port}" in result.error["hint"]


def test_certificate_not_trusted(home, tls_server, bundle):
    """An untrusted certificate is told of with the very command that makes it trusted."""
    home.add("prod", tls_server.base_url)
    result = home.run("profile", "check", "-o", "json")
    assert (verdict_of(result)["verdict"], result.exit) == ("certificate_not_trusted", 7)
    command = result.error["hint"].rpartition("cmdstat ")[2]
    assert home.run(*command.replace("FILE", bundle).split()).exit == 0
    assert verdict_of(home.run("profile", "check", "-o", "json"))["verdict"] == "works"
    assert keys_seen(tls_server) == [f"Bearer {KEY}"]


def test_ca_bundle_beats_the_variable(home, tls_server, bundle, tmp_path):
    """A profile's ca_bundle is what counts, whatever REQUESTS_CA_BUNDLE names."""
    junk = tmp_path / "junk.pem"
    trustme.CA().cert_pem.write_to_path(str(junk))
    env = {"REQUESTS_CA_BUNDLE": str(junk)}
    home.add("prod", tls_server.base_url)
    assert home.run("profile", "check", env=env).exit == 7
    home.run("profile", "set", "prod", f"ca_bundle={bundle}")
    assert home.run("profile", "check", env=env).exit == 0


def test_tls_that_is_none(home, server):
    """https:// to a plain port is not reachable, and the key has not left."""
    home.add("prod", server.base_url.replace("http", "https"))
    result = home.run("profile", "check", "-o", "json", "--timeout", "1")
    assert (verdict_of(result)["works"], result.exit) == (False, 7)
    assert KEY.encode() not in server.received


@pytest.mark.parametrize("given", [True, False])
def test_client_certificate(home, authority, bundle, tmp_path, given):
    """A server that asks for a client certificate gets the profile's; without one it refuses."""
    context = tls_context(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    own = tmp_path / "me.pem"
    certificate = authority.issue_cert("me@desk")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(own))
    more = ["--client-cert", str(own)] if given else []
    with FaultyServer(tls=context, host="localhost") as there:
        lists(there)
        home.add("prod", there.base_url, "--ca-bundle", bundle, *more)
        result = home.run("profile", "check", "-o", "json", "--timeout", "5")
        found = verdict_of(result)
        assert found["works"] is given
        assert given or "client_cert=FILE" in found["error"]["hint"]
        assert len(there.requests) == int(given)


def test_client_certificate_that_is_none(home, tls_server, bundle, tmp_path):
    """A client certificate that cannot be used is a configuration error before anything is sent."""
    junk = tmp_path / "me.pem"
    junk.write_text("no certificate at all")
    home.add("prod", tls_server.base_url, "--ca-bundle", bundle, "--client-cert", str(junk))
    result = home.run("profile", "check")
    assert (result.exit, "client_cert" in result.stderr) == (3, True)
    assert tls_server.connections == 0


def test_proxy_in_the_way(home, tls_server, other_server, bundle):
    """A proxy that refuses is named as what stands in the way, without its password."""
    home.add("prod", tls_server.base_url, "--ca-bundle", bundle)
    other_server.on("CONNECT", forever(answer(403)))
    env = {"HTTPS_PROXY": f"http://user:hidden@127.0.0.1:{other_server.port}"}
    result = home.run("profile", "check", "-v", "-o", "json", env=env)
    found = verdict_of(result)
    assert (found["verdict"], result.exit) == ("proxy_in_the_way", 7)
    assert found["proxy"] == f"127.0.0.1:{other_server.port}"
    assert "NO_PROXY=localhost" in found["error"]["hint"]
    assert "hidden" not in result.stdout + result.stderr
    assert KEY.encode() not in other_server.received
    other_server.on("CONNECT", forever(tunnel))
    assert verdict_of(home.run("profile", "check", "-o", "json", env=env))["verdict"] == "works"


def test_proxy_that_is_not_there(home, tls_server, bundle, free_port):
    """Nobody listening at the proxy's address is the proxy's fault, not the service's."""
    home.add("prod", tls_server.base_url, "--ca-bundle", bundle)
    env = {"HTTPS_PROXY": f"http://127.0.0.1:{free_port}"}
    result = home.run("profile", "check", "-o", "json", env=env)
    assert verdict_of(result)["verdict"] == "proxy_in_the_way"
    assert f"127.0.0.1:{free_port}" in result.error["message"]


def test_sandbox(home, free_port):
    """The built-in profile works as it is, and is behind no proxy."""
    env = {"HTTP_PROXY": f"http://127.0.0.1:{free_port}", "http_proxy": "http://127.0.0.1:1"}
    found = verdict_of(home.run("profile", "check", "sandbox", "-o", "json", env=env))
    assert (found["profile"], found["verdict"], found["proxy"]) == ("sandbox", "works", None)


def test_pair_of_the_environment(home, server):
    """Without a name, what is in force is checked: here the environment's pair."""
    lists(server)
    env = {"CMDSTAT_BASE_URL": server.base_url, "CMDSTAT_API_KEY": KEY}
    found = verdict_of(home.run("profile", "check", "-o", "json", env=env))
    assert (found["profile"], found["key_source"]) == (None, "CMDSTAT_API_KEY")
    server.on("GET", forever(answer(404)))
    result = home.run("profile", "check", env=env)
    assert "none (from the environment)" in result.stdout
    assert "CMDSTAT_BASE_URL=URL" in result.stderr


def test_verbose_and_quiet(prod, server):
    """`-v` tells of the request and the answer; `-q` leaves the exit code and the error."""
    told = prod.run("profile", "check", "-v").stderr
    assert "GET" in told
    assert "200" in told
    server.on("GET", forever(answer(401)))
    result = prod.run("profile", "check", "-q")
    assert (result.exit, result.stdout) == (4, "")
    assert "refused the key" in result.stderr


def test_nothing_to_check(home, server):
    """Without a profile, or without its key, it is exit 3 and nothing is sent."""
    assert home.run("profile", "check").exit == 3
    home.add("prod", server.base_url, "--api-key-env", "NOT_SET")
    result = home.run("profile", "check")
    assert (result.exit, "NOT_SET" in result.stderr) == (3, True)
    assert server.connections == 0
