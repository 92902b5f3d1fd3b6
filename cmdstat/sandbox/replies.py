"""Replies as the API shapes them: the envelope, and the errors that more than one place gives."""

from __future__ import annotations

import json
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """One HTTP answer, but for the headers that every answer has."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


class Refusal(Exception):
    """A request that is answered with an error; `reply` is the answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def envelope(
    status: int, message: str, content: Any = None, headers: tuple[tuple[str, str], ...] = ()
) -> Reply:
    """A reply in the API's envelope; without `content` if that is None."""
    answer: dict[str, Any] = {"code": status, "message": message}
    if content is not None:
        answer["content"] = content
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    return Reply(status, text.encode(), headers)


def not_found() -> Refusal:
    """No command has the id that was asked for."""
    return Refusal(envelope(404, "Not found", {}))


def bad_request(problems: dict[str, list[str]]) -> Refusal:
    """What is wrong, by the name of the field or parameter."""
    return Refusal(envelope(400, "Bad request", problems))
