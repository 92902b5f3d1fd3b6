"""Carry a batch through: read it in, ask, send it, and say what became of every row.

The work behind `cmdstat batch` and `cmdstat set -`, between the pure engine and the screen.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cmdstat.attempts import Clock
from cmdstat.batch.engine import Engine, NotRecorded
from cmdstat.batch.pacing import SharedPacing
from cmdstat.batch.rows import (
    NO_DEFAULTS,
    Defaults,
    InputFormat,
    format_of,
    read_rows,
)
from cmdstat.batch.schedule import Schedule
from cmdstat.batch.tally import Tally
from cmdstat.batch_input import CheckedRows, opened, rehearse
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
from cmdstat.journal.queue import RunQueue
from cmdstat.journal.runs import Run, Runs
from cmdstat.reports import check_report, write_report

if TYPE_CHECKING:
    from threading import Thread

    from cmdstat.client import Client

DEFAULT_JOBS = 8
_LOOK_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What `cmdstat batch` was asked for, checked."""

    file: str
    form: InputFormat | None = None
    defaults: Defaults = NO_DEFAULTS
    jobs: int | None = None
    rate: float | None = None
    max_failures: int | None = None
    skip_invalid: bool = False
    report: str | None = None
    yes: bool = False
    dry_run: bool = False


def send_file(context: Context, given: BatchOptions) -> None:
    """Read a file or pipe in whole, check it, and send it as a new run."""
    check_report(given.report, context.paths.journal_file, given.file)
    assert context.key  # a missing key is an error before a long input is read
    name = "standard input" if given.file == "-" else given.file
    with opened(context, given.file) as source:
        form = given.form or format_of(given.file)
        rows = read_rows(source, form, given.defaults, context.tell)
        checked = CheckedRows(rows, skip_invalid=given.skip_invalid)
        if given.dry_run:
            rehearse(context, checked, name)
            return
        runs = Runs(context.journal)
        settings = {"jobs": given.jobs, "rate": given.rate, "max_failures": given.max_failures}
        run = runs.read_in(checked, context.origin, given.file, settings)
    try:
        checked.report(context, name)
        if checked.good > 1 and not given.yes:
            context.confirm(f"Send {checked.good} updates to {context.place}?")
        client = context.client(given.jobs or DEFAULT_JOBS)
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
    given = _as_begun(given, run)
    client = context.client(given.jobs or DEFAULT_JOBS)
    runs.hold(run)
    if retry_failed:
        kept = runs.take_up_failed(run)
        if kept:
            context.tell(
                f"{kept} failed rows stay as they are: a later row of the same id was sent"
            )
    _announce(context, runs, run)
    _carry_through(context, client, runs, run, given)


def _as_begun(given: BatchOptions, run: Run) -> BatchOptions:
    """The options of a resumed run: what it was begun with, where nothing else is said now."""
    begun = run.options
    return replace(
        given,
        jobs=given.jobs or begun.get("jobs"),
        rate=given.rate or begun.get("rate"),
        max_failures=given.max_failures or begun.get("max_failures"),
    )


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
    context.tell(f"resuming run {run.name} of {age}, {context.place}: {runs.left(run)} rows left")


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
                jobs=given.jobs or DEFAULT_JOBS,
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
