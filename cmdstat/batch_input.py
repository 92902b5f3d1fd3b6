"""The input of a batch: opened, checked whole, its problems named; or only rehearsed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from typing import TYPE_CHECKING, Any, BinaryIO

from cmdstat.batch.rows import Problem, Row
from cmdstat.context import Context
from cmdstat.errors import UsageError
from cmdstat.output import flat

if TYPE_CHECKING:
    from rich.console import Console

PROBLEMS_SHOWN = 20
REQUESTS_SHOWN = 5
REASON_ONLY = "the reason only"


class CheckedRows:
    """The good rows of an input; the problems of the others are kept and counted."""

    def __init__(self, rows: Iterator[Row | Problem], *, skip_invalid: bool) -> None:
        self._rows = rows
        self._skip_invalid = skip_invalid
        self.problems: list[Problem] = []
        self.bad = 0
        self.good = 0
        self._cut_short = False

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            if isinstance(row, Problem):
                self.bad += 1
                self._cut_short = row.ends_input
                if len(self.problems) < PROBLEMS_SHOWN:
                    self.problems.append(row)
            elif self._skip_invalid or not self.bad:
                self.good += 1
                yield row

    def report(self, context: Context, name: str) -> None:
        """Name the problems on stderr. Raises `UsageError` if nothing may be sent for them."""
        for problem in self.problems:
            context.complain(f"{name}:{problem.line}: {problem.text}")
        if self.bad > len(self.problems):
            context.complain(f"{name}: and {self.bad - len(self.problems)} more")
        if self._cut_short:
            raise UsageError(
                f"{name} cannot be read to its end; nothing was sent",
                "mend the input, then try again",
            )
        if self.bad and not self._skip_invalid:
            rows = "row is" if self.bad == 1 else "rows are"
            raise UsageError(
                f"{self.bad} {rows} wrong in {name}; nothing was sent",
                "mend the input, or send the good rows alone with --skip-invalid",
            )
        if not self.good:
            raise UsageError(f"there is nothing to send in {name}", "give at least one row")


def opened(context: Context, name: str) -> AbstractContextManager[BinaryIO]:
    """The input, to be read once; standard input stays open. Raises `UsageError`."""
    if name == "-":
        return nullcontext(context.stdin.buffer)  # stays open: the question is asked there too
    try:
        return closing(open(name, "rb"))
    except OSError as failure:
        raise UsageError(
            f"{name} cannot be read: {failure.strerror or failure}", "give a file with rows"
        ) from failure


def rehearse(context: Context, checked: CheckedRows, name: str) -> None:
    """Check a whole input and show what would be sent; send and record nothing."""
    from cmdstat.client import status_path

    states: Counter[str] = Counter()
    conditional = 0
    requests: list[dict[str, Any]] = []
    for row in checked:
        states[row.update.state or REASON_ONLY] += 1
        conditional += bool(row.update.if_state)
        if len(requests) < REQUESTS_SHOWN:
            url = context.base_url + status_path(row.update.id)
            requests.append({"method": "PUT", "url": url, "body": row.update.body})
    checked.report(context, name)
    counts = {
        "rows": checked.good,
        "states": dict(states),
        "conditional": conditional,
        "invalid": checked.bad,
    }
    rehearsal = {"dry_run": True, "counts": counts, "requests": requests}

    def table(console: Console) -> None:
        from cmdstat.render.batch import show_rehearsal

        show_rehearsal(console, context.place, counts, requests)

    context.show_one(rehearsal, flat(*rehearsal), table)
