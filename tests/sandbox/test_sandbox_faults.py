"""The sandbox misbehaves as it was asked to, and not otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from talk import FIRST, asked, connected, until

from cmdstat.errors import UsageError
from cmdstat.sandbox import FIRST_COMMAND
from cmdstat.sandbox.faults import Faults, FaultSource
from cmdstat.sandbox.server import Sandbox
from cmdstat.sandbox.store import Store


@pytest.mark.parametrize(
    "values",
    [
        {"latency_ms": -1}, {"latency_ms": float("nan")}, {"latency_ms": float("inf")},
        {"fail_rate": -0.1}, {"fail_rate": 1.1}, {"fail_rate": float("nan")},
        {"rate_limit": 0}, {"rate_limit": -5}, {"rate_limit": float("nan")},
        {"rate_limit": float("inf")},
    ],
)  # fmt: skip
def test_faults_that_cannot_be_are_refused(values: dict[str, float]) -> None:
    """Impossible numbers are a usage error before anything is served."""
    with pytest.raises(UsageError):
        Faults(**values)


def test_latency_delays_the_answer_and_not_the_update(
    start: Callable[..., Sandbox], store: Store
) -> None:
    """The answer comes that much later; a client that gave up finds its update applied."""
    sandbox = start(faults=Faults(latency_ms=120))
    began = time.monotonic()
    assert asked(sandbox, "GET", FIRST)[0] == 200
    assert time.monotonic() - began >= 0.12
    connection = connected(start(faults=Faults(latency_ms=600_000)))
    connection.timeout = 0.1
    with pytest.raises(TimeoutError):
        asked(connection, "PUT", FIRST, {"reason": "in time"})
    until(lambda: store.get(FIRST_COMMAND)["reason"] == "in time")


def test_failures_come_at_the_rate_and_leave_updates_in_doubt(
    start: Callable[..., Sandbox], store: Store
) -> None:
    """About that share is a 500 or a 503, and some of those updates were applied all the same."""
    connection = connected(start(faults=Faults(fail_rate=0.4, seed=1)))
    seen = []
    for number in range(200):
        status, _, _ = asked(connection, "PUT", FIRST, {"reason": str(number)})
        seen.append((status, store.get(FIRST_COMMAND)["reason"] == str(number)))
    assert set(seen) == {(200, True), (500, True), (500, False), (503, True), (503, False)}
    assert 50 < sum(status != 200 for status, _ in seen) < 110


def test_the_rate_limit_lets_a_second_s_worth_in_and_then_one_at_a_time() -> None:
    """On a clock of its own: three at once, then one each third of a second."""
    now = 100.0
    source = FaultSource(Faults(rate_limit=3), clock=lambda: now)
    assert [source.seconds_to_wait() for _ in range(3)] == [0, 0, 0]
    assert source.seconds_to_wait() == pytest.approx(1 / 3)
    now += 0.2
    assert source.seconds_to_wait() == pytest.approx(1 / 3 - 0.2)
    now += 0.2
    assert source.seconds_to_wait() == 0
    assert source.seconds_to_wait() > 0
    now += 60
    assert [source.seconds_to_wait() > 0 for _ in range(4)] == [False, False, False, True]
