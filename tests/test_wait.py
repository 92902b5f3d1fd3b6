"""`cmdstat wait`: when it ends and how; on a clock that the tests own, and over the wire."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from itertools import chain, repeat

import pytest
from faulty_server import AT_ONCE, answer, busy, envelope, forever, meanwhile, show, silence
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import SimulatedClock

from cmdstat.answers import Answer, Obstacle
from cmdstat.attempts import Policy
from cmdstat.errors import CmdstatError, ConditionNotMet, KeyRefused, RequestRefused, ServerFailed
from cmdstat.errors import Unreachable as NotReached
from cmdstat.states import STATES
from cmdstat.waiting import LAST_READ, Goal, Wait

SUCCESS, FAILURE, TIMEOUT = "Command Success", "Command Failure", "Command TimeOut"
PROGRESS = "Command In Progress"
FINAL = [state.text for state in STATES if state.final]


class World:
    """A command whose state goes through `script`, the last entry for ever; reads take 0.1 s.

    An entry is a state, or an `Answer` for a read that fails.
    """

    def __init__(self, *script: object, goal: Goal | None = None, jitter: float = 0.5) -> None:
        self.clock = SimulatedClock()
        self.script = chain(script, repeat(script[-1]))
        self.slept: list[float] = []
        self.reads: list[float] = []
        self.within: list[float] = []
        self.began = self.clock.now
        self.wait = Wait(
            goal or Goal("c1"),
            self.read,
            self.sleep,
            policy=Policy(retries=0, jitter=lambda: jitter),
            clock=self.clock.clock(),
        )

    def read(self, within: float) -> Answer:
        self.reads.append(self.clock.now - self.began)
        self.within.append(within)
        self.clock.now += 0.1
        step = next(self.script)
        return step if isinstance(step, Answer) else Answer(200, 200, "OK", {"state": step})

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept.append(seconds)
        self.clock.now += seconds

    @property
    def took(self) -> float:
        return self.clock.now - self.began


def failing(status: int | None, **more: object) -> Answer:
    return Answer(status, error=ServerFailed(f"failed with {status}"), **more)


def test_it_walks_through_the_states_to_success():
    """Each state on the way is waited through, about an interval each."""
    world = World("Command Queued", "Command Initiated", "Command Acknowledged", PROGRESS, SUCCESS)
    assert world.wait.run() == {"state": SUCCESS}
    assert world.slept == [5.0] * 4


@pytest.mark.parametrize("jitter", [0.0, 0.25, 0.999])
def test_the_interval_varies_a_little(jitter):
    """Reads are a tenth of the interval early or late, so that many waits do not keep step."""
    world = World(PROGRESS, SUCCESS, goal=Goal("c1", interval=10.0), jitter=jitter)
    world.wait.run()
    assert world.slept == [pytest.approx(9.0 + 2.0 * jitter)]


@pytest.mark.parametrize("state", FINAL)
def test_without_a_named_state_any_final_one_ends_it(state):
    """Command Success is the goal, every other final state is the end."""
    world = World(PROGRESS, state)
    if state == SUCCESS:
        world.wait.run()
    else:
        with pytest.raises(ConditionNotMet, match=state):
            world.wait.run()
    assert len(world.reads) == 2
    assert world.wait.content == {"state": state}


@given(
    wanted=st.sets(st.sampled_from([state.text for state in STATES]), min_size=1),
    script=st.lists(st.sampled_from([state.text for state in STATES]), min_size=1, max_size=8),
)
def test_named_states_end_it_and_so_does_what_rules_them_out(wanted, script):
    """The first wanted state is the end, or the first other final one, save Command TimeOut."""
    world = World(*script, goal=Goal("c1", tuple(wanted), at_most=1000.0))
    enders = [state for state in script if state in wanted or state in set(FINAL) - {TIMEOUT}]
    if enders and enders[0] in wanted:
        assert world.wait.run() == {"state": enders[0]}
    else:
        with pytest.raises(ConditionNotMet) as raised:
            world.wait.run()
        assert ("ended in" in raised.value.message) == bool(enders)


@pytest.mark.parametrize("state", [None, 5, {"a": 1}, ["Command Success"], "Something New", ""])
def test_a_state_that_is_none_is_waited_through(state):
    """A state that nobody knows, or that is no text, is not final."""
    world = World(state, SUCCESS)
    assert world.wait.run() == {"state": SUCCESS}


@given(
    at_most=st.floats(0.0, 600.0),
    interval=st.floats(1.0, 600.0),
    jitter=st.floats(0.0, 0.999),
)
@settings(deadline=None)
def test_it_ends_when_the_time_is_up_after_one_last_look(at_most, interval, jitter):
    """A wait without end takes the time it was given and a read, and looks at the very end."""
    world = World(PROGRESS, goal=Goal("c1", (), at_most, interval), jitter=jitter)
    with pytest.raises(ConditionNotMet, match=PROGRESS):
        world.wait.run()
    assert at_most - 1e-6 <= world.took <= at_most + 0.1 + 1e-6
    assert all(each >= LAST_READ for each in world.within)
    assert max(world.within) <= max(at_most, LAST_READ)


@pytest.mark.parametrize(
    "passing",
    [
        failing(503),
        failing(500),
        failing(429),
        failing(408),
        failing(None),
        failing(200),
        Answer(None, error=NotReached("nobody there"), sent=False),
    ],
)
def test_failures_that_may_pass_are_ridden_out(passing):
    """However often a read fails, the wait goes on, at most 30 s apart, whatever the retries."""
    world = World(PROGRESS, *[passing] * 12, SUCCESS)
    assert world.wait.run() == {"state": SUCCESS}
    assert world.slept[1:5] == [pytest.approx(each * 1.25) for each in (0.5, 1.0, 2.0, 4.0)]
    assert max(world.slept) == 30.0


def test_failures_to_the_end_are_told():
    """Who waits in vain because nothing could be read hears why."""
    world = World(failing(503), goal=Goal("c1", at_most=60.0))
    with pytest.raises(ConditionNotMet, match=r"not known after 60 s.*failed with 503"):
        world.wait.run()
    assert world.wait.content is None


def test_retry_after_is_kept_to():
    """The server's own time wins over the backoff, and no read is made before it."""
    world = World(failing(429, retry_after=77.0), SUCCESS)
    world.wait.run()
    assert world.slept == [77.0]


def test_retry_after_beyond_the_time_left_ends_it_at_once():
    """Nobody sits through a minute to hear what is known already."""
    world = World(PROGRESS, failing(503, retry_after=100.0), goal=Goal("c1", at_most=60.0))
    with pytest.raises(ConditionNotMet):
        world.wait.run()
    assert world.took < 6


@pytest.mark.parametrize(
    ("final", "kind"),
    [
        (Answer(401, error=KeyRefused("401")), KeyRefused),
        (Answer(404, error=RequestRefused("404")), RequestRefused),
        (Answer(302, error=RequestRefused("302")), RequestRefused),
        (failing(429, retry_after=121.0), ServerFailed),
        (
            Answer(None, error=NotReached("bad"), sent=False, obstacle=Obstacle.CERTIFICATE),
            NotReached,
        ),
    ],
)
def test_failures_that_will_not_pass_end_it(final: Answer, kind: type[CmdstatError]):
    """A refusal, a server that wants to be left alone, and a wrong certificate end the wait."""
    world = World(PROGRESS, final)
    with pytest.raises(kind):
        world.wait.run()
    assert len(world.reads) == 2


def test_who_watches_sees_the_state_since_when_and_what_is_left():
    """The line has the state's age by the server's word, or since when we have seen it."""
    an_hour_ago = Answer(200, content={"state": "New", "updated_at": "2027-01-15T07:00:00Z"})
    world = World("Odd", "Odd", an_hour_ago, SUCCESS)
    seen = []
    sleep = world.sleep

    def look(seconds: float) -> None:
        seen.append((round(world.wait.in_state_for), round(world.wait.left)))
        sleep(seconds)

    world.wait._sleep = look
    world.wait.run()
    assert seen == [(0, 600), (5, 595), (3610, 590)]


# Over the wire.


def walk(*states: str) -> Iterable:
    """Steps of a server whose command goes through these states, a read each."""
    return [
        meanwhile(lambda server, state=state: server.change(state=state), show) for state in states
    ]


@pytest.mark.parametrize(
    ("words", "states", "code"),
    [
        ([], [PROGRESS, SUCCESS], 0),
        ([], [PROGRESS, FAILURE], 9),
        ([], [TIMEOUT], 9),
        (["--for", "failed", "--for", "timeout"], [PROGRESS, TIMEOUT], 0),
        (["--for", "success"], [TIMEOUT, SUCCESS], 0),
        (["--for", "ack"], [PROGRESS, "Command Cancelled"], 9),
        (["--for-at-most", "0"], [PROGRESS], 9),
    ],
)
def test_exit_and_content(home, server, words, states, code):
    """The exit code says how it ended, and stdout has the content read last, as it was sent."""
    server.on("GET", *walk(*states))
    result = home.run("wait", "an-id", "-o", "json", "--interval", "0.1", *words)
    assert result.exit == code, result.describe()
    assert f'"state": "{states[-1]}"' in result.stdout
    assert len(server.requests) == len(states)
    assert result.stderr == "" if code == 0 else result.error["kind"] == "condition"


def test_quiet_in_a_pipe(home, server):
    """Where nobody watches, nothing is said while it waits, failures in between included."""
    server.on("GET", busy, show, busy, *walk(SUCCESS))
    result = home.run("wait", "an-id", "--interval", "0.1")
    assert (result.exit, result.stderr) == (0, "")
    assert "Command Success" in result.stdout


def test_the_state_is_shown_on_a_terminal_all_the_while(home, server):
    """A line tells the state and the time left from the first moment on, and is gone at the end."""
    server.on("GET", *walk(PROGRESS, PROGRESS, SUCCESS))
    result = home.run("wait", "an-id", "--interval", "1.5", tty=True)
    assert result.exit == 0
    assert "left" in result.stdout
    line = result.stdout.index("Command In Progress for 1 s, 9 min left")
    assert "\x1b[K" in result.stdout[line:].partition("Command Success")[0]


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("hanging", [False, True], ids=["between-reads", "during-a-read"])
def test_a_signal_ends_it_within_a_second(home, server, sign, code, hanging):
    """One Ctrl-C is enough, also while a read hangs; what was read last is shown."""
    server.on("GET", show, forever(silence if hanging else show))
    running = home.start("wait", "an-id", "-o", "json", "--interval", "0.1" if hanging else "60")
    server.wait_for(2 if hanging else 1, "GET")
    if not hanging:
        pause_until_idle(server)
    running.signal(sign)
    asked = time.monotonic()
    result = running.wait()
    assert time.monotonic() - asked < 1.0
    result.check_harmless()
    assert result.exit == code
    assert '"state": "Command In Progress"' in result.stdout
    assert result.error["kind"] == "interrupted"


def pause_until_idle(server) -> None:
    """Until the first answer has left and the client had the time to go to sleep."""
    while not server.requests[0].ended:
        pass
    server.ending.wait(0.3)


def test_an_unknown_id_may_be_a_requests(home, server):
    """A 404 ends the wait with exit 5 and the line that lists a request's commands."""
    server.on("GET", forever(answer(404, headers=AT_ONCE)))
    result = home.run("wait", "it's an id", "-o", "json")
    assert result.exit == 5
    assert result.error["hint"].endswith("""cmdstat list --request 'it'"'"'s an id'""")


@pytest.mark.parametrize("words", [["--for", "sucess"], ["--interval", "x"], ["--for-at-most"]])
def test_a_wrong_call_asks_nothing(home, server, words):
    """A state that is none and a duration that is none are exit 2 before any request."""
    assert home.run("wait", "an-id", *words).exit == 2
    assert server.requests == []


def test_wrong_typed_fields_do_no_harm(home, server):
    """A content in which nothing is as it should be is waited through and shown."""
    odd = {
        "id": 5,
        "state": ["x"],
        "updated_at": {"a": None},
        "reason": 1e300,
        "\x1b[31m": "\u202e",
    }
    server.on("GET", answer(200, envelope(odd)), *walk(SUCCESS))
    server.status |= odd
    assert home.run("wait", "an-id", "--interval", "0.1").exit == 0
    server.on("GET", forever(answer(200, envelope(odd))))
    assert home.run("wait", "an-id", "--for-at-most", "0").exit == 9
