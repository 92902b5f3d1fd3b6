"""Profiles: read strictly, changed together with their keys, safe against company and crashes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cmdstat import system_keyring
from cmdstat.errors import ConfigurationError, UsageError
from cmdstat.key_sources import KeyKind, KeySource
from cmdstat.keys import ApiKey
from cmdstat.paths import Paths
from cmdstat.profiles import Profile, ProfileStore, check_name
from cmdstat.settings import parse_assignments

ACME = "https://acme-api.esper.cloud/api"
BETA = "https://beta-api.esper.cloud/api"
KEY = ApiKey("k3y-of-the-tests", "prompt")


@pytest.fixture
def paths(tmp_path):
    """Paths below the test's own folder."""
    return Paths(tmp_path / "config", tmp_path / "state", tmp_path / "data")


@pytest.fixture
def store(paths):
    """A store without a single file."""
    return ProfileStore(paths)


@pytest.fixture
def prod(store):
    """A store whose one profile, prod, has a stored key."""
    store.add(Profile("prod", ACME), KEY)
    return store


def config(paths, text):
    """Write config.toml by hand."""
    paths.config_dir.mkdir(exist_ok=True)
    paths.config_file.write_text(text)


def read_all(store):
    """Read what the file says of the default and of profile a."""
    store.default_name()
    store.get("a")


def both(paths):
    """The bytes of the two files; None for one that is not there."""
    return [
        path.read_bytes() if path.exists() else None
        for path in (paths.config_file, paths.credentials_file)
    ]


def test_add_and_get(store, paths):
    """What was added comes back, the first one is the default, and both files are private."""
    full = Profile(
        "eu.prod-1", BETA, 12.5, 0, "/ca.pem", "/me.pem", allow_http=False,
        key_source=KeySource(KeyKind.COMMAND, "pass show 'a b'"),
    )  # fmt: skip
    assert store.names() == ()
    assert store.default_name() is None
    assert store.add(Profile("prod", ACME), KEY) is True
    assert store.add(full) is False
    assert store.names() == ("prod", "eu.prod-1")
    assert store.default_name() == "prod"
    assert store.get("eu.prod-1") == full
    assert store.key(store.get("prod"), {}).reveal() == KEY.reveal()
    for path in (paths.config_file, paths.credentials_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(paths.config_dir.stat().st_mode) == 0o700
    assert KEY.reveal() not in paths.config_file.read_text()


def test_reading_makes_nothing(store, paths):
    """Looking for profiles makes no file and no folder."""
    assert store.names() == ()
    with pytest.raises(ConfigurationError):
        store.get("prod")
    assert not paths.config_dir.exists()


@pytest.mark.parametrize("name", ["prod", "sandbox", "Sandbox", "", "-x", "a b", "a/b", "ä",
                                  "x" * 65, "a\n", "a\x1b", "[a]"])  # fmt: skip
def test_names_that_cannot_be_added(prod, paths, name):
    """A name that is taken, built in or not a name is a usage error, and nothing changes."""
    before = both(paths)
    for call in (lambda: prod.check_free(name), lambda: prod.add(Profile(name, ACME), KEY)):
        with pytest.raises(UsageError):
            call()
    assert both(paths) == before


def test_longest_name():
    """All the signs that a name may have, and 64 of them."""
    assert check_name("aZ9._-" + "x" * 58)


def test_unknown_profile(prod):
    """An unknown profile is a configuration error that offers the nearest one."""
    with pytest.raises(ConfigurationError, match='"prd"') as caught:
        prod.get("prd")
    assert "prod" in caught.value.hint


def test_plain_http_needs_consent(store):
    """http:// to another machine is refused when it is added or changed, unless it is allowed."""
    intranet = "http://esper.intranet/api"
    with pytest.raises(UsageError, match="not encrypted"):
        store.add(Profile("lab", intranet), KEY)
    store.add(Profile("lab", intranet, allow_http=True), KEY)
    with pytest.raises(UsageError, match="not encrypted"):
        store.update("lab", {"allow_http": None})
    assert store.get("lab").allow_http is True
    store.add(Profile("here", "http://127.0.0.1:1/api"), KEY)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("defualt = 'a'\n", '"defualt"'),
        ("default = 3\n", "default"),
        ("profiles = 3\n", "[profiles.NAME]"),
        ("[profiles]\na = 3\n", "a"),
        ("[profiles.a]\n", "base_url"),
        ("[profiles.a]\nbase_url = 3\n", "base_url"),
        ("[profiles.a]\nbase_url = 'https://u:S3CRET@h'\n", "base_url"),
        ("[profiles.a]\nbase_url = 'acme'\ntimeuot = 3\n", '"timeuot"'),
        ("[profiles.a]\nbase_url = 'acme'\napi_key = 'S3CRET'\n", '"api_key"'),
        ("[profiles.a]\nbase_url = 'acme'\ntimeout = 0\n", "timeout"),
        ("[profiles.a]\nbase_url = 'acme'\ntimeout = nan\n", "timeout"),
        ("[profiles.a]\nbase_url = 'acme'\ntimeout = inf\n", "timeout"),
        ("[profiles.a]\nbase_url = 'acme'\ntimeout = true\n", "timeout"),
        ("[profiles.a]\nbase_url = 'acme'\nretries = 1.5\n", "retries"),
        ("[profiles.a]\nbase_url = 'acme'\nretries = 101\n", "retries"),
        ("[profiles.a]\nbase_url = 'acme'\nretries = true\n", "retries"),
        ("[profiles.a]\nbase_url = 'acme'\nallow_http = 'yes'\n", "allow_http"),
        ("[profiles.a]\nbase_url = 'acme'\nca_bundle = []\n", "ca_bundle"),
        ("[profiles.a]\nbase_url = 'acme'\nkeyring = false\n", "keyring"),
        ("[profiles.a]\nbase_url = 'acme'\napi_key_command = ''\n", "api_key_command"),
        ("[profiles.a]\nbase_url = 'acme'\napi_key_env = 'A B'\n", "api_key_env"),
        ("[profiles.a]\nbase_url = 'acme'\nkeyring = true\napi_key_env = 'A'\n", "two sources"),
        ("[profiles.sandbox]\nbase_url = 'acme'\n", "built in"),
        ("[profiles.'a b']\nbase_url = 'acme'\n", "a b"),
    ],
)
def test_mistakes_in_the_file(paths, store, text, part):
    """A mistake in config.toml is named with file and key; what may be secret is not shown."""
    config(paths, text)
    with pytest.raises(ConfigurationError) as caught:
        read_all(store)
    assert str(paths.config_file) in caught.value.message
    assert part in caught.value.message
    assert caught.value.hint
    assert "S3CRET" not in f"{caught.value.message} {caught.value.hint}"


def test_nearest_setting(paths, store):
    """A misspelt setting is answered with the one that was meant."""
    config(paths, "[profiles.a]\nbase_url = 'acme'\ntimeuot = 3\n")
    with pytest.raises(ConfigurationError) as caught:
        store.get("a")
    assert caught.value.hint == "did you mean timeout?"


def test_one_bad_profile_does_not_stop_another(paths, store):
    """A mistake in one profile leaves the others usable, by hand-written tenant and duration."""
    config(paths, "[profiles.a]\nnonsense = 1\n[profiles.b]\nbase_url = 'Acme'\ntimeout = '2m'\n")
    assert store.get("b") == Profile("b", ACME, timeout=120.0)
    assert store.names() == ("a", "b")


def test_relative_certificates(paths, store):
    """A certificate named in the file is found from the file's folder; ~ is the home."""
    config(paths, "[profiles.a]\nbase_url = 'acme'\nca_bundle = 'ca.pem'\nclient_cert = '~/me'\n")
    profile = store.get("a")
    assert profile.ca_bundle == str(paths.config_dir / "ca.pem")
    assert profile.client_cert == str(Path("~/me").expanduser())


def test_assignments(tmp_path, monkeypatch):
    """KEY=VALUE texts become values of the right type, an empty one goes back to the default."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca.pem").touch()
    assert parse_assignments(
        ["timeout=1.5", "retries=0", "ca_bundle=ca.pem", "allow_http=YES", "client_cert=",
         "base_url=acme"]
    ) == {
        "timeout": 1.5, "retries": 0, "ca_bundle": str(tmp_path / "ca.pem"), "allow_http": True,
        "client_cert": None, "base_url": ACME,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("assignment", "part"),
    [
        ("timeout", "KEY=VALUE"),
        ("timeuot=3", "timeuot"),
        ("timeout=-1", "timeout"),
        ("timeout=1e400", "timeout"),
        ("timeout=86401", "timeout"),
        ("retries=x", "retries"),
        ("retries=-1", "retries"),
        ("retries=99999999999999999999", "retries"),
        ("allow_http=maybe", "allow_http"),
        ("base_url=", "base_url"),
        ("base_url=ftp://x", "base_url"),
        ("ca_bundle=/nowhere/x.pem", "ca_bundle"),
        ("key=S3CRET", "no setting"),
        ("S3CRET==", "no such setting"),
        ("s3cretS3CRET=", "no such setting"),
        ("abcdefghijklmnopqrstuS3CRET".lower() + "=", "no such setting"),
    ],
)
def test_bad_assignments(assignment, part):
    """A bad KEY=VALUE is a usage error that names the setting and what it may be."""
    with pytest.raises(UsageError) as caught:
        parse_assignments([assignment])
    assert part in caught.value.message
    assert caught.value.hint
    assert "s3cret" not in f"{caught.value.message} {caught.value.hint}".lower()


def test_a_setting_twice():
    """The same setting twice in one call is a slip, not a wish."""
    with pytest.raises(UsageError, match="twice"):
        parse_assignments(["timeout=1", "timeout=2"])


def test_update_keeps_the_rest(paths, store):
    """Changing settings leaves hand-written lines and comments as they were."""
    text = "# top\n[profiles.a]\nbase_url = 'acme' # mine\ntimeout = 10\n# last\n"
    config(paths, text)
    store.update("a", {"timeout": 20.0, "retries": 5})
    assert paths.config_file.read_text() == text.replace("10\n", "20\nretries = 5\n")
    store.update("a", {"timeout": None, "retries": None})
    assert paths.config_file.read_text() == text.replace("timeout = 10\n", "")


def test_rotation(prod, paths):
    """A new key replaces the old one, and config.toml is not touched for it."""
    before = paths.config_file.stat()
    new = ApiKey("another-key", "prompt")
    prod.update("prod", {}, key_source=KeySource(), key=new)
    assert prod.key(prod.get("prod"), {}).reveal() == "another-key"
    assert paths.config_file.stat() == before
    assert KEY.reveal() not in paths.credentials_file.read_text()


def test_key_moves_to_another_source(prod, paths):
    """A profile that takes its key from a variable keeps none in the file any more, and back."""
    source = KeySource(KeyKind.VARIABLE, "ESPER_KEY")
    profile, left = prod.update("prod", {}, key_source=source)
    assert left is None
    assert prod.get("prod") == profile
    assert KEY.reveal() not in paths.credentials_file.read_text()
    assert prod.key(profile, {"ESPER_KEY": " v-key\n"}).reveal() == "v-key"
    with pytest.raises(ConfigurationError, match="ESPER_KEY, which is not set"):
        prod.key(profile, {"ESPER_KEY": ""})
    profile, _ = prod.update("prod", {}, key_source=KeySource(), key=KEY)
    assert prod.get("prod") == Profile("prod", ACME) == profile
    assert prod.key(profile, {}).reveal() == KEY.reveal()


def test_stored_key_stays_with_its_host(prod, paths):
    """A base URL that is changed, by hand or by command, takes the key nowhere, and it is told."""
    assert prod.stale_key(prod.get("prod")) is None
    paths.config_file.write_text(paths.config_file.read_text().replace("acme", "evil"))
    evil = prod.get("prod")
    assert evil.base_url == "https://evil-api.esper.cloud/api"
    with pytest.raises(ConfigurationError, match="was stored for https://acme-api"):
        prod.key(evil, {})
    assert "acme-api" in prod.stale_key(evil)
    description = prod.describe_key(evil, {})
    assert description.masked == ""
    assert description.problem is not None
    prod.update("prod", {"base_url": ACME})
    assert prod.key(prod.get("prod"), {}).reveal() == KEY.reveal()
    prod.update("prod", {"base_url": BETA}, key_source=KeySource(), key=ApiKey("beta-key", ""))
    assert prod.key(prod.get("prod"), {}).reveal() == "beta-key"


def test_same_host_other_path_keeps_the_key(prod):
    """A base URL with another path on the same host keeps its key."""
    profile, _ = prod.update("prod", {"base_url": "https://acme-api.esper.cloud/api/v2"})
    assert prod.key(profile, {}).reveal() == KEY.reveal()


def test_describe(prod):
    """Keys are shown by their last four signs and their source; no helper is run for that."""
    assert prod.describe_key(prod.get("prod"), {}).masked == "…ests"
    failing = Profile("x", ACME, key_source=KeySource(KeyKind.COMMAND, "/nowhere/x y"))
    prod.add(failing)
    description = prod.describe_key(failing, {})
    assert (description.masked, description.problem) == ("…", None)
    assert description.source == "helper command: /nowhere/x y"


def test_use(prod):
    """The default is one of the profiles, or the sandbox; an unknown name changes nothing."""
    prod.add(Profile("beta", BETA), KEY)
    prod.use("beta")
    assert prod.default_name() == "beta"
    with pytest.raises(ConfigurationError):
        prod.use("bta")
    assert prod.default_name() == "beta"
    prod.use("sandbox")
    assert prod.default_name() == "sandbox"


def test_rename(prod, paths):
    """A renamed profile keeps its place, its comments, its key and its being the default."""
    text = "# mine\n" + paths.config_file.read_text() + "# after\n"
    paths.config_file.write_text(text)
    prod.rename("prod", "eu.prod")
    assert paths.config_file.read_text() == text.replace(
        "[profiles.prod]", '[profiles."eu.prod"]'
    ).replace('"prod"', '"eu.prod"', 1)
    assert prod.default_name() == "eu.prod"
    assert prod.key(prod.get("eu.prod"), {}).reveal() == KEY.reveal()
    assert set(tomllib.loads(paths.credentials_file.read_text())["keys"]) == {"eu.prod"}


def test_rename_refused(prod, paths):
    """Renaming to a taken or impossible name, from an unknown one, or the sandbox does nothing."""
    prod.add(Profile("beta", BETA), KEY)
    before = both(paths)
    for old, new, error in (
        ("prod", "beta", UsageError), ("prod", "prod", UsageError), ("prod", "a b", UsageError),
        ("prod", "sandbox", UsageError), ("sandbox", "x", UsageError),
        ("nobody", "x", ConfigurationError),
    ):  # fmt: skip
        with pytest.raises(error):
            prod.rename(old, new)
    assert both(paths) == before


def test_remove(prod, paths):
    """Removing takes the profile and its key, says so, and leaves no default behind."""
    prod.add(Profile("beta", BETA, ca_bundle="/ca.pem",
                     key_source=KeySource(KeyKind.VARIABLE, "ESPER_KEY")))  # fmt: skip
    removal = prod.remove("prod")
    assert removal.removed == (
        "profile prod (acme-api.esper.cloud)", "its key (credentials.toml)",
    )  # fmt: skip
    assert removal.was_default
    assert prod.names() == ("beta",)
    assert prod.default_name() is None
    assert KEY.reveal() not in paths.credentials_file.read_text()
    removal = prod.remove("beta")
    assert removal.removed == ("profile beta (beta-api.esper.cloud)",)
    assert "/ca.pem" in removal.left
    assert any("ESPER_KEY" in each for each in removal.left)
    assert not removal.was_default
    with pytest.raises(ConfigurationError):
        prod.remove("beta")
    with pytest.raises(UsageError):
        prod.remove("sandbox")


@pytest.fixture
def keyring(tmp_path, monkeypatch):
    """A real keyring backend in a folder of the test's own."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyrings.alt.file.PlaintextKeyring")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "keyring"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "keyring"))


def test_keyring_profile(store, paths, keyring):
    """A key in the keyring is used, renamed with its profile, bound to its host, and removed."""
    source = KeySource(KeyKind.KEYRING)
    store.add(Profile("prod", ACME, key_source=source), KEY)
    store.rename("prod", "eu")
    profile = store.get("eu")
    assert profile.key_source == source
    assert store.key(profile, {}).source == "system keyring"
    assert system_keyring.find("prod") is None
    store.update("eu", {"base_url": BETA})
    with pytest.raises(ConfigurationError, match="stored for https://acme-api"):
        store.key(store.get("eu"), {})
    assert store.remove("eu").removed[1:] == ("its key (system keyring)",)
    assert system_keyring.find("eu") is None
    assert not paths.credentials_file.exists()


def test_no_fall_back_from_the_keyring(store, paths, monkeypatch):
    """A keyring that cannot be used leaves no profile, and no key in a file."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    with pytest.raises(ConfigurationError, match="no system keyring"):
        store.add(Profile("prod", ACME, key_source=KeySource(KeyKind.KEYRING)), KEY)
    assert both(paths) == [None, None]


def test_damaged_credentials_leave_config_alone(prod, paths):
    """With credentials.toml damaged nothing that touches keys is done, and config.toml is read."""
    damaged = paths.credentials_file.read_text() + "S3CRET\n"
    paths.credentials_file.write_text(damaged)
    before = both(paths)
    profile = prod.get("prod")
    for call in (
        lambda: prod.key(profile, {}),
        lambda: prod.add(Profile("new", BETA), KEY),
        lambda: prod.add(Profile("new", BETA, key_source=KeySource(KeyKind.VARIABLE, "X"))),
        lambda: prod.rename("prod", "other"),
        lambda: prod.remove("prod"),
        lambda: prod.update("prod", {}, key_source=KeySource(), key=KEY),
        lambda: prod.update("prod", {}, key_source=KeySource(KeyKind.VARIABLE, "X")),
    ):
        with pytest.raises(ConfigurationError, match=r"credentials\.toml, line 4") as caught:
            call()
        assert "S3CRET" not in caught.value.message
    assert both(paths) == before
    prod.update("prod", {"timeout": 5.0})
    assert prod.get("prod").timeout == 5.0
    assert paths.credentials_file.read_text() == damaged


def test_damaged_config_leaves_credentials_alone(prod, paths):
    """With config.toml damaged every change is refused, and both files stay as they are."""
    paths.config_file.write_text(paths.config_file.read_text() + "default = \n")
    before = both(paths)
    for call in (
        prod.names,
        lambda: prod.add(Profile("new", BETA), KEY),
        lambda: prod.rename("prod", "other"),
        lambda: prod.remove("prod"),
        lambda: prod.use("prod"),
        lambda: prod.update("prod", {}, key_source=KeySource(), key=KEY),
    ):
        with pytest.raises(ConfigurationError, match=r"config\.toml, line 5"):
            call()
    assert both(paths) == before


def test_loose_credentials_stay_loose(prod, paths):
    """Keys that others can read are not used, and not quietly made private either."""
    paths.credentials_file.chmod(0o644)
    for call in (lambda: prod.key(prod.get("prod"), {}), lambda: prod.remove("prod")):
        with pytest.raises(ConfigurationError, match="others can read it"):
            call()
    assert stat.S_IMODE(paths.credentials_file.stat().st_mode) == 0o644
    assert prod.names() == ("prod",)


_CHANGES = {
    "add": 'store.add(Profile("beta", BETA), ApiKey("k3y-of-beta", ""))',
    "rename": 'store.rename("prod", "eu")',
    "remove": 'store.remove("prod")',
    "rotate": 'store.update("prod", {}, key_source=KeySource(), key=ApiKey("k3y-new", ""))',
    "move": 'store.update("prod", {"base_url": BETA}, key_source=KeySource(),'
    ' key=ApiKey("k3y-of-beta", ""))',
    "leave": 'store.update("prod", {}, key_source=KeySource(KeyKind.VARIABLE, "X"))',
}
_CUT_OFF = """
import os, sys
from pathlib import Path
from cmdstat.key_sources import KeyKind, KeySource
from cmdstat.keys import ApiKey
from cmdstat.paths import Paths
from cmdstat.profiles import Profile, ProfileStore
BETA = "https://beta-api.esper.cloud/api"
left = int(sys.argv[2])
def hook(event, arguments):
    global left
    # every change of what is on the disk: opening to write, renaming, removing
    opens = event == "open" and str(arguments[0]).endswith(".new")
    if opens or event in ("os.rename", "os.remove"):
        left -= 1
        if left < 0:
            os._exit(9)
base = Path(sys.argv[1])
store = ProfileStore(Paths(base / "config", base / "state", base / "data"))
sys.addaudithook(hook)
CHANGE
"""


def key_or_refusal(store, profile):
    """The key of a profile, or why there is none."""
    try:
        return store.key(profile, {}).reveal()
    except ConfigurationError as error:
        return error.message


@pytest.mark.parametrize("change", _CHANGES)
def test_cut_off_between_the_files(tmp_path, change):
    """Killed before any of its steps, a change loses no key in use and misleads none to a host."""
    steps, done = 0, False
    while not done:
        base = tmp_path / str(steps)
        store = ProfileStore(Paths(base / "config", base / "state", base / "data"))
        store.add(Profile("prod", ACME), KEY)
        program = _CUT_OFF.replace("CHANGE", _CHANGES[change])
        ended = subprocess.run(
            [sys.executable, "-B", "-c", program, base, str(steps)],
            capture_output=True,
            check=False,
        )
        assert ended.returncode in (0, 9), ended.stderr.decode()
        done = ended.returncode == 0
        for name in store.names():
            profile = store.get(name)
            if profile.key_source.kind is KeyKind.VARIABLE:
                continue
            key = key_or_refusal(store, profile)
            if change == "move" and "was stored for https://acme-api" in key:
                continue
            assert key == ("k3y-of-beta" if profile.base_url == BETA else KEY.reveal()) or (
                key == "k3y-new" and change == "rotate"
            )
        if change != "remove":
            assert set(store.names()) & {"prod", "eu"}
        again = "beta" if change == "add" else "prod"
        if change in ("add", "remove") and again not in store.names():
            store.add(Profile(again, BETA), KEY)
            assert store.key(store.get(again), {}).reveal() == KEY.reveal()
        steps += 1
    assert steps > 2


def test_a_key_without_a_profile_can_be_removed(prod, paths):
    """A key that a cut-off change left behind goes when the profile's name is removed again."""
    config(paths, "")
    assert prod.remove("prod").removed == ("a key that was stored for prod",)
    assert KEY.reveal() not in paths.credentials_file.read_text()


@pytest.mark.parametrize("source", [KeySource(KeyKind.VARIABLE, "X"), KeySource()])
def test_a_key_without_a_profile_is_not_there_for_the_next(prod, paths, source):
    """A new profile of the same name, wherever its key comes from, leaves no old key stored."""
    config(paths, "")
    prod.add(Profile("prod", ACME, key_source=source), ApiKey("new", "") if not source.argument
             else None)  # fmt: skip
    assert KEY.reveal() not in paths.credentials_file.read_text()


def test_a_removal_takes_a_stored_key_that_its_profile_does_not_use(prod, paths):
    """A key that a cut-off change left behind a profile with another source goes with it."""
    text = paths.config_file.read_text()
    config(paths, text + 'api_key_env = "X"\n')
    removed = prod.remove("prod").removed
    assert removed[1:] == ("a key that was stored for prod",)
    assert KEY.reveal() not in paths.credentials_file.read_text()


_ADD_ONE = """
import sys
from pathlib import Path
from cmdstat.keys import ApiKey
from cmdstat.paths import Paths
from cmdstat.profiles import Profile, ProfileStore
base, name = Path(sys.argv[1]), sys.argv[2]
store = ProfileStore(Paths(base / "config", base / "state", base / "data"))
sys.stdin.read()
store.add(Profile(name, "https://acme-api.esper.cloud/api"), ApiKey("key-of-" + name, ""))
"""


def test_twenty_at_once(tmp_path, store):
    """Twenty processes that add a profile at the same moment lose none, nor a key."""
    names = [f"p{number}" for number in range(20)]
    reading, writing = os.pipe()
    processes = [
        subprocess.Popen([sys.executable, "-c", _ADD_ONE, tmp_path, name], stdin=reading)
        for name in names
    ]
    os.close(reading)
    os.close(writing)
    assert [process.wait() for process in processes] == [0] * 20
    assert sorted(store.names()) == sorted(names)
    assert store.default_name() in names
    for name in names:
        assert store.key(store.get(name), {}).reveal() == f"key-of-{name}"


def test_folder_that_cannot_be_made(tmp_path):
    """Where no folder can be made, adding a profile is a configuration error."""
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "config"
    store = ProfileStore(Paths(below, below, below))
    with pytest.raises(ConfigurationError, match="could not be made"):
        store.add(Profile("prod", ACME), KEY)
