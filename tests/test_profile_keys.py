"""Where a profile's key comes from, from outside: prompt, helper, variable, keyring, and files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from harness import KEY
from profile_home import OTHER_KEY, ProfileHome, ended, keys_seen, lists

ACME = "https://acme-api.esper.cloud/api"
SENT = [f"Bearer {KEY}"]


@pytest.fixture
def home(tmp_path):
    """A home without profiles."""
    return ProfileHome(tmp_path / "home")


@pytest.fixture
def listing(server):
    """A server that lists."""
    lists(server)
    return server


# The hidden prompt.


def test_prompt_shows_nothing(home, listing):
    """On a terminal the key is asked for, nothing typed is shown, and it is what is sent."""
    child = home.on_terminal("profile", "add", "prod", "--base-url", listing.base_url)
    child.expect_exact(f"API key for 127.0.0.1:{listing.port} (not shown): ")
    child.waitnoecho(timeout=10)
    child.sendline(KEY)
    code, shown = ended(child)
    assert code == 0, shown
    assert KEY not in shown
    assert home.files_with(KEY) == [home.credentials_file]
    assert home.run("profile", "check").exit == 0
    assert keys_seen(listing) == SENT


def test_prompt_for_stdin_that_is_a_terminal(home):
    """`--api-key-stdin` on a terminal asks in the same hidden way: rotation by hand."""
    home.add("prod", ACME)
    child = home.on_terminal("profile", "set", "prod", "--api-key-stdin")
    child.expect_exact("(not shown): ")
    child.waitnoecho(timeout=10)
    child.sendline(OTHER_KEY)
    code, shown = ended(child)
    assert (code, OTHER_KEY in shown) == (0, False)
    assert home.files_with(OTHER_KEY) == [home.credentials_file]
    assert home.files_with(KEY) == []


@pytest.mark.parametrize(("pressed", "code"), [("c", 130), ("d", 2)])
def test_prompt_that_is_left(home, pressed, code):
    """Ctrl-C at the prompt is 130, Ctrl-D is 2, and both leave everything as it was."""
    child = home.on_terminal("profile", "add", "prod", "--tenant", "acme")
    child.expect_exact("(not shown): ")
    child.waitnoecho(timeout=10)
    child.sendcontrol(pressed)
    exit_code, shown = ended(child)
    assert exit_code == code, shown
    assert "Traceback" not in shown
    assert not home.config_file.exists()


def test_prompt_comes_last(home):
    """What is wrong with the call is said before anybody types a key."""
    home.add("prod", ACME)
    home.credentials_file.chmod(0o644)
    for args, code in (
        (["prod", "--tenant", "acme"], 2),
        (["new", "--base-url", "http://acme.example"], 2),
        (["new", "--tenant", "acme"], 3),
    ):
        exit_code, shown = ended(home.on_terminal("profile", "add", *args))
        assert exit_code == code, shown
        assert "not shown" not in shown


# Helpers and variables.


def helper(home: ProfileHome, code: str) -> str:
    """The command line of a helper that runs a piece of Python."""
    file = home.path / "run-helper" / f"helper-{len(list(home.path.glob('run-helper/*')))}.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(code)
    return f"'{sys.executable}' '{file}'"


def test_helper(home, listing):
    """A helper's first line is the key, whatever else it says; none of it is logged or kept."""
    code = f"import sys; print({KEY!r}); print('second line'); print('chatter', file=sys.stderr)"
    home.add("prod", listing.base_url, "--api-key-command", helper(home, code))
    result = home.run("profile", "check", "-v")
    assert (result.exit, keys_seen(listing)) == (0, SENT)
    assert "second line" not in result.stdout + result.stderr
    assert "chatter" not in result.stdout + result.stderr
    assert home.files_with(KEY) == []
    assert not home.credentials_file.exists()


def test_helper_that_fails(home, listing):
    """A helper that fails is exit 3, names the helper, and nothing is sent."""
    code = f"print({KEY!r}); raise SystemExit(3)"
    home.add("prod", listing.base_url, "--api-key-command", helper(home, code))
    result = home.run("profile", "check", "-v")
    assert (result.exit, "exit status 3" in result.stderr) == (3, True)
    assert listing.connections == 0


def test_variable(home, listing):
    """A key from a named variable is read when it is needed, and an unset one is exit 3."""
    result = home.add("prod", listing.base_url, "--api-key-env", "ESPER_KEY")
    assert "ESPER_KEY, which is not set" in result.stderr
    assert home.run("profile", "check").exit == 3
    assert home.run("profile", "check", env={"ESPER_KEY": f" {KEY}\n"}).exit == 0
    assert keys_seen(listing) == SENT


def test_environment_comes_first(home, listing):
    """CMDSTAT_API_KEY beats the file, the file the profile, and what is beaten is not touched."""
    mark = home.path / "helper-ran"
    code = f"open({str(mark)!r}, 'w'); print('never')"
    home.add("prod", listing.base_url, "--api-key-command", helper(home, code))
    file = home.path / "run-helper" / "key"
    file.write_text(f"\ufeff{OTHER_KEY}\r\n", encoding="utf-8")
    both = {"CMDSTAT_API_KEY": KEY, "CMDSTAT_API_KEY_FILE": str(home.path / "nowhere")}
    assert home.run("profile", "check", env=both).exit == 0
    assert home.run("profile", "check", env={"CMDSTAT_API_KEY_FILE": str(file)}).exit == 0
    assert keys_seen(listing) == [f"Bearer {KEY}", f"Bearer {OTHER_KEY}"]
    assert not mark.exists()
    home.run("profile", "list")
    home.run("profile", "show")
    assert not mark.exists()


def test_switching_sources_leaves_no_key_behind(home):
    """A profile that takes its key from elsewhere has none in the file any more."""
    home.add("prod", ACME)
    shown = home.read("profile", "set", "prod", "--api-key-command", "pass show 'a b'")
    assert shown["key_source"] == "helper command: pass show 'a b'"
    assert home.files_with(KEY) == []
    home.run("profile", "set", "prod", "--api-key-stdin", input=KEY)
    assert home.read("profile", "list")[0]["key_source"] == "credentials.toml"


# The file.


@pytest.mark.parametrize("how", ["readable", "link", "corrupt"])
@pytest.mark.parametrize(
    "args", [["check"], ["set", "prod", "--api-key-stdin"], ["remove", "prod"]]
)
def test_credentials_that_cannot_be_trusted(home, listing, how, args):
    """Keys that others can read, that are linked or damaged are refused, and stay as they are."""
    home.add("prod", listing.base_url)
    file = home.credentials_file
    if how == "readable":
        file.chmod(0o640)
    elif how == "link":
        file.rename(file.with_name("elsewhere"))
        file.symlink_to("elsewhere")
    else:
        file.write_text(file.read_text() + "\n[keys\n")
    before = home.files()
    result = home.run("profile", *args, input=OTHER_KEY)
    assert result.exit == 3
    assert str(file) in result.stderr
    assert ("chmod 600" in result.stderr) == (how == "readable")
    assert ("line" in result.stderr) == (how == "corrupt")
    assert home.files() == before
    assert listing.connections == 0


def test_disk_full(home):
    """Where the files cannot grow, adding a profile is exit 3 and loses nothing."""
    home.add("prod", ACME)
    before = home.files()
    limit = ("sh", "-c", '(ulimit -f 0; exec "$@") 2>&1 | cat', "sh")  # cat's own file may grow
    result = home.run(
        "profile", "add", "new", "--tenant", "acme", "--api-key-stdin", input=OTHER_KEY, wrap=limit
    )
    assert "could not be written, and is as it was" in result.stdout, result.describe()
    assert home.files() == before


def test_home_that_cannot_be_made(home):
    """Where no folder can be made, adding a profile is exit 3 and says which."""
    blocked = home.path / "blocked"
    blocked.write_text("")
    env = {"XDG_CONFIG_HOME": str(blocked)}
    result = home.run(
        "profile", "add", "p", "--tenant", "acme", "--api-key-stdin", input=KEY, env=env
    )
    assert (result.exit, str(blocked) in result.stderr) == (3, True)


# The keyring.

_BACKENDS = """
import time
from pathlib import Path
from keyring.backend import KeyringBackend

class Hanging(KeyringBackend):
    priority = 1
    def get_password(self, *named): time.sleep(60)
    set_password = delete_password = get_password

class Failing(KeyringBackend):
    priority = 1
    def get_password(self, service, name): raise RuntimeError("the vault is locked")
    def set_password(self, service, name, secret): raise RuntimeError("cannot keep " + secret)
    delete_password = get_password

class Unwritable(KeyringBackend):
    priority = 1
    def get_password(self, service, name): return None
    def set_password(self, service, name, secret): raise RuntimeError("cannot keep " + secret)
    delete_password = get_password
"""


@pytest.fixture
def with_keyring(home):
    """Chooses the keyring's backend for a home: a real one in a file, or a misbehaving one."""
    modules = home.path / "run-modules"
    modules.mkdir()
    (modules / "bad_keyrings.py").write_text(_BACKENDS)

    def choose(backend="keyrings.alt.file.PlaintextKeyring"):
        home.env |= {"PYTHON_KEYRING_BACKEND": backend, "PYTHONPATH": str(modules)}
        return home

    return choose


def keyring_file(home: ProfileHome) -> Path:
    return next((home.path / "data").rglob("keyring_pass.cfg"))


def test_keyring(with_keyring, listing):
    """A key in the keyring is sent, rotated in place, renamed with its profile, and removed."""
    home = with_keyring()
    home.add("prod", listing.base_url, "--keyring")
    assert not home.credentials_file.exists()
    assert home.run("profile", "check").exit == 0
    home.run("profile", "set", "prod", "--api-key-stdin", input=OTHER_KEY)
    assert not home.credentials_file.exists()
    home.run("profile", "rename", "prod", "live")
    assert home.run("profile", "check", "live").exit == 0
    assert keys_seen(listing) == [f"Bearer {KEY}", f"Bearer {OTHER_KEY}"]
    assert "prod" not in keyring_file(home).read_text()
    removed = home.read("profile", "remove", "live")
    assert "its key (system keyring)" in removed["removed"]
    assert "live" not in keyring_file(home).read_text()


def test_keyring_to_file_and_back(with_keyring, listing):
    """`--no-keyring` and `--keyring` move a profile, and no key stays where it was."""
    home = with_keyring()
    home.add("prod", listing.base_url, "--keyring")
    home.run("profile", "set", "prod", "--api-key-stdin", "--no-keyring", input=OTHER_KEY)
    assert home.files_with(OTHER_KEY) == [home.credentials_file]
    assert "prod" not in keyring_file(home).read_text()
    shown = home.run("profile", "set", "prod", "--keyring", "--api-key-stdin", input=KEY)
    assert "system keyring" in shown.stdout
    assert home.files_with(OTHER_KEY) == []
    assert home.run("profile", "check").exit == 0
    assert keys_seen(listing) == SENT


@pytest.mark.parametrize(
    ("backend", "told"),
    [
        ("bad_keyrings.Hanging", "within 3 seconds"),
        ("bad_keyrings.Failing", "the vault is locked"),
        ("keyring.backends.fail.Keyring", "no system keyring"),
    ],
)
def test_keyring_that_is_no_good_is_found_before_the_key_is_asked_for(with_keyring, backend, told):
    """A keyring that hangs, fails or is none is exit 3 in time, before the prompt; no fall-back."""
    home = with_keyring(backend)
    child = home.on_terminal("profile", "add", "prod", "--tenant", "acme", "--keyring")
    code, shown = ended(child)
    assert code == 3, shown
    assert told in " ".join(shown.split())
    assert "not shown" not in shown
    assert not home.config_file.exists()
    assert not home.credentials_file.exists()


def test_keyring_that_cannot_keep(with_keyring):
    """A keyring that takes no key leaves no profile, and its error does not show the key."""
    home = with_keyring("bad_keyrings.Unwritable")
    result = home.run(
        "profile", "add", "prod", "--tenant", "acme", "--keyring", "--api-key-stdin", input=KEY
    )
    assert (result.exit, "cannot keep" in result.stderr) == (3, True)
    assert home.files_with(KEY) == []
    assert home.read("profile", "list")[0]["name"] == "sandbox"


def test_keyring_that_fails_later(with_keyring, listing):
    """A keyring that fails when needed is exit 3; with CMDSTAT_API_KEY it is not asked."""
    home = with_keyring()
    home.add("prod", listing.base_url, "--keyring")
    with_keyring("bad_keyrings.Failing")
    result = home.run("profile", "check")
    assert (result.exit, "the vault is locked" in result.stderr) == (3, True)
    assert listing.connections == 0
    with_keyring("bad_keyrings.Hanging")
    result = home.run("profile", "check", env={"CMDSTAT_API_KEY": KEY})
    assert (result.exit, keys_seen(listing)) == (0, SENT)
    assert result.seconds < 3
    assert home.run("profile", "list").seconds < 3


@pytest.mark.parametrize(
    "args",
    [
        ["remove", "prod"],
        ["set", "prod", "--no-keyring", "--api-key-stdin"],
        ["set", "prod", "--api-key-env", "X"],
    ],
)
def test_keyring_that_is_dead_traps_no_profile(with_keyring, listing, args):
    """A profile can be removed, or moved out of a dead keyring, and what may be left is told."""
    home = with_keyring()
    home.add("prod", listing.base_url, "--keyring")
    with_keyring("bad_keyrings.Failing")
    result = home.run("profile", *args, input=OTHER_KEY)
    assert result.exit == 0, result.describe()
    (warning,) = [line for line in result.stderr.splitlines() if "the vault is locked" in line]
    assert warning.startswith("warning: ")
    assert "entry prod" in warning
    assert "keyring" not in home.config_file.read_text()
    if "--no-keyring" in args:
        assert home.run("profile", "check").exit == 0
        assert keys_seen(listing) == [f"Bearer {OTHER_KEY}"]


def test_keyring_that_hangs_holds_a_removal_up_once(with_keyring):
    """A keyring that never answers is waited for once, and the profile goes."""
    home = with_keyring()
    home.add("prod", ACME, "--keyring")
    with_keyring("bad_keyrings.Hanging")
    result = home.run("profile", "remove", "prod", "-o", "json")
    assert result.exit == 0, result.describe()
    assert "did not answer within 3 seconds" in result.stderr
    assert result.seconds < 6
    assert [each["name"] for each in home.read("profile", "list")] == ["sandbox"]


def test_keyring_entry_is_bound_to_its_host(with_keyring, listing, other_server):
    """A base URL edited by hand does not take a key out of the keyring to another place."""
    home = with_keyring()
    home.add("prod", listing.base_url, "--keyring")
    text = home.config_file.read_text()
    home.config_file.write_text(text.replace(listing.base_url, other_server.base_url))
    assert home.run("profile", "check").exit == 3
    assert other_server.connections == 0
