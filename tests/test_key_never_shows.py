"""No command, in no format, in success or failure, shows the key or leaves it in a file.

The tree of commands is walked, so that a command that is added is tested too; one that needs
arguments of its own says so in `ARGUMENTS`. The server gives the key back in every way it can.
"""

from __future__ import annotations

import shutil
from base64 import b64encode
from itertools import product
from urllib.parse import quote

import pytest
from faulty_server import JSON, answer, envelope, forever, head_of, raw
from harness import KEY
from profile_home import OTHER_KEY, ProfileHome

from cmdstat.cli import make_root
from cmdstat.output import Format

ARGUMENTS = {
    "ID": ["an-id"],
    "[STATE]": ["success"],
    "NAME": ["prod"],
    "OLD": ["prod"],
    "NEW": ["other"],
    "SHELL": ["bash"],
    "FILE|RUN": ["run-ids.txt", "--format", "ids", "--state", "success", "-y"],
}
"""What stands for an argument, by the name that the help gives it; others are left out."""

MORE = {
    "set": ["--reason", "because"],
    "wait": ["--for", "failure", "--for-at-most", "0.3s", "--interval", "1s"],
    "profile add": ["--tenant", "acme", "--api-key-stdin"],
    "profile set": ["--api-key-stdin"],
}
"""What a command needs besides."""

NAMES = {"profile add": ["new"]}
"""Where a name must not be one that exists."""

RUNS_ON = {"sandbox serve"}
"""Commands that do not end by themselves; `serve` shows its own key, which guards nothing."""


def commands(command=None, path=()):
    """Every command, with what is typed to get there."""
    command = command or make_root()
    if not hasattr(command, "summaries"):
        return [(" ".join(path), command)] if " ".join(path) not in RUNS_ON else []
    return [
        found
        for name in command.summaries
        for found in commands(command.get_command(None, name), (*path, name))
    ]


COMMANDS = dict(commands())


def options_of(path):
    return {name for param in COMMANDS[path].params for name in param.opts}


def words_of(path):
    """The words of a command, with arguments that it can work with."""
    words = path.split()
    for param in COMMANDS[path].params:
        if param.param_type_name == "argument":
            given = NAMES.get(path) or ARGUMENTS.get(param.metavar)
            assert given or not param.required, f"say in ARGUMENTS what {param.metavar} can be"
            words += given or []
    return [*words, *MORE.get(path, [])]


REACHING = [path for path in COMMANDS if "--verbose" in options_of(path)]
STAYING = [path for path in COMMANDS if path not in REACHING]

SPELT = [KEY, b64encode(KEY.encode()).decode(), quote(KEY.replace("-", "%2D"), safe="%")]
ECHO = f"Bearer {KEY} or {SPELT[1]} or {SPELT[2]}"


def echoing(exchange):
    """A good answer to any request, with the key in every text of it."""
    exchange.apply()
    status = exchange.server.status | {"reason": ECHO, "extra": {KEY: [ECHO]}}
    content = {"count": 1, "next": None, "previous": None, "results": [status]}
    is_list = exchange.seen.path.partition("?")[0].endswith("/status/")
    body = envelope(content if is_list else status, message=ECHO)
    answer(200, body, [("X-Echo", KEY)])(exchange)


def failing(status, *, media=JSON):
    html = f"<html><title>{ECHO}</title>{KEY * 20}</html>"
    body = {"code": status, "message": ECHO, "content": {"detail": [KEY]}, "errors": [ECHO]}
    headers = [("Location", f"https://{KEY}.example/{KEY}"), ("Retry-After", f"soon, {KEY}")]
    return answer(status, html if media != JSON else body, headers, media=media)


def babbling(exchange):
    """Something that is no HTTP, with the key where a message about it would be cut off."""
    exchange.send(("x" * 185 + KEY * 3 + "\r\n\r\n").encode())
    exchange.hang_up()


def promising(exchange):
    """The start of an answer, whose length nobody can believe."""
    head = head_of(exchange, 200, [("Content-Type", JSON), ("Content-Length", KEY)])
    raw(head + KEY.encode())(exchange)


CONDUCT = {
    "echoes": (echoing, list(Format)),
    "refuses": (failing(401), [Format.TABLE, Format.JSON]),
    "limits": (failing(429), [Format.CSV]),
    "fails": (failing(500, media="text/html"), [Format.JSONL]),
    "misleads": (answer(200, f"<html>{KEY}", media="text/html"), [Format.TABLE]),
    "redirects": (failing(302), [Format.TABLE]),
    "babbles": (babbling, [Format.TABLE, Format.JSON]),
    "promises": (promising, [Format.TABLE]),
}


@pytest.fixture
def home(tmp_path, server):
    """A home whose one profile leads to the server, and whose history holds what it echoed."""
    made = ProfileHome(tmp_path / "home")
    made.add("prod", server.base_url)
    (made.path / "run-ids.txt").write_text("an-id\n")
    for method in ("GET", "PUT"):
        server.on(method, forever(echoing))
    assert made.run("set", "an-id", "success", "--reason", "because").exit == 0
    shutil.copytree(made.config_file.parent, made.path / "run-as-it-was")
    return made


def check(home, *args):
    """Run it with the configuration as it was, and look for the key, or a good part of it."""
    folder = home.config_file.parent
    shutil.rmtree(folder)
    shutil.copytree(home.path / "run-as-it-was", folder)
    result = home.run(*args, input=OTHER_KEY)
    text = result.stdout + result.stderr
    for secret in (*SPELT, OTHER_KEY):
        shown = [at for at in range(len(secret) - 9) if secret[at : at + 10] in text]
        assert not shown, result.describe()
        assert set(home.files_with(secret)) <= {home.credentials_file}
    return result


WAITED_OUT = ("batch", "limits")
"""A batch pauses for a minute before it gives up; what it says then is what `set` says."""


@pytest.mark.parametrize(
    ("path", "conduct"),
    [pair for pair in product(REACHING, CONDUCT) if pair != WAITED_OUT],
)
def test_command_that_reaches_the_server(home, server, path, conduct):
    """Whatever the server says, in whatever format it is told, the key is not in it."""
    step, formats = CONDUCT[conduct]
    for method in ("GET", "PUT"):
        server.on(method, forever(step))
    options = ["-v", *(["--retries", "0"] if "--retries" in options_of(path) else [])]
    before = len(server.requests)
    exits = {check(home, *words_of(path), *options, "-o", each).exit for each in formats}
    assert len(server.requests) > before
    assert exits <= {0, 9} if conduct == "echoes" else 0 not in exits


@pytest.mark.parametrize("path", REACHING)
def test_command_that_cannot_reach_the_server(home, server, path):
    """With nobody listening, the error does not show the key either."""
    server.stop_listening()
    options = ["--retries", "0"] if "--retries" in options_of(path) else []
    assert check(home, *words_of(path), *options, "-v").exit in (7, 8, 9)


@pytest.mark.parametrize("path", STAYING)
def test_command_that_stays_here(home, path):
    """Every other command, in every format that it has: history, profiles and settings."""
    formats = [["-o", each] for each in Format] if "--output" in options_of(path) else [[]]
    for form in formats:
        result = check(home, *words_of(path), *form)
        assert result.exit == 0, result.describe()


def test_history_in_full(home):
    """A record that is shown again shows no more than it did."""
    for form in Format:
        assert check(home, "history", "--show", "1", "-o", form).exit == 0
        assert check(home, "history", "--runs", "-o", form).exit == 0


@pytest.mark.parametrize("path", COMMANDS)
def test_no_command_takes_a_key(path):
    """No option of any command has a key for its value; the sandbox's own guards nothing."""
    takes_value = {
        name
        for param in COMMANDS[path].params
        for name in param.opts
        if not getattr(param, "is_flag", False)
    }
    assert {name for name in takes_value if "key" in name or "token" in name} <= {
        "--api-key-command",
        "--api-key-env",
    }
