"""The delivery of one update, branch by branch, against a simulated service and clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import SimulatedClock, SimulatedService

from cmdstat.answers import Answer
from cmdstat.attempts import Policy
from cmdstat.errors import ServerFailed
from cmdstat.models import Outcome, StatusUpdate

UPDATE = StatusUpdate("c1", "Command Success", "by phone")
DOUBTFUL = ["timeout", "reset", "unusable", "500", "503"]


def service(*script: str, reads: tuple[str, ...] = ()) -> SimulatedService:
    return SimulatedService(SimulatedClock(), script, reads)


@pytest.mark.parametrize("how", DOUBTFUL)
def test_applied_but_answer_lost_is_found_by_reading(how):
    """An update that took effect although its answer failed is told as done, and not sent twice."""
    world = service(f"applied-{how}")
    ending = world.deliver(UPDATE)
    assert (ending.outcome, ending.confirmed, ending.attempts) == (Outcome.UPDATED, "read", 1)
    assert world.log == [f"PUT applied-{how}", "GET fine"]


@pytest.mark.parametrize("how", DOUBTFUL)
def test_unchanged_is_sent_again_right_after_reading(how):
    """A doubtful update that changed nothing is sent again, a read standing right before it."""
    world = service(how)
    ending = world.deliver(UPDATE)
    assert (ending.outcome, ending.confirmed, ending.attempts) == (Outcome.UPDATED, None, 2)
    assert world.log == [f"PUT {how}", "GET fine", "PUT fine"]


@pytest.mark.parametrize("skew", [0.0, 3600.0, -3600.0])
@pytest.mark.parametrize("how", DOUBTFUL)
def test_a_later_state_of_somebody_else_is_never_overwritten(how, skew):
    """When somebody changes the command during the wait, on any clock, nothing more is sent."""
    world = service(how)
    world.skew = skew
    world.change("Command In Progress", "Downloading", ago=3600.0)
    world.while_waiting = lambda: world.change("Command Failure", "cancelled by hand")
    ending = world.deliver(UPDATE)
    assert ending.outcome is Outcome.UNKNOWN
    assert world.log == [f"PUT {how}", "GET fine"]
    assert "Command Failure" in ending.error.hint
    assert world.content["state"] == "Command Failure"


@pytest.mark.parametrize(
    ("ago", "outcome"), [(7.0, Outcome.UPDATED), (4.0, Outcome.UNKNOWN), (0.0, Outcome.UNKNOWN)]
)
def test_five_seconds_of_slack(ago, outcome):
    """A change up to 5 s before the first attempt counts as somebody else's, no older one."""
    world = service("503")
    world.change("Command Acknowledged", "", ago=ago)
    assert world.deliver(UPDATE).outcome is outcome


def test_what_the_journal_recorded_last_is_our_own_doing():
    """Our own change of a moment ago is no reason to hold back."""
    world = service("503")
    world.change("Command Acknowledged", "ours", ago=1.0)
    ending = world.deliver(UPDATE, own_doing=lambda ours=dict(world.content): ours)
    assert ending.outcome is Outcome.UPDATED


@pytest.mark.parametrize("missing", ["has_date", "has_updated_at"])
@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("Command Queued", Outcome.UPDATED),
        ("Command Failure", Outcome.UNKNOWN),
        ("Command TimeOut", Outcome.UNKNOWN),
        ("Something New", Outcome.UPDATED),
    ],
)
def test_without_clocks_a_final_state_counts_as_changed(missing, state, outcome):
    """Where no clock tells, a final state is taken for somebody else's, any other is not."""
    world = service("503")
    setattr(world, missing, False)
    world.change(state, "", ago=3600.0)
    assert world.deliver(UPDATE).outcome is outcome


@pytest.mark.parametrize("how", ["401", "404", "500", "timeout", "unreachable", "unusable"])
def test_what_cannot_be_read_back_is_unknown(how):
    """An update whose fate cannot be read is reported as unknown, after one PUT."""
    world = service("timeout", reads=(how,) * 9)
    ending = world.deliver(UPDATE)
    assert ending.outcome is Outcome.UNKNOWN
    assert sum(entry.startswith("PUT") for entry in world.log) == 1


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        (["503", "503"], Outcome.SERVER_ERROR),
        (["timeout", "timeout"], Outcome.UNKNOWN),
        (["unusable", "unusable"], Outcome.UNKNOWN),
        (["timeout", "503"], Outcome.UNKNOWN),
        (["503", "timeout"], Outcome.UNKNOWN),
        (["timeout", "unreachable"], Outcome.UNKNOWN),
        (["503", "unreachable"], Outcome.SERVER_ERROR),
        (["timeout", "400"], Outcome.UNKNOWN),
        (["503", "400"], Outcome.REFUSED),
        (["timeout", "401"], Outcome.UNKNOWN),
        (["unreachable", "unreachable"], Outcome.UNREACHABLE),
        (["429", "429"], Outcome.SERVER_ERROR),
        (["408", "408"], Outcome.REFUSED),
        (["400"], Outcome.REFUSED),
        (["302"], Outcome.REFUSED),
        (["401"], Outcome.UNAUTHORIZED),
        (["403"], Outcome.UNAUTHORIZED),
    ],
)
def test_used_up_attempts_never_talk_a_doubt_away(script, outcome):
    """What failures come to: an attempt that may still take effect keeps it unknown."""
    ending = service(*script).deliver(UPDATE, retries=1)
    assert ending.outcome is outcome
    assert ending.attempts == len(script)
    assert ending.error is not None


def test_refused_after_the_lost_one_had_worked():
    """When the retry is refused because the lost attempt did work, that is told as done."""
    world = service("late-timeout", "400")
    world.reads.extend(["fine"])
    world._settle = lambda: None
    world.before_put = lambda: world.log.count("GET fine") and world._apply(UPDATE)
    ending = world.deliver(UPDATE)
    assert (ending.outcome, ending.confirmed) == (Outcome.UPDATED, "read")


def test_surely_unchanged_is_sent_again_without_reading():
    """What surely changed nothing needs no reading back."""
    world = service("unreachable", "429", "408")
    assert world.deliver(UPDATE).outcome is Outcome.UPDATED
    assert [entry.split()[0] for entry in world.log] == ["PUT"] * 4


def test_backoff_doubles_from_half_a_second_and_is_capped():
    """The waits double from 0.5 s, with jitter, up to 30 s."""
    for luck in (0.0, 0.999):
        policy = Policy(retries=20, jitter=lambda luck=luck: luck)
        waits = [policy.wait_after(n, Answer(503)) for n in range(1, 21)]
        assert waits[0] >= 0.5
        assert all(
            1.0 * base <= wait <= 1.5 * base
            for wait, base in zip(waits, [0.5, 1, 2, 4], strict=False)
        )
        assert max(waits) == 30.0
        assert policy.wait_after(21, Answer(503)) is None


def test_retry_after_wins_up_to_two_minutes():
    """A server's Retry-After is obeyed; one above 120 s ends the attempts at once."""
    limited = Answer(429, error=ServerFailed("429"), retry_after=7.0)
    assert Policy().wait_after(1, limited) == 7.0
    assert Policy().wait_after(1, Answer(429, retry_after=120.0)) == 120.0
    assert Policy().wait_after(1, Answer(429, retry_after=121.0)) is None


def test_a_long_wait_is_not_sat_out_in_ignorance():
    """Before a long wait the command is read at once, and again right before the next PUT."""
    world = service("503")
    world.put, put = lambda update: _asking(put(update)), world.put
    world.deliver(UPDATE)
    assert world.log == ["PUT 503", "GET fine", "GET fine", "PUT fine"]


def _asking(answer: Answer) -> Answer:
    from dataclasses import replace

    return replace(answer, retry_after=60.0) if answer.status == 503 else answer


def test_a_stop_during_the_wait_is_answered_by_reading_once():
    """Interrupted while waiting, a doubtful update is read back and no more is sent."""
    world = service("503")
    world.stop_at_wait = 1
    ending = world.deliver(UPDATE)
    assert ending.outcome is Outcome.SERVER_ERROR
    assert world.log == ["PUT 503", "GET fine"]


def test_a_stop_before_anything_was_sent_is_pending():
    """Interrupted before the first request, an update is pending and nothing was sent."""
    world = service()
    world.stop_at_wait = 0
    assert world.deliver(UPDATE).outcome is Outcome.PENDING
    assert world.log == []


def test_a_row_left_sending_is_read_before_anything_is_sent():
    """After a crash the command is read back first: done stays done, unchanged is sent."""
    world = service()
    sent_at = world.clock.now - 60
    assert world.deliver(UPDATE, sent_at=sent_at).attempts == 1
    assert world.log == ["GET fine", "PUT fine"]
    again = world.deliver(UPDATE, sent_at=sent_at)
    assert (again.outcome, again.confirmed, again.attempts) == (Outcome.UPDATED, "read", 0)


def test_a_row_left_sending_is_not_sent_over_a_later_change():
    """A change by somebody else after the crash is not overwritten by the resumed row."""
    world = service()
    world.change("Command Cancelled", "", ago=30.0)
    assert world.deliver(UPDATE, sent_at=world.clock.now - 60).outcome is Outcome.UNKNOWN
    assert world.log == ["GET fine"]


def test_if_state_sends_only_in_that_state():
    """With a condition the state is read first; another state is skipped and shown."""
    wanted = StatusUpdate("c1", "Command Success", None, ("Command In Progress",))
    met = service().deliver(wanted)
    assert (met.outcome, met.before["state"]) == (Outcome.UPDATED, "Command In Progress")
    other = service()
    other.change("Command Failure", "", ago=99.0)
    skipped = other.deliver(wanted)
    assert (skipped.outcome, skipped.content["state"]) == (Outcome.SKIPPED, "Command Failure")
    assert other.log == ["GET fine"]


def test_if_state_read_is_the_baseline_of_a_later_doubt():
    """What was read before sending, unchanged, is never taken for somebody else's later change."""
    wanted = StatusUpdate("c1", "Command Success", None, ("Command Acknowledged",))
    world = service("503")
    world.change("Command Acknowledged", "", ago=1.0)
    assert world.deliver(wanted).outcome is Outcome.UPDATED


FAILURES = [*DOUBTFUL, "unreachable", "429", "408", "400", "401"]


@given(
    script=st.lists(
        st.sampled_from(
            [*FAILURES, "fine", *(f"applied-{how}" for how in DOUBTFUL), "late-timeout"]
        ),
        max_size=6,
    ),
    reads=st.lists(st.sampled_from(["fine", "fine", "fine", "503", "timeout", "404"]), max_size=8),
    meddle_at=st.none() | st.integers(1, 6),
    retries=st.integers(0, 4),
    skew=st.sampled_from([0.0, 7200.0, -7200.0]),
)
def test_whatever_happens_the_ending_is_true(script, reads, meddle_at, retries, skew):
    """For any mix of failures: done means done, a later change stands, failure claims are true."""
    world = service(*script, reads=tuple(reads))
    world.skew = skew
    world.change("Command In Progress", "Downloading", ago=3600.0)
    meddled = []

    def meddle() -> None:
        if len(world.waits) == meddle_at:
            world.change("Command Cancelled", "by somebody else")
            meddled.append(len(world.log))

    world.while_waiting = meddle
    ending = world.deliver(UPDATE, retries=retries)
    shows = UPDATE.is_shown_by(world.content)
    applied = any(entry == "PUT fine" or "applied-" in entry for entry in world.log)
    if ending.outcome is Outcome.UPDATED:
        assert applied or "late-" in "".join(world.log)
        assert shows
    if ending.outcome in (Outcome.UNREACHABLE, Outcome.REFUSED, Outcome.UNAUTHORIZED):
        assert not shows
    if meddled:
        before = world.log[: meddled[0]]
        in_doubt = any(
            entry.split()[1].rpartition("-")[2] in DOUBTFUL
            for entry in before
            if entry.startswith("PUT")
        )
        if in_doubt:
            assert not any(entry.startswith("PUT") for entry in world.log[meddled[0] :])
    assert ending.attempts <= retries + 1
    assert (ending.error is None) == (ending.outcome is Outcome.UPDATED)
