"""The TOML files: whole after anything, their comments intact, and never overwritten if damaged."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import tomllib

import pytest

from cmdstat.config_edits import add_table, remove_table, rename_table, set_values
from cmdstat.config_files import ConfigFile
from cmdstat.errors import ConfigurationError
from cmdstat.paths import Paths, private_folder

WRITTEN_BY_HAND = """\
# profiles of the support team

default = "prod"  # careful

# production
[profiles.prod]
base_url = "https://acme-api.esper.cloud/api"   # the real one
timeout  =  10
# end of prod

# the one for tests
[profiles."eu.staging"]
base_url = 'https://beta-api.esper.cloud/api'
ca_bundle = "C:\\\\certs\\\\x.pem"

# the last line
"""


@pytest.fixture
def file(tmp_path):
    """A configuration file written by hand."""
    path = tmp_path / "config.toml"
    path.write_text(WRITTEN_BY_HAND)
    return ConfigFile(path)


def test_values_change_in_their_lines():
    """Setting, adding and taking away values touches those lines alone."""
    text = set_values(
        WRITTEN_BY_HAND, ("profiles", "prod"), {"timeout": 20.5, "retries": 1, "allow_http": None}
    )
    assert text == WRITTEN_BY_HAND.replace("timeout  =  10\n", "timeout  =  20.5\nretries = 1\n")
    text = set_values(WRITTEN_BY_HAND, ("profiles", "prod"), {"timeout": None})
    assert text == WRITTEN_BY_HAND.replace("timeout  =  10\n", "")
    text = set_values(WRITTEN_BY_HAND, (), {"default": "eu.staging"})
    assert text == WRITTEN_BY_HAND.replace('default = "prod"', 'default = "eu.staging"')


def test_default_in_a_file_without_one():
    """A first key at the top goes below the comment that opens the file."""
    text = '# mine\n\n[profiles.a]\nbase_url = "x"\n'
    assert set_values(text, (), {"default": "a"}) == (
        '# mine\n\ndefault = "a"\n\n[profiles.a]\nbase_url = "x"\n'
    )
    assert set_values("[a]\n", (), {"default": "a"}) == 'default = "a"\n\n[a]\n'


def test_tables_come_and_go():
    """A table is added at the end, renamed in its place, and taken away without its neighbours."""
    added = add_table(WRITTEN_BY_HAND, ("profiles", "x.y"), {"base_url": 'a"b', "keyring": True})
    assert added == (WRITTEN_BY_HAND + '\n[profiles."x.y"]\nbase_url = "a\\"b"\nkeyring = true\n')
    renamed = rename_table(WRITTEN_BY_HAND, ("profiles", "eu.staging"), "eu")
    assert renamed == WRITTEN_BY_HAND.replace('[profiles."eu.staging"]', "[profiles.eu]")
    removed = remove_table(WRITTEN_BY_HAND, ("profiles", "prod"))
    for kept in ("# profiles of the support team", "# end of prod", "# the one for tests"):
        assert kept in removed
    assert "the real one" not in removed
    assert removed.endswith(WRITTEN_BY_HAND[WRITTEN_BY_HAND.index("# the one for tests") :])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[profiles]\na.base_url = '1'\nb = {base_url = '2'}\n",
        "profiles.a.base_url = '1'\nprofiles.b.base_url = '2'",
        "profiles = {a = {base_url = '1'}, b = {base_url = '2'}}\n",
        "[profiles.a]\r\nbase_url = '1'\r\n\r\n[profiles.b]\r\nbase_url = '2'",
        "[ profiles . 'a' ] # x\nbase_url = '''\n[profiles.b]\n[x]\n'''\n[profiles.b]\nretries=2",
        "[profiles.b]\nbase_url = '2'\n[profiles.a]\nbase_url = '1'\nlist = [\n[1],\n]\n",
    ],
)
def test_unusual_layouts(text):
    """However profiles are laid out, each change is made exactly or refused."""

    def changed(change, meant):
        try:
            result = change()
        except ConfigurationError:
            return
        assert tomllib.loads(result) == meant

    was = tomllib.loads(text)
    tables = was.get("profiles", {})
    new = {"base_url": "3"}
    changed(
        lambda: add_table(text, ("profiles", "c"), new), was | {"profiles": tables | {"c": new}}
    )
    for name in tables:
        table = ("profiles", name)
        others = {other: held for other, held in tables.items() if other != name}
        for values in ({"base_url": "3"}, {"retries": 3}):
            changed(
                lambda table=table, values=values: set_values(text, table, values),
                was | {"profiles": others | {name: tables[name] | values}},
            )
        changed(
            lambda table=table: rename_table(text, table, "d"),
            was | {"profiles": others | {"d": tables[name]}},
        )
        changed(lambda table=table: remove_table(text, table), was | {"profiles": others})


def test_line_ends_and_mark_survive(tmp_path):
    """A file from a Windows editor is read, and keeps its line ends."""
    path = tmp_path / "config.toml"
    path.write_bytes(b'\xef\xbb\xbf[profiles.a]\r\nbase_url = "x"\r\n')
    ConfigFile(path).edit(lambda text: set_values(text, ("profiles", "a"), {"retries": 1}))
    assert path.read_bytes() == b'[profiles.a]\r\nbase_url = "x"\r\nretries = 1\r\n'


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a = 1\nkey = S3CRET\n", 2),
        (b'a = 1\n\nkey = "S3CRET\n', 3),
        (b"[S3CRET\n", 1),
        (b'S3CRET = 1\nS3CRET = "x"', 2),
        (b'a = 1\nkey = "S3CRET\xff"\n', 2),
        (b"a = [\n'S3CRET',\n", 2),
    ],
)
@pytest.mark.parametrize("secret", [False, True])
def test_damage_is_named_and_left_alone(tmp_path, content, line, secret):
    """A damaged file is an error with file and line, and stays; a secret one shows no text."""
    path = tmp_path / "some.toml"
    path.write_bytes(content)
    path.chmod(0o600)
    file = ConfigFile(path, secret=secret)
    for use in (file.read, lambda: file.edit(lambda text: text + "b = 2\n")):
        with pytest.raises(ConfigurationError) as caught:
            use()
        assert f"{path}, line {line}" in caught.value.message
        if secret:
            assert "S3CRET" not in f"{caught.value.message} {caught.value.hint}"
    assert path.read_bytes() == content


def test_deep_nesting(tmp_path):
    """A file nested a thousand deep is damaged, not a defect."""
    path = tmp_path / "config.toml"
    path.write_text("a = " + "[" * 5000)
    with pytest.raises(ConfigurationError, match="nested too deeply"):
        ConfigFile(path).read()


@pytest.mark.parametrize("secret", [False, True])
def test_not_a_file(tmp_path, secret):
    """A folder or a pipe in the file's place is refused, and reading a pipe does not hang."""
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("folder", "pipe"):
        with pytest.raises(ConfigurationError, match=name):
            ConfigFile(tmp_path / name, secret=secret).read()


def test_link_is_followed(tmp_path):
    """A linked config.toml stays a link, its target gets the new content and keeps its mode."""
    target = tmp_path / "dotfiles" / "cmdstat.toml"
    target.parent.mkdir()
    target.write_text("# kept\n")
    target.chmod(0o640)
    link = tmp_path / "config" / "config.toml"
    link.parent.mkdir()
    link.symlink_to("../dotfiles/cmdstat.toml")
    ConfigFile(link).edit(lambda text: text + "a = 1\n")
    assert link.is_symlink()
    assert target.read_text() == "# kept\na = 1\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert [each.name for each in target.parent.iterdir()] == ["cmdstat.toml"]


def test_secret_link_is_refused(tmp_path):
    """A secret file that is a link is neither read nor replaced, nor what it points at."""
    target = tmp_path / "elsewhere"
    target.write_text("a = 1\n")
    target.chmod(0o600)
    for name, points_at in (("linked", target), ("dangling", tmp_path / "nowhere")):
        link = tmp_path / name
        link.symlink_to(points_at)
        file = ConfigFile(link, secret=True)
        for use in (file.read, lambda file=file: file.edit(lambda text: text + "b = 1\n")):
            with pytest.raises(ConfigurationError, match="symbolic link"):
                use()
        assert link.is_symlink()
    assert target.read_text() == "a = 1\n"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601, 0o660])
def test_loose_secret_is_refused(tmp_path, mode):
    """A secret file that others can use is refused, with the command that mends it."""
    path = tmp_path / "with space.toml"
    path.write_text("a = 1\n")
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="others can read it") as caught:
        ConfigFile(path, secret=True).read()
    subprocess.run(caught.value.hint.removeprefix("mend it with: "), shell=True, check=True)
    assert ConfigFile(path, secret=True).read() == {"a": 1}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs to give a file away")
def test_secret_of_another_user_is_refused(tmp_path):
    """A secret file that belongs to somebody else is refused: they can change it."""
    path = tmp_path / "credentials.toml"
    path.write_text("a = 1\n")
    path.chmod(0o600)
    os.chown(path, 12345, 12345)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        ConfigFile(path, secret=True).read()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs to give a file away")
def test_config_of_another_user_is_refused(tmp_path):
    """A configuration file of somebody else is refused, with the command that mends it."""
    path = tmp_path / "with space.toml"
    path.write_text("a = 1\n")
    os.chown(path, 12345, 12345)
    with pytest.raises(ConfigurationError, match="belongs to another user") as caught:
        ConfigFile(path).read()
    subprocess.run(caught.value.hint.partition(": ")[2], shell=True, check=True)
    assert ConfigFile(path).read() == {"a": 1}


@pytest.mark.parametrize("secret", [False, True])
@pytest.mark.parametrize("which", ["file", "folder"])
def test_what_everybody_can_write_is_refused(tmp_path, which, secret):
    """A file or folder that everybody can write is refused for reading and writing, and mended."""
    folder = tmp_path / "with space"
    folder.mkdir(mode=0o700)
    path = folder / "x.toml"
    path.write_text("a = 1\n")
    path.chmod(0o600)
    opened = path if which == "file" else folder
    opened.chmod(0o777)
    file = ConfigFile(path, secret=secret)
    for use in (file.read, lambda: file.edit(lambda text: text + "b = 1\n")):
        with pytest.raises(ConfigurationError) as caught:
            use()
        assert str(opened) in caught.value.message
    assert path.read_text() == "a = 1\n"
    subprocess.run(caught.value.hint.partition("with: ")[2], shell=True, check=True)
    assert file.read() == {"a": 1}


def test_what_a_group_can_write_is_allowed(tmp_path):
    """A group may write the file (often it has one member), and all the folder if it is sticky."""
    path = tmp_path / "x.toml"
    path.write_text("a = 1\n")
    path.chmod(0o664)
    for mode in (0o775, 0o1777):
        tmp_path.chmod(mode)
        assert ConfigFile(path).read() == {"a": 1}


_WRITER = """
import os, sys
from pathlib import Path
from cmdstat.config_files import ConfigFile
os.umask(int(sys.argv[2], 8))
path = Path(sys.argv[1])
seen = []
def watch(event, arguments):
    # the audit hook runs before each open, so it sees what the one before has made
    if event in ("open", "os.rename"):
        for name in os.listdir(path.parent) if path.parent.exists() else []:
            seen.append(oct((path.parent / name).lstat().st_mode & 0o777))
        if path.parent.exists():
            seen.append("dir" + oct(path.parent.stat().st_mode & 0o777))
sys.addaudithook(watch)
fsync = os.fsync
def watched_fsync(descriptor):
    watch("open", ())
    fsync(descriptor)
os.fsync = watched_fsync
ConfigFile(path, secret=True).edit(lambda text: text + "a = 1\\n")
watch("open", ())
print(*sorted(set(seen)))
"""


@pytest.mark.parametrize("umask", ["000", "077", "777"])
def test_private_from_the_first_byte(tmp_path, umask):
    """Whatever the umask, nobody else can ever open the file or its folder, at any moment."""
    path = tmp_path / "new" / "credentials.toml"
    done = subprocess.run(
        [sys.executable, "-c", _WRITER, path, umask], capture_output=True, text=True, check=True
    )
    modes = done.stdout.split()
    for mode in modes:
        assert int(mode.removeprefix("dir"), 8) & 0o077 == 0
    if umask != "777":
        assert set(modes) == {"0o600", "dir0o700"}


def test_stale_temporary_file_is_replaced(tmp_path):
    """What a killed writer left beside the file, a link planted there too, does not matter."""
    path = tmp_path / "credentials.toml"
    trap = tmp_path / "trap"
    trap.write_text("untouched")
    (tmp_path / ".credentials.toml.new").symlink_to(trap)
    ConfigFile(path, secret=True).edit(lambda text: text + "a = 1\n")
    assert trap.read_text() == "untouched"
    assert path.read_text() == "a = 1\n"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["credentials.toml", "trap"]


_ENDLESS_WRITER = """
import sys
from pathlib import Path
from cmdstat.config_files import ConfigFile
file = ConfigFile(Path(sys.argv[1]), secret=True)
print("ready", flush=True)
while True:
    file.edit(lambda text: "a = '" + ("y" if "x" in text else "x") * 200000 + "'\\n")
"""


def test_killed_while_writing(tmp_path):
    """Killed at any moment of many, the writer leaves the old content or the new, whole."""
    path = tmp_path / "credentials.toml"
    for round_ in range(30):
        process = subprocess.Popen(
            [sys.executable, "-c", _ENDLESS_WRITER, path], stdout=subprocess.PIPE
        )
        assert process.stdout.readline() == b"ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.0013 * round_)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        content = ConfigFile(path, secret=True).read()
        assert content == {} or content["a"] in ("x" * 200000, "y" * 200000)
    assert content


def _limit_file_size():
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))


def test_full_disk_loses_nothing(tmp_path, file):
    """A write that does not fit is an error, the old content is whole and nothing lies about."""
    code = (
        "import sys; from pathlib import Path; from cmdstat.config_files import ConfigFile\n"
        "from cmdstat.errors import ConfigurationError\n"
        "try: ConfigFile(Path(sys.argv[1])).edit(lambda text: text + '#' * 100)\n"
        "except ConfigurationError as error: print(error.message, '|', error.hint)"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, file.path],
        capture_output=True, text=True, check=True, preexec_fn=_limit_file_size,
    )  # fmt: skip
    assert "could not be written" in done.stdout
    assert "ulimit" in done.stdout
    assert file.path.read_text() == WRITTEN_BY_HAND
    assert [each.name for each in tmp_path.iterdir()] == ["config.toml"]


def test_folder_that_cannot_be_made(tmp_path):
    """A home that is no folder gives a configuration error, for reading and for writing."""
    (tmp_path / "home").write_text("a file")
    paths = Paths.from_environment({"HOME": str(tmp_path / "home")})
    with pytest.raises(ConfigurationError, match="could not be made"):
        private_folder(paths.config_dir)
    with pytest.raises(ConfigurationError, match="could not be read"):
        ConfigFile(paths.config_file).read()
    with pytest.raises(ConfigurationError):
        ConfigFile(paths.config_file).edit(lambda text: text + "a = 1\n")


@pytest.mark.skipif(sys.platform != "linux", reason="XDG folders are Linux's")
def test_xdg_folders(tmp_path):
    """XDG variables are honoured, empty and relative ones are not, and the journal can be moved."""
    paths = Paths.from_environment({
        "HOME": "/nowhere/x", "XDG_CONFIG_HOME": "/conf", "XDG_STATE_HOME": "relative",
        "XDG_DATA_HOME": "", "CMDSTAT_JOURNAL": "",
    })  # fmt: skip
    assert str(paths.config_file) == "/conf/cmdstat/config.toml"
    assert str(paths.journal_file) == "/nowhere/x/.local/state/cmdstat/journal.db"
    assert str(paths.sandbox_file) == "/nowhere/x/.local/share/cmdstat/sandbox.db"
    moved = Paths.from_environment({"HOME": "/nowhere/x", "CMDSTAT_JOURNAL": str(tmp_path / "j")})
    assert moved.journal_file == tmp_path / "j"


@pytest.mark.skipif(sys.platform != "linux", reason="where no variable decides")
def test_folders_are_those_of_platformdirs(monkeypatch):
    """What is looked up here without platformdirs is what platformdirs says."""
    import platformdirs

    for xdg in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(xdg, raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    paths = Paths.from_environment(os.environ)
    assert paths.config_dir == platformdirs.user_config_path("cmdstat", appauthor=False)
    assert paths.state_dir == platformdirs.user_state_path("cmdstat", appauthor=False)
    assert paths.data_dir == platformdirs.user_data_path("cmdstat", appauthor=False)
