"""Carry one update to a certain end: attempts, waits, and reading back what is in doubt.

This is the heart of cmdstat (design §4), pure: it is given a wire to `put` and `get` on, a clock
and a pacing to wait by, so that every branch can be tested without a network or a sleep. `set`
and `batch` both go through it, and so does a row that a crash left `sending`.

    put ──> 200 with content ───────────────────────────────> updated
     │      401, 403 / other 4xx, 3xx ──────────────────────> unauthorized / refused
     │      not sent, 408, 429 ──> wait ──> put again
     └──── may have been applied ──> wait ──> read back
                                               ├── shows what was asked for ──> updated, by reading
                                               ├── changed by somebody else ──> unknown
                                               ├── cannot be read ────────────> unknown
                                               └── not changed ──> put again, while attempts last

The wait comes before the read, so that the read stands right before the next PUT and no change made
during the wait can be overwritten. A wait of more than `Policy.patience` is preceded by a read too:
nobody should sit through a minute to hear what could be known at once. Once an attempt is in doubt,
no later one leaves without a fresh read, and no later failure talks the doubt away.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from cmdstat.answers import Answer, Fate
from cmdstat.attempts import Clock, Pacing, Policy, Step, Wire
from cmdstat.endings import Ending, outcome_of
from cmdstat.errors import CmdstatError, ConditionNotMet, InDoubt, Interrupted
from cmdstat.foreign import quoted
from cmdstat.instants import parse_timestamp
from cmdstat.models import Content, Outcome, StatusUpdate
from cmdstat.reading import read
from cmdstat.states import is_final


class Reading(Enum):
    """What reading back showed, the four cases of design §4."""

    AS_ASKED = "shows what was asked for"
    CHANGED = "changed by somebody else after the first attempt"
    UNCHANGED = "not changed since"
    UNREADABLE = "cannot be read"


SLACK = 5.0
"""Seconds by which `updated_at` may precede the first attempt and still count as after it."""


class Delivery:
    """One update on its way; `run` carries it to its end, once."""

    def __init__(
        self,
        update: StatusUpdate,
        wire: Wire,
        pacing: Pacing,
        *,
        policy: Policy,
        clock: Clock,
        own_doing: Callable[[], Content | None] = lambda: None,
        sent_at: float | None = None,
        watch: Callable[[Step], None] = lambda _step: None,
    ) -> None:
        """Prepare a delivery.

        own_doing: looks up the content that the journal recorded last for this id, which is our
                   own earlier doing; called only if something is in doubt
        sent_at:   when a row left `sending` was first sent, seconds since the epoch; it is read
                   back before anything is sent
        """
        self._update = update
        self._wire = wire
        self._pacing = pacing
        self._policy = policy
        self._clock = clock
        self._own_doing = own_doing
        self._watch = watch
        self._started = clock.monotonic()
        self._first_attempt = self._started
        if sent_at is not None:
            self._first_attempt -= max(0.0, clock.time() - sent_at)
        self._left_sending = sent_at is not None
        self._attempts = 0
        self._before: Content | None = None
        self._seen: Content | None = None  # what the last read showed, to notice later changes
        self._doubtful: Answer | None = None  # the worst doubtful answer so far
        self._key_refused = False  # by a read
        self._may_linger = False  # a request may still be on its way to being applied

    def run(self) -> Ending:
        """Carry the update to its end. Never raises for anything that the network did."""
        if not self._pacing.turn():
            return self._stopped()
        if self._left_sending:
            ending = self._read_back()
        else:
            ending = self._check_condition() if self._update.if_state else None
        while ending is None:
            ending = self._attempt()
        return ending

    def abandoned(self) -> Ending:
        """The ending of a delivery that was stopped at once, wherever it was."""
        if self._attempts == 0 and not self._left_sending:
            return self._stopped()
        error = InDoubt(
            "not known whether the update was applied: stopped while it was under way",
            self._look_first,
        )
        return self._end(Outcome.UNKNOWN, None, error=error)

    @property
    def _look_first(self) -> str:
        return (
            f"look at it with: cmdstat get {quoted(self._update.id)};"
            " the same command sends the update anyway"
        )

    def _attempt(self) -> Ending | None:
        """One PUT and what follows from its answer; None when another is to be made."""
        if self._attempts == 0 and not self._left_sending:
            self._first_attempt = self._clock.monotonic()
        self._attempts += 1
        self._tell("sending")
        answer = self._wire.put(self._update)
        if answer.fate is Fate.APPLIED:
            return self._end(Outcome.UPDATED, answer, content=answer.content)
        if answer.fate in (Fate.REFUSED, Fate.UNAUTHORIZED):
            return self._refused(answer)
        if answer.fate is Fate.DOUBTFUL:
            self._note_doubt(answer)
        wait = self._policy.wait_after(self._attempts, answer)
        if answer.status == 429 and self._pacing.takes_over(answer):
            self._attempts -= 1
            wait = 0.0
        if wait is None:
            return self._give_up(answer)
        return self._prepare_next(answer, wait)

    def _prepare_next(self, answer: Answer, wait: float) -> Ending | None:
        """Wait, and read back if anything is in doubt; None when the next PUT may leave."""
        in_doubt = self._doubtful is not None or self._left_sending
        if in_doubt and wait > self._policy.patience:
            ending = self._read_back()
            if ending is not None:
                return ending
        self._tell("waiting", 1, seconds=wait, because=answer)
        if not (self._pacing.wait(wait) and self._pacing.turn()):
            return self._give_up(answer)
        return self._read_back() if in_doubt else None

    def _note_doubt(self, answer: Answer) -> None:
        """Remember a doubtful answer; a 5xx is over, anything else may still take effect."""
        lingers = answer.status is None or answer.status < 500
        if lingers or not self._may_linger:
            self._doubtful = answer
        self._may_linger = self._may_linger or lingers

    def _refused(self, answer: Answer) -> Ending:
        """A final refusal; if an earlier attempt was in doubt, it may be why, so read back."""
        if self._doubtful is not None or self._left_sending:
            reading, current = self._read()
            if reading is not Reading.UNCHANGED or self._may_linger:
                return self._conclude(reading, current, answer)
        return self._end(outcome_of(answer), answer, error=answer.error)

    def _give_up(self, answer: Answer) -> Ending:
        """No attempt is left, or the user asked to stop: say what is known, reading if need be."""
        if self._doubtful is None and not self._left_sending:
            return self._end(outcome_of(answer), answer, error=answer.error)
        reading, current = self._read()
        if reading is Reading.UNCHANGED and not self._may_linger:
            answer = self._doubtful or answer
            return self._end(outcome_of(answer), answer, content=current, error=answer.error)
        return self._conclude(reading, current, self._doubtful or answer)

    def _read_back(self) -> Ending | None:
        """Read back before sending (again); None when the command is as it was."""
        reading, current = self._read()
        if reading is Reading.UNCHANGED:
            return None
        return self._conclude(reading, current, self._doubtful)

    def _conclude(self, reading: Reading, current: Content | None, answer: Answer | None) -> Ending:
        """The ending of an update that was in doubt when it was read back."""
        if reading is Reading.AS_ASKED:
            return self._end(Outcome.UPDATED, answer, content=current, confirmed="read")
        why = str(answer.error) if answer and answer.error else "it was cut off while sending"
        what = {
            Reading.CHANGED: "somebody else has changed the command since",
            Reading.UNCHANGED: "it is not applied, but may still take effect",
            Reading.UNREADABLE: "the command cannot be read back",
        }[reading]
        error = InDoubt(
            f"not known whether the update was applied: {why}; {what}",
            f"its state is now {current.get('state')}; the same command sends the update anyway"
            if current
            else self._look_first,
        )
        if answer is not None and answer.error is not None:
            error.__cause__ = answer.error
        return self._end(Outcome.UNKNOWN, answer, content=current, error=error)

    def _read(self) -> tuple[Reading, Content | None]:
        """Read the command and compare it with what was asked for and what is known."""
        answer = self._get()
        current = answer.content
        if current is None or not _tells_of(current, self._update.id):
            return Reading.UNREADABLE, None
        seen, self._seen = self._seen, current
        if self._update.is_shown_by(current):
            return Reading.AS_ASKED, current
        if not isinstance(current.get("state"), str):
            return Reading.UNREADABLE, None
        if seen is not None:
            changed = not _is_same(seen, current)
        else:
            changed = self._is_later_than_first_attempt(current, answer)
            if changed and (recorded := self._own_doing()) is not None:
                changed = not _is_same(recorded, current)
        return (Reading.CHANGED if changed else Reading.UNCHANGED), current

    def _is_later_than_first_attempt(self, current: Content, answer: Answer) -> bool:
        """Whether the content was changed after the first attempt, on the server's own clock."""
        updated = parse_timestamp(current.get("updated_at"))
        if updated is None or answer.date is None:
            return is_final(current.get("state"))
        first = answer.date - (self._clock.monotonic() - self._first_attempt)
        return updated.timestamp() > first - SLACK

    def _get(self) -> Answer:
        """Read the command, trying again while that may help and the user does not want to stop."""

        def watch(step: Step) -> None:
            doing = "waiting" if step.doing == "waiting" else "reading"
            self._tell(doing, seconds=step.seconds, because=step.because or self._doubtful)

        answer = read(lambda: self._wire.get(self._update.id), self._pacing, self._policy, watch)
        self._key_refused = self._key_refused or answer.fate is Fate.UNAUTHORIZED
        return answer

    def _check_condition(self) -> Ending | None:
        """Read the state that `if_state` speaks of; None when the update may be sent."""
        answer = self._get()
        self._before = self._seen = answer.content
        if answer.content is None:
            return self._end(outcome_of(answer), answer, error=answer.error)
        state = answer.content.get("state")
        if state in self._update.if_state:
            return None if self._pacing.turn() else self._stopped()
        wanted = " or ".join(self._update.if_state)
        error = ConditionNotMet(
            f"not sent: the state is {state}, not {wanted}",
            "look at the command, then set it without --if-state if that is still right",
        )
        return self._end(Outcome.SKIPPED, None, content=answer.content, error=error)

    def _stopped(self) -> Ending:
        error = Interrupted("interrupted before the update was sent", "run the same command again")
        return self._end(Outcome.PENDING, None, error=error)

    def _end(
        self,
        outcome: Outcome,
        answer: Answer | None,
        *,
        content: Content | None = None,
        confirmed: str | None = None,
        error: CmdstatError | None = None,
    ) -> Ending:
        return Ending(
            outcome=outcome,
            answer=answer,
            content=content,
            before=self._before,
            confirmed=confirmed,
            error=error,
            attempts=self._attempts,
            elapsed=self._clock.monotonic() - self._started,
            key_refused=self._key_refused
            or (answer is not None and answer.fate is Fate.UNAUTHORIZED),
        )

    def _tell(
        self, doing: str, ahead: int = 0, *, seconds: float = 0.0, because: Answer | None = None
    ) -> None:
        of = self._policy.retries + 1
        self._watch(Step(doing, self._attempts + ahead, of, seconds, because))


def _tells_of(content: Content, command_id: str) -> bool:
    """Whether a content that was read speaks of the command, as far as it says of which."""
    told = content.get("id")
    return told is None or str(told).casefold() == command_id.casefold()


def _is_same(one: Content, other: Content) -> bool:
    """Whether two contents of a command show the same version of it."""
    return all(one.get(name) == other.get(name) for name in ("state", "reason", "updated_at"))
