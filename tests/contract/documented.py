"""The contract, read from `openapi.yaml`: which answers are documented, and of what shape.

Nothing in here or in the suite comes from cmdstat's own tables: a wrong constant there must meet a
test that does not share it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

_URI = "urn:cmdstat:contract"
DOCUMENT: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parent.parent / "openapi.yaml").read_text(encoding="utf-8")
)


def _as_json_schema(node: Any) -> Any:
    """OpenAPI 3.0's one word that JSON Schema lacks, said in its terms: `nullable`."""
    if isinstance(node, list):
        return [_as_json_schema(each) for each in node]
    if not isinstance(node, dict):
        return node
    schema = {name: _as_json_schema(value) for name, value in node.items() if name != "nullable"}
    if node.get("nullable"):
        schema["type"] = [node["type"], "null"]
    return schema


_REGISTRY = Registry().with_resource(
    _URI, Resource(contents=_as_json_schema(DOCUMENT), specification=DRAFT202012)
)


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """The node itself, or the one that its `$ref` points to."""
    while "$ref" in node:
        steps = node["$ref"].removeprefix("#/").split("/")
        node = DOCUMENT
        for step in steps:
            node = node[step]
    return node


def operations() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """By operation id: method, path template, definition."""
    return {
        definition["operationId"]: (method.upper(), path, definition)
        for path, methods in DOCUMENT["paths"].items()
        for method, definition in methods.items()
        if method in ("get", "put", "post", "patch", "delete")
    }


def response(operation: str, status: int) -> dict[str, Any]:
    """The definition of a documented answer; fails the test if the status is not documented."""
    _, _, definition = operations()[operation]
    documented = definition["responses"]
    assert str(status) in documented, f"{operation} is not documented to answer {status}"
    return resolved(documented[str(status)])


def problems(schema: dict[str, Any], value: Any) -> list[str]:
    """What in `value` breaks a schema of the document."""
    translated = _anchored(_as_json_schema(schema))
    validator = Draft202012Validator(translated, registry=_REGISTRY)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def _anchored(node: Any) -> Any:
    """References into the document, made to name it: the schema at hand stands outside of it."""
    if isinstance(node, list):
        return [_anchored(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        name: _URI + value if name == "$ref" else _anchored(value) for name, value in node.items()
    }


def states(schema: str) -> list[str]:
    """The states that `State` or `SettableState` lists."""
    return list(DOCUMENT["components"]["schemas"][schema]["enum"])


REPORTED = states("State")
SETTABLE = states("SettableState")
NOT_SETTABLE = [state for state in REPORTED if state not in SETTABLE]
