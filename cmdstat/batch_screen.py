"""What a batch shows: records as they end, a steady line of progress, and the closing table."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cmdstat.batch.tally import Tally
from cmdstat.context import Context
from cmdstat.journal.runs import Run, Runs
from cmdstat.models import UpdateRecord
from cmdstat.output import RECORD, Format, Item
from cmdstat.render.waiting import WaitingLine

if TYPE_CHECKING:
    from rich.console import Console

_LINE_EVERY = 10.0
_BAR = 20


class BatchScreen:
    """The screen of one run while it is sent: a context manager; the rest after it has ended."""

    def __init__(self, context: Context, tally: Tally, run: Run) -> None:
        self._context = context
        self._tally = tally
        self._run = run
        self._streams = context.format in (Format.JSONL, Format.CSV) and not context.common.quiet
        self._write: Callable[[Item], None] | None = None
        self._told = monotonic()
        self._open = ExitStack()
        self._line = WaitingLine(context.stderr, context.env, self._progress, interval=0.25)

    def __enter__(self) -> Self:
        if self._streams:
            results = self._context.results(RECORD)
            with self._context.showing_what_was_done():
                self._write = self._open.enter_context(results.stream())
        if not self._context.common.quiet:
            self._open.enter_context(self._line)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def show(self, record: UpdateRecord) -> None:
        """Count a record that is durable now, and write it if records are streamed.

        If nobody reads or the disk is full, the run goes on: the journal has every record.
        """
        self._tally.add(record)
        if self._write is not None:
            with self._line.hidden(), self._context.showing_what_was_done():
                self._write(record.to_dict())

    def tick(self) -> None:
        """Where there is no terminal, say how far it is every ten seconds."""
        now = monotonic()
        if now - self._told >= _LINE_EVERY:
            self._told = now
            if not self._line.is_drawn:
                self._context.tell(self._tally.text())

    def show_end(self, runs: Runs, left: int) -> None:
        """The closing table, or with JSON every record of the run in input order."""
        context = self._context
        if self._streams or context.common.quiet:
            return

        def table(console: Console) -> None:
            from cmdstat.render.batch import show_batch

            show_batch(console, self._run.name, runs.counts(self._run), self._tally, left)

        items = (record.to_dict() for record in runs.records(self._run))
        with context.showing_what_was_done():
            context.show_many(items, RECORD, table)

    def _progress(self) -> str:
        filled = round(self._tally.share * _BAR)
        return f"[{'#' * filled}{'.' * (_BAR - filled)}] {self._tally.text()}"
