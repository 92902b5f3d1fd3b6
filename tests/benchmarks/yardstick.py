"""Measure a command against a yardstick in the same minute: interleaved pairs, median ratio.

These machines are shared and noisy, so a time alone says nothing; of two runs one right after the
other, the ratio says much.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence


def seconds(command: Sequence[str], env: Mapping[str, str], data: bytes | None = None) -> float:
    """Wall-clock seconds of one run of a command, which must succeed."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=env, input=data)
    return time.perf_counter() - began


def compare(
    name: str,
    goal: float,
    measured: Callable[[], float],
    yardstick: Callable[[], float],
    pairs: int = 25,
) -> bool:
    """Print the median ratio of interleaved pairs beside its goal; whether it is reached."""
    measured(), yardstick()
    ratios, ours, theirs = [], [], []
    for _ in range(pairs):
        theirs.append(yardstick())
        ours.append(measured())
        ratios.append(ours[-1] / theirs[-1])
    ratio = statistics.median(ratios)
    verdict = "reached" if ratio <= goal else "MISSED"
    print(
        f"{name:<28} {statistics.median(ours) * 1000:7.1f} ms"
        f"   yardstick {statistics.median(theirs) * 1000:7.1f} ms"
        f"   ratio {ratio:5.2f}   goal <= {goal:.2f}   {verdict}"
    )
    return ratio <= goal


def python(code: str, env: Mapping[str, str]) -> Callable[[], float]:
    """A yardstick: a bare interpreter that runs `code`."""
    return lambda: seconds([sys.executable, "-c", code], env)
