"""Keys: never in a text, taken only from where they should be, and every failing source explained.

The keyring tests use real backends in a process of their own: `keyrings.alt`'s plain file, one that
hangs, one that fails, and one that forgets.
"""

from __future__ import annotations

import base64
import copy
import html
import json
import os
import pickle
import re
import shlex
import signal
import stat
import subprocess
import sys
import time
import traceback
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmdstat import key_helper, system_keyring
from cmdstat.credentials import CredentialFile
from cmdstat.errors import ConfigurationError, UsageError
from cmdstat.key_helper import run_helper, split_command
from cmdstat.keys import ApiKey, read_key_file

KEY = 'Zq7/vX2+m"N9wR4=tB8s&K1'
ORIGIN = "https://acme-api.esper.cloud:443"


def told(error: BaseException) -> str:
    """All that an exception could show: its text, its chain, its traceback, its attributes."""
    shown = "".join(traceback.format_exception(error))
    while error is not None:
        shown += f"{error!r} {error.args!r} {vars(error)!r}"
        error = error.__cause__ or error.__context__
    return shown


def refused(call) -> ConfigurationError:
    """The configuration error that a call ends with; it has a hint."""
    with pytest.raises(ConfigurationError) as caught:
        call()
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("text", [KEY, f"  {KEY}\r\n", f"\ufeff{KEY}\n", f" \ufeff {KEY}\u00a0"])
def test_parse_trims(text):
    """White space and a byte-order mark around a key are no part of it."""
    key = ApiKey.parse(text, "here")
    assert (key.reveal(), key.source) == (KEY, "here")


@pytest.mark.parametrize(
    "text",
    ["S3CRET S3CRET", "S3CRET\nS3CRET", "S3CRETé", "S3CRET\x00", "S3CRET\x7f", "S3CRET\udc80",
     "Bearer S3CRET", "S3CRET" * 2000, "S3CRET\tx", "S3CRET\u202e"],
)  # fmt: skip
def test_parse_refuses_without_repeating(text):
    """What cannot be a key is refused, and no part of the error holds it."""
    error = refused(lambda: ApiKey.parse(text, "CMDSTAT_API_KEY"))
    assert "CMDSTAT_API_KEY" in error.message
    assert "S3CRET" not in told(error)


@pytest.mark.parametrize("text", ["", " ", "\ufeff\n"])
def test_parse_refuses_nothing(text):
    """An empty key is an error that says so."""
    assert "is empty" in refused(lambda: ApiKey.parse(text, "here")).message


def test_no_text_shows_a_key():
    """No way of turning a key into text, or copying it, gives it away."""
    key = ApiKey(KEY, "here")
    shown = [
        repr(key), str(key), f"{key}", f"{key!r:>80}", f"{key:>60}",
        "%s %r" % (key, key),  # noqa: UP031  (another way of formatting is the point) repr([key]), repr({"key": key}),
    ]  # fmt: skip
    for text in shown:
        assert KEY not in text
        assert KEY[:-4] not in text
    assert str(key) == key.masked == "…" + KEY[-4:]
    for leak in (pickle.dumps, copy.copy, copy.deepcopy, vars, json.dumps):
        with pytest.raises(TypeError) as caught:
            leak(key)
        assert KEY not in str(caught.value)


@pytest.mark.parametrize(("text", "masked"), [("x" * 11, "…"), ("x" * 8 + "abcd", "…abcd")])
def test_mask(text, masked):
    """The last four characters are shown of keys of twelve or more only."""
    assert ApiKey(text, "").masked == masked


@pytest.mark.parametrize(
    "echo",
    [
        KEY,
        f"Bearer {KEY}, thanks",
        quote(KEY),
        quote(KEY, safe=""),
        quote(quote(KEY, safe=""), safe=""),
        re.sub("%..", lambda found: found[0].lower(), quote(KEY, safe="")),
        "".join(f"%{ord(each):02X}" for each in KEY),
        json.dumps(KEY),
        json.dumps(json.dumps(KEY)),
        "".join(f"\\u{ord(each):04x}" for each in KEY),
        KEY.replace("/", "\\/").replace('"', '\\"'),
        html.escape(KEY),
        "".join(f"&#{ord(each)};" for each in KEY),
        base64.b64encode(KEY.encode()).decode(),
        base64.urlsafe_b64encode(KEY.encode()).decode(),
        base64.b64encode(f"Bearer {KEY}".encode()).decode(),
        base64.b64encode(f"user:{KEY}!".encode()).decode(),
        base64.b64encode(f"me:{KEY}".encode()).decode(),
        f"{KEY}{KEY}",
    ],
)
def test_redact(echo):
    """However a server spells the key that it echoes, it is taken out, and the rest stays."""
    key = ApiKey(KEY, "")
    shown = key.redact(f"before <{echo}> after")
    assert "[key]" in shown
    assert shown.startswith("before <")
    assert shown.endswith("> after")
    for part in (KEY[:8], KEY[-8:], quote(KEY, safe="")[:10], echo[4:-4]):
        assert part not in shown


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=8),
       st.binary(max_size=7), st.binary(max_size=7))  # fmt: skip
def test_redact_any_key(text, before, after):
    """Any key of eight or more is found in base64 wherever it begins, in JSON and in an address."""
    key = ApiKey(text, "")
    hidden = base64.b64encode(before + text.encode() + after).decode()
    for echo in (text, hidden, quote(text, safe=""), json.dumps(text)[1:-1]):
        assert "[key]" in key.redact(echo)


def test_redact_leaves_the_rest_alone():
    """A text without the key comes back as it is, escapes and percent signs included."""
    text = 'reason: 50 % done & "x" \\u0041 Zq7%20 ' + base64.b64encode(b"something else").decode()
    assert ApiKey(KEY, "").redact(text) == text
    assert ApiKey("ab", "").redact("a b YWI") == "a b YWI"


def test_redact_is_quick():
    """A megabyte of echoes and escapes is through in a moment."""
    start = time.monotonic()
    ApiKey(KEY, "").redact("Zq7 \\n & %20 " * 80000)
    assert time.monotonic() - start < 5


def test_key_file(tmp_path):
    """A key file may have any mode and a line end; what is wrong with others is said."""
    path = tmp_path / "key"
    path.write_bytes(b"\xef\xbb\xbf" + KEY.encode() + b"\r\n")
    path.chmod(0o644)
    assert read_key_file(path, "CMDSTAT_API_KEY_FILE").reveal() == KEY
    binary, big, two = tmp_path / "binary", tmp_path / "big", tmp_path / "two"
    binary.write_bytes(b"S3CRET\xff\xfe")
    big.write_bytes(b"S3CRET" * 100_000)
    two.write_text("S3CRET\nS3CRET")
    for bad, problem in (
        (tmp_path, "is a folder"),
        (tmp_path / "missing", "No such file"),
        (binary, "not text"),
        (big, "more than"),
        (two, "more than one line"),
    ):
        error = refused(lambda bad=bad: read_key_file(bad, "CMDSTAT_API_KEY_FILE"))
        assert "CMDSTAT_API_KEY_FILE" in error.message
        assert problem in error.message
        assert "S3CRET" not in told(error)


def test_stored_keys(tmp_path):
    """A stored key comes back with its origin, is replaced, copied and removed; others stay."""
    path = tmp_path / "credentials.toml"
    file = CredentialFile(path)
    assert file.find("prod") is None
    file.store("prod", ApiKey(KEY, ""), ORIGIN)
    file.store("eu.x", ApiKey("other", ""), "https://b:443")
    file.store("prod", ApiKey(KEY + "2", ""), ORIGIN)
    assert file.copy("prod", "copy")
    bound = file.find("copy")
    assert (bound.key.reveal(), bound.key.source) == (KEY + "2", "credentials.toml")
    assert bound.for_origin(ORIGIN, "copy") is bound.key
    assert file.remove("prod")
    assert not file.remove("prod")
    assert file.find("eu.x").key.reveal() == "other"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_stored_key_for_another_place(tmp_path):
    """A stored key is refused for any other origin, and the message says how to go on."""
    file = CredentialFile(tmp_path / "credentials.toml")
    file.store("prod", ApiKey(KEY, "credentials.toml"), ORIGIN)
    bound = file.find("prod")
    for other in ("http://acme-api.esper.cloud:443", "https://acme-api.esper.cloud:8443"):
        error = refused(lambda other=other: bound.for_origin(other, "prod"))
        assert ORIGIN in error.message
        assert other in error.message
        assert "profile set prod --api-key-stdin" in error.hint
        assert KEY not in told(error)


@pytest.mark.parametrize(
    "content",
    [
        '[keys.prod]\nkey = "S3CRET',
        '[keys.prod]\nkey = "S3CRET"\n',
        '[keys.prod]\nkey = ["S3CRET"]\norigin = "https://a:443"\n',
        '[keys.prod]\nkey = "S3CRET x"\norigin = "https://a:443"\n',
        '[keys.prod]\nkey = "S3CRET"\norigin = "https://a:443"\nmore = 1\n',
        'keys = "S3CRET"\n',
        'key = "S3CRET"\n',
        "[keys]\nprod = 'S3CRET'\n",
    ],
)
def test_damaged_credentials(tmp_path, content):
    """A damaged credentials file is an error that shows none of it, and it stays as it was."""
    path = tmp_path / "credentials.toml"
    path.write_text(content)
    path.chmod(0o600)
    error = refused(lambda: CredentialFile(path).find("prod"))
    assert "S3CRET" not in told(error)
    assert path.read_text() == content


def python(code: str) -> str:
    """A helper command that runs a piece of Python."""
    return shlex.join([sys.executable, "-c", code])


@pytest.mark.parametrize(
    "code",
    [
        f"print({KEY!r})",
        f"print({KEY!r}); print('login: me'); print('S3CRET' * 100)",
        f"import sys; sys.stdout.write({KEY!r})",
        f"print({KEY!r}, end='\\r\\n')",
        f"import sys; sys.stdout.buffer.write(b'\\xef\\xbb\\xbf' + {KEY.encode()!r})",
        f"import sys, time; print({KEY!r}, flush=True); time.sleep(0.1); print('late')",
    ],
)
def test_helper(code):
    """The first line that a helper prints is the key, whatever comes after it."""
    key = run_helper(python(code))
    assert (key.reveal(), key.source) == (KEY, "helper command")


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (python("print('S3CRET'); raise SystemExit(3)"), "exit status 3"),
        (python("import os, signal; print('S3CRET'); os.kill(os.getpid(), signal.SIGKILL)"),
         "signal 9"),
        (python("pass"), "is empty"),
        (python("print(); print('S3CRET')"), "is empty"),
        (python("print('S3CRET S3CRET')"), "white space"),
        (python("import sys; sys.stdout.buffer.write(b'S3CRET\\xff')"), "not text"),
        (python("while True: print('S3CRET')"), "more than 64 KiB"),
        (python("while True: print('S3CRET', end='')"), "more than 64 KiB"),
        ("/nowhere/to/be/found S3CRET", '"found" could not be run: No such file'),
        ("/ S3CRET", "could not be run"),
    ],
)  # fmt: skip
def test_helper_fails(command, problem, capfd):
    """A helper that is missing, fails, floods or prints no key is named, what it said is not."""
    error = refused(lambda: run_helper(command))
    assert problem in error.message
    assert "S3CRET" not in told(error)
    assert "S3CRET" not in "".join(capfd.readouterr())


def test_helper_has_no_shell(tmp_path):
    """A helper's command line is split into arguments, and nothing in it is run by a shell."""
    made = tmp_path / "made"
    code = "import sys; print('-'.join(sys.argv[1:]).replace(' ', '_'))"
    command = python(code) + f" '$HOME' `touch {made}` ; 'a b'"
    assert run_helper(command).reveal() == f"$HOME-`touch-{made}`-;-a_b"
    assert not made.exists()


@pytest.mark.parametrize("command", ["", "  ", "pass 'unclosed", "''", "pass\0x"])
def test_helper_command_line(command):
    """A command line without a program, or with an open quote, is a usage error."""
    with pytest.raises(UsageError):
        split_command(command)


def test_helper_that_hangs(tmp_path, monkeypatch):
    """A helper that hangs is ended at its limit, and every process that it started with it."""
    monkeypatch.setattr(key_helper, "SECONDS", 0.5)
    pids = tmp_path / "pids"
    code = (
        "import os, subprocess, sys, time; print('S3CRET', flush=True)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(60)"
    )
    start = time.monotonic()
    error = refused(lambda: run_helper(python(code)))
    assert "was not done within 0.5 seconds" in error.message
    assert time.monotonic() - start < 10
    for pid in pids.read_text().split():
        deadline = time.monotonic() + 5
        while is_running(int(pid)):
            assert time.monotonic() < deadline


def is_running(pid: int) -> bool:
    """Whether a process is there and not just waiting to be reaped by whoever adopted it."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_helper_that_leaves_a_child(capfd):
    """A child that a helper leaves behind with its pipe open does not hold up the key."""
    code = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(20)'],"
        " start_new_session=True)\n"
        f"print({KEY!r})"
    )
    start = time.monotonic()
    assert run_helper(python(code)).reveal() == KEY
    assert time.monotonic() - start < 8


def test_helper_on_no_terminal(capfd):
    """Without a terminal a helper gets no input, and its stderr goes nowhere."""
    code = (
        "import sys; assert sys.stdin.read() == ''; print('S3CRET', file=sys.stderr)\n"
        f"print({KEY!r})"
    )
    assert run_helper(python(code)).reveal() == KEY
    assert capfd.readouterr() == ("", "")


def test_helper_on_a_terminal():
    """On a terminal a helper can ask its question there and read the answer; we get it back."""
    import pexpect

    helper = python(
        "import sys; sys.stderr.write('Passphrase? '); sys.stderr.flush();"
        "print(sys.stdin.readline().strip() * 3)"
    )
    ours = (
        "import os; from cmdstat.key_helper import run_helper;"
        f"print(len(run_helper({helper!r}).reveal()), os.tcgetpgrp(0) == os.getpgrp());"
        "print('got', input('Next? '))"
    )
    child = pexpect.spawn(sys.executable, ["-c", ours], encoding="utf-8", timeout=20)
    try:
        child.expect_exact("Passphrase? ")
        child.sendline("abcd")
        child.expect_exact("12 True")
        child.expect_exact("Next? ")
        child.sendline("mine")
        child.expect_exact("got mine")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)


def test_ctrl_c_in_a_helper():
    """Ctrl-C while a helper has the terminal ends us as it would have without the helper."""
    import pexpect

    helper = python(
        "import sys, time; print('asking', file=sys.stderr, flush=True); time.sleep(30)"
    )
    ours = f"from cmdstat.key_helper import run_helper; run_helper({helper!r})"
    child = pexpect.spawn(sys.executable, ["-c", ours], encoding="utf-8", timeout=20)
    try:
        child.expect_exact("asking")
        child.sendintr()
        child.expect_exact("\nKeyboardInterrupt")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)
    assert child.signalstatus == signal.SIGINT


@pytest.fixture
def plain_keyring(tmp_path, monkeypatch):
    """A real keyring backend that keeps its file in a folder of the test's own."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyrings.alt.file.PlaintextKeyring")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "data"


def test_keyring(plain_keyring):
    """A key is kept in the keyring with its origin, found again, replaced and removed."""
    system_keyring.probe()
    assert system_keyring.find("prod") is None
    system_keyring.store("prod", ApiKey(KEY, ""), ORIGIN)
    system_keyring.store("prod", ApiKey(KEY + "2", ""), ORIGIN)
    bound = system_keyring.find("prod")
    assert (bound.key.reveal(), bound.key.source) == (KEY + "2", "system keyring")
    assert bound.origin == ORIGIN
    assert system_keyring.remove("prod")
    assert not system_keyring.remove("prod")
    assert system_keyring.find("prod") is None


def test_keyring_entry_of_others(plain_keyring):
    """An entry that cmdstat did not make is bound to no place, so it is not used."""
    program = "import keyring; keyring.set_password('cmdstat', 'prod', 'S3CRET')"
    subprocess.run([sys.executable, "-c", program], check=True)
    error = refused(lambda: system_keyring.find("prod"))
    assert "was not made by cmdstat" in error.message
    assert "S3CRET" not in told(error)


_BACKENDS = """
import time
from keyring.backend import KeyringBackend

class Hanging(KeyringBackend):
    priority = 1
    def get_password(self, *named): time.sleep(60)
    set_password = delete_password = get_password

class Failing(KeyringBackend):
    priority = 1
    def get_password(self, service, name): raise RuntimeError("the vault is\\x1b[31m on fire")
    def set_password(self, service, name, secret): raise OSError("cannot keep " + secret)
    delete_password = get_password

class Forgetting(KeyringBackend):
    priority = 1
    def get_password(self, service, name): return None
    def set_password(self, service, name, secret): pass
    delete_password = get_password

class Dying(KeyringBackend):
    priority = 1
    def get_password(self, *named):
        import os
        os._exit(1)
    set_password = delete_password = get_password

class Chatty(KeyringBackend):
    priority = 1
    def get_password(self, *named): print("S3CRET")
    set_password = delete_password = get_password
"""


@pytest.fixture
def backend(tmp_path, monkeypatch):
    """Makes one of the misbehaving backends the keyring."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "bad_keyrings.py").write_text(_BACKENDS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def choose(name):
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", name)

    return choose


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("bad_keyrings.Hanging", "did not answer within 1.5 seconds"),
        ("bad_keyrings.Failing", "failed: "),
        ("bad_keyrings.Forgetting", "did not keep"),
        ("bad_keyrings.Dying", "ended without an answer"),
        ("bad_keyrings.Chatty", "ended without an answer"),
        ("keyring.backends.fail.Keyring", "no system keyring"),
        ("keyring.backends.null.Keyring", "no system keyring"),
        ("no_such_module.Keyring", "ModuleNotFoundError"),
    ],
)
def test_keyring_that_is_no_good(backend, monkeypatch, name, problem):
    """A keyring that hangs, fails, dies or forgets is an error that shows another way, in time."""
    monkeypatch.setattr(system_keyring, "SECONDS", 1.5)
    backend(name)
    start = time.monotonic()
    error = refused(lambda: system_keyring.store("prod", ApiKey(KEY, ""), ORIGIN))
    assert time.monotonic() - start < 10
    assert problem in error.message
    assert "leave out --keyring" in error.hint
    assert KEY not in told(error)
    assert "\x1b" not in error.message
    if problem != "did not keep":
        refused(system_keyring.probe)


def test_keyring_library_missing(tmp_path, monkeypatch):
    """Without the keyring library the error says how to install it."""
    (tmp_path / "keyring.py").write_text("raise ModuleNotFoundError(name='keyring')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    error = refused(system_keyring.probe)
    assert "not installed" in error.message
    assert "cmdstat[keyring]" in error.hint


def test_keyring_child_ignores_the_current_folder(tmp_path, monkeypatch, plain_keyring):
    """A file called keyring.py where the user happens to be is not given the key."""
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("keyring", "json", "cmdstat"):
        (trap / f"{name}.py").write_text(f"open({str(trap / 'sprung')!r}, 'w')")
    monkeypatch.chdir(trap)
    system_keyring.store("prod", ApiKey(KEY, ""), ORIGIN)
    assert system_keyring.find("prod").key.reveal() == KEY
    assert not (trap / "sprung").exists()


def test_no_key_on_a_command_line(backend, monkeypatch):
    """While the keyring child runs, no command line and no environment of its holds the key."""
    monkeypatch.setattr(system_keyring, "SECONDS", 1.0)
    backend("bad_keyrings.Hanging")
    watcher = subprocess.Popen(
        [sys.executable, "-c", _WATCH_COMMAND_LINES, str(os.getpid())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert watcher.stdout.readline() == "watching\n"
    refused(lambda: system_keyring.store("prod", ApiKey(KEY, ""), ORIGIN))
    seen, _ = watcher.communicate("")
    assert "keyring_child.py" in seen
    assert KEY not in seen


_WATCH_COMMAND_LINES = """
import glob, sys, threading
ours = sys.argv[1]
done = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
print("watching", flush=True)
seen = set()
while not done.wait(0.02):
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            if open(path).read().rpartition(")")[2].split()[1] != ours:
                continue
            for what in ("cmdline", "environ"):
                seen.add(open(path.replace("stat", what)).read().replace(chr(0), " "))
        except OSError:
            pass
print(*seen)
"""
