"""`cmdstat profile` from outside: what is kept, shown, refused and left alone."""

from __future__ import annotations

import csv
import io
import json
import stat
import tomllib

import pytest
from harness import KEY
from profile_home import OTHER_KEY, ProfileHome, ended, keys_seen, lists

ACME = "https://acme-api.esper.cloud/api"
MASKED = "…" + KEY[-4:]
LETTERS = "x" + OTHER_KEY.replace("-", "")
"""A key that could be the name of a variable."""


@pytest.fixture
def home(tmp_path):
    """A home without profiles; a key may end up in credentials.toml and nowhere else."""
    made = ProfileHome(tmp_path / "home")
    yield made
    for key in (KEY, OTHER_KEY):
        assert set(made.files_with(key)) <= {made.credentials_file}


@pytest.fixture
def prod(home):
    """A home with the profile prod."""
    home.add("prod", ACME)
    return home


def test_add_shows_what_was_understood(home):
    """The first profile says where it leads, where its key is, and that it is the default."""
    result = home.run("profile", "add", "prod", "--tenant", "ACME", "--api-key-stdin", input=KEY)
    assert result.exit == 0
    for shown in (ACME, MASKED, "credentials.toml"):
        assert shown in result.stdout
    assert "prod is the first profile, and so the default one" in result.stderr
    again = home.add("staging", "https://Staging-API.esper.cloud:443/")
    assert "https://staging-api.esper.cloud/api" in again.stdout
    assert "first profile" not in again.stderr
    assert home.read("profile", "list")[0]["default"] is True
    assert home.read("profile", "list")[1]["default"] is False


def test_add_keeps_settings(home, tmp_path):
    """Settings given with `add` are kept, as numbers and absolute paths, and shown by `show`."""
    bundle = tmp_path / "authority.pem"
    bundle.write_text("")
    item = json.loads(
        home.add(
            "prod", "http://staging.example", "--timeout", "1m", "--retries", "0",
            "--ca-bundle", str(bundle), "--client-cert", str(bundle), "--allow-http", "-o", "json",
        ).stdout
    )  # fmt: skip
    table = tomllib.loads(home.config_file.read_text())["profiles"]["prod"]
    assert table == {
        "base_url": "http://staging.example",
        "timeout": 60,
        "retries": 0,
        "ca_bundle": str(bundle),
        "client_cert": str(bundle),
        "allow_http": True,
    }
    assert table.items() <= item.items()
    assert item["problem"] is None


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["new"], "--tenant"),
        (["new", "--tenant", "acme", "--base-url", ACME], "both"),
        (["new", "--tenant", "ac me"], "tenant"),
        (["new", "--base-url", "https://user:secret@acme.example/api"], "user name"),
        (["new", "--base-url", "https://acme.example/api?x=1"], "query"),
        (["new", "--base-url", "http://acme.example/api"], "not encrypted"),
        (["prod", "--tenant", "acme"], "already"),
        (["sandbox", "--tenant", "acme"], "built in"),
        (["no/name", "--tenant", "acme"], "name"),
        (["new", "--tenant", "acme", "--timeout", "soon"], "--timeout"),
        (["new", "--tenant", "acme", "--retries", "-1"], "--retries"),
        (["new", "--tenant", "acme", "--ca-bundle", "/nowhere.pem"], "--ca-bundle"),
        (["new", "--tenant", "acme", "--api-key-command", "pass 'show"], "quote"),
        (["new", "--tenant", "acme", "--api-key-env", "not-a-name"], "environment variable"),
        (["new", "--tenant", "acme", "--api-key-env", "secret0fLetters"], "may be a key"),
        (["new", "--tenant", "acme", "--api-key-command", "x", "--api-key-env", "Y"], "exclude"),
        (["new", "--tenant", "acme", "--api-key-env", "Y", "--keyring"], "exclude"),
    ],
)
def test_add_refuses(prod, args, told):
    """A call that cannot be meant is exit 2 before a key is read, and changes nothing."""
    before = prod.files()
    source = () if "--api-key-env" in args or "--api-key-command" in args else ("--api-key-stdin",)
    result = prod.run("profile", "add", *args, *source, input=OTHER_KEY)
    assert result.exit == 2, result.describe()
    assert told in result.stderr
    assert "secret" not in result.stderr
    assert prod.files() == before


@pytest.mark.parametrize(
    "command", [["add", "new", "--tenant", "acme"], ["set", "prod", "--keyring"]]
)
def test_key_source_missing(prod, command):
    """Without a terminal and a source of the key, exit 2 names --api-key-stdin."""
    before = prod.files()
    result = prod.run("profile", *command, "-o", "json", input=OTHER_KEY)
    assert result.exit == 2
    assert "--api-key-stdin" in result.error["hint"]
    assert prod.files() == before


@pytest.mark.parametrize(
    "key", [b"", b"\n", b"two lines\nof it", "schlüssel".encode(), b"\xff\xfe"]
)
def test_key_that_cannot_be_one(home, key):
    """What cannot stand in a header is refused without being repeated, and nothing is made."""
    result = home.run("profile", "add", "p", "--tenant", "acme", "--api-key-stdin", input=key)
    assert result.exit == 3
    assert "two lines" not in result.stderr
    assert not home.config_file.exists()


def test_files_are_private_whatever_the_umask(home):
    """With umask 000 the folder is 0700 and both files 0600."""
    home.add("prod", ACME, wrap=("sh", "-c", 'umask 000; exec "$@"', "sh"))
    modes = {
        each.name: stat.S_IMODE(each.stat().st_mode)
        for each in (home.config_file, home.credentials_file, home.config_file.parent)
    }
    assert modes == {"config.toml": 0o600, "credentials.toml": 0o600, "cmdstat": 0o700}


def test_set_changes_settings(prod):
    """`set` changes, adds and takes away, leaves comments, and shows the profile as it is."""
    prod.config_file.write_text("# mine\n" + prod.config_file.read_text())
    item = prod.read("profile", "set", "prod", "timeout=90s", "allow_http=yes")
    assert (item["timeout"], item["allow_http"]) == (90.0, True)
    item = prod.read("profile", "set", "prod", "timeout=", "retries=7")
    assert (item["timeout"], item["retries"], item["allow_http"]) == (None, 7, True)
    assert prod.config_file.read_text().startswith("# mine\n")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ([], "nothing to change"),
        (["timeot=3"], "did you mean timeout?"),
        (["retries=many"], "retries"),
        (["timeout=3", "timeout=4"], "twice"),
        (["base_url="], "base_url"),
        (["base_url=http://acme.example"], "not encrypted"),
        ([f"api_key={OTHER_KEY}"], "--api-key-stdin"),
        ([OTHER_KEY], "KEY=VALUE"),
        ([OTHER_KEY + "=="], "no such setting"),
        (["--api-key-env", LETTERS], "may be a key"),
        ([f"keyring={OTHER_KEY}"], "--keyring"),
    ],
)
def test_set_refuses(prod, args, told):
    """A mistaken setting is exit 2 with what was meant; a key among the arguments is not shown."""
    before = prod.files()
    result = prod.run("profile", "set", "prod", *args)
    assert result.exit == 2, result.describe()
    assert told in result.stderr
    assert OTHER_KEY not in result.stderr
    assert LETTERS not in result.stderr
    assert prod.files() == before


def test_set_rotates_the_key(home, server):
    """A new key from standard input is the one that is sent from then on."""
    lists(server)
    home.add("prod", server.base_url)
    home.run("profile", "set", "prod", "--api-key-stdin", "retries=1", input=OTHER_KEY + "\n")
    assert home.run("profile", "check").exit == 0
    assert keys_seen(server) == [f"Bearer {OTHER_KEY}"]
    assert KEY not in home.credentials_file.read_text()


def test_set_tells_of_a_key_left_behind(prod):
    """A base URL that leads elsewhere takes no key along, and the command says so."""
    result = prod.run("profile", "set", "prod", "base_url=beta")
    assert result.exit == 0
    assert "warning: the stored key is for https://acme-api.esper.cloud:443" in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["set", "sandbox", "retries=1"],
        ["rename", "sandbox", "x"],
        ["rename", "prod", "sandbox"],
        ["remove", "sandbox"],
    ],
)
def test_sandbox_is_built_in(prod, args):
    """The built-in profile can be neither changed, renamed nor removed, nor its name taken."""
    before = prod.files()
    assert prod.run("profile", *args).exit == 2
    assert prod.files() == before


def test_list_in_every_format(prod):
    """The same profiles in each format: flat objects, keys masked, the sandbox among them."""
    prod.add("ci", ACME, "--api-key-env", "NOT_SET")
    items = prod.read("profile", "list")
    assert [each["name"] for each in items] == ["prod", "ci", "sandbox"]
    assert items[0]["key"] == MASKED
    assert items[1]["key"] is None
    assert "NOT_SET" in items[1]["problem"]
    assert not any(isinstance(value, (dict, list)) for each in items for value in each.values())
    lines = prod.run("profile", "list", "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == items
    rows = list(csv.DictReader(io.StringIO(prod.run("profile", "list", "-o", "csv").stdout)))
    assert [row["name"] for row in rows] == ["prod", "ci", "sandbox"]
    table = prod.run("profile", "list").stdout
    assert all(text in table for text in ("prod", ACME, MASKED, "NOT_SET", "built in"))
    assert prod.run("profile", "list", "-q").stdout == ""


def test_list_survives_a_damaged_profile(prod):
    """A profile that cannot be read is told of, and does not hide the others."""
    prod.config_file.write_text(prod.config_file.read_text() + "\n[profiles.odd]\ntimout = 3\n")
    result = prod.run("profile", "list", "-o", "json")
    items = json.loads(result.stdout)
    assert [each["name"] for each in items] == ["prod", "odd", "sandbox"]
    assert "timout" in items[1]["problem"]
    assert "timout" in result.stderr


def test_list_tells_of_a_default_that_is_not_there(prod):
    """A default that names no profile is warned of."""
    prod.config_file.write_text(prod.config_file.read_text().replace('"prod"', '"prood"', 1))
    assert "the default profile prood is not there" in prod.run("profile", "list").stderr


def test_use_and_rename(prod):
    """`use` moves the default, the sandbox included; `rename` takes key and default along."""
    prod.add("eu", "https://eu.example/api", key=OTHER_KEY)
    assert prod.read("profile", "use", "eu")["default"] is True
    assert prod.read("profile", "rename", "eu", "europe")["name"] == "europe"
    assert {each["name"]: each["default"] for each in prod.read("profile", "list")} == {
        "prod": False,
        "europe": True,
        "sandbox": False,
    }
    assert prod.read("profile", "use", "sandbox")["default"] is True
    unknown = prod.run("profile", "use", "europ")
    assert (unknown.exit, "did you mean europe?" in unknown.stderr) == (3, True)


def test_remove_says_what_it_did(prod):
    """Without a terminal nobody is asked; profile and key are gone, the rest is named."""
    removed = prod.read("profile", "remove", "prod")
    assert removed["removed"] == [
        "profile prod (acme-api.esper.cloud)",
        "its key (credentials.toml)",
    ]
    assert removed["left"] == ["the history of what was sent with it"]
    assert removed["was_default"] is True
    assert prod.files_with(KEY) == []
    assert prod.run("profile", "remove", "prod").exit == 3


@pytest.mark.parametrize(("typed", "code"), [("n", 2), ("", 2), ("y", 0), ("YES", 0)])
def test_remove_asks_on_a_terminal(prod, typed, code):
    """On a terminal a no, or nothing, is exit 2 and changes nothing."""
    before = prod.files()
    child = prod.on_terminal("profile", "remove", "prod")
    child.expect_exact("Remove profile prod (acme-api.esper.cloud) and its key (credentials.toml)?")
    child.sendline(typed)
    exit_code, shown = ended(child)
    assert exit_code == code, shown
    assert (prod.files() == before) == (code == 2)


def test_remove_yes_does_not_ask(prod):
    """`-y` on a terminal does not ask."""
    exit_code, shown = ended(prod.on_terminal("profile", "remove", "prod", "-y"))
    assert (exit_code, "Remove profile" in shown) == (0, False)


@pytest.mark.parametrize(
    "args",
    [
        ["add", "new", "--tenant", "acme", "--api-key-env", "X"],
        ["set", "prod", "retries=1"],
        ["use", "prod"],
        ["rename", "prod", "other"],
        ["remove", "prod"],
        ["list"],
        ["show"],
        ["check"],
    ],
)
def test_corrupt_config(prod, args):
    """A corrupt config.toml is exit 3 with file and line, for every command, and stays as it is."""
    prod.config_file.write_text(prod.config_file.read_text() + "\n[profiles\n")
    before = prod.files()
    result = prod.run("profile", *args)
    assert result.exit == 3
    assert f"{prod.config_file}, line " in result.stderr
    assert prod.files() == before


def settings_of(shown):
    return {each["name"]: each for each in shown["settings"]}


def test_show_tells_sources(prod):
    """Every setting has its value, its source and what it overrides, in their order."""
    prod.run("profile", "set", "prod", "timeout=60")
    shown = prod.read("profile", "show", env={"CMDSTAT_TIMEOUT": "5", "CMDSTAT_PROFILE": "prod"})
    assert (shown["profile"], shown["chosen_by"]) == ("prod", "CMDSTAT_PROFILE")
    settings = settings_of(shown)
    assert settings["timeout"] == {
        "name": "timeout",
        "value": 5.0,
        "source": "CMDSTAT_TIMEOUT",
        "overrides": [
            {"value": 60.0, "source": "profile prod"},
            {"value": 30.0, "source": "default"},
        ],
    }
    assert settings["base_url"]["value"] == ACME
    assert settings["key"]["value"] == MASKED
    assert settings["key"]["source"] == "credentials.toml"
    assert settings["retries"] == {
        "name": "retries", "value": 3, "source": "default", "overrides": []
    }  # fmt: skip
    assert set(settings) == {
        "base_url", "key", "timeout", "retries", "ca_bundle", "client_cert", "allow_http"
    }  # fmt: skip
    assert shown["warnings"] == []


def test_show_in_the_other_formats(prod):
    """CSV has a setting a line, JSON lines one object, a table every value and source."""
    env = {"CMDSTAT_RETRIES": "9"}
    rows = list(
        csv.DictReader(io.StringIO(prod.run("profile", "show", "-o", "csv", env=env).stdout))
    )
    assert {"name": "key", "value": MASKED, "source": "credentials.toml", "overrides": "[]"} in rows
    assert rows[0]["value"] == "prod"
    (line,) = prod.run("profile", "show", "-o", "jsonl", env=env).stdout.splitlines()
    assert json.loads(line)["profile"] == "prod"
    table = prod.run("profile", "show", env=env).stdout
    assert all(text in table for text in (ACME, MASKED, "CMDSTAT_RETRIES", "3 (default)"))


@pytest.mark.parametrize("columns", ["100", "60", "40", "20"])
def test_show_keeps_the_address_whole(prod, columns):
    """At any width the base URL is there to be copied."""
    shown = prod.run("profile", "show", tty=True, env={"COLUMNS": columns, "NO_COLOR": "1"}).stdout
    assert ACME in shown


def test_show_the_pair_and_the_sandbox(prod):
    """The environment's pair and the sandbox are shown too, without being started or sent to."""
    pair = {"CMDSTAT_BASE_URL": "https://pair.example/api/", "CMDSTAT_API_KEY": OTHER_KEY}
    shown = prod.read("profile", "show", env=pair | {"CMDSTAT_PROFILE": "prod"})
    assert shown["profile"] is None
    assert shown["not_chosen"] == [{"value": "prod", "source": "CMDSTAT_PROFILE"}]
    assert settings_of(shown)["base_url"]["value"] == "https://pair.example/api"
    assert settings_of(shown)["key"]["value"] == "…" + OTHER_KEY[-4:]
    shown = prod.read("profile", "show", "sandbox", env=pair)
    assert shown["profile"] == "sandbox"
    assert settings_of(shown)["base_url"]["value"] is None
    assert not (prod.path / "data").exists()


def test_show_two_names(prod):
    """NAME and --profile are the same thing, so two different ones are exit 2."""
    assert prod.run("profile", "show", "prod", "-p", "prod").exit == 0
    assert prod.run("profile", "show", "prod", "-p", "sandbox").exit == 2


def test_show_warns_of_netrc(prod):
    """An entry in ~/.netrc for the host, or one that NETRC names, is said to be ignored."""
    entry = "machine acme-api.esper.cloud login me password hidden\n"
    (prod.path / ".netrc").write_text(entry)
    (prod.path / "other").write_text("machine elsewhere.example login me password hidden\n")
    (warning,) = prod.read("profile", "show")["warnings"]
    assert ".netrc has an entry for acme-api.esper.cloud" in warning
    assert "ignored" in warning
    assert prod.read("profile", "show", env={"NETRC": str(prod.path / "other")})["warnings"] == []
    (prod.path / ".netrc").write_text("machine without an end, and \xff")
    assert prod.read("profile", "show")["warnings"] == []


def test_show_warns_of_a_proxy(prod):
    """A proxy in force is named without its password, and not where NO_PROXY excepts the host."""
    env = {"HTTPS_PROXY": "http://user:hidden@proxy.example:3128/"}
    (warning,) = prod.read("profile", "show", env=env)["warnings"]
    assert "proxy.example:3128" in warning
    assert "hidden" not in warning
    assert prod.read("profile", "show", env=env | {"NO_PROXY": ".esper.cloud"})["warnings"] == []
    assert prod.read("profile", "show", "sandbox", env=env)["warnings"] == []


@pytest.mark.parametrize(
    ("command", "code", "proxy"),
    [
        ("show", 0, "http://user:hidden@127.0.0.1:99999"),
        ("show", 0, "http://user:hidden@"),
        ("show", 0, "hidden@"),
        ("check", 3, "http://user:hidden@127.0.0.1:99999"),
    ],
)
def test_a_proxy_that_cannot_be_one_shows_no_password(prod, command, code, proxy):
    """However badly a proxy is written, nothing before its @ is shown."""
    result = prod.run("profile", command, "-o", "json", env={"HTTPS_PROXY": proxy})
    assert result.exit == code, result.describe()
    assert "hidden" not in result.stdout + result.stderr


def test_show_warns_of_a_key_file_that_others_can_write(prod):
    """A key file that others can write lets them choose the key; one they can read is allowed."""
    file = prod.path / "run-key"  # where the harness looks for no keys
    file.mkdir()
    file = file / "key"
    file.write_text(OTHER_KEY)
    env = {"CMDSTAT_API_KEY_FILE": str(file)}
    file.chmod(0o444)
    assert prod.read("profile", "show", env=env)["warnings"] == []
    file.chmod(0o666)
    (warning,) = prod.read("profile", "show", env=env)["warnings"]
    assert "others can write" in warning
    text = prod.run("profile", "show", env=env)
    assert f"warning: {warning}" in text.stderr


def test_show_warns_of_another_base_url(prod):
    """CMDSTAT_BASE_URL that is not the profile's is warned of, whichever of the two is in force."""
    elsewhere = {"CMDSTAT_BASE_URL": "https://elsewhere.example/api"}
    warnings = prod.read("profile", "show", env=elsewhere)["warnings"]
    assert "CMDSTAT_BASE_URL names https://elsewhere.example/api" in warnings[0]
    assert "was not used" in warnings[1]  # the key, which stays at home
    env = elsewhere | {"CMDSTAT_API_KEY": OTHER_KEY}
    (warning,) = prod.read("profile", "show", "prod", env=env)["warnings"]
    assert "is not used" in warning
    assert prod.read("profile", "show", env={"CMDSTAT_BASE_URL": ACME + "/"})["warnings"] == []
