"""What one request came to: an answer that arrived whole, or the way in which it did not.

`envelopes` makes one from the bytes of an HTTP answer, `client` from what the network did instead;
`delivery` and the reading commands act on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from cmdstat.errors import CmdstatError
from cmdstat.models import Content


class Fate(Enum):
    """What an answer to a PUT says about the update."""

    APPLIED = "a 200 with a usable content"
    UNCHANGED = "surely changed nothing and may be sent again: not sent, 408, 429"
    REFUSED = "any other 4xx, or a redirect: final"
    UNAUTHORIZED = "401 or 403: final, and the key is to blame"
    DOUBTFUL = "may or may not have been applied"


class Obstacle(StrEnum):
    """What kept a request from its answer, where that can be told."""

    CERTIFICATE = "a certificate that is not trusted"
    IDENTITY = "no client certificate that the server accepts"
    PROXY = "a proxy that does not let us through"
    NAME = "a name that nobody knows"
    NOBODY = "a port where nothing listens"
    TIME = "more time than there was"


@dataclass(frozen=True, slots=True)
class Answer:
    """One request's end.

    status:      the HTTP status, None when no status line arrived
    code:        the envelope's `code` when it is an integer, and `message` when it is a string
    content:     the envelope's `content` when the answer is a usable 200, else None
    error:       why the answer is not a usable 200, with its cause chained; None when it is one
    sent:        whether any of the request began to be sent
    date:        the server's clock when it answered (`Date`), seconds since the epoch
    retry_after: seconds that the server asked to wait, None when it did not ask
    elapsed:     seconds from the start of the request to the end of the answer
    obstacle:    what was in the way, when the answer did not arrive whole
    """

    status: int | None
    code: int | None = None
    message: str | None = None
    content: Content | None = None
    error: CmdstatError | None = None
    sent: bool = True
    date: float | None = None
    retry_after: float | None = None
    elapsed: float = 0.0
    obstacle: Obstacle | None = None

    @property
    def fate(self) -> Fate:
        """What this answer says about the update, had it been one to a PUT."""
        if self.error is None:
            return Fate.APPLIED
        if not self.sent or self.status in (408, 429):
            return Fate.UNCHANGED
        if self.status in (401, 403):
            return Fate.UNAUTHORIZED
        if self.status is not None and 300 <= self.status < 500:
            return Fate.REFUSED
        return Fate.DOUBTFUL

    @property
    def may_pass(self) -> bool:
        """Whether the same request may well succeed later: worth another try of a read."""
        return self.error is not None and self.fate in (Fate.UNCHANGED, Fate.DOUBTFUL)

    def usable(self) -> Content:
        """The content of a good answer; raises the answer's error for any other."""
        if self.error is not None:
            raise self.error
        assert self.content is not None
        return self.content
