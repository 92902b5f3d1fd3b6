"""The engine with its real threads and the real journal, against a simulated fleet and clock."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_fleet import Bench, Crash, Request, WatchedQueue

from cmdstat.batch.engine import NotRecorded
from cmdstat.errors import (
    BatchIncomplete,
    ConfigurationError,
    InDoubt,
    KeyRefused,
    ServerFailed,
    Unreachable,
)
from cmdstat.models import StatusUpdate

EXAMPLES = int(os.environ.get("EXAMPLES", "60"))
FINAL = {"updated", "skipped", "refused", "unauthorized", "server_error", "unknown"}
NOT_APPLIED = {"refused", "unauthorized", "server_error", "pending", "skipped"}
STEPS = [
    "fine", "fine", "fine", "400", "403", "408", "429", "429-3", "500", "applied-500", "503",
    "timeout", "applied-timeout", "reset", "applied-reset", "unusable", "applied-unusable",
    "unreachable",
]  # fmt: skip


def updates(ids: list[str]) -> list[StatusUpdate]:
    """A row for each id, with a reason that tells which line it is."""
    return [
        StatusUpdate(each, "Command Success", f"row-{line}") for line, each in enumerate(ids, 1)
    ]


@contextmanager
def bench(ids: list[str], script: list[str] | None = None) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as folder:
        made = Bench(Path(folder), updates(ids), script or [])
        try:
            yield made
        finally:
            made.close()


def distinct(count: int) -> list[str]:
    return [f"c{number}" for number in range(count)]


# What must hold whatever happens.


def check_order(log: list[Request]) -> None:
    """PUTs of one id leave in file order; each row may be sent more than once, but never late."""
    last: dict[str, int] = {}
    for request in log:
        if request.method == "PUT":
            assert last.get(request.id, 0) <= request.row, log
            last[request.id] = request.row


def check_truth(made: Bench, outcomes: dict[int, str]) -> None:
    """What the journal says of a row is what became of it at the server."""
    for line, outcome in outcomes.items():
        if outcome == "updated":
            assert line in made.fleet.applied
        if outcome in NOT_APPLIED:
            assert line not in made.fleet.applied


def check_untouched(before: dict[int, str], log: list[Request], ids: dict[int, str]) -> None:
    """After a crash: what was done stays untouched, and what was in doubt is read first."""
    read: set[str] = set()
    for request in log:
        if request.method == "GET":
            read.add(request.id)
            continue
        assert before[request.row] in ("pending", "sending"), request
        if before[request.row] == "sending":
            assert request.id in read, request
    open_ids = {ids[line] for line, each in before.items() if each in ("pending", "sending")}
    assert {request.id for request in log} <= open_ids


scripts = st.lists(st.sampled_from(STEPS), max_size=40)
rows_of_ids = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=24)


@settings(max_examples=EXAMPLES, deadline=None)
@given(rows_of_ids, scripts, st.integers(1, 6), st.integers(0, 2))
def test_any_mix_of_failures(ids, script, jobs, retries):
    """Whatever fails, every row ends once, truthfully, recorded before it is told, in id order."""
    with bench(ids, script) as made:
        told_early = []

        def tell(record):
            if record.line not in made.queue_now.recorded:
                told_early.append(record)

        engine = made.engine(
            jobs=jobs,
            retries=retries,
            tell=tell,
            watch=lambda queue: setattr(made, "queue_now", queue),
        )
        assert engine.failure is None
        assert told_early == []
        outcomes = made.outcomes()
        assert set(outcomes) == set(made.ids)
        assert set(outcomes.values()) <= FINAL | {"pending"}
        check_truth(made, outcomes)
        check_order(made.fleet.log)
        assert Counter(record.line for record in made.told).most_common(1)[0][1] == 1
        stopped = made.schedule.stop is not None
        told_pending = {record.line for record in made.told if record.outcome == "pending"}
        held = {made.ids[line] for line in told_pending}
        if not stopped:
            for line, outcome in outcomes.items():
                assert outcome != "pending" or made.ids[line] in held


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    rows_of_ids,
    scripts,
    st.integers(1, 6),
    st.one_of(
        st.tuples(st.just("request"), st.integers(1, 30)),
        st.tuples(st.just("turn"), st.integers(1, 30)),
        st.tuples(st.just("stop"), st.integers(1, 30)),
    ),
    st.booleans(),
)
def test_any_crash_or_stop_and_resume(ids, script, jobs, interruption, applied):
    """Crashed or stopped anywhere and resumed: nothing is lost, done twice, or left in doubt."""
    kind, number = interruption
    with bench(ids, script) as made:
        fleet = made.fleet
        fleet.crash_at = number if kind == "request" else None
        fleet.stop_at = number if kind == "stop" else None
        fleet.crash_applied = applied

        def watch(queue: WatchedQueue) -> None:
            queue.crash_at_turn = number if kind == "turn" else None

        engine = made.engine(jobs=jobs, watch=watch)
        assert engine.failure is None or isinstance(engine.failure, Crash)
        before = made.outcomes()
        doubtful = [made.ids[line] for line, each in before.items() if each == "sending"]
        assert len(doubtful) <= jobs
        assert len(doubtful) == len(set(doubtful)), "two rows of one id were under way"
        if kind == "stop":
            assert doubtful == []
        check_truth(made, before)
        check_order(fleet.log)

        requests = len(fleet.log)
        fleet.script, fleet.crash_at, fleet.stop_at, fleet.is_dead = [], None, None, False
        made.clock.pass_by(60)
        assert made.engine(jobs=jobs).failure is None
        after = made.outcomes()
        assert set(after.values()) <= FINAL
        check_untouched(before, fleet.log[requests:], made.ids)
        check_order(fleet.log)
        check_truth(made, after)
        finals = Counter(record.line for record in made.told if record.outcome != "pending")
        assert not finals or max(finals.values()) == 1


# Order of one id.


def test_next_row_of_an_id_waits_for_the_record_of_the_one_before():
    """A row is not begun before the outcome of the earlier row of its id is durable."""
    with bench(["same"] * 6 + distinct(30)) as made:
        recorded_first = []

        def before_turn(ended, begin):
            if ended is not None and ended.row.update.id == "same":
                time.sleep(0.02)  # the other jobs get every chance to be faster
            if begin is not None and begin.update.id == "same" and begin.line > 1:
                recorded_first.append(begin.line - 1 in made.queue_now.recorded)

        def watch(queue: WatchedQueue) -> None:
            made.queue_now = queue
            queue.before_turn = before_turn

        assert made.engine(jobs=6, watch=watch).failure is None
        assert recorded_first == [True] * 5


def test_same_ids_never_overlap():
    """Two rows of one id are never under way at the same time, whatever the number of jobs."""
    with bench([*"aabbaabbab"] * 3) as made:
        under_way: list[str] = []
        overlaps = []
        lock = threading.Lock()
        put = made.fleet.put

        def slow_put(update):
            with lock:
                if update.id in under_way:
                    overlaps.append(update.id)
                under_way.append(update.id)
            time.sleep(0.001)
            answer = put(update)
            with lock:
                under_way.remove(update.id)
            return answer

        made.fleet.put = slow_put
        assert made.engine(jobs=8).failure is None
        assert overlaps == []
        assert set(made.outcomes().values()) == {"updated"}


def test_row_that_stays_pending_holds_back_its_id():
    """After a row that could not reach the server, later rows of its id wait too; others go."""
    with bench(["a", "b", "a", "c", "a"], ["unreachable", "unreachable"]) as made:
        made.engine(jobs=1, retries=1)
        assert made.outcomes() == {
            1: "pending", 2: "updated", 3: "pending", 4: "updated", 5: "pending",
        }  # fmt: skip
        made.engine(jobs=4)
        assert [each.row for each in made.fleet.log if each.id == "a"] == [1, 1, 1, 3, 5]


def test_row_still_in_doubt_holds_back_its_id():
    """A row that was left sending and cannot be read back holds back the later rows of its id."""
    with bench(["a", "a"]) as made:
        made.fleet.crash_at = 1
        made.engine(jobs=1)
        assert made.outcomes() == {1: "sending", 2: "pending"}
        made.fleet.crash_at, made.fleet.is_dead = None, False
        made.fleet.script = ["fine", *["503"] * 20]
        made.engine(jobs=1, retries=2)
        assert [each.method for each in made.fleet.log] == ["PUT", "GET", "GET", "GET"]
        assert made.outcomes() == {1: "sending", 2: "pending"}
        made.fleet.script = []
        made.engine(jobs=1)
        assert made.outcomes() == {1: "updated", 2: "updated"}


# The stops.


@pytest.mark.parametrize(
    ("step", "kind", "left"),
    [
        ("unreachable", Unreachable, "pending"),
        ("500", ServerFailed, "server_error"),
        ("timeout", InDoubt, "unknown"),
    ],
)
def test_twenty_in_a_row_stop_the_run(step, kind, left):
    """Twenty rows in a row that fail alike stop the run; what was not sent stays pending."""
    with bench(distinct(50)) as made:
        made.fleet.put = lambda update: made.fleet._answer(step, update.id)
        made.engine(jobs=1, retries=0)
        assert type(made.schedule.stop) is kind
        assert len(made.told) == 20
        assert Counter(made.outcomes().values())["pending"] == (50 if left == "pending" else 30)
        assert set(made.outcomes().values()) == {left, "pending"}


def test_nineteen_in_a_row_do_not_stop_it():
    """One good row between them starts the count anew."""
    with bench(distinct(60)) as made:
        good = {20, 40, 60}
        fine = made.fleet.put

        def put(update):
            line = int(update.reason.removeprefix("row-"))
            return fine(update) if line in good else made.fleet._answer("500", update.id)

        made.fleet.put = put
        made.engine(jobs=1, retries=0)
        assert made.schedule.stop is None
        assert Counter(made.outcomes().values()) == {"server_error": 57, "updated": 3}


@pytest.mark.parametrize(("step", "recorded"), [("401", "pending"), ("403", "unauthorized")])
def test_refused_key_stops_at_once(step, recorded):
    """A refused key stops the run: a 401 row stays pending, a 403 row is recorded."""
    with bench(distinct(20), ["fine"] * 5 + [step]) as made:
        made.engine(jobs=1)
        assert isinstance(made.schedule.stop, KeyRefused)
        assert len(made.fleet.log) == 6
        assert made.outcomes()[6] == recorded
        assert Counter(made.outcomes().values())["updated"] == 5


def test_max_failures_stops_it():
    """The run stops after as many failed rows as were allowed."""
    with bench(distinct(20), ["fine", "400"] * 20) as made:
        made.engine(jobs=1, max_failures=3)
        assert isinstance(made.schedule.stop, BatchIncomplete)
        assert Counter(made.outcomes().values()) == {"updated": 3, "refused": 3, "pending": 14}


# The shared pause.


@pytest.mark.parametrize(("step", "seconds"), [("429-7", 7.0), ("429", 0.5)])
def test_limit_pauses_all_and_costs_no_attempt(step, seconds):
    """After a 429 no request leaves for as long as was asked, and no attempt is used up."""
    with bench(distinct(6), ["fine", step, *["fine"] * 9]) as made:
        made.engine(jobs=1, retries=0)
        log = made.fleet.log
        assert log[2].at - log[1].at >= seconds
        assert set(made.outcomes().values()) == {"updated"}
        assert {record.attempts for record in made.told} == {1}


def test_outcomes_are_recorded_before_a_pause_is_waited_out():
    """A row that ends when a pause has begun is durable at once, not after the pause."""
    with bench(distinct(8)) as made:
        under_way, limited = threading.Event(), threading.Event()
        waited = []
        put = made.fleet.put

        def left():
            return made.schedule.pause_left(made.clock.clock().monotonic())

        def limited_once(update):
            if update.id == "c0":
                under_way.set()
                while not left():
                    time.sleep(0.0001)
            elif not limited.is_set():
                assert under_way.wait(5)
                limited.set()
                return made.fleet._answer("429-100", update.id)
            return put(update)

        def before_turn(ended, begin):
            if ended is not None and ended.row.update.id == "c0":
                waited.append(left())

        made.fleet.put = limited_once
        made.clock.sleep = lambda seconds: (time.sleep(0.0002), made.clock.pass_by(seconds))
        made.engine(jobs=2, watch=lambda queue: setattr(queue, "before_turn", before_turn))
        assert waited[0] > 50
        assert set(made.outcomes().values()) == {"updated"}


def test_rate_waits_do_not_leak_into_a_pause():
    """A request that waits for its slot of --rate does not leave while a pause is on."""
    with bench(distinct(12), ["fine", "fine", "429-30"]) as made:
        made.engine(jobs=4, rate=0.5)
        log = made.fleet.log
        limited = log[2].at
        assert [each.at for each in log[3:] if each.at < limited + 30] == []


def test_rate_is_kept_across_jobs():
    """However many jobs there are, requests leave no faster than the rate."""
    with bench(distinct(20)) as made:
        made.engine(jobs=8, rate=4)
        moments = [each.at for each in made.fleet.log]
        assert moments[-1] - moments[0] >= 19 / 4 - 0.5


def test_long_retry_after_stops_it():
    """A Retry-After above 120 s stops the run; the row stays pending."""
    with bench(distinct(5), ["fine", "429-121"]) as made:
        made.engine(jobs=1)
        assert isinstance(made.schedule.stop, ServerFailed)
        assert made.outcomes()[2] == "pending"
        assert len(made.fleet.log) == 2


def test_ten_pauses_without_a_row_done_stop_it():
    """Ten pauses that help no row stop the run; no attempt was used up, all stay pending."""
    with bench(distinct(5), ["429-1"] * 40) as made:
        made.engine(jobs=1, retries=0)
        assert isinstance(made.schedule.stop, ServerFailed)
        assert set(made.outcomes().values()) == {"pending"}
        assert 10 <= len(made.fleet.log) <= 11


def test_one_burst_is_one_pause():
    """Sixteen jobs limited at once, asked to wait no time: it is one pause, and the run goes on."""
    with bench(distinct(32)) as made:
        together = threading.Barrier(16)
        left = threading.Semaphore(16)
        put = made.fleet.put

        def burst(update):
            if not left.acquire(blocking=False):
                return put(update)
            together.wait(5)
            made.clock.pass_by(0.01)
            return replace(made.fleet._answer("429-0", update.id), elapsed=0.5)

        made.fleet.put = burst
        made.engine(jobs=16)
        assert made.schedule.stop is None
        assert set(made.outcomes().values()) == {"updated"}


# When the journal fails.


def test_journal_that_fails_stops_the_run_and_loses_no_record():
    """When an outcome cannot be written, its record is told all the same, and no more is sent."""
    with bench(distinct(10)) as made:

        def refuse(*_: object) -> None:
            raise ConfigurationError("the journal cannot be written")

        def watch(queue: WatchedQueue) -> None:
            def before_turn(ended, begin):
                if ended is not None and ended.row.line == 3:
                    queue.queue._writer.write = refuse

            queue.before_turn = before_turn

        engine = made.engine(jobs=1, watch=watch)
        assert isinstance(engine.failure, NotRecorded)
        assert [record.line for record in made.told] == [1, 2, 3]
        assert made.outcomes()[3] == "sending"
        assert len(made.fleet.log) == 3


def test_defect_of_the_screen_ends_the_run():
    """What telling a record raises ends the run, and the record is durable."""
    with bench(distinct(10)) as made:

        def tell(record):
            raise ZeroDivisionError

        engine = made.engine(jobs=3, tell=tell)
        assert isinstance(engine.failure, ZeroDivisionError)
        assert "updated" in made.outcomes().values()
