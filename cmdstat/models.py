"""What cmdstat passes around: the update asked for, the record of what became of it.

`StatusUpdate` is checked when it is made, so whatever holds one holds a legal one. `UpdateRecord`
is the one shape that `set`, `batch`, `history` and reports write (design §3); fields are only ever
added to it. A command's content stays the dict that the server sent, unknown fields and all:
nothing here copies it into named fields, because a field that was not foreseen must not get lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, TypeAlias

from cmdstat.errors import CmdstatError, ExitCode, UsageError, error_from_dict

Content: TypeAlias = dict[str, Any]
"""A command status object as the server sent it; see `contract/API.md` for the usual fields."""


class Outcome(StrEnum):
    """What became of one update. `OUTCOME_EXIT_CODES` says how `set` exits on each."""

    UPDATED = "updated"
    SKIPPED = "skipped"
    REFUSED = "refused"
    UNAUTHORIZED = "unauthorized"
    SERVER_ERROR = "server_error"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"
    PENDING = "pending"


OUTCOME_EXIT_CODES: dict[Outcome, ExitCode] = {
    Outcome.UPDATED: ExitCode.DONE,
    Outcome.SKIPPED: ExitCode.CONDITION_NOT_MET,
    Outcome.REFUSED: ExitCode.REFUSED,
    Outcome.UNAUTHORIZED: ExitCode.UNAUTHORIZED,
    Outcome.SERVER_ERROR: ExitCode.SERVER_FAILED,
    Outcome.UNREACHABLE: ExitCode.UNREACHABLE,
    Outcome.UNKNOWN: ExitCode.UNKNOWN,
    Outcome.PENDING: ExitCode.INTERRUPTED,
}

GIVE_ONE = "give a state, a reason or both"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def check_id(text: str) -> str:
    """A command status id, unchanged. Raises `UsageError` for one that no URL path can carry.

    The service's ids are opaque. What is refused here could only be a slip of the hand, or would
    change which address the request goes to (`.` and `..` are path steps).
    """
    if not text.strip():
        problem = "the ID is empty"
    elif text in (".", ".."):
        problem = f'"{text}" is not an ID: in an address it is a step to another path'
    elif text != text.strip():
        problem = "the ID has white space around it"
    elif _CONTROL.search(text):
        problem = "the ID has control characters or is not valid UTF-8"
    else:
        return text
    raise UsageError(problem, "give the id of one command status, for example from its web page")


def check_reason(text: str) -> str:
    """A reason, unchanged. Raises `UsageError` for one that is not text (broken UTF-8)."""
    if _SURROGATE.search(text):
        raise UsageError("the reason is not valid UTF-8", "give the reason as UTF-8 text")
    return text


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """One update to make: which command, its new state and reason, and on what condition.

    `state` is the API's exact text. None means not given, and is not sent; an empty reason is
    sent as one. `if_state` names the exact states in which the update may be sent; empty is no
    condition.
    """

    id: str
    state: str | None = None
    reason: str | None = None
    if_state: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_id(self.id)
        if self.reason is not None:
            check_reason(self.reason)
        if self.state is None and self.reason is None:
            raise UsageError("nothing to update: neither a state nor a reason was given", GIVE_ONE)

    @property
    def body(self) -> dict[str, str]:
        """The JSON body of the PUT: only what was given."""
        given = {"state": self.state, "reason": self.reason}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def requested(self) -> dict[str, str | None]:
        """The `requested` object of a record: both keys, null for what was not given."""
        return {"state": self.state, "reason": self.reason}

    def is_shown_by(self, content: Content) -> bool:
        """Whether a content shows all that was asked for, as far as it was asked for."""
        return all(content.get(name) == value for name, value in self.body.items())


@dataclass(frozen=True, slots=True)
class UpdateRecord:
    """What one update came to: the record of design §3, whose names and order are these fields'.

    `n` is the journal's number; `at` is when the outcome was recorded, in UTC; `before` is the
    content read before sending, if one was; `confirmed` is "read" when the outcome was learned by
    reading back. `attempts` counts PUTs, `elapsed_ms` the whole time from first request to outcome.
    """

    n: int | None
    id: str
    requested: dict[str, str | None]
    outcome: Outcome
    http_status: int | None = None
    code: int | None = None
    message: str | None = None
    content: Content | None = None
    before: Content | None = None
    confirmed: str | None = None
    error: dict[str, str] | None = None
    attempts: int = 0
    elapsed_ms: float = 0.0
    profile: str | None = None
    base_url: str = ""
    by: str = ""
    run: str | None = None
    line: int | None = None
    at: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The record as scripts read it."""
        return {name: getattr(self, name) for name in RECORD_FIELDS}

    @property
    def failure(self) -> CmdstatError | None:
        """The error that the record tells of, to be raised by a command; None for a good end."""
        return None if self.error is None else error_from_dict(self.error)


RECORD_FIELDS: tuple[str, ...] = tuple(field.name for field in fields(UpdateRecord))

CONTENT_FIELDS: tuple[str, ...] = (
    "id", "request", "device", "state", "reason", "created_at", "updated_at", "command_meta",
)  # fmt: skip
"""The fields of a content that the service documents, in its order."""
