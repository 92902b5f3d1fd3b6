"""What Tab offers, and all that a completion must not do: asked as the shells' scripts ask."""

from __future__ import annotations

import os
import sqlite3
import string
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from harness import KEY, Home
from hypothesis import given
from hypothesis import strategies as st

from cmdstat.completion.answer import answer
from cmdstat.completion.candidates import is_name
from cmdstat.completion.scripts import FILE_NAMES, script
from cmdstat.completion.table import TABLE_FILE
from cmdstat.completion.words import QUOTING, split
from cmdstat.journal.database import open_database
from cmdstat.states import SETTABLE, STATES

TOP = Path(__file__).parent.parent
SAFE = set(string.ascii_letters + string.digits + "._-= ")

PROBE = """
import os, sys
log = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT)
def see(event, arguments):
    if event in ("import", "open", "sqlite3.connect") or event.startswith(("socket", "subproc")):
        os.write(log, f"{event} {arguments[0]!s} {arguments[1:3]}\\n".encode())
sys.addaudithook(see)
from cmdstat.__main__ import run
run()
"""


@pytest.fixture
def at_home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


Offered = Callable[..., list[str]]


@pytest.fixture
def offered(at_home: Home) -> Offered:
    """The candidates for a command line, without their notes; zsh's unless another is named."""

    def ask(line: str, shell: str = "zsh", word: str = "") -> list[str]:
        env = at_home.env | {"_CMDSTAT_LINE": line, "_CMDSTAT_WORD": word}
        return [each.partition("\t")[0] for each in answer(shell, env)[1:]]

    return ask


def journal_with(home: Home, *ids: str) -> Path:
    """A journal in which these ids were updated, in this order."""
    with closing(open_database(home.journal_file)) as database:
        database.executemany(
            "INSERT INTO updates (id, state, outcome) VALUES (?, 'Command Success', 'updated')",
            [(each,) for each in ids],
        )
    return home.journal_file


def run_in(home: Home, name: str, started: float, *, ended: bool, ready: bool = True) -> None:
    """A batch run in the journal."""
    with closing(open_database(home.journal_file)) as database:
        database.execute(
            "INSERT INTO runs (run, started, ended, ready, base_url, by, source, options)"
            " VALUES (?, ?, ?, ?, '', '', '', '{}')",
            (name, started, started if ended else None, ready),
        )


def config_of(home: Home, text: str) -> Path:
    file = home.path / "config" / "cmdstat" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def test_the_table_tells_of_the_commands_as_they_are() -> None:
    """The committed table is what the real commands say, so no option is missing or gone."""
    from cmdstat.completion.tabulate import make_table

    written = Path(TABLE_FILE).read_text(encoding="utf-8")
    assert written == make_table(), "run: python -m cmdstat.completion.tabulate"


@pytest.mark.parametrize("shell", FILE_NAMES)
def test_the_scripts_are_committed_and_printed(shell: str, at_home: Home) -> None:
    """`cmdstat completion SHELL` prints the bytes that are in `completions/`."""
    committed = (TOP / "completions" / FILE_NAMES[shell]).read_bytes()
    assert at_home.run("completion", shell).raw_stdout == committed == script(shell).encode()


def test_nothing_else_is_in_completions() -> None:
    """The folder holds a script for each shell, under the name that the shell looks for."""
    assert sorted(each.name for each in (TOP / "completions").iterdir()) == sorted(
        FILE_NAMES.values()
    )


def test_the_powershell_script_evaluates_nothing() -> None:
    """Where no PowerShell is at hand: the script has no evaluating command, and passes no words."""
    text = script("powershell")
    assert not any(word in text for word in ("Invoke-Expression", "iex ", "[scriptblock]", "& $a"))
    assert "& $program __complete powershell" in text
    assert text.isascii()


@pytest.mark.parametrize(
    ("shell", "line", "texts", "quote"),
    [
        ("bash", r"cmdstat set a\ b", ["cmdstat", "set", "a b"], ""),
        ("bash", "cmdstat  set\t", ["cmdstat", "set", ""], ""),
        ("bash", "cmdstat ''", ["cmdstat", ""], ""),
        ("bash", "cmdstat '' ", ["cmdstat", "", ""], ""),
        ("bash", 'x "a \\"b\\n', ["x", 'a "b\\n'], '"'),
        ("bash", r"x 'a\' b\'c", ["x", "a\\", "b'c"], ""),
        ("zsh", "x --a=\"b c'd", ["x", "--a=b c'd"], '"'),
        ("zsh", "x $(a `b` *", ["x", "$(a", "`b`", "*"], ""),
        ("fish", r"x 'it\'s a\\", ["x", "it's a\\"], "'"),
        ("powershell", 'x a` b "c`"d', ["x", "a b", 'c"d'], '"'),
        ("bash", "x a\\", ["x", "a"], ""),
    ],
)
def test_a_line_is_cut_as_its_shell_cuts_it(
    shell: str, line: str, texts: list[str], quote: str
) -> None:
    """Quotes and escapes are those of the shell; nothing is substituted."""
    words = split(line, QUOTING[shell])
    assert [word.text for word in words] == texts
    assert words[-1].quote == quote


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cmdstat st", ["states"]),
        ("TZ=UTC cmdstat st", ["states"]),
        ("cmdstat sandbox se", ["serve"]),
        ("cmdstat nonsense ", []),
        ("cmdstat set ID success --quie", ["--quiet"]),
        ("cmdstat set --dry-run --verb", ["--verbose"]),
        ("cmdstat set -o ", ["table", "json", "jsonl", "csv"]),
        ("cmdstat set -qo js", ["json", "jsonl"]),
        ("cmdstat set -xojs", []),
        ("cmdstat set -ojs", ["-ojson", "-ojsonl"]),
        ("cmdstat set --output=JS", ["--output=json", "--output=jsonl"]),
        ("cmdstat set --output js", ["json", "jsonl"]),
        ("cmdstat set --timeout 5 ID can", ["cancelled"]),
        ("cmdstat set -p x ID can", ["cancelled"]),
        ("cmdstat set -px ID can", ["cancelled"]),
        ("cmdstat set -- -ID can", ["cancelled"]),
        ("cmdstat set - can", ["cancelled"]),
        ("cmdstat set ID -- --qui", []),
        ("cmdstat set --reason ", []),
        ("cmdstat set --reason=", []),
        ("cmdstat batch - --format ", ["csv", "tsv", "jsonl", "json", "ids"]),
        ("cmdstat batch f --state q", []),
        ("cmdstat batch f --if-state q", ["queued"]),
        ("cmdstat profile set prod allow_http=true ti", ["timeout="]),
        ("cmdstat profile add ", []),
        ("cmdstat completion ", list(FILE_NAMES)),
        ("cmdstat --ver", ["--version"]),
        ("cmdstat", []),
        ("", []),
    ],
)
def test_what_fits_at_the_cursor_is_offered(
    line: str, expected: list[str], offered: Offered
) -> None:
    """Commands, options and values come where they belong, whatever stands before them."""
    assert offered(line) == expected


def test_a_note_stands_beside_a_candidate(at_home: Home) -> None:
    """Zsh, fish and PowerShell get a line of help with each candidate."""
    env = at_home.env | {"_CMDSTAT_LINE": "cmdstat set ID can"}
    assert answer("fish", env) == ["plain", "cancelled\tcancelled before it fired"]
    assert answer("powershell", env) == [
        "plain", "cancelled\tcancelled\tcancelled before it fired",
    ]  # fmt: skip


def test_states_come_short_and_exact_where_that_was_begun(offered: Offered) -> None:
    """Bare, the short names of what can be set; after a quote or `Comm`, the exact texts."""
    exact = [state.text for state in SETTABLE]
    assert offered("cmdstat set ID ") == [state.short for state in SETTABLE]
    assert offered('cmdstat set ID "') == exact
    assert offered("cmdstat set ID Comm") == exact
    assert offered("cmdstat batch f --if-state '") == [state.text for state in STATES]
    assert offered("cmdstat set ID 'succ") == ["success"]


@pytest.mark.parametrize(
    ("line", "word", "inserted"),
    [
        ("cmdstat set ID Command\\ Su", "Command\\ Su", "Command\\ Success"),
        ('cmdstat set ID "Command Su', "Command Su", "Command Success"),
        ('cmdstat set ID Command" Su', " Su", " Success"),
        ("cmdstat batch f --if-state=succ", "succ", "success"),
        ("cmdstat batch f --if-state=succ", "--if-state=succ", "--if-state=success"),
        ("cmdstat batch f '--if-state=Command Su", "Command Su", "Command Success"),
        ("cmdstat batch f --if-state=Command\\ Su", "Command\\ Su", "Command\\ Success"),
    ],
)
def test_bash_is_given_what_it_replaces(
    line: str, word: str, inserted: str, offered: Offered
) -> None:
    """Only the part that bash replaces comes back, quoted as the word was begun."""
    assert offered(line, "bash", word) == [inserted]


def test_powershell_words_are_quoted(offered: Offered) -> None:
    """A word with a space comes in the quotes that were opened, or in single ones."""
    assert offered("cmdstat set ID Command` Su", "powershell") == ["'Command Success'"]
    assert offered('cmdstat set ID "Command Su', "powershell") == ['"Command Success"']


def test_files_are_left_to_the_shell(at_home: Home) -> None:
    """Where a file belongs, the answer says so and no more."""
    for line in ("batch ", "batch --report=x", "set ID --reason-file ", "batch x --report "):
        assert answer("fish", at_home.env | {"_CMDSTAT_LINE": f"cmdstat {line}"}) == ["files"]


def test_ids_come_newest_first(at_home: Home, offered: Offered) -> None:
    """The 50 ids that were used last, each once, and what is typed narrows them down."""
    journal_with(at_home, *(f"id-{number}" for number in range(70)), "id-30", "other", "id-30")
    newest = ["id-30", "other", *(f"id-{number}" for number in range(69, 21, -1) if number != 30)]
    assert offered("cmdstat set ") == [*newest, "id-21"]
    assert offered("cmdstat set oth") == ["other"]


def test_a_setting_is_to_be_typed_on(at_home: Home) -> None:
    """After the names of settings no space is to come, after other candidates one is."""
    env = at_home.env | {"_CMDSTAT_LINE": "cmdstat profile set prod "}
    assert answer("zsh", env)[0] == "open"
    assert answer("zsh", env | {"_CMDSTAT_LINE": "cmdstat profile "})[0] == "plain"


def test_runs_come_where_a_run_is_asked_for(at_home: Home, offered: Offered) -> None:
    """Only a run that is unfinished can be resumed or discarded; any can be retried."""
    run_in(at_home, "20261101-old", 1.0, ended=True)
    run_in(at_home, "20261102-left", 2.0, ended=False)
    run_in(at_home, "20261103-half-read", 3.0, ended=False, ready=False)
    assert offered("cmdstat batch --resume ") == ["20261102-left"]
    assert offered("cmdstat batch --discard ") == ["20261102-left"]
    assert offered("cmdstat batch --retry-failed ") == ["20261102-left", "20261101-old"]


def test_profiles_come_from_the_configuration(at_home: Home, offered: Offered) -> None:
    """The profiles in the file's order, and the built-in one."""
    config_of(at_home, "[profiles.prod]\n[profiles.stage-2]\n")
    assert offered("cmdstat set --profile ") == ["prod", "stage-2", "sandbox"]
    assert offered("cmdstat set -pst") == ["-pstage-2"]


@pytest.mark.parametrize(
    "text",
    [
        "x$(touch f)", "`touch f`", "*", "a b", "a\nb", "a\tb", "", "-rf", "--yes", "a/b", "~", "é",
        "a\u202eb", "a'b", 'a"b', "a;b", "a=b", "!x", "a\\b", "a" * 300, None, 7, b"x",
    ],
)  # fmt: skip
def test_only_plain_names_are_offered(text: object) -> None:
    """Letters, digits, dots, underscores and hyphens; nothing that a shell or Typer would read."""
    assert not is_name(text)
    assert is_name("5d1f0c2b-8e77.A_b")


def test_unsafe_names_stay_out(at_home: Home, offered: Offered) -> None:
    """Of what the journal and the configuration hold, the plain names come and no other."""
    journal_with(at_home, "good", "x$(touch f)", "a\nb", "-n", "*")
    run_in(at_home, "x`touch f`", 1.0, ended=False)
    config_of(at_home, '[profiles.prod]\n[profiles."x$(touch f)"]\n[profiles."a\\nb"]\n')
    assert offered("cmdstat set ") == ["good"]
    assert offered("cmdstat batch --resume ") == []
    assert offered("cmdstat set -p ") == ["prod", "sandbox"]


@given(
    st.sampled_from([*QUOTING]),
    st.sampled_from(
        ["cmdstat ", "cmdstat set ", "cmdstat set ID ", "cmdstat batch --if-state", ""]
    ),
    st.text(st.sampled_from("sC o\\\"'`$-=m\t\nü\x00"), max_size=12),
    st.integers(0, 12),
)
def test_any_line_gets_a_safe_answer(shell: str, before: str, typed: str, replaced: int) -> None:
    """Whatever is typed, completion answers, and in letters that no shell makes anything of."""
    line = before + typed
    word = line[len(line) - replaced :]
    env = {"HOME": "/nonexistent", "_CMDSTAT_LINE": line, "_CMDSTAT_WORD": word}
    for each in answer(shell, env)[1:]:
        candidate = each.partition("\t")[0]
        if shell == "bash":
            candidate = candidate.replace("\\ ", "")
        if shell == "powershell":
            candidate = candidate.strip("'\"")
        assert set(candidate) <= SAFE


def complete(home: Home, line: str | bytes, *, shell: str = "bash", **more: str) -> str:
    """A completion call in a process of its own: exit code 0 and nothing on stderr, always."""
    done = subprocess.run(
        [sys.executable, "-m", "cmdstat", "__complete", shell],
        env={**home.env, "_CMDSTAT_LINE": line, **more},
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("line", "needs"),
    [
        ("cmdstat set ID succ", set()),
        ("cmdstat se", set()),
        ("cmdstat set -p ", {"tomllib"}),
        ("cmdstat set ", {"sqlite3"}),
        ("cmdstat batch --resume ", {"sqlite3"}),
    ],
)
def test_a_completion_touches_little(
    line: str, needs: set[str], at_home: Home, tmp_path: Path
) -> None:
    """No key is read, no socket made, nothing written, and no module loaded without need."""
    journal_with(at_home, "an-id")
    config = config_of(at_home, "[profiles.prod]\n")
    (config.parent / "credentials.toml").write_text(KEY)
    os.mkfifo(config.parent / "netrc")
    log = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(log), "__complete", "zsh"],
        env=at_home.env
        | {"_CMDSTAT_LINE": line, "CMDSTAT_API_KEY": KEY, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        check=True,
    )
    assert (done.stdout.startswith(b"plain\n"), done.stderr) == (True, b"")
    events = [each.split(" ", 2) for each in log.read_text().splitlines()]
    loaded = {what for event, what, _ in events if event == "import"}
    heavy = {"tomllib", "sqlite3"}
    assert heavy & loaded == needs
    unwanted = {
        "typer", "rich", "requests", "urllib3", "http", "ssl", "socket", "tomlkit", "platformdirs",
        "keyring", "subprocess", "json", "hashlib", "secrets", "cmdstat.cli",
        "cmdstat.commands", "cmdstat.context", "cmdstat.client", "cmdstat.credentials",
        "cmdstat.journal.records",
    }  # fmt: skip
    assert unwanted & loaded == set()
    assert {event for event, _, _ in events} <= {"import", "open", "sqlite3.connect"}
    opened = [(what, mode) for event, what, mode in events if event == "open"]
    assert not [what for what, _ in opened if "credentials" in what or "netrc" in what]
    assert not [what for what, mode in opened if "'w" in mode or "'a" in mode]
    assert sorted(each.name for each in at_home.journal_file.parent.iterdir()) == ["journal.db"]


def test_a_missing_journal_is_not_made(at_home: Home) -> None:
    """Asking for ids leaves no folder and no file behind."""
    assert complete(at_home, "cmdstat set ") == "plain\n"
    assert complete(at_home, "cmdstat set -p ") == "plain\nsandbox\n"
    assert list(at_home.path.iterdir()) == []


def test_a_journal_in_use_is_read_at_once(at_home: Home, offered: Offered) -> None:
    """Another process's open journal is read, its unfinished write not waited for."""
    file = journal_with(at_home, "first")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("INSERT INTO updates (id, outcome) VALUES ('second', 'updated')")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("INSERT INTO updates (id, outcome) VALUES ('third', 'updated')")
        assert offered("cmdstat set ") == ["second", "first"]


@pytest.mark.parametrize("damage", ["garbage", "empty", "directory", "pipe", "other-database"])
def test_a_damaged_journal_is_passed_over(damage: str, at_home: Home) -> None:
    """Whatever stands in the journal's place, no error, no waiting and no change."""
    file = at_home.journal_file
    file.parent.mkdir(parents=True)
    if damage == "directory":
        file.mkdir()
    elif damage == "pipe":
        os.mkfifo(file)
    elif damage == "other-database":
        with closing(sqlite3.connect(file)) as database:
            database.execute("CREATE TABLE updates (a)")
    else:
        file.write_bytes(b"garbage" * 999 if damage == "garbage" else b"")
    assert complete(at_home, "cmdstat set ") in ("plain\n", "")
    assert [each.name for each in file.parent.iterdir()] == ["journal.db"]


@pytest.mark.parametrize("text", ["[profiles", "profiles = 7", "\0", "[profiles]\nprod = 1"])
def test_a_damaged_configuration_is_passed_over(text: str, at_home: Home) -> None:
    """A configuration that cannot be read is no reason for a word."""
    config_of(at_home, text)
    complete(at_home, "cmdstat set -p ")


def test_whatever_is_asked_nothing_is_said(at_home: Home, tmp_path: Path) -> None:
    """An unknown shell, no line, a line that is no text, no home: exit code 0 and silence."""
    assert complete(at_home, "cmdstat s", shell="csh") == ""
    assert complete(at_home, "") == ""
    assert complete(at_home, b"cmdstat set ID \xff\xfe") == "plain\n"
    assert complete(at_home, "cmdstat set ", CMDSTAT_JOURNAL="\udcff/x\n") == "plain\n"
    assert complete(at_home, "cmdstat set 'ü " + "x" * 100_000) == "plain\n"
    alone = subprocess.run(
        [sys.executable, "-m", "cmdstat", "__complete"], env={}, capture_output=True, check=False
    )
    assert (alone.returncode, alone.stdout, alone.stderr) == (0, b"", b"")


def test_an_answer_that_nobody_reads_is_no_error(at_home: Home) -> None:
    """A closed stdout ends a completion as quietly as any other."""
    done = subprocess.run(
        ["sh", "-c", '"$0" -m cmdstat __complete zsh >&-', sys.executable],
        env=at_home.env | {"_CMDSTAT_LINE": "cmdstat "},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
