"""The service that the contract suite is run against: the sandbox, or any other that is named.

    CONTRACT_BASE_URL=http://127.0.0.1:8000/api CONTRACT_API_KEY=... pytest -n 0 tests/contract

The suite changes states and reasons of whatever commands it finds there, so name a service whose
commands matter to nobody. It takes ids from the listing and assumes nothing else of what it finds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import documented
import pytest
import requests

from cmdstat.sandbox.faults import Faults
from cmdstat.sandbox.server import Sandbox
from cmdstat.sandbox.store import Store


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


@dataclass
class Service:
    """A running service; every answer it gives is held against the contract on the way."""

    base_url: str
    api_key: str
    session: requests.Session = field(default_factory=_session)

    def send(self, operation: str, *, command: str = "", **options: Any) -> requests.Response:
        """Perform a documented operation; the answer has been validated."""
        method, path, _ = documented.operations()[operation]
        url = self.base_url + path.replace("{id}", quote(command, safe=""))
        headers = {"Authorization": f"Bearer {self.api_key}"} | options.pop("headers", {})
        answer = self.session.request(
            method, url, headers=headers, timeout=30, allow_redirects=False, **options
        )
        self.validate(operation, answer)
        return answer

    def validate(self, operation: str, answer: requests.Response) -> None:
        """Documented status, JSON, and of the documented shape; `code` agrees with the status."""
        definition = documented.response(operation, answer.status_code)
        assert answer.headers["Content-Type"].split(";")[0] == "application/json"
        body = answer.json()
        schema = definition["content"]["application/json"]["schema"]
        assert documented.problems(schema, body) == []
        assert body["code"] == answer.status_code

    def page(self, **query: Any) -> dict[str, Any]:
        """The `content` of one page of the listing."""
        answer = self.send("listCommandStatuses", params=query)
        assert answer.status_code == 200
        return answer.json()["content"]

    def every(self, **query: Any) -> list[dict[str, Any]]:
        """Every result of a listing, by `next` to the end."""
        content = self.page(**query)
        results = content["results"]
        while content["next"]:
            answer = self.session.get(
                content["next"], headers={"Authorization": f"Bearer {self.api_key}"}, timeout=30
            )
            self.validate("listCommandStatuses", answer)
            content = answer.json()["content"]
            results += content["results"]
        return results

    def read(self, command: str) -> dict[str, Any]:
        """One command's content."""
        answer = self.send("getCommandStatus", command=command)
        assert answer.status_code == 200
        return answer.json()["content"]

    def update(self, command: str, body: Any) -> requests.Response:
        """The answer to a PUT with this JSON body."""
        return self.send("updateCommandStatus", command=command, json=body)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service under test."""
    named = os.environ.get("CONTRACT_BASE_URL")
    if named:
        yield Service(named.rstrip("/"), os.environ["CONTRACT_API_KEY"])
        return
    with (
        Store.open(tmp_path_factory.mktemp("contract") / "sandbox.db", commands=30) as store,
        Sandbox(store) as sandbox,
    ):
        yield Service(sandbox.base_url, sandbox.api_key)


@pytest.fixture
def command(service: Service) -> str:
    """The id of some command."""
    return service.page(limit=1)["results"][0]["id"]


@pytest.fixture
def misbehaving(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    """A sandbox with the faults that the test's parameter names: no other service has a switch."""
    faults: Faults = request.param
    with Store.open(tmp_path / "sandbox.db") as store, Sandbox(store, faults=faults) as sandbox:
        yield Service(sandbox.base_url, sandbox.api_key)
