"""The sandbox's store: what it begins with, who may share it, what it survives."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cmdstat.errors import ConfigurationError, UsageError
from cmdstat.instants import parse_timestamp
from cmdstat.sandbox import FIRST_COMMAND
from cmdstat.sandbox.store import Filters, Store
from cmdstat.states import STATES

_PREAMBLE = """
import sys
from pathlib import Path
from cmdstat.sandbox.store import Filters, Store
path = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
"""


def everything(store: Store) -> list[dict[str, Any]]:
    """All commands, newest first."""
    return store.page(Filters(), limit=1_000_000, offset=0).results


def without_moments(store: Store) -> list[dict[str, Any]]:
    """All commands, but for when they were made and changed."""
    return [each | {"created_at": "", "updated_at": ""} for each in everything(store)]


def started(code: str, path: Path) -> subprocess.Popen[str]:
    """A process that is ready to run `code`, and does once it is sent a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PREAMBLE + code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def let_go(process: subprocess.Popen[str]) -> None:
    """Have a started process run its code."""
    process.stdin.write("\n")
    process.stdin.flush()


def killed_after(process: subprocess.Popen[str], lines: int) -> str:
    """Kill a process that reports without end after so many lines; the last one it wrote."""
    let_go(process)
    for _ in range(lines):
        process.stdout.readline()
    process.kill()
    rest = process.communicate()[0].splitlines(keepends=True)
    return next((line for line in reversed(rest) if line.endswith("\n")), "")


def test_the_twelve_have_all_that_a_rehearsal_needs(tmp_path: Path) -> None:
    """Every state, both shapes of `command_meta`, internal ones, several devices and requests."""
    with Store.open(tmp_path / "s.db") as store:
        commands = everything(store)
        visible = store.page(Filters(exclude_internal=True), limit=100, offset=0)
    assert len(commands) == 12 == len({each["id"] for each in commands})
    assert {each["state"] for each in commands} == {state.text for state in STATES}
    results = [each["command_meta"]["result"] for each in commands if each["command_meta"]]
    assert sorted(type(result).__name__ for result in results) == ["dict", "list"]
    assert 0 < visible.total < 12
    for name in ("device", "request"):
        kept = Counter(each[name] for each in commands)
        assert len(kept) >= 3
        assert max(kept.values()) >= 3


def test_the_first_command_is_the_one_that_the_readme_sets(tmp_path: Path) -> None:
    """The newest command has the published id and is in progress."""
    assert FIRST_COMMAND == "5d1f0c2b-8e77-4a35-b0c9-6f2d3e4a5b6c"
    with Store.open(tmp_path / "s.db") as store:
        first = everything(store)[0]
    assert (first["id"], first["state"]) == (FIRST_COMMAND, "Command In Progress")


def test_a_reset_brings_the_same_twelve_back(tmp_path: Path) -> None:
    """Whatever was changed, and however many there were, a reset gives the same as a new store."""
    with Store.open(tmp_path / "s.db") as store:
        seeded = without_moments(store)
        store.update(FIRST_COMMAND, "Command Failure", "changed")
        assert without_moments(store) != seeded
        store.reset(50)
        assert without_moments(store)[:12] == seeded
        store.reset()
        assert without_moments(store) == seeded
        made = everything(store)[0]["created_at"]
    with Store.open(tmp_path / "s.db", commands=20, reset=True) as store:
        assert store.count() == 20
        assert everything(store)[0]["created_at"] > made


def test_moments_are_relative_to_the_reset_and_in_order(tmp_path: Path) -> None:
    """Created newest first, changed after that, all of it lately, in the service's format."""
    with Store.open(tmp_path / "s.db", commands=100) as store:
        store.update(FIRST_COMMAND, "Command Success", None)
        commands = everything(store)
    now = parse_timestamp(commands[0]["updated_at"])
    for each in commands:
        created, updated = parse_timestamp(each["created_at"]), parse_timestamp(each["updated_at"])
        assert created <= updated <= now
        assert each["created_at"].endswith("Z")
        assert len(each["created_at"]) == len("2025-03-04T09:15:27.481203Z")
    assert all(newer["created_at"] > older["created_at"] for newer, older in pairwise(commands))


def test_as_many_as_asked_for_are_there_and_found(tmp_path: Path) -> None:
    """A larger store pages through all of them, and each id can be read and is counted."""
    with Store.open(tmp_path / "s.db", commands=2500) as store:
        pages = [store.page(Filters(), limit=1000, offset=at) for at in (0, 1000, 2000, 3000)]
        ids = [each["id"] for page in pages for each in page.results]
        assert [page.total for page in pages] == [2500] * 4
        assert len(ids) == len(set(ids)) == 2500
        assert ids[2499] == "00000000-0000-4000-8000-000000002500"
        assert store.get(ids[2499])["id"] == ids[2499]
        many = tuple({each["device"] for page in pages for each in page.results})
        assert store.page(Filters(devices=many), limit=1, offset=0).total == 2500


@pytest.mark.parametrize("commands", [-1, 0, 11, 1_000_001])
def test_a_number_that_cannot_be_seeded_is_refused(tmp_path: Path, commands: int) -> None:
    """Fewer than the twelve or more than a million is a usage error, and no file is made."""
    with pytest.raises(UsageError):
        Store.open(tmp_path / "s.db", commands=commands)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    """The store is made with mode 0600 whatever the umask, and so are the files beside it."""
    before = os.umask(0)
    try:
        with Store.open(tmp_path / "new" / "s.db") as store:
            store.update(FIRST_COMMAND, "Command Success", None)
            modes = {path.name: path.stat().st_mode & 0o777 for path in store.path.parent.iterdir()}
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o600}
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("found", [b"", b"my notes, not a database", b"SQLite format 3\x00cut"])
def test_a_file_that_is_no_sandbox_is_left_alone(tmp_path: Path, found: bytes) -> None:
    """Neither opening nor a reset writes over a file that is something else."""
    path = tmp_path / "notes"
    path.write_bytes(found)
    for reset in (False, True):
        with pytest.raises(ConfigurationError, match="notes"):
            Store.open(path, reset=reset)
    assert path.read_bytes() == found


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """A reset empties a sandbox, not somebody's database that has a table of the same name."""
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.executescript("CREATE TABLE command (a); INSERT INTO command VALUES (1);")
    with pytest.raises(ConfigurationError):
        Store.open(path, reset=True)
    assert other.execute("SELECT a FROM command").fetchall() == [(1,)]
    other.close()


def test_a_store_of_another_version_is_named_and_can_be_reset(tmp_path: Path) -> None:
    """It is not guessed at: the hint is to reset, and the reset works."""
    Store.open(tmp_path / "s.db").close()
    other = sqlite3.connect(tmp_path / "s.db")
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(ConfigurationError) as refused:
        Store.open(tmp_path / "s.db")
    assert "sandbox reset" in refused.value.hint
    with Store.open(tmp_path / "s.db", reset=True) as store:
        assert store.count() == 12


def test_processes_that_make_it_at_once_share_one(tmp_path: Path) -> None:
    """Of several that begin on a missing file one makes it; all write, and nothing is lost."""
    code = """
with Store.open(path, commands=4000) as store:
    ids = [each["id"] for each in store.page(Filters(), limit=40, offset=0).results]
    mine = ids[int(sys.stdin.readline())]
    for number in range(150):
        assert store.update(mine, None, str(number))["reason"] == str(number)
"""
    processes = [started(code, tmp_path / "s.db") for _ in range(3)]
    for process in processes:
        let_go(process)
    for place, process in enumerate(processes):
        process.communicate(f"{20 + place}\n", timeout=60)
    assert [process.returncode for process in processes] == [0, 0, 0]
    with Store.open(tmp_path / "s.db") as store:
        reasons = [each["reason"] for each in everything(store)]
    assert len(reasons) == 4000
    assert reasons[20:23] == ["149"] * 3
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_long_write_keeps_no_reader_waiting(tmp_path: Path) -> None:
    """While one process is in the middle of a reset, others read what was there before."""
    with Store.open(tmp_path / "s.db") as store:
        writer = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
        writer.execute("BEGIN EXCLUSIVE")
        writer.execute("DELETE FROM command")
        assert store.get(FIRST_COMMAND)["state"] == "Command In Progress"
        assert store.count() == 12
        writer.execute("ROLLBACK")
        writer.close()


def test_a_writer_that_is_killed_leaves_a_whole_store(tmp_path: Path) -> None:
    """After SIGKILL amid updates the store opens, is sound and has whatever was answered."""
    code = """
with Store.open(path) as store:
    number = 0
    while True:
        store.update("5d1f0c2b-8e77-4a35-b0c9-6f2d3e4a5b6c", None, str(number))
        print(number, flush=True)
        number += 1
"""
    last = killed_after(started(code, tmp_path / "s.db"), lines=100)
    with Store.open(tmp_path / "s.db") as store:
        assert store.count() == 12
        assert int(store.get(FIRST_COMMAND)["reason"]) >= int(last or 99)
        store.update(FIRST_COMMAND, "Command Success", "after")
    with sqlite3.connect(tmp_path / "s.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_reset_that_is_killed_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    """After SIGKILL in the middle of resets the store has the one number or the other, whole."""
    code = """
with Store.open(path) as store:
    while True:
        store.reset(3000)
        print("large", flush=True)
        store.reset(12)
        print("small", flush=True)
"""
    killed_after(started(code, tmp_path / "s.db"), lines=5)
    with Store.open(tmp_path / "s.db") as store:
        assert store.count() in (12, 3000)
        assert len(everything(store)) == store.count()


def test_a_process_killed_while_making_it_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    """The store appears whole or not at all, so the next process can always begin."""
    process = started("Store.open(path, commands=1_000_000)", tmp_path / "s.db")
    let_go(process)
    while not list(tmp_path.iterdir()):
        assert process.poll() is None
    process.kill()
    process.communicate()
    assert not (tmp_path / "s.db").exists()
    with Store.open(tmp_path / "s.db") as store:
        assert store.count() == 12
