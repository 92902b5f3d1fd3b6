"""Precedence: which place, which settings and whose key, and that nothing else is even read."""

from __future__ import annotations

import pytest

from cmdstat.errors import ConfigurationError, UsageError
from cmdstat.key_sources import KeyKind, KeySource
from cmdstat.keys import ApiKey
from cmdstat.paths import Paths
from cmdstat.profiles import Profile, ProfileStore
from cmdstat.target import resolve

ACME = "https://acme-api.esper.cloud/api"
BETA = "https://beta-api.esper.cloud/api"
PAIR = {"CMDSTAT_BASE_URL": BETA, "CMDSTAT_API_KEY": "environment-key"}


@pytest.fixture
def paths(tmp_path):
    """Paths below the test's own folder."""
    return Paths(tmp_path / "config", tmp_path / "state", tmp_path / "data")


@pytest.fixture
def store(paths):
    """Two profiles: prod with a stored key, the default, and lab with settings of its own."""
    made = ProfileStore(paths)
    made.add(Profile("prod", ACME), ApiKey("stored-key-of-prod", ""))
    made.add(
        Profile("lab", "https://lab.example/api", timeout=7.0, retries=0,
                key_source=KeySource(KeyKind.VARIABLE, "LAB_KEY"))
    )  # fmt: skip
    return made


@pytest.fixture
def find(store):
    """Resolve with these flags and this environment."""

    def call(profile=None, timeout=None, retries=None, **env):
        return resolve(
            profile_flag=profile, timeout_flag=timeout, retries_flag=retries, env=env, store=store
        )

    return call


def setting(target, name):
    """One setting as a triple: value, source, what it overrides."""
    found = next(each for each in target.settings if each.name == name)
    return found.value, found.source, list(found.overrides)


class Untouchable(ProfileStore):
    """A store that must not be asked for anything."""

    def __getattribute__(self, name):
        if name.startswith("__"):
            return super().__getattribute__(name)
        pytest.fail(f"the store was asked for {name}")


def test_default_profile(find):
    """With nothing said the default profile is used, with its key and the built-in settings."""
    target = find()
    assert (target.profile, target.is_sandbox, target.base_url) == ("prod", False, ACME)
    assert (target.timeout, target.retries, target.allow_http) == (30.0, 3, False)
    assert (target.ca_bundle, target.client_cert, target.notices) == (None, None, ())
    assert target.key().reveal() == "stored-key-of-prod"
    assert setting(target, "profile") == ("prod", "default in config.toml", [])


def test_flag_variable_profile_default(find):
    """A flag beats the environment, that beats the profile, that the default; all is told."""
    env = {"CMDSTAT_PROFILE": "lab", "CMDSTAT_TIMEOUT": "20", "CMDSTAT_RETRIES": "9"}
    assert find().timeout == 30.0
    assert find("lab").timeout == 7.0
    assert find("lab").retries == 0
    assert find(**env).timeout == 20.0
    target = find(timeout=1.5, retries=0, **env)
    assert (target.profile, target.timeout, target.retries) == ("lab", 1.5, 0)
    assert setting(target, "timeout") == (
        1.5, "--timeout", [("20", "CMDSTAT_TIMEOUT"), (7.0, "profile lab"), (30.0, "default")],
    )  # fmt: skip
    assert setting(target, "profile")[1] == "CMDSTAT_PROFILE"
    both = find("prod", **env)
    assert setting(both, "profile") == ("prod", "--profile", [("lab", "CMDSTAT_PROFILE")])


def test_empty_is_unset(find):
    """An empty variable is as good as none."""
    names = ("BASE_URL", "API_KEY", "API_KEY_FILE", "PROFILE", "TIMEOUT", "RETRIES")
    target = find(**{f"CMDSTAT_{name}": "" for name in names})
    assert (target.profile, target.base_url, target.timeout) == ("prod", ACME, 30.0)
    assert target.key().source == "credentials.toml"


@pytest.mark.parametrize("source", ["CMDSTAT_API_KEY", "CMDSTAT_API_KEY_FILE"])
def test_pair_needs_no_file(paths, tmp_path, source):
    """The pair beats CMDSTAT_PROFILE, and no configuration is read, be it ever so damaged."""
    (tmp_path / "key").write_text("environment-key\n")
    value = {"CMDSTAT_API_KEY": "environment-key", "CMDSTAT_API_KEY_FILE": str(tmp_path / "key")}
    env = {"CMDSTAT_BASE_URL": BETA + "/", source: value[source], "CMDSTAT_PROFILE": "lab"}
    target = resolve(
        profile_flag=None, timeout_flag=None, retries_flag=None, env=env, store=Untouchable(paths)
    )
    assert (target.profile, target.base_url, target.notices) == (None, BETA, ())
    assert (target.key().reveal(), target.key().source) == ("environment-key", source)
    assert setting(target, "profile") == (
        None, f"CMDSTAT_BASE_URL and {source}", [("lab", "CMDSTAT_PROFILE")],
    )  # fmt: skip


def test_key_before_key_file(find):
    """CMDSTAT_API_KEY beats CMDSTAT_API_KEY_FILE, whose file is not opened then."""
    target = find(CMDSTAT_API_KEY_FILE="/nowhere/key", **PAIR)
    assert target.key().reveal() == "environment-key"
    assert setting(target, "key") == (None, "CMDSTAT_API_KEY", [(None, "CMDSTAT_API_KEY_FILE")])


def test_profile_flag_sets_the_pair_aside(find):
    """-p prod with another service's exports in the environment reaches prod, and says so."""
    target = find("prod", **PAIR)
    assert (target.profile, target.base_url) == ("prod", ACME)
    assert target.key().reveal() == "stored-key-of-prod"
    assert target.notices == (
        "--profile prod sets CMDSTAT_BASE_URL and CMDSTAT_API_KEY aside",
    )  # fmt: skip
    assert setting(target, "base_url") == (ACME, "profile prod", [(BETA, "CMDSTAT_BASE_URL")])
    assert setting(target, "key") == (None, "credentials.toml", [(None, "CMDSTAT_API_KEY")])


def test_what_is_set_aside_need_not_be_good(find):
    """A pair that is set aside is not checked, and a password in it is not shown."""
    env = {"CMDSTAT_BASE_URL": "https://u:S3CRET@h", "CMDSTAT_API_KEY": "two words"}
    target = find("prod", **env)
    assert target.key().reveal() == "stored-key-of-prod"
    assert "S3CRET" not in repr(target)
    with pytest.raises(UsageError, match="CMDSTAT_BASE_URL") as caught:
        find(**env)
    assert "S3CRET" not in caught.value.message


@pytest.mark.parametrize("key", ["https://acme-api.esper.cloud/api", " HTTP://acme.example\n"])
@pytest.mark.parametrize("profile", [None, "prod"])
def test_swapped_pair(find, key, profile):
    """An address in the key's variable is told before the key beside it is taken for a tenant."""
    env = {"CMDSTAT_BASE_URL": "s3cret-of-letters", "CMDSTAT_API_KEY": key}
    if profile is not None:
        assert "s3cret" not in repr(find(profile, **env))  # both are set aside
        return
    with pytest.raises(ConfigurationError, match="holds an address") as caught:
        find(**env)
    assert "swapped" in caught.value.hint
    assert "s3cret" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("env", [{"CMDSTAT_API_KEY": "k"}, {}])
@pytest.mark.parametrize("text", ["s3cret0fLetters", "s3cret.example", "s3cret="])
def test_base_url_variable_takes_a_url_alone(find, env, text):
    """A word in CMDSTAT_BASE_URL may be a key: it is no tenant's name, and is not repeated."""
    with pytest.raises(UsageError, match="CMDSTAT_BASE_URL: it is not a URL") as caught:
        find(CMDSTAT_BASE_URL=text, **env)
    assert "tenant" not in caught.value.hint
    assert "s3cret" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("text", ["s3cretKey0fLetters", "s3cret/with+slashes/in==", "/s3cret",
                                  "s3cret/" + "x" * 300, "https://s3cret.example/key"])  # fmt: skip
def test_key_in_place_of_its_file(find, text):
    """A key in CMDSTAT_API_KEY_FILE names no file, and is not repeated."""
    target = find(CMDSTAT_BASE_URL=BETA, CMDSTAT_API_KEY_FILE=text)
    with pytest.raises(ConfigurationError, match="CMDSTAT_API_KEY_FILE names does not") as caught:
        target.key()
    assert "s3cret" not in f"{caught.value.message} {caught.value.hint} {target.describe_key()}"


def test_key_file_that_is_missing_from_its_folder(find, tmp_path):
    """A file that is missing from a folder that is there is named: that is no key."""
    missing = str(tmp_path / "kee")
    with pytest.raises(ConfigurationError) as caught:
        find(CMDSTAT_BASE_URL=BETA, CMDSTAT_API_KEY_FILE=missing).key()
    assert missing in caught.value.message


@pytest.mark.parametrize(
    ("flag", "env"),
    [
        ("sandbox", PAIR),
        ("sandbox", {"CMDSTAT_BASE_URL": BETA}),
        ("sandbox", {"CMDSTAT_API_KEY": "environment-key"}),
        (None, {"CMDSTAT_PROFILE": "sandbox", "CMDSTAT_API_KEY_FILE": "/nowhere"}),
    ],
)
def test_sandbox_takes_nothing_from_the_environment(paths, flag, env):
    """The sandbox never meets production's address or key, reads no file, and says so."""
    target = resolve(
        profile_flag=flag, timeout_flag=None, retries_flag=5, env=env, store=Untouchable(paths)
    )
    assert (target.profile, target.is_sandbox, target.base_url) == ("sandbox", True, "")
    assert target.retries == 5
    assert len(target.notices) == 1
    for name in env:
        assert (name in target.notices[0]) or name == "CMDSTAT_PROFILE"
    with pytest.raises(ConfigurationError):
        target.key()


def test_sandbox_as_the_default(store, find):
    """The sandbox may be the default, a profile beats it, and it needs no notice."""
    store.use("sandbox")
    assert find().is_sandbox
    assert find().notices == ()
    assert find("prod").profile == "prod"
    assert find(**PAIR).profile is None


def test_lone_key_beats_the_profiles_own(paths):
    """With CMDSTAT_API_KEY set, no store, keyring, helper or other variable is touched."""
    store = ProfileStore(paths)
    store.add(Profile("a", ACME, key_source=KeySource(KeyKind.COMMAND, "/nowhere/helper")))
    store.add(Profile("b", ACME), ApiKey("stored", ""))
    paths.credentials_file.write_text("damaged")
    for name in ("a", "b"):
        target = resolve(
            profile_flag=name, timeout_flag=None, retries_flag=None,
            env={"CMDSTAT_API_KEY": "environment-key"}, store=store,
        )  # fmt: skip
        assert target.base_url == ACME
        assert target.key().source == "CMDSTAT_API_KEY"
        assert target.notices == ()
        assert target.describe_key().masked == "…-key"


def test_key_is_lazy(paths):
    """Nothing of a key's source is read before the key is asked for, and then only once."""
    store = ProfileStore(paths)
    store.add(Profile("a", ACME), ApiKey("stored", ""))
    paths.credentials_file.chmod(0o644)
    target = resolve(
        profile_flag="a", timeout_flag=None, retries_flag=None, env={}, store=store
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match="others can read"):
        target.key()
    paths.credentials_file.chmod(0o600)
    assert target.key() is target.key()


@pytest.mark.parametrize(
    "elsewhere",
    [
        BETA,
        "http://127.0.0.1:9/api",
        "https://acme-api.esper.cloud:8443/api",
        "https://acme-api.esper.cloud.evil.example/api",
    ],
)
@pytest.mark.parametrize("flag", [None, "prod", "lab"])
def test_profile_key_does_not_follow_the_variable(find, elsewhere, flag):
    """CMDSTAT_BASE_URL alone, for another place, gets no key of a profile, whatever its source."""
    target = find(flag, CMDSTAT_BASE_URL=elsewhere, LAB_KEY="lab-key")
    assert target.base_url == elsewhere
    with pytest.raises(ConfigurationError, match="was not used") as caught:
        target.key()
    assert "CMDSTAT_API_KEY" in caught.value.hint
    description = target.describe_key()
    assert description.masked == ""
    assert description.problem is not None


def test_variable_for_the_same_place(find):
    """CMDSTAT_BASE_URL for the profile's own host keeps the key, whatever the path."""
    target = find(CMDSTAT_BASE_URL="https://ACME-api.esper.cloud:443/api/v2/")
    assert target.base_url == "https://acme-api.esper.cloud/api/v2"
    assert target.key().reveal() == "stored-key-of-prod"
    assert setting(target, "base_url")[2] == [(ACME, "profile prod")]


@pytest.mark.parametrize("allow", [None, False, True])
def test_plain_http(paths, allow):
    """http:// to another machine is refused unless the profile allows it; the pair never may."""
    store = ProfileStore(paths)
    source = KeySource(KeyKind.VARIABLE, "K")
    store.add(Profile("a", "http://lab.example/api", allow_http=True, key_source=source))
    store.update("a", {"timeout": 5.0})
    text = paths.config_file.read_text()
    new = {None: "", False: "allow_http = false", True: "allow_http = true"}[allow]
    paths.config_file.write_text(text.replace("allow_http = true", new))

    def find(**env):
        return resolve(
            profile_flag=None, timeout_flag=None, retries_flag=None, env=env, store=store
        )

    if allow:
        assert find().base_url == "http://lab.example/api"
    else:
        with pytest.raises(ConfigurationError, match="not encrypted"):
            find()
    with pytest.raises(ConfigurationError, match="not encrypted"):
        find(CMDSTAT_BASE_URL="http://lab.example/api", CMDSTAT_API_KEY="k")
    assert find(CMDSTAT_BASE_URL="http://127.0.0.1:1/api", CMDSTAT_API_KEY="k").key()


@pytest.mark.parametrize(
    ("env", "part"),
    [
        ({}, "there is no profile yet"),
        ({"CMDSTAT_API_KEY": "k"}, "CMDSTAT_API_KEY alone names no place"),
        ({"CMDSTAT_BASE_URL": BETA}, "CMDSTAT_BASE_URL is set"),
    ],
)
def test_nothing_to_go_by(paths, env, part):
    """Without a profile or a pair the error says what is missing and how to make it."""
    with pytest.raises(ConfigurationError) as caught:
        resolve(
            profile_flag=None, timeout_flag=None, retries_flag=None, env=env,
            store=ProfileStore(paths),
        )  # fmt: skip
    assert part in caught.value.message
    if "CMDSTAT_BASE_URL" in env:
        assert "CMDSTAT_API_KEY" in caught.value.hint
    else:
        assert "cmdstat profile add NAME --tenant TENANT" in caught.value.hint
        assert "--profile sandbox needs none" in caught.value.hint


def test_no_default_among_profiles(store, find):
    """After the default profile is gone, none is guessed; the hint names those there are."""
    store.remove("prod")
    with pytest.raises(ConfigurationError, match="none is the default") as caught:
        find()
    assert "lab" in caught.value.hint


@pytest.mark.parametrize(
    ("flag", "env", "part"),
    [
        ("prd", {}, 'there is no profile "prd"'),
        (None, {"CMDSTAT_PROFILE": "prd"}, '"prd", which CMDSTAT_PROFILE names'),
        ("", {}, 'there is no profile ""'),
    ],
)
def test_unknown_profile(find, flag, env, part):
    """An unknown profile is named, with who named it."""
    with pytest.raises(ConfigurationError) as caught:
        find(flag, **env)
    assert part in caught.value.message


def test_default_that_is_gone(paths, store, find):
    """A default that names no profile is said to be the file's mistake."""
    text = paths.config_file.read_text()
    paths.config_file.write_text(text.replace('default = "prod"', 'default = "gone"'))
    with pytest.raises(ConfigurationError, match=r'"gone", which default in config\.toml names'):
        find()


@pytest.mark.parametrize("name", ["CMDSTAT_TIMEOUT", "CMDSTAT_RETRIES"])
@pytest.mark.parametrize("value", ["x", "-1", "101000", "nan", "1e3", "٣٣٣٣٣٣٣"])
def test_bad_variables(find, name, value):
    """A variable that is no number or out of range is a usage error that names it."""
    with pytest.raises(UsageError) as caught:
        find(**{name: value})
    assert name in caught.value.message


@pytest.mark.parametrize(
    ("flags", "name"),
    [({"timeout": 0.0}, "--timeout"), ({"timeout": 86400.1}, "--timeout"),
     ({"timeout": float("nan")}, "--timeout"), ({"timeout": float("inf")}, "--timeout"),
     ({"retries": -1}, "--retries"), ({"retries": 101}, "--retries")],
)  # fmt: skip
def test_bad_flags(find, flags, name):
    """A flag out of range is a usage error that names it."""
    with pytest.raises(UsageError, match=name):
        find(**flags)


def test_limits_are_allowed(find):
    """The limits themselves are within, and a variable may be a duration."""
    assert find(timeout=86400.0, retries=100).retries == 100
    assert find(CMDSTAT_TIMEOUT="2m").timeout == 120.0


def test_certificates(store, find, tmp_path):
    """A profile's CA bundle beats the usual variables; one that is not there is exit 3."""
    ours, usual = tmp_path / "ours.pem", tmp_path / "usual.pem"
    ours.touch()
    usual.touch()
    assert find(REQUESTS_CA_BUNDLE=str(usual)).ca_bundle == str(usual)
    store.update("prod", {"ca_bundle": str(ours)})
    target = find(REQUESTS_CA_BUNDLE=str(usual))
    assert setting(target, "ca_bundle") == (
        str(ours), "profile prod", [(str(usual), "REQUESTS_CA_BUNDLE")],
    )  # fmt: skip
    ours.unlink()
    with pytest.raises(ConfigurationError, match="ca_bundle: there is no file"):
        find()
    assert find("sandbox", REQUESTS_CA_BUNDLE="/nowhere").is_sandbox


def test_no_key_in_a_target(find):
    """A target shows no key, before and after it was asked for one."""
    target = find(**PAIR)
    target.key()
    assert "environment-key" not in repr(target) + str(target.settings)
