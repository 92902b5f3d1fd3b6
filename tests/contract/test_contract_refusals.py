"""The errors that any of the three operations may answer with, each in a documented shape."""

from __future__ import annotations

import documented
import pytest

from cmdstat.sandbox.faults import Faults

OPERATIONS = sorted(documented.operations())


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "authorization",
    [None, "Bearer wrong-key", "Bearer", "Bearer ", "Basic c2FuZGJveA==", "{key}", "Token {key}"],
)  # fmt: skip
def test_without_the_key_nothing_is_answered(
    service, command: str, operation: str, authorization: str | None
) -> None:
    """A missing key, a wrong one and the right one in the wrong scheme are a 401, in the envelope,
    and an update is not made."""
    before = service.read(command)
    if authorization is not None:
        authorization = authorization.replace("{key}", service.api_key)
    answer = service.send(
        operation,
        command=command,
        headers={"Authorization": authorization},
        data=b'{"reason": "without a key"}',
    )
    assert answer.status_code == 401
    assert service.api_key not in answer.text
    assert service.read(command) == before


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("misbehaving", [Faults(rate_limit=0.001)], indirect=True)
def test_too_many_requests_are_a_429(misbehaving, operation: str) -> None:
    """Beyond the limit every operation answers 429, with a number of seconds to wait."""
    misbehaving.page()
    answer = misbehaving.send(operation, command="any", data=b"{}")
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("misbehaving", [Faults(fail_rate=1.0, seed=4)], indirect=True)
def test_a_failure_of_the_server_is_a_500(misbehaving, operation: str) -> None:
    """When the service itself fails, its 500 is in the envelope too."""
    answer = misbehaving.send(operation, command="any", data=b"{}")
    assert answer.status_code == 500
