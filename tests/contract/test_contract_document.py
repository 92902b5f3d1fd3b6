"""The contract itself: its examples must be what its schemas say, or neither can be trusted."""

from __future__ import annotations

from typing import Any

import documented
import pytest


def _examples() -> list[Any]:
    """Every example of an answer and of a request body, beside the schema it stands under."""
    found = []
    for operation, (_, _, definition) in documented.operations().items():
        bodies = {f"{operation} body": definition.get("requestBody", {})} | {
            f"{operation} {status}": documented.resolved(answer)
            for status, answer in definition["responses"].items()
        }
        for where, body in bodies.items():
            for media in body.get("content", {}).values():
                for name, example in media.get("examples", {}).items():
                    value = documented.resolved(example)["value"]
                    found.append(pytest.param(media["schema"], value, id=f"{where} {name}"))
    return found


@pytest.mark.parametrize(("schema", "value"), _examples())
def test_every_example_is_of_its_schema(schema: dict[str, Any], value: Any) -> None:
    """The document's own examples pass the validator that the suite holds answers against."""
    assert documented.problems(schema, value) == []


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ("StatusEnvelope", {"code": "200"}),
        ("StatusEnvelope", {"code": 200, "content": {"state": "Command Done"}}),
        ("StatusEnvelope", {"content": {"command_meta": []}}),
        ("StatusEnvelope", {"content": {"reason": None}}),
        ("StatusPageEnvelope", {"content": {"next": 7}}),
        ("StatusPageEnvelope", {"content": {"results": [{"id": 1}]}}),
        ("StatusUpdate", {"state": "Command Queued"}),
        ("StatusUpdate", {"reason": None}),
        ("ErrorEnvelope", {"code": 400}),
    ],
)
def test_the_validator_refuses_what_breaks_a_schema(schema: str, value: Any) -> None:
    """A validator that passes everything would prove nothing; this one sees each kind of breach."""
    assert documented.problems({"$ref": f"#/components/schemas/{schema}"}, value) != []


def test_the_states_are_nine_and_two_of_them_cannot_be_set() -> None:
    """The lists that the suite is parametrised over are whole."""
    assert len(documented.REPORTED) == 9
    assert documented.NOT_SETTABLE == ["Command Queued", "Command Initiated"]
