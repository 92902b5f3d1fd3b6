"""Which row goes next, when all must wait, and when a run stops: the rules, one by one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmdstat.answers import Answer
from cmdstat.batch.schedule import (
    IN_A_ROW,
    PAUSES_IN_A_ROW,
    QueuedRow,
    Schedule,
    stays_in_doubt,
    stays_pending,
)
from cmdstat.endings import Ending
from cmdstat.errors import InDoubt, KeyRefused, ServerFailed, Unreachable
from cmdstat.models import Outcome, StatusUpdate

UPDATED = Ending(Outcome.UPDATED)
UNREACHABLE = Ending(Outcome.UNREACHABLE, error=Unreachable("not reached"))
SERVER_ERROR = Ending(Outcome.SERVER_ERROR, Answer(500, error=ServerFailed("500")))
UNKNOWN = Ending(Outcome.UNKNOWN, attempts=1, error=InDoubt("?"))
REFUSED = Ending(Outcome.REFUSED, Answer(400))


def rows(ids: str) -> list[QueuedRow]:
    """A row for each letter, numbered from 1."""
    return [
        QueuedRow(number, number, StatusUpdate(each, "Command Success"))
        for number, each in enumerate(ids, 1)
    ]


def scheduled(ids: str, **settings: object) -> Schedule:
    schedule = Schedule(**settings)
    for row in rows(ids):
        schedule.add(row)
    return schedule


def end(schedule: Schedule, row: QueuedRow, ending: Ending = UPDATED) -> None:
    schedule.ended(ending)
    schedule.recorded(row, ending)


def all_next(schedule: Schedule) -> list[QueuedRow]:
    """Every row that may go now."""
    return list(iter(schedule.next, None))


def limited(retry_after: float | None = None, elapsed: float = 0.0) -> Answer:
    return Answer(429, error=ServerFailed("429"), retry_after=retry_after, elapsed=elapsed)


def backoff(pauses: int) -> float:
    return 0.5 * pauses


# Order.


def test_rows_go_in_file_order_and_same_ids_one_after_the_other():
    """Rows of different ids go at once, in order; those of one id wait for the one before."""
    schedule = scheduled("abaca")
    first = all_next(schedule)
    assert [row.n for row in first] == [1, 2, 4]
    end(schedule, first[0])
    (third,) = all_next(schedule)
    assert third.n == 3
    end(schedule, third)
    assert [row.n for row in all_next(schedule)] == [5]


def test_a_row_that_ended_frees_its_id_only_when_recorded():
    """That a row has ended is not enough for the next of its id: it has to be durable first."""
    schedule = scheduled("aa")
    first = schedule.next()
    schedule.ended(UPDATED)
    assert schedule.next() is None
    schedule.recorded(first, UPDATED)
    assert schedule.next().n == 2


@given(st.text(alphabet="abcd", max_size=30), st.randoms(use_true_random=False))
def test_any_order_of_ends(ids, chance):
    """In whatever order rows end, each goes once, and those of one id in file order, alone."""
    schedule = scheduled(ids)
    under_way: list[QueuedRow] = []
    gone: list[QueuedRow] = []
    while not schedule.is_idle:
        started = all_next(schedule)
        gone += started
        under_way += started
        busy = [row.update.id for row in under_way]
        assert len(busy) == len(set(busy))
        end(schedule, under_way.pop(chance.randrange(len(under_way))))
    assert sorted(row.n for row in gone) == list(range(1, len(ids) + 1))
    for each in set(ids):
        numbers = [row.n for row in gone if row.update.id == each]
        assert numbers == sorted(numbers)


def test_look_ahead_is_bounded():
    """A long file of one id does not fill the memory: after some rows no more are asked for."""
    schedule = Schedule()
    taken = 0
    for row in rows("a" * 5000):
        if taken and not schedule.is_hungry:
            break
        schedule.add(row)
        if taken == 0:
            schedule.next()
        taken += 1
    assert taken < 1000


@pytest.mark.parametrize("ending", [UNREACHABLE, Ending(Outcome.PENDING)])
def test_row_that_stays_pending_holds_its_id(ending):
    """When a row is to be done again, the rows of its id behind it are left, and later ones too."""
    schedule = scheduled("aab")
    first, other = all_next(schedule)
    end(schedule, first, ending)
    end(schedule, other)
    schedule.add(QueuedRow(9, 9, StatusUpdate("a", "Command Success")))
    assert schedule.next() is None
    assert schedule.is_idle


@pytest.mark.parametrize(
    ("ending", "stays"),
    [
        (UPDATED, False),
        (REFUSED, False),
        (SERVER_ERROR, False),
        (UNKNOWN, False),
        (UNREACHABLE, True),
        (Ending(Outcome.PENDING), True),
        (Ending(Outcome.UNAUTHORIZED, Answer(401)), True),
        (Ending(Outcome.UNAUTHORIZED, Answer(403)), False),
        (Ending(Outcome.SERVER_ERROR, limited()), True),
        (Ending(Outcome.REFUSED, Answer(408)), False),
    ],
)
def test_which_rows_stay_pending(ending, stays):
    """What was surely not sent, or will go another time, stays pending; the rest is recorded."""
    assert stays_pending(ending) is stays


def test_which_rows_stay_in_doubt():
    """Only a row that was left sending, and has been neither read nor sent again, stays so."""
    fresh, left = rows("ab")
    left = left._replace(sent_at=1.0)
    unread = Ending(Outcome.UNKNOWN, error=InDoubt("?"))
    assert stays_in_doubt(left, unread)
    assert not stays_in_doubt(fresh, unread)
    assert not stays_in_doubt(left, unread._replace(content={"state": "x"}))
    assert not stays_in_doubt(left, unread._replace(attempts=1))
    assert not stays_in_doubt(left, UPDATED)


# Stops.


@pytest.mark.parametrize(
    ("endings", "kind"),
    [
        ([UNREACHABLE] * IN_A_ROW, Unreachable),
        ([SERVER_ERROR] * IN_A_ROW, ServerFailed),
        ([UNKNOWN] * IN_A_ROW, InDoubt),
        ([SERVER_ERROR] * (IN_A_ROW - 1) + [UNKNOWN], InDoubt),
        ([UNKNOWN] + [SERVER_ERROR] * (IN_A_ROW - 1), InDoubt),
        ([UNKNOWN, REFUSED] + [SERVER_ERROR] * IN_A_ROW, ServerFailed),
        ([REFUSED] * 100, None),
        (([SERVER_ERROR] * (IN_A_ROW - 1) + [UPDATED]) * 3, None),
        (([UNREACHABLE] * (IN_A_ROW - 1) + [REFUSED]) * 3, None),
        ([UNREACHABLE, SERVER_ERROR] * 50, None),
        (([SERVER_ERROR] * 10 + [Ending(Outcome.PENDING)] + [SERVER_ERROR] * 10), ServerFailed),
    ],
)
def test_failures_in_a_row(endings, kind):
    """Twenty alike in a row stop the run with the exit that says why; nothing less does."""
    schedule = Schedule()
    for ending in endings:
        assert schedule.stop is None
        schedule.ended(ending)
    assert type(schedule.stop) is (kind or type(None))


def test_refused_key_stops():
    """One refused key is enough."""
    schedule = Schedule()
    schedule.ended(Ending(Outcome.UNAUTHORIZED, Answer(401), key_refused=True))
    assert isinstance(schedule.stop, KeyRefused)


def test_first_reason_stands():
    """What stopped the run first is what it says."""
    schedule = Schedule(max_failures=1)
    schedule.ended(REFUSED)
    said = schedule.stop
    schedule.ended(Ending(Outcome.UNAUTHORIZED, Answer(401), key_refused=True))
    assert schedule.stop is said


# Pauses and rate. Moments are seconds of any clock.


@pytest.mark.parametrize(("retry_after", "seconds"), [(7.0, 7.0), (None, 0.5), (0.0, 0.0)])
def test_pause_is_what_was_asked_or_the_backoff(retry_after, seconds):
    """Retry-After wins; without it the pause is the backoff."""
    schedule = Schedule()
    schedule.limited(limited(retry_after), backoff, 100.0)
    assert schedule.pause_left(100.0) == seconds
    assert schedule.pause_left(100.0 + seconds) == 0.0


def test_backoff_grows_with_each_pause_and_starts_anew():
    """Each pause without a row done is longer; a row that is done starts the count anew."""
    schedule = Schedule()
    schedule.limited(limited(), backoff, 100.0)
    schedule.limited(limited(), backoff, 101.0)
    assert schedule.pause_left(101.0) == 1.0
    schedule.ended(UPDATED)
    schedule.limited(limited(), backoff, 103.0)
    assert schedule.pause_left(103.0) == 0.5


def test_a_burst_is_one_pause_and_the_longest_wins():
    """Answers to requests that left before the pause was over are the same pause."""
    schedule = Schedule()
    for number in range(3 * PAUSES_IN_A_ROW):
        schedule.limited(limited(elapsed=0.2), backoff, 100.0 + number / 1000)
    assert schedule.stop is None
    assert 0.5 <= schedule.pause_left(100.0) < 0.6
    schedule.limited(limited(9.0, elapsed=5.0), backoff, 104.0)
    assert schedule.pause_left(104.0) == 9.0
    schedule.limited(limited(2.0), backoff, 105.0)
    assert schedule.pause_left(105.0) == 8.0


def test_ten_pauses_are_the_limit():
    """Ten pauses are waited out; a further one without a row done stops the run."""
    schedule = Schedule()
    for number in range(PAUSES_IN_A_ROW):
        schedule.limited(limited(1.0), backoff, 100.0 + 2 * number)
        assert schedule.stop is None
    schedule.limited(limited(1.0), backoff, 200.0)
    assert isinstance(schedule.stop, ServerFailed)


@pytest.mark.parametrize(("retry_after", "stops"), [(120.0, False), (120.1, True), (1e9, True)])
def test_longest_pause(retry_after, stops):
    """A Retry-After above 120 s is not waited out."""
    schedule = Schedule()
    schedule.limited(limited(retry_after), backoff, 100.0)
    assert (schedule.stop is not None) is stops


@given(
    st.floats(0.1, 1000),
    st.lists(st.floats(0, 5), min_size=2, max_size=30),
)
def test_rate_is_never_exceeded(rate, gaps):
    """Whenever slots are asked for, those given are at least the rate's interval apart."""
    schedule = Schedule(rate=rate)
    now, given_slots = 0.0, []
    for gap in gaps:
        now += gap
        wait = schedule.slot(now)
        assert wait >= -1e-9
        given_slots.append(now + wait)
    for one, other in pairwise(given_slots):
        assert other - one >= 1 / rate - 1e-9


def test_no_rate_means_no_wait():
    """Without a rate a request never waits for a slot."""
    schedule = Schedule()
    assert [schedule.slot(1.0) for _ in range(5)] == [0.0] * 5
