"""PUT /commands/v0/status/{id}/ as the contract has it."""

from __future__ import annotations

from typing import Any

import documented
import pytest


@pytest.mark.parametrize("state", documented.SETTABLE)
def test_each_settable_state_can_be_set(service, command: str, state: str) -> None:
    """Every one of the seven is accepted, answered with, and there when read back."""
    answer = service.update(command, {"state": state})
    assert answer.status_code == 200
    assert answer.json()["content"]["id"] == command
    assert answer.json()["content"]["state"] == state
    assert service.read(command)["state"] == state


@pytest.mark.parametrize("state", documented.NOT_SETTABLE)
def test_a_state_that_only_servers_report_is_refused(service, command: str, state: str) -> None:
    """Queued and Initiated are a 400, and the command stays as it was."""
    before = service.read(command)
    assert service.update(command, {"state": state}).status_code == 400
    assert service.read(command) == before


@pytest.mark.parametrize("state", ["Command Done", "command success", "Command Success ", ""])
def test_a_state_that_is_none_is_refused(service, command: str, state: str) -> None:
    """A state is its exact text or a 400."""
    before = service.read(command)
    assert service.update(command, {"state": state}).status_code == 400
    assert service.read(command) == before


def test_a_state_alone_leaves_the_reason(service, command: str) -> None:
    """Only the field that was given is changed."""
    service.update(command, {"reason": "kept"})
    content = service.update(command, {"state": "Command Failure"}).json()["content"]
    assert (content["state"], content["reason"]) == ("Command Failure", "kept")


def test_a_reason_alone_leaves_the_state(service, command: str) -> None:
    """Only the field that was given is changed, the other way round."""
    service.update(command, {"state": "Command Scheduled"})
    content = service.update(command, {"reason": "later"}).json()["content"]
    assert (content["state"], content["reason"]) == ("Command Scheduled", "later")


def test_both_are_set_at_once(service, command: str) -> None:
    """State and reason of one body arrive together."""
    body = {"state": "Command Cancelled", "reason": "no longer needed"}
    content = service.update(command, body).json()["content"]
    assert {name: content[name] for name in body} == body


def test_an_empty_body_changes_nothing(service, command: str) -> None:
    """A body with neither field is legal, and the command is as before, its moment too."""
    before = service.read(command)
    answer = service.update(command, {})
    assert answer.status_code == 200
    assert answer.json()["content"] == before
    assert service.read(command) == before


def test_unknown_fields_are_ignored(service, command: str) -> None:
    """A field that the contract does not name neither fails the update nor is stored."""
    device = service.read(command)["device"]
    body = {"state": "Command Success", "device": "another", "colour": {"deep": [1]}}
    assert service.update(command, body).status_code == 200
    assert service.read(command)["device"] == device
    assert "colour" not in service.read(command)


@pytest.mark.parametrize(
    "reason",
    ["", "Größe 12 µm, 電池切れ 🔋", 'a "quote", a \\ and\na line\t', "\x1b[31m\u202e", "x" * 9000],
    ids=["empty", "unicode", "quoting", "control", "long"],
)  # fmt: skip
def test_a_reason_comes_back_as_it_was_sent(service, command: str, reason: str) -> None:
    """A reason is a string, any string: no character of it is lost or changed."""
    assert service.update(command, {"reason": reason}).json()["content"]["reason"] == reason
    assert service.read(command)["reason"] == reason


@pytest.mark.parametrize("field", ["state", "reason"])
@pytest.mark.parametrize("value", [None, 7, True, ["Command Success"], {"a": 1}])
def test_a_field_that_is_no_string_is_refused(
    service, command: str, field: str, value: Any
) -> None:
    """Both fields are strings; anything else is a 400 that changes nothing."""
    before = service.read(command)
    assert service.update(command, {field: value}).status_code == 400
    assert service.read(command) == before


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"state=Command Success", b"\xff\xfe{}", b'{"reason": NaN}', b"[" * 200_000],
    ids=["empty", "cut short", "form", "not utf-8", "nan", "deep"],
)
def test_a_body_that_is_not_json_is_refused(service, command: str, body: bytes) -> None:
    """What cannot be read is a 400, never a 500."""
    assert service.send("updateCommandStatus", command=command, data=body).status_code == 400


@pytest.mark.parametrize("body", [[], "Command Success", 7, [{"state": "Command Success"}]])
def test_a_body_that_is_no_object_is_refused(service, command: str, body: Any) -> None:
    """The body is an object; any other JSON is a 400."""
    assert service.update(command, body).status_code == 400


def test_an_update_moves_updated_at_and_nothing_else(service, command: str) -> None:
    """The moment of the change is told, and who, what and since when stay as they were."""
    before = service.read(command)
    content = service.update(command, {"reason": f"after {before['updated_at']}"}).json()["content"]
    assert content["updated_at"] > before["updated_at"]
    for name in ("id", "request", "device", "created_at", "command_meta"):
        assert content.get(name) == before.get(name)


def test_the_same_update_twice_is_the_same(service, command: str) -> None:
    """PUT is idempotent, which is what makes sending again safe."""
    body = {"state": "Command Success", "reason": "twice"}
    first = service.update(command, body).json()["content"]
    second = service.update(command, body).json()["content"]
    assert first | {"updated_at": None} == second | {"updated_at": None}


def test_an_unknown_id_is_refused(service) -> None:
    """Nothing is made by a PUT; which of the two refusals it is, the contract leaves open."""
    url = f"{service.base_url}/commands/v0/status/ffffffff-0000-4000-8000-ffffffffffff/"
    answer = service.session.put(
        url,
        json={"state": "Command Success"},
        headers={"Authorization": f"Bearer {service.api_key}"},
        timeout=30,
    )
    assert answer.status_code in (400, 404)
    schema = {"$ref": "#/components/schemas/ErrorEnvelope"}
    assert documented.problems(schema, answer.json()) == []
