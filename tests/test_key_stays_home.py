"""A key goes only where it was stored for: two services, and the wrong one must see nothing."""

from __future__ import annotations

import pytest
from faulty_server import answer, forever, redirect
from harness import KEY
from profile_home import OTHER_KEY, ProfileHome, keys_seen, lists

SANDBOX_KEY = "sandbox-key"
SENT = [f"Bearer {KEY}"]
SET = ("set", "an-id", "success", "-o", "json", "--retries", "0")


@pytest.fixture
def home(tmp_path, server, other_server):
    """A home whose default profile prod leads to `server`; both servers list."""
    lists(server)
    lists(other_server)
    made = ProfileHome(tmp_path / "home")
    made.add("prod", server.base_url)
    return made


def exports(server, key=OTHER_KEY):
    """The two lines that somebody pasted, of whatever serves there."""
    return {"CMDSTAT_BASE_URL": server.base_url, "CMDSTAT_API_KEY": key}


@pytest.mark.parametrize("args", [SET, ("profile", "check"), ("get", "an-id"), ("list",)])
def test_profile_on_the_command_line_beats_the_exports(home, server, other_server, args):
    """`-p prod` with the sandbox's two exports reaches prod, with prod's key, and says so."""
    env = exports(other_server, SANDBOX_KEY) | {"CMDSTAT_PROFILE": "sandbox"}
    result = home.run(*args, "-p", "prod", env=env)
    assert set(keys_seen(server)) == set(SENT)
    assert other_server.connections == 0
    assert "--profile prod sets CMDSTAT_BASE_URL and CMDSTAT_API_KEY aside" in result.stderr


def test_sandbox_on_the_command_line_beats_the_exports(home, server, other_server):
    """`-p sandbox` with production's exports all around stays inside, and says so."""
    result = home.run("list", "-p", "sandbox", env=exports(other_server, KEY))
    assert result.exit == 0, result.describe()
    assert "--profile sandbox sets CMDSTAT_BASE_URL and CMDSTAT_API_KEY aside" in result.stderr
    assert (server.connections, other_server.connections) == (0, 0)


@pytest.mark.parametrize("alone", ["CMDSTAT_BASE_URL", "CMDSTAT_API_KEY"])
@pytest.mark.parametrize("how", ["variable", "default"])
def test_sandbox_takes_nothing_from_the_environment(home, server, other_server, how, alone):
    """However it is chosen, the sandbox uses neither half of a pair of the environment."""
    env = {alone: exports(other_server, KEY)[alone]}
    if how == "variable":
        env |= {"CMDSTAT_PROFILE": "sandbox"}
    else:
        home.run("profile", "use", "sandbox")
    result = home.run("list", env=env)
    assert result.exit == 0, result.describe()
    assert (server.connections, other_server.connections) == (0, 0)
    assert f"sets {alone} aside" in result.stderr


def test_pair_beats_the_other_ways(home, server, other_server):
    """The pair beats CMDSTAT_PROFILE and the default, and takes no key of a profile along."""
    for env in ({}, {"CMDSTAT_PROFILE": "prod"}, {"CMDSTAT_PROFILE": "sandbox"}):
        assert home.run("profile", "check", env=env | exports(other_server)).exit == 0
    assert keys_seen(other_server) == [f"Bearer {OTHER_KEY}"] * 3
    assert server.connections == 0


def test_pair_with_a_key_file(home, server, other_server):
    """CMDSTAT_API_KEY_FILE makes the pair too; with both, the file is not opened."""
    file = home.path / "run-secret"
    file.mkdir()
    (file / "key").write_text(OTHER_KEY + "\n")
    env = {"CMDSTAT_BASE_URL": other_server.base_url, "CMDSTAT_API_KEY_FILE": str(file / "key")}
    assert home.run("profile", "check", env=env).exit == 0
    assert keys_seen(other_server) == [f"Bearer {OTHER_KEY}"]
    assert server.connections == 0


@pytest.mark.parametrize("flag", [[], ["-p", "prod"]])
@pytest.mark.parametrize("args", [SET, (*SET, "--dry-run"), ("profile", "check")])
def test_lone_base_url_gets_no_key(home, server, other_server, args, flag):
    """CMDSTAT_BASE_URL alone, for another place, is exit 3, and that place sees nothing."""
    result = home.run(*args, *flag, env={"CMDSTAT_BASE_URL": other_server.base_url})
    assert result.exit == 3, result.describe()
    assert "CMDSTAT_API_KEY" in result.stderr
    assert (server.connections, other_server.connections) == (0, 0)


@pytest.mark.parametrize("source", ["--api-key-env", "--api-key-command"])
def test_lone_base_url_gets_no_key_of_any_source(home, other_server, source):
    """A helper is not run, and a variable not sent, for another place than the profile's."""
    mark = home.path / "helper-ran"
    given = "PROD_KEY" if source == "--api-key-env" else f"touch '{mark}'"
    home.run("profile", "set", "prod", source, given)
    env = {"CMDSTAT_BASE_URL": other_server.base_url, "PROD_KEY": KEY}
    assert home.run("profile", "check", env=env).exit == 3
    assert other_server.connections == 0
    assert not mark.exists()


def test_lone_base_url_of_the_same_place(home, server):
    """Another path on the profile's own scheme, host and port keeps the key."""
    env = {"CMDSTAT_BASE_URL": server.base_url + "/v2/"}
    assert home.run("profile", "check", env=env).exit == 0
    assert keys_seen(server) == SENT
    assert server.requests[0].path.startswith("/api/v2/commands/")


@pytest.mark.parametrize("args", [SET, ("profile", "check")])
def test_base_url_edited_by_hand(home, server, other_server, args):
    """A base URL edited by hand takes the stored key nowhere; a new key is stored for it."""
    text = home.config_file.read_text().replace(server.base_url, other_server.base_url)
    home.config_file.write_text(text)
    result = home.run(*args)
    assert result.exit == 3
    assert f"was stored for {server.base_url.removesuffix('/api')}" in result.stderr
    assert (server.connections, other_server.connections) == (0, 0)
    home.run("profile", "set", "prod", "--api-key-stdin", input=OTHER_KEY)
    assert home.run(*args).exit in (0, 6, 10)
    assert set(keys_seen(other_server)) == {f"Bearer {OTHER_KEY}"}


def test_base_url_set_elsewhere_and_back(home, server, other_server):
    """`profile set base_url` leaves the key behind, and back at its place it is good again."""
    home.run("profile", "set", "prod", f"base_url={other_server.base_url}")
    assert home.run("profile", "check").exit == 3
    assert other_server.connections == 0
    home.run("profile", "set", "prod", f"base_url={server.base_url}")
    assert home.run("profile", "check").exit == 0


def test_base_url_and_key_set_together(home, server, other_server):
    """A new base URL with its key, in one call, is in force at once; the old key is gone."""
    home.run(
        "profile", "set", "prod", f"base_url={other_server.base_url}", "--api-key-stdin",
        input=OTHER_KEY,
    )  # fmt: skip
    assert home.run("profile", "check").exit == 0
    assert keys_seen(other_server) == [f"Bearer {OTHER_KEY}"]
    assert home.files_with(KEY) == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_takes_no_key_along(home, server, other_server, status):
    """A redirect to another place is not followed by any method."""
    server.on("GET", forever(redirect(status, f"{other_server.base_url}/")))
    assert home.run("profile", "check").exit == 5
    assert other_server.connections == 0


def test_next_link_takes_no_key_along(home, server, other_server):
    """A listing that goes on at another place is exit 6, and that place sees nothing."""
    page = {
        "count": 2,
        "previous": None,
        "next": f"{other_server.base_url}/commands/v0/status/?offset=1",
        "results": [{"id": "an-id", "state": "Command Success"}],
    }
    server.on("GET", forever(answer(200, {"code": 200, "message": "OK", "content": page})))
    assert home.run("list", "--all").exit == 6
    assert other_server.connections == 0


def test_netrc_does_not_replace_the_key(home, server):
    """An entry in ~/.netrc for the host is not what is sent."""
    (home.path / ".netrc").write_text("machine 127.0.0.1 login me password netrc-secret\n")
    assert home.run("profile", "check").exit == 0
    assert keys_seen(server) == SENT


def test_plain_http_to_elsewhere(home):
    """http:// to another machine, written into the file by hand, is exit 3 before anything else."""
    text = home.config_file.read_text()
    home.config_file.write_text(text.replace("http://127.0.0.1", "http://127.0.0.1.example", 1))
    result = home.run("profile", "check")
    assert (result.exit, "not encrypted" in result.stderr) == (3, True)


def test_profiles_do_not_mix(home, server, other_server):
    """Each of two profiles gets its own key, whichever is the default."""
    home.add("test", other_server.base_url, key=OTHER_KEY)
    for default in ("prod", "test"):
        home.run("profile", "use", default)
        assert home.run("profile", "check", "prod").exit == 0
        assert home.run("list", env={"CMDSTAT_PROFILE": "test"}).exit == 0
    assert set(keys_seen(server)) == set(SENT)
    assert set(keys_seen(other_server)) == {f"Bearer {OTHER_KEY}"}
