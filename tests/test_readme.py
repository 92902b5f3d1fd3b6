"""The README is true: what is generated in it is fresh, and its examples run as they are printed.

UPDATE_README=1 pytest tests/test_readme.py -n 0 writes the generated sections anew.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_house import COMMANDS, PACKAGE, modules

from cmdstat.commands import COMMANDS as SUMMARIES
from cmdstat.errors import EXIT_MEANINGS

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BIN = Path(sys.executable).parent


def help_of(path: tuple[str, ...]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "cmdstat", *path[1:], "--help"],
        env={"COLUMNS": "90", "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.rstrip()


def reference() -> str:
    """Every command's help."""
    groups = [("cmdstat", name) for name in SUMMARIES]
    paths = [("cmdstat",)]
    for group in groups:
        paths.append(group)
        paths += [path for path, _ in COMMANDS if path[: len(group)] == group and path != group]
    return "\n\n".join(f"### `{' '.join(path)}`\n\n```text\n{help_of(path)}\n```" for path in paths)


def exit_codes() -> str:
    rows = [f"| {code.value} | {meaning} |" for code, meaning in EXIT_MEANINGS.items()]
    return "\n".join(["| exit code | meaning |", "|---|---|", *rows])


def code_map() -> str:
    """One line a module: the first line of its docstring."""
    rows = []
    for path in modules():
        name = str(path.relative_to(PACKAGE))
        first = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0]
        if path.name != "__init__.py" or path.parent == PACKAGE or len(first) > 0:
            rows.append(f"| `{name}` | {first.replace('|', chr(92) + '|')} |")
    return "\n".join(["| module | what lives there |", "|---|---|", *rows])


SECTIONS = {"reference": reference, "exit codes": exit_codes, "map": code_map}


def rewritten(text: str) -> str:
    for name, make in SECTIONS.items():
        pattern = rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- end of {name} -->)"
        made = make()
        text, count = re.subn(
            pattern, lambda match, made=made: f"{match[1]}{made}\n{match[2]}", text, flags=re.DOTALL
        )
        assert count == 1, f"the README has no section {name}"
    return text


def test_generated_sections_are_fresh():
    """Reference, exit codes and map in the README are what the code says now."""
    text = README.read_text()
    made = rewritten(text)
    if os.environ.get("UPDATE_README"):
        README.write_text(made)
    assert text == made, "stale: run UPDATE_README=1 pytest tests/test_readme.py -n 0"


def blocks(language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```$", README.read_text(), flags=re.MULTILINE | re.DOTALL
    )


def examples() -> list[str]:
    """The lines of the README's shell blocks that call cmdstat and need no second terminal."""
    lines = [
        line for block in blocks("sh") if "night.csv" not in block for line in block.splitlines()
    ]
    return [
        line
        for line in lines
        if line.startswith("cmdstat ")
        and " serve " not in line
        and "--resume" not in line
        and not line.startswith("cmdstat completion")
    ]


@pytest.mark.parametrize("line", examples())
def test_an_example_runs_as_printed(line, tmp_path):
    """A line of the README does what it says, word for word, against the sandbox."""
    done = run_in_bash(line, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def run_in_bash(script: str, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "CMDSTAT_PROFILE": "sandbox",
    }
    return subprocess.run(
        ["bash", "-c", script, "bash", *arguments],
        env=env,
        capture_output=True,
        text=True,
        cwd=home,
        check=False,
    )


@pytest.mark.parametrize(
    ("command_id", "said", "code"),
    [
        ("5d1f0c2b-8e77-4a35-b0c9-6f2d3e4a5b6c", "done", 0),
        ("no-such-id", "the service refused it", 5),
    ],
)
def test_the_bash_example_branches(command_id, said, code, tmp_path):
    """The README's bash script tells a done update from a refused one by the exit code."""
    (script,) = blocks("bash")
    done = run_in_bash(script, tmp_path, command_id)
    assert said in done.stdout + done.stderr
    assert done.returncode == code


def test_the_python_example_runs(tmp_path):
    """The README's Python script gets its record."""
    (script,) = blocks("python")
    (tmp_path / "example.py").write_text(script)
    done = run_in_bash(f"{sys.executable} example.py", tmp_path)
    assert done.stdout == "updated None\n", done.stderr


def test_the_batch_story_can_be_told(tmp_path):
    """The README's five minutes: a file is made from the sandbox, and every row is sent."""
    (story,) = (block for block in blocks("sh") if "night.csv" in block)
    script = (
        "cmdstat sandbox serve --commands 40 --quiet > served &\n"
        "until [ -s served ]; do sleep 0.05; done\n"
        + story.replace("http://127.0.0.1:8766/api", "$(sed -n 's/.*CMDSTAT_BASE_URL=//p' served)")
        + "\ncode=$?; kill %1; wait; wc -l < night.csv; exit $code"
    )
    done = run_in_bash(script, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "40 of 40 done" in done.stdout
