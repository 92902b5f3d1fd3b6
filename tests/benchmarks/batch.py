"""How fast `cmdstat batch` is, and how much memory it takes, each beside its yardstick (design §5).

Run it as: python tests/benchmarks/batch.py [slow] [fast] [memory] [--rows N] [--pairs N]

slow:    32 jobs against a server that answers in 50 ms
fast:    8 jobs against a server that answers at once: nginx where there is one, else a small one
memory:  1,000,000 rows (or --rows) against 1,000, on the fast server; takes minutes

Without a name, `slow` and `fast`. Rates are of whole processes, start included, on both sides.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slow_server import ANSWER
from yardstick import seconds

HERE = Path(__file__).parent
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def main() -> None:
    """Measure what was asked for; exit 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", choices=["slow", "fast", "memory", []])
    parser.add_argument("--rows", type=int)
    parser.add_argument("--pairs", type=int, default=3)
    given = parser.parse_args()
    measures = {"slow": slow, "fast": fast, "memory": memory}
    with tempfile.TemporaryDirectory() as folder:
        chosen = [measures[name] for name in given.what or ["slow", "fast"]]
        reached = [measure(Path(folder), given.rows, given.pairs) for measure in chosen]
    sys.exit(not all(reached))


def slow(folder: Path, rows: int | None, pairs: int) -> bool:
    """32 jobs, 50 ms: against 640 a second, and against bare requests."""
    rows = rows or 12_800
    with python_server(50) as base_url:
        ours, theirs = rates(folder, base_url, rows, 32, pairs)
    reached = statistics.median(ours)
    of_bare = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    good = told("batch, 32 jobs, 50 ms", reached, "32 / 0.05 s", 640, reached / 640, 0.95)
    return told(
        "batch, 32 jobs, 50 ms", reached, "bare requests", statistics.median(theirs), of_bare, 0.98
    ) and good  # fmt: skip


def fast(folder: Path, rows: int | None, pairs: int) -> bool:
    """8 jobs, a server that answers at once: against bare requests."""
    rows = rows or 20_000
    with fast_server(folder) as (name, base_url):
        ours, theirs = rates(folder, base_url, rows, 8, pairs)
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return told(
        f"batch, 8 jobs, {name}", statistics.median(ours), "bare requests",
        statistics.median(theirs), ratio, 1.0,
    )  # fmt: skip


def memory(folder: Path, rows: int | None, pairs: int) -> bool:
    """The peak of a long run against that of a short one."""
    rows = rows or 1_000_000
    with fast_server(folder) as (_, base_url):
        few, _ = peak(folder, base_url, 1000)
        many, took = peak(folder, base_url, rows)
    reached = many - few <= 15
    print(
        f"memory of {rows} rows {many:8.1f} MiB   of 1000 rows {few:8.1f} MiB"
        f"   more {many - few:+5.1f} MiB   goal <= +15 MiB   {'reached' if reached else 'MISSED'}"
        f"   ({rows / took:.0f} rows a second, {took:.0f} s)"
    )
    return reached


def told(what: str, ours: float, yardstick: str, theirs: float, ratio: float, goal: float) -> bool:
    """Print one result beside its goal; whether it was reached."""
    print(
        f"{what:<24} {ours:7.0f} a second   {yardstick:<13} {theirs:7.0f} a second"
        f"   ratio {ratio:5.3f}   goal >= {goal:.2f}   {'reached' if ratio >= goal else 'MISSED'}",
        flush=True,
    )
    return ratio >= goal


def rates(
    folder: Path, base_url: str, rows: int, jobs: int, pairs: int
) -> tuple[list[float], list[float]]:
    """Rows a second of `batch` and of bare requests, in interleaved pairs."""
    file = table(folder, rows)
    bare = [sys.executable, str(HERE / "bare_requests.py"), base_url, str(rows), str(jobs)]
    ours, theirs = [], []
    for number in range(pairs):
        env = environment(folder / f"home-{rows}-{number}", base_url)
        theirs.append(rows / seconds(bare, env))
        ours.append(rows / seconds(batch(file, jobs), env))
    return ours, theirs


def peak(folder: Path, base_url: str, rows: int) -> tuple[float, float]:
    """Peak memory in MiB and seconds of one run of so many rows with 8 jobs."""
    env = environment(folder / f"home-{rows}", base_url)
    began = time.perf_counter()
    process = subprocess.Popen(
        batch(table(folder, rows), 8), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return usage.ru_maxrss / unit, time.perf_counter() - began


def batch(file: Path, jobs: int) -> list[str]:
    return [sys.executable, "-m", "cmdstat", "batch", str(file), "-y", "-j", str(jobs)]


def environment(home: Path, base_url: str) -> dict[str, str]:
    home.mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8",
        "CMDSTAT_BASE_URL": base_url, "CMDSTAT_API_KEY": "benchmark-key",
    }  # fmt: skip


def table(folder: Path, rows: int) -> Path:
    """A CSV of so many rows, each of an id of its own."""
    file = folder / f"{rows}.csv"
    if not file.exists():
        with file.open("w") as writing:
            writing.write("id,state,reason\n")
            writing.writelines(f"command-{row},success,by phone\n" for row in range(rows))
    return file


@contextmanager
def fast_server(folder: Path) -> Iterator[tuple[str, str]]:
    """A server that answers at once: its name and base URL."""
    if NGINX is None:
        with python_server(0) as base_url:
            yield "asyncio", base_url
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"""
        daemon off; pid {folder}/nginx.pid; error_log stderr crit; worker_processes 1;
        events {{ worker_connections 512; }}
        http {{
            access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/body;
            proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
            scgi_temp_path {folder}/s;
            server {{
                listen 127.0.0.1:{port};
                location / {{ default_type application/json; return 200 '{ANSWER}'; }}
            }}
        }}
        """
    )
    process = subprocess.Popen([NGINX, "-c", str(configuration), "-p", str(folder)])
    try:
        wait_for(port)
        yield "nginx", f"http://127.0.0.1:{port}/api"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def python_server(milliseconds: int) -> Iterator[str]:
    """The slow server in a process of its own: its base URL."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "slow_server.py"), str(milliseconds)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()


def wait_for(port: int) -> None:
    """Until something listens there, 5 seconds at most."""
    ends = time.monotonic() + 5
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < ends, "the server does not start"
            time.sleep(0.02)


if __name__ == "__main__":
    main()
