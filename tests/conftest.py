"""Fixtures of the tests that run the real `cmdstat` against a server of their own."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faulty_server import FaultyServer
from harness import KEY, Home, Result, set_args
from hypothesis import settings

# A deadline for an example would only measure how busy the machine is.
settings.register_profile("cmdstat", deadline=None)
settings.load_profile("cmdstat")


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    """A server that misbehaves on request."""
    with FaultyServer() as started:
        yield started


@pytest.fixture
def other_server() -> Iterator[FaultyServer]:
    """A second server, for requests that must not get there."""
    with FaultyServer() as started:
        yield started


@pytest.fixture
def free_port() -> Iterator[int]:
    """A loopback port that refuses connections, and stays taken so that nobody else gets it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def home(tmp_path: Path, server: FaultyServer) -> Iterator[Home]:
    """A home whose environment names the faulty server and a key; no file may end up holding it."""
    made = Home(tmp_path / "home", {"CMDSTAT_BASE_URL": server.base_url, "CMDSTAT_API_KEY": KEY})
    yield made
    assert made.files_with(KEY) == []


Set = Callable[..., Result]


@pytest.fixture
def set_state(home: Home) -> Set:
    """`cmdstat set an-id success -o json`, run to its end, plus what a test adds."""

    def run(
        *more: str,
        state: str = "success",
        retries: int = 0,
        timeout: float = 10,
        **options: object,
    ) -> Result:
        return home.run(*set_args(*more, state=state, retries=retries, timeout=timeout), **options)

    return run
