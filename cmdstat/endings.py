"""What became of one update: the ending of its delivery, and the record that is made of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from cmdstat.answers import Answer, Fate
from cmdstat.errors import CmdstatError
from cmdstat.models import Content, Outcome, StatusUpdate, UpdateRecord

_OUTCOME_OF_FATE = {
    Fate.REFUSED: Outcome.REFUSED,
    Fate.UNAUTHORIZED: Outcome.UNAUTHORIZED,
    Fate.DOUBTFUL: Outcome.SERVER_ERROR,
}


class Ending(NamedTuple):
    """What became of an update; `UpdateRecord` says what each field means.

    `answer` is the last answer to a PUT that counts; `key_refused` tells a batch to stop.
    """

    outcome: Outcome
    answer: Answer | None = None
    content: Content | None = None
    before: Content | None = None
    confirmed: str | None = None
    error: CmdstatError | None = None
    attempts: int = 0
    elapsed: float = 0.0
    key_refused: bool = False


def outcome_of(answer: Answer) -> Outcome:
    """The outcome that a failed answer makes, had it been certain and the last one."""
    if answer.fate is Fate.UNCHANGED:
        if not answer.sent:
            return Outcome.UNREACHABLE
        return Outcome.SERVER_ERROR if answer.status == 429 else Outcome.REFUSED
    return _OUTCOME_OF_FATE[answer.fate]


def make_record(
    number: int | None, update: StatusUpdate, ending: Ending, **more: Any
) -> UpdateRecord:
    """The record of an ending; `more` are the record's fields on who, where and when."""
    answer, error = ending.answer, ending.error
    return UpdateRecord(
        n=number,
        id=update.id,
        requested=update.requested,
        outcome=ending.outcome,
        http_status=answer.status if answer else None,
        code=answer.code if answer else None,
        message=answer.message if answer else None,
        content=ending.content,
        before=ending.before,
        confirmed=ending.confirmed,
        error=error.to_dict() if error else None,
        attempts=ending.attempts,
        elapsed_ms=round(ending.elapsed * 1000, 1),
        **more,
    )
