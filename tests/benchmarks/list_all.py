"""The memory of `cmdstat list --all` over 100,000 results, beside itself with 1,000 (design §5).

Run it as: python tests/benchmarks/list_all.py [RESULTS]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GOAL = 5.0
FEW = 1_000
CMDSTAT = str(Path(sys.executable).with_name("cmdstat"))


def main() -> None:
    """Measure each format with few results and with many; fail if one takes too much more."""
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    ways = [["-o", "jsonl"], ["-o", "csv"], ["-o", "json"], ["-o", "table"], ["--summary"]]
    few_memory = measure(FEW, ways)
    many_memory = measure(many, ways)
    reached = []
    for way, (before, _), (after, took) in zip(ways, few_memory, many_memory, strict=True):
        reached.append(after - before <= GOAL)
        print(
            f"list --all {' '.join(way):<12} {FEW:,} results {before:6.1f} MiB"
            f"   {many:,} results {after:6.1f} MiB in {took:4.1f} s"
            f"   {after - before:+5.1f} MiB   goal <= +{GOAL:.0f}"
            f"   {'reached' if reached[-1] else 'MISSED'}"
        )
    sys.exit(not all(reached))


def measure(results: int, ways: list[list[str]]) -> list[tuple[float, float]]:
    """Peak MiB and seconds of each way to list a sandbox of so many commands."""
    with tempfile.TemporaryDirectory() as home:
        env = {"PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8"}
        serve = [CMDSTAT, "sandbox", "serve", "--quiet", "--commands", str(results)]
        server = subprocess.Popen(serve, env=env, stdout=subprocess.PIPE, text=True)
        try:
            lines = [server.stdout.readline() for _ in range(6)]
            exports = [line.split()[1] for line in lines if line.strip().startswith("export")]
            env |= dict(export.split("=", 1) for export in exports)
            return [peak([CMDSTAT, "list", "--all", *way], env) for way in ways]
        finally:
            server.terminate()
            server.wait()


def peak(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Peak MiB and seconds of one run, which must succeed."""
    began = time.monotonic()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10), (
        time.monotonic() - began
    )


if __name__ == "__main__":
    main()
