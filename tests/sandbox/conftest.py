"""Fixtures of the sandbox's own tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cmdstat.sandbox.server import Sandbox
from cmdstat.sandbox.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A freshly seeded store."""
    with Store.open(tmp_path / "sandbox.db") as opened:
        yield opened


@pytest.fixture
def start(store: Store) -> Iterator[Callable[..., Sandbox]]:
    """Starts sandboxes on the store, with any options, and ends them."""
    running: list[Sandbox] = []

    def started(**options: Any) -> Sandbox:
        running.append(Sandbox(store, **options).__enter__())
        return running[-1]

    yield started
    for sandbox in running:
        sandbox.close()


@pytest.fixture
def sandbox(start: Callable[..., Sandbox]) -> Sandbox:
    """A sandbox that behaves."""
    return start()
