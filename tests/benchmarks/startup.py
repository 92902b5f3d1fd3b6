"""How fast cmdstat starts, beside what its libraries alone take to import (design §5).

Run it as: python tests/benchmarks/startup.py [PAIRS]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from yardstick import compare, python, seconds

ID = "5d1f0c2b-8e77-4a35-b0c9-6f2d3e4a5b6c"
CMDSTAT = str(Path(sys.executable).with_name("cmdstat"))


def main() -> None:
    """Start a sandbox as the local server, measure, and end it."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    with tempfile.TemporaryDirectory() as home:
        env = {"PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8"}
        server = subprocess.Popen(
            [CMDSTAT, "sandbox", "serve", "--quiet"], env=env, stdout=subprocess.PIPE, text=True
        )
        try:
            lines = [server.stdout.readline() for _ in range(6)]
            exports = [line.split()[1] for line in lines if line.strip().startswith("export")]
            env |= dict(export.split("=", 1) for export in exports)
            sys.exit(not all(measure(env, pairs)))
        finally:
            server.terminate()
            server.wait()


def measure(env: dict[str, str], pairs: int) -> list[bool]:
    """Each row of the design's table on starting; whether its goal was reached."""
    complete = env | {"_CMDSTAT_LINE": "cmdstat set abc succ", "_CMDSTAT_WORD": "succ"}
    typer = python("import typer", env)
    return [
        compare(
            "set, table, local server",
            1.15,
            lambda: seconds([CMDSTAT, "set", ID, "success", "--reason", "by phone"], env),
            python("import typer, requests, rich.table, rich.console", env),
            pairs,
        ),
        compare("--version", 1.2, lambda: seconds([CMDSTAT, "--version"], env), typer, pairs),
        compare(
            "one completion",
            1.2,
            lambda: seconds([CMDSTAT, "__complete", "bash"], complete),
            typer,
            pairs,
        ),
        compare(
            "--help",
            1.5,
            lambda: seconds([CMDSTAT, "--help"], env),
            python("import typer, rich.console, rich.panel, rich.table", env),
            pairs,
        ),
    ]


if __name__ == "__main__":
    main()
