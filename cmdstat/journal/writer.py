"""The one thread that writes a run: what the jobs bring while it commits goes into its next commit.

A commit costs about as much as a row, so eight jobs that each wait for their own would spend more
time on the journal than on the network.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

from cmdstat.journal.database import guarded, transaction

Statement = tuple[str, tuple[Any, ...]]
_MOST_IN_ONE_COMMIT = 64


class _Request(NamedTuple):
    statements: tuple[Statement, ...]
    done: threading.Lock  # held until the statements are committed, or have failed
    failure: list[Exception]


class Writer:
    """Runs statements for many threads, a group to a commit."""

    def __init__(self, path: Path, connection: Callable[[], sqlite3.Connection]) -> None:
        """Start the thread; `connection` makes the connection that it alone uses."""
        self._path = path
        self._connect = connection
        self._requests: SimpleQueue[_Request | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def write(self, *statements: Statement) -> None:
        """Run statements and return once they are committed. Raises `ConfigurationError`."""
        request = _Request(statements, threading.Lock(), [])
        request.done.acquire()
        self._requests.put(request)
        request.done.acquire()
        if request.failure:
            raise request.failure[0]

    def close(self) -> None:
        """Commit what is left and end the thread."""
        self._requests.put(None)
        self._thread.join()

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        ended = False
        while not ended:
            group = [self._requests.get()]
            while len(group) < _MOST_IN_ONE_COMMIT and not self._requests.empty():
                group.append(self._requests.get())
            ended = None in group
            requests = [request for request in group if request is not None]
            if not requests:
                continue
            try:
                with guarded(self._path):
                    connection = connection or self._connect()
                    with transaction(connection):
                        for request in requests:
                            for statement, values in request.statements:
                                connection.execute(statement, values)
            except Exception as failure:  # noqa: BLE001 - the jobs wait; each is to hear of it
                for request in requests:
                    request.failure.append(failure)
            for request in requests:
                request.done.release()
        if connection is not None:
            connection.close()
