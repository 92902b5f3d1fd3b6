"""The house: arrows between the rooms, what a start may load, what every command must have."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cmdstat
from cmdstat.cli import make_root
from cmdstat.output import Format

PACKAGE = Path(cmdstat.__file__).parent
FRONT = {
    "cli",
    "commands",
    "completion",
    "context",
    "__main__",
    "options",
    "talk",
    "help",
    "mistakes",
    "batching",
    "batch_screen",
    "batch_input",
    "defects",
}
CORE = {
    "__init__", "states", "errors", "models", "foreign", "instants", "base_urls", "answers",
    "envelopes", "attempts", "reading", "delivery", "endings", "batch",
}  # fmt: skip
FOREIGN = {
    "requests": {"client", "connections", "failures"},
    "urllib3": {"client", "connections", "failures"},
    "rich": {"render", "commands", "context", "batching", "batch_screen"},
    "typer": {"cli", "help", "mistakes", "commands", "context", "options", "completion"},
    "tomlkit": {"config_files", "config_edits", "profile_tables"},
    "keyring": {"system_keyring", "keyring_child"},
}
"""Who may import a library; `rich` outside of `render` only as a type."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path, *, types_too: bool = False) -> set[str]:
    """Everything that a module imports, wherever in it; without what is only for type checking."""
    tree = ast.parse(path.read_text())
    skipped = {
        inner
        for node in ast.walk(tree)
        if not types_too and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def commands(command=None, path=("cmdstat",)):
    """Every command of the tree, with its path."""
    command = command or make_root()
    if not hasattr(command, "summaries"):
        yield path, command
        return
    for name in command.summaries:
        yield from commands(command.get_command(None, name), (*path, name))


COMMANDS = list(commands())


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_point_one_way(path):
    """The core knows nothing but the core, and nobody behind the front knows the front."""
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("cmdstat.")}
    ours -= {"__version__"}
    if room(path) in CORE:
        assert ours <= CORE
    elif room(path) not in FRONT:
        assert not ours & FRONT


@pytest.mark.parametrize("library", FOREIGN)
def test_a_library_has_its_room(library):
    """A library is imported only in the rooms that are there for it."""
    users = {
        room(path)
        for path in modules()
        if any(name.split(".")[0] == library for name in imports(path))
    }
    allowed = {"render"} if library == "rich" else FOREIGN[library]
    assert users <= allowed


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_is_public_says_why(path):
    """Every module, and every public class and function at its top, has a docstring."""
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "the module has none"
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has none"


def loaded_by(*arguments: str) -> set[str]:
    """The modules that are loaded when a command line has run, in a process of its own."""
    script = (
        "import sys, os; import cmdstat.__main__ as start\n"
        "os._exit = lambda code: (print('LOADED', *sys.modules), sys.stdout.flush())\n"
        f"sys.argv = ['cmdstat', *{arguments!r}]; start.run()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.rpartition("LOADED")[2].split())


HEAVY = {
    "requests",
    "urllib3",
    "rich",
    "rich.console",
    "tomlkit",
    "sqlite3",
    "ssl",
    "http.server",
    "asyncio",
    "keyring",
}


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["set", "--help"]])
def test_a_start_loads_nothing_heavy(arguments):
    """Asking for the version or for help loads none of the libraries that take time."""
    assert not loaded_by(*arguments) & HEAVY


@pytest.mark.parametrize(
    ("path", "command"),
    COMMANDS,
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_summary_is_the_help(path, command):
    """What the group's help says of a command is the first line of the command's own help."""
    group = make_root()
    for name in path[1:-1]:
        group = group.get_command(None, name)
    assert group.summaries[path[-1]] == command.help.split("\n")[0]


WITHOUT_RESULTS = {
    ("cmdstat", "sandbox", "serve"),
    ("cmdstat", "sandbox", "reset"),
    ("cmdstat", "sandbox", "path"),
    ("cmdstat", "completion"),
}


@pytest.mark.parametrize(
    ("path", "command"),
    COMMANDS,
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_every_command_has_the_shared_options(path, command):
    """A command with results takes --output with every format, and --quiet, as the others do."""
    options = {name: param for param in command.params for name in param.opts}
    if path not in WITHOUT_RESULTS:
        assert list(options["--output"].type.choices) == [each.value for each in Format]
        assert options["-o"] is options["--output"]
        assert options["-q"] is options["--quiet"]


def test_every_short_option_means_one_thing():
    """A short option stands for the same long one in every command."""
    meanings: dict[str, set[str]] = {}
    for _, command in COMMANDS:
        for param in command.params:
            short = [name for name in param.opts if len(name) == 2 and name.startswith("-")]
            for name in short:
                meanings.setdefault(name, set()).add(param.name)
    assert {name: found for name, found in meanings.items() if len(found) > 1} == {}
