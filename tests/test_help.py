"""Help teaches: every command has examples that run as they are printed, and its exit codes."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_house import COMMANDS

BIN = Path(sys.executable).parent
FIRST = "5d1f0c2b-8e77-4a35-b0c9-6f2d3e4a5b6c"
FOREVER = "cmdstat sandbox serve"
MODULES = {
    path: importlib.import_module(".".join(["cmdstat.commands", *path[1:]])) for path, _ in COMMANDS
}
EXAMPLES = [(path, line) for path, module in MODULES.items() for line in module.EXAMPLES]


def bash(line: str, home: Path) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "CMDSTAT_PROFILE": "sandbox",
    }
    return subprocess.run(
        ["bash", "-c", line], env=env, cwd=home, capture_output=True, text=True, check=False
    )


@pytest.fixture
def desk(tmp_path):
    """A home with the files that the examples name."""
    (tmp_path / "updates.csv").write_text(f"id,state,reason\n{FIRST},success,by phone\n")
    (tmp_path / "ids.txt").write_text(f"{FIRST}\n")
    (tmp_path / "key.txt").write_text("an-api-key-of-some-length\n")
    return tmp_path


@pytest.mark.parametrize(("path", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_an_example_runs_as_printed(path, line, desk):
    """An example of a command's help does what it says, word for word, against the sandbox."""
    if path[1:2] == ("profile",) and path[2] != "add":
        assert bash("cmdstat profile add prod --tenant acme --api-key-stdin < key.txt", desk)
    if line.startswith(FOREVER):
        line = f"timeout -s INT 2 {line.replace('8765', '0')}; [ $? = 124 ]"
    done = bash(line, desk)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("path", MODULES, ids=" ".join)
def test_a_help_ends_with_examples_and_exit_codes(path, desk):
    """A command's help shows its examples, unbroken, and names its exit codes."""
    shown = bash(" ".join([*path, "--help"]), desk).stdout
    for line in MODULES[path].EXAMPLES:
        assert f"    {line}\n" in shown
    for code in MODULES[path].EXIT_CODES:
        assert f"  {code.value}  " in shown
