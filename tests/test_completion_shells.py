"""Tab in real shells: what is inserted reaches the command as it should, and nothing is run."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from harness import Home

from cmdstat.completion.scripts import script
from cmdstat.journal.database import open_database

pexpect = pytest.importorskip("pexpect", reason="pexpect drives the shells")

SHELLS = ("bash", "zsh", "fish")
COMPLETIONS = Path(__file__).parent.parent / "completions"
LONGEST = 20
ID = "5d1f0c2b-8e77-4a35-b0c9-6f2d3e4a5b6c"
COMMANDS = (
    "$(touch f)",
    "`touch f`",
    ";touch f;",
    "\ntouch f\n",
    " && touch f",
    "*",
    "'$(touch f)'",
)
"""What would make a file if it were evaluated; or name every file, if there is one."""

# The function stands for the command that the user runs; the completion scripts call the program.
START = {
    "bash": (
        ["--noprofile", "--rcfile", "RC", "-i"],
        """PS1='ready> '; bind 'set bell-style none'; bind 'set enable-bracketed-paste off'
cmdstat() { "$SHOW_ARGV" "$@"; }
""",
    ),
    "zsh": (
        ["-i"],
        """PS1='ready> '; unset zle_bracketed_paste; unsetopt prompt_sp; setopt no_beep
autoload -Uz compinit; compinit -u -D
cmdstat() { "$SHOW_ARGV" "$@" }
""",
    ),
    "fish": (
        ["--no-config", "--interactive", "--init-command", "source RC"],
        """set -g fish_greeting; set -g fish_autosuggestion_enabled 0
function fish_prompt; echo 'ready> '; end
function cmdstat; $SHOW_ARGV $argv; end
""",
    ),
}
SHOW_ARGV = """#!/bin/sh
for each; do printf '%s\\0' "$each"; done >"$ARGV_FILE"
echo arrived
"""


class Terminal:
    """A shell on a terminal, in a home of its own, with the completion script loaded."""

    def __init__(self, shell: str, home: Home, folder: Path, program: Path, first: str) -> None:
        options, rc = START[shell]
        rc_file = folder / (".zshrc" if shell == "zsh" else "rc")
        loading = "" if "fpath" in first else script(shell)
        rc_file.write_text(first + rc + loading)
        self.folder = folder
        self._argv_file = folder / "argv"
        self._shown = ""
        show = executable(folder / "show-argv", SHOW_ARGV)
        env = home.env | {
            "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
            "TERM": "xterm",
            "ZDOTDIR": str(folder),
            "SHOW_ARGV": str(show),
            "ARGV_FILE": str(self._argv_file),
            "INPUTRC": os.devnull,
            "HISTFILE": "",
        }
        (folder / "work").mkdir()
        self._child = pexpect.spawn(
            shell, [option.replace("RC", str(rc_file)) for option in options],
            env=env, cwd=str(folder / "work"), encoding="utf-8", timeout=LONGEST,
            dimensions=(60, 160),
        )  # fmt: skip
        self._child.expect_exact("ready> ")

    def arrives(self, keys: str) -> list[str]:
        """The arguments that reach cmdstat after these keys (Tab is a tab) and Enter."""
        self._child.send(f"{keys}\r")
        self._child.expect_exact("arrived")
        self._shown = str(self._child.before)
        self._child.expect_exact("ready> ")  # before it, what is sent would be edited by the kernel
        return self._argv_file.read_text().split("\0")[:-1]

    def tab(self, keys: str) -> str:
        """What the terminal shows of these keys, taken back by Ctrl-U, once all are dealt with."""
        assert self.arrives(f"{keys}\x15cmdstat") == []
        return self._shown

    def close(self) -> None:
        self._child.close(force=True)

    def files_made(self) -> list[str]:
        """What is in the folder that the shell is in, which begins empty."""
        return sorted(each.name for each in (self.folder / "work").iterdir())


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def needs(shell: str) -> pytest.MarkDecorator:
    missing = shutil.which(shell) is None
    return pytest.mark.skipif(missing, reason=f"{shell} is not installed on this machine")


@pytest.fixture(params=[pytest.param(shell, marks=needs(shell)) for shell in SHELLS])
def shell(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def open_terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Opens terminals, whose completions come from the real cmdstat unless another is given."""
    opened: list[Terminal] = []
    real = Path(sys.executable).with_name("cmdstat")

    def make(
        shell: str, home: Home | None = None, program: Path = real, first: str = ""
    ) -> Terminal:
        opened.append(Terminal(shell, home or Home(tmp_path / "home"), tmp_path, program, first))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def journal_with(home: Home, *rows: tuple[str, str]) -> None:
    """A journal in which these ids were updated to these states, in this order."""
    with closing(open_database(home.journal_file)) as database:
        for row in rows:
            database.execute(
                "INSERT INTO updates (id, state, outcome) VALUES (?, ?, 'updated')", row
            )


def profiles_named(home: Home, *names: str) -> None:
    config = home.path / "config" / "cmdstat" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        "".join(f'[profiles.{json.dumps(name)}]\nbase_url = "https://x.test"\n' for name in names)
    )


def test_states_arrive_as_one_argument(shell: str, open_terminal: Callable[..., Terminal]) -> None:
    """A state arrives whole, whether its word began bare, with a quote, or as the exact text."""
    terminal = open_terminal(shell)
    success = ["set", "ID", "Command Success"]
    assert terminal.arrives("cmdstat set ID succ\t") == ["set", "ID", "success"]
    assert terminal.arrives('cmdstat set ID "Command S\tu\t') == success
    assert terminal.arrives("cmdstat set ID 'Command S\tu\t") == success
    assert terminal.arrives("cmdstat set ID Command\\ S\tu\t") == success
    assert terminal.arrives("cmdstat set ID Comm\tSu\t") == success
    assert terminal.arrives("cmdstat list --state \tsucc\t") == ["list", "--state", "success"]
    assert terminal.arrives("cmdstat batch f --state can\t") == [
        "batch",
        "f",
        "--state",
        "cancelled",
    ]
    assert terminal.arrives("cmdstat batch f --if-state='Command Q\t") == [
        "batch", "f", "--if-state=Command Queued",
    ]  # fmt: skip
    assert terminal.arrives("cmdstat batch f --if-state=Command\\ Q\t") == [
        "batch", "f", "--if-state=Command Queued",
    ]  # fmt: skip


def test_what_this_machine_knows_arrives(
    shell: str, tmp_path: Path, open_terminal: Callable[..., Terminal]
) -> None:
    """Commands, options, their values, profiles, ids and runs complete, and a space follows."""
    home = Home(tmp_path / "home")
    journal_with(home, (ID, "Command Success"), ("other", "Command Failure"))
    profiles_named(home, "prod", "staging")
    terminal = open_terminal(shell, home)
    assert ID in terminal.tab("cmdstat set \t\t")
    whole = ["set", ID, "success", "--profile", "prod", "-o", "json"]
    assert terminal.arrives("cmdstat se\t5d\tsuc\t--prof\tpr\t-o json") == whole
    assert terminal.arrives("cmdstat set 5d\tsuc\t--profile=pr\t--output=tab\t") == [
        "set", ID, "success", "--profile=prod", "--output=table",
    ]  # fmt: skip
    assert terminal.arrives("cmdstat set -p stag\t'5d\tack\t") == [
        "set", "-p", "staging", ID, "acknowledged",
    ]  # fmt: skip


def test_after_a_space_all_is_offered(shell: str, open_terminal: Callable[..., Terminal]) -> None:
    """A word that has not begun completes too: the only profile of a new home is the sandbox."""
    terminal = open_terminal(shell)
    assert terminal.arrives("cmdstat set --profile \t ID") == ["set", "--profile", "sandbox", "ID"]
    assert terminal.arrives("cmdstat set --profile=\t ID") == ["set", "--profile=sandbox", "ID"]


def test_the_shell_completes_file_names(shell: str, open_terminal: Callable[..., Terminal]) -> None:
    """Where a file belongs, the shell's own file names come, a space in one included."""
    terminal = open_terminal(shell)
    (terminal.folder / "work" / "some rows.csv").touch()
    (terminal.folder / "work" / "reason").touch()
    assert terminal.arrives("cmdstat batch so\t") == ["batch", "some rows.csv"]
    assert terminal.arrives("cmdstat set ID --reason-file re\t") == [
        "set", "ID", "--reason-file", "reason",
    ]  # fmt: skip
    assert terminal.arrives("cmdstat batch --report=so\t") == ["batch", "--report=some rows.csv"]
    assert terminal.arrives("cmdstat set so\t") == ["set", "so"]


@needs("zsh")
def test_zsh_finds_the_script_in_its_folders(open_terminal: Callable[..., Terminal]) -> None:
    """`_cmdstat` works too as zsh loads it by itself, from a folder in `fpath`."""
    terminal = open_terminal("zsh", first=f"fpath=('{COMPLETIONS}' $fpath)\n")
    assert terminal.arrives("cmdstat set ID succ\t") == ["set", "ID", "success"]
    assert terminal.arrives("cmdstat set ID fai\t") == ["set", "ID", "failure"]


@needs("bash")
def test_an_old_bash_completes(open_terminal: Callable[..., Terminal]) -> None:
    """Where bash has no `compopt`, as on macOS, values and file names complete all the same."""
    terminal = open_terminal("bash", first="enable -n compopt\n")
    (terminal.folder / "work" / "rows.csv").touch()
    assert terminal.arrives('cmdstat set ID "Command Su\t') == ["set", "ID", "Command Success"]
    assert terminal.arrives("cmdstat batch ro\t") == ["batch", "rows.csv"]


def test_a_setting_is_typed_on(
    shell: str, tmp_path: Path, open_terminal: Callable[..., Terminal]
) -> None:
    """After a candidate that is to be typed on, as `timeout=`, no space comes."""
    program = answering(tmp_path, "open", "timeout=")
    terminal = open_terminal(shell, program=program)
    assert terminal.arrives("cmdstat profile set prod tim\t5") == [
        "profile", "set", "prod", "timeout=5",
    ]  # fmt: skip


def test_hostile_texts_on_this_machine_run_nothing(
    shell: str, tmp_path: Path, open_terminal: Callable[..., Terminal]
) -> None:
    """Profiles, ids and states that try to run a command are not offered, and nothing is run."""
    home = Home(tmp_path / "home")
    journal_with(
        home,
        ("good-1", "Command Success$(touch f)"),
        *((f"good-1{each}", f"Command Success{each}") for each in COMMANDS),
        *((each, each) for each in COMMANDS),
    )
    profiles_named(home, "prod", *COMMANDS, *(f"prod{each}" for each in COMMANDS))
    terminal = open_terminal(shell, home)
    shown = terminal.tab("cmdstat set \t\t") + terminal.tab("cmdstat set --profile \t\t")
    assert "touch" not in shown
    assert terminal.arrives("cmdstat set go\tsuc\t--profile pr\t") == [
        "set", "good-1", "success", "--profile", "prod",
    ]  # fmt: skip
    terminal.tab("cmdstat set good-1 \t\t")
    terminal.tab('cmdstat set "\t\t')
    assert terminal.files_made() == []


def test_hostile_words_before_the_cursor_run_nothing(
    shell: str, open_terminal: Callable[..., Terminal]
) -> None:
    """What stands in the command line already is not evaluated by a Tab further on."""
    terminal = open_terminal(shell)
    for each in COMMANDS:
        text = each.replace("'", "").replace("\n", "")
        arrived = terminal.arrives(f"cmdstat set '{text}' succ\t")
        assert arrived[:2] == ["set", text]
        # Bash may take a separator for a new command even in quotes, and then does not ask.
        assert arrived[2] == "success" or (shell == "bash" and set(text) & set("`;&"))
    terminal.tab('cmdstat set "x$(touch f)" succ\t')
    terminal.tab("cmdstat set ID --reason $(touch f) --profile \t")
    assert terminal.files_made() == []


def test_hostile_answers_are_not_evaluated(
    shell: str, tmp_path: Path, open_terminal: Callable[..., Terminal]
) -> None:
    """The scripts insert and list whatever they are given as text, even if it were hostile."""
    terminal = open_terminal(shell, program=answering(tmp_path, "plain"))
    for each in COMMANDS:
        for lines in ([each], [f"x{each}"], [each, f"x{each}", f"xy\t{each}"]):
            (tmp_path / "answer").write_text("\n".join(["plain", *lines]))
            terminal.tab("cmdstat set \t\t")
    (tmp_path / "answer").write_text("$(touch f)\n`touch f`\n*")
    terminal.tab("cmdstat set \t\t")
    assert terminal.files_made() == []


def test_a_failing_cmdstat_is_silent(
    shell: str, tmp_path: Path, open_terminal: Callable[..., Terminal]
) -> None:
    """If the completion call fails, nothing of it is seen, and what was typed stays."""
    program = executable(tmp_path / "cmdstat", "#!/bin/sh\necho a problem >&2\nexit 3\n")
    terminal = open_terminal(shell, program=program)
    assert "problem" not in terminal.tab("cmdstat set \t\t")
    assert terminal.arrives("cmdstat set x\t") == ["set", "x"]


def answering(folder: Path, *lines: str) -> Path:
    """A program in place of cmdstat that gives every script this answer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "answer").write_text("".join(f"{line}\n" for line in lines))
    (folder / "bin").mkdir()
    return executable(folder / "bin" / "cmdstat", f"#!/bin/sh\ncat '{folder}/answer'\n")
