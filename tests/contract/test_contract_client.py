"""What the client sends, held against the contract; and that it and the sandbox understand it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

import documented
import pytest
from faulty_server import FaultyServer

from cmdstat.client import Client, Connection, listing_path
from cmdstat.keys import ApiKey
from cmdstat.models import StatusUpdate
from cmdstat.paging import Query

KEY = "contract-key-0123456789"
QUERY = Query(("r 1", "r&2"), ("d/1",), "Command In Progress", True, 7)


@pytest.fixture
def sent() -> Iterator[dict[str, tuple]]:
    """By operation: method, path, query, headers and body, as they arrived at a server."""
    with FaultyServer() as server:
        client = Client(Connection(server.base_url), ApiKey.parse(KEY, "test"))
        client.put(StatusUpdate("an id", "Command Success", "ü"))
        client.get("an id")
        client.page(server.base_url + listing_path(QUERY))
        client.close()
        yield {
            operation: (each.method, *urlsplit(each.path.removeprefix("/api"))[2:4], each)
            for operation, each in zip(
                ("updateCommandStatus", "getCommandStatus", "listCommandStatuses"),
                server.requests,
                strict=True,
            )
        }


@pytest.mark.parametrize("operation", sorted(documented.operations()))
def test_a_request_is_as_documented(sent, operation: str) -> None:
    """Method, path, key, parameters and body of each of the three are the documented ones."""
    method, template, definition = documented.operations()[operation]
    actual_method, path, query, seen = sent[operation]
    assert actual_method == method
    assert unquote(path) == template.replace("{id}", "an id")
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    parameters = {
        each["name"]: each["schema"]
        for each in map(documented.resolved, definition.get("parameters", []))
        if each["in"] == "query"
    }
    values = dict(parse_qsl(query, strict_parsing=True)) if query else {}
    assert set(values) == set(parameters) - {"offset"}
    for name, text in values.items():
        kind = parameters[name].get("type")
        value = json.loads(text) if kind in ("integer", "number", "boolean") else text
        if kind != "array":
            assert documented.problems(parameters[name], value) == []
    if "requestBody" in definition:
        schema = documented.resolved(definition["requestBody"])["content"]["application/json"]
        assert documented.problems(schema["schema"], seen.json) == []
        assert seen.headers["content-type"] == "application/json"


def test_the_service_understands_the_client(service, command: str) -> None:
    """All three requests of the client are answered with what they asked for."""
    client = Client(Connection(service.base_url), ApiKey.parse(service.api_key, "test"))
    put = client.put(StatusUpdate(command, "Command Acknowledged", "by the client")).usable()
    assert (put["state"], put["reason"]) == ("Command Acknowledged", "by the client")
    assert client.get(command).usable() == put == service.read(command)
    query = Query((put["request"],), (put["device"],), "Command Acknowledged", None, 50)
    page = client.page(service.base_url + listing_path(query)).usable()
    assert put in page["results"]
    first = client.page(service.base_url + listing_path(Query(limit=1))).usable()
    second = client.page(first["next"]).usable()
    assert second["results"] == service.page(limit=1, offset=1)["results"]
    client.close()
