"""Carry a batch through: read it in, ask, send it, and say what became of every row.

The work behind `cmdstat batch` and `cmdstat set -`, between the pure engine and the screen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from cmdstat.attempts import Clock
from cmdstat.batch.engine import Engine, NotRecorded
from cmdstat.batch.pacing import SharedPacing
from cmdstat.batch.rows import (
    NO_DEFAULTS,
    Defaults,
    InputFormat,
    Problem,
    Row,
    format_of,
    read_rows,
)
from cmdstat.batch.schedule import Schedule
from cmdstat.batch.tally import Tally
from cmdstat.batch_screen import BatchScreen
from cmdstat.context import Context
from cmdstat.errors import (
    BatchIncomplete,
    CmdstatError,
    ConfigurationError,
    Interrupted,
    UsageError,
)
from cmdstat.interrupts import Interruption, StopAtOnce
from cmdstat.journal.runs import Run, RunQueue, Runs
from cmdstat.output import flat
from cmdstat.reports import check_report, write_report

if TYPE_CHECKING:
    from threading import Thread

    from rich.console import Console

    from cmdstat.client import Client

PROBLEMS_SHOWN = 20
REQUESTS_SHOWN = 5
REASON_ONLY = "the reason only"
_LOOK_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What `cmdstat batch` was asked for, checked."""

    file: str
    form: InputFormat | None = None
    defaults: Defaults = NO_DEFAULTS
    jobs: int = 8
    rate: float | None = None
    max_failures: int | None = None
    skip_invalid: bool = False
    report: str | None = None
    yes: bool = False
    dry_run: bool = False


class _Checked:
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


def send_file(context: Context, given: BatchOptions) -> None:
    """Read a file or pipe in whole, check it, and send it as a new run."""
    check_report(given.report, context.paths.journal_file, given.file)
    assert context.key  # a missing key is an error before a long input is read
    name = "standard input" if given.file == "-" else given.file
    with _opened(context, given.file) as source:
        form = given.form or format_of(given.file)
        rows = read_rows(source, form, given.defaults, context.tell)
        checked = _Checked(rows, skip_invalid=given.skip_invalid)
        if given.dry_run:
            _rehearse(context, checked, name)
            return
        runs = Runs(context.journal)
        settings = {"jobs": given.jobs, "rate": given.rate, "max_failures": given.max_failures}
        run = runs.read_in(checked, context.origin, given.file, settings)
    try:
        checked.report(context, name)
        if checked.good > 1 and not given.yes:
            context.confirm(f"Send {checked.good} updates to {_place(context)}?")
        client = context.client(given.jobs)
    except BaseException:
        runs.forget(run)
        raise
    runs.make_ready(run)
    _carry_through(context, client, runs, run, given, bad=checked.bad)


def resume(context: Context, name: str | None, given: BatchOptions, *, retry_failed: bool) -> None:
    """Go on with a run that was interrupted, or take up its failed rows again."""
    if given.dry_run:
        raise UsageError("--dry-run goes with a file", "see what is left: cmdstat history --runs")
    check_report(given.report, context.paths.journal_file)
    runs = Runs(context.journal)
    run = runs.find(name, finished=retry_failed)
    context.use_run(run.origin)
    client = context.client(given.jobs)
    runs.hold(run)
    if retry_failed:
        kept = runs.take_up_failed(run)
        if kept:
            context.tell(
                f"{kept} failed rows stay as they are: a later row of the same id was sent"
            )
    _announce(context, runs, run)
    _carry_through(context, client, runs, run, given)


def discard(context: Context, name: str) -> None:
    """Give a run up: what was not sent never will be."""
    runs = Runs(context.journal)
    run = runs.find(name, finished=True)
    runs.hold(run)
    dropped = runs.discard(run)
    context.tell(f"run {run.name} given up; {dropped} rows were never sent")


def _announce(context: Context, runs: Runs, run: Run) -> None:
    from cmdstat.instants import describe_age

    age = describe_age(context.now() - run.started)
    context.tell(f"resuming run {run.name} of {age}, {_place(context)}: {runs.left(run)} rows left")


def _place(context: Context) -> str:
    from cmdstat.base_urls import host

    where = host(context.base_url)
    profile = context.target.profile
    return f"{where} (profile {profile})" if profile else where


def _carry_through(
    context: Context,
    client: Client,
    runs: Runs,
    run: Run,
    given: BatchOptions,
    *,
    bad: int = 0,
) -> None:
    """Send what is left of a run that this process holds, and tell what became of it."""
    tally = Tally(runs.counts(run), Clock().monotonic)
    schedule = Schedule(rate=given.rate, max_failures=given.max_failures)
    pacing = SharedPacing(schedule, context.policy, Clock())
    with closing(client), Interruption(context.acknowledge_interrupt) as interruption:
        queue = RunQueue(context.journal, run)
        with BatchScreen(context, tally, run) as screen:
            engine = Engine(
                queue,
                client,
                pacing,
                jobs=given.jobs,
                policy=context.policy,
                clock=Clock(),
                tell=screen.show,
            )
            at_once = _wait(engine.start(), pacing, interruption, screen)
        if not at_once:
            queue.close()
        lost = _let_go(runs, run)
        left = runs.left(run)
        hint = f"go on with: cmdstat batch --resume {run.name}" if left else ""
        screen.show_end(runs, left)
        if given.report is not None:
            write_report(given.report, runs.records(run))
        _raise_why_it_ended(engine, schedule, interruption, tally, lost, hint, left, bad)


def _wait(
    threads: list[Thread], pacing: SharedPacing, interruption: Interruption, screen: BatchScreen
) -> bool:
    """Wait for the jobs; whether a second Ctrl-C ended the wait at once."""
    try:
        interruption.allow_stopping_at_once(True)
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                if thread.is_alive():
                    thread.join(_LOOK_EVERY)
                    break
            screen.tick()
            if interruption.stopping:
                pacing.stop()
        interruption.allow_stopping_at_once(False)
    except StopAtOnce:
        interruption.allow_stopping_at_once(False)
        return True
    return False


def _let_go(runs: Runs, run: Run) -> CmdstatError | None:
    try:
        runs.let_go(run)
    except CmdstatError as failure:
        return failure
    return None


def _raise_why_it_ended(
    engine: Engine,
    schedule: Schedule,
    interruption: Interruption,
    tally: Tally,
    lost: CmdstatError | None,
    hint: str,
    left: int,
    bad: int,
) -> None:
    """Raise the error that says why not every row is done; return if every row is."""
    failure = engine.failure
    if isinstance(failure, NotRecorded):
        raise ConfigurationError(f"stopped: {failure.error.message}", hint) from failure
    if failure is not None:
        raise failure
    if lost is not None:
        raise lost
    if interruption.stopping:
        raise Interrupted("interrupted", hint, terminated=interruption.terminated)
    if schedule.stop is not None:
        stopped = schedule.stop
        raise type(stopped)(stopped.message, "; ".join(filter(None, (stopped.hint, hint))))
    failed = tally.failed + bad
    if failed or left:
        again = "take the failed rows up again with: cmdstat batch --retry-failed"
        raise BatchIncomplete(
            f"{failed} of {tally.total + bad} rows are not done",
            hint or (again if tally.failed else "mend the rows that were named, and send those"),
        )


def _opened(context: Context, name: str) -> AbstractContextManager[BinaryIO]:
    if name == "-":
        return nullcontext(context.stdin.buffer)  # stays open: the question is asked there too
    try:
        return closing(open(name, "rb"))
    except OSError as failure:
        raise UsageError(
            f"{name} cannot be read: {failure.strerror or failure}", "give a file with rows"
        ) from failure


def _rehearse(context: Context, checked: _Checked, name: str) -> None:
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

        show_rehearsal(console, _place(context), counts, requests)

    context.show_one(rehearsal, flat(*rehearsal), table)
