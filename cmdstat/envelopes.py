"""Read an HTTP answer strictly: nothing but a 200 with a usable `content` is ever good (design §4).

Both documented error envelopes, a gateway's HTML and nothing at all give a clear message. The key
is taken out of everything that is kept, since a server or a gateway may echo it. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

from cmdstat.answers import Answer
from cmdstat.errors import CmdstatError, KeyRefused, RequestRefused, ServerFailed
from cmdstat.foreign import excerpt, to_json
from cmdstat.instants import parse_http_date

DEEPEST_NESTING = 100
CHECK_BASE_URL = "check the base URL: cmdstat profile show"
_DIGITS = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An HTTP answer as it came: status, headers with lower-case names, the unpacked body.

    `host` is shown in messages; `received` is our clock when the answer was in, seconds since the
    epoch; `redact` takes the key out of any text, since a server may echo it; `broken` says how the
    body broke off, of which nothing is kept then; `key_source` says where the key came from.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    host: str
    received: float
    redact: Callable[[str], str]
    broken: str | None = None
    key_source: str = "the profile"


def read_answer(raw: RawAnswer) -> Answer:
    """Read an answer strictly: only a 200 with a `content` object in it is without error."""
    date = parse_http_date(raw.headers.get("date"))
    envelope: dict[str, Any] = {}
    problem = ""
    try:
        parsed = _without_key(parse_json(raw.body), raw)
        if isinstance(parsed, dict):
            envelope = parsed
        else:
            problem = "is not a JSON object"
    except ValueError as failure:
        problem = str(failure)
    message = envelope.get("message")
    message = message if isinstance(message, str) else None
    content = envelope.get("content")
    code = envelope.get("code", envelope.get("status"))
    error: CmdstatError | None = None
    if raw.status != 200:
        error = _error_for(raw, _explanation(envelope, message, raw) + _asked_wait(raw))
    elif not isinstance(content, dict):
        problem = problem or "has no content object"
        error = ServerFailed(
            f"the answer of {raw.host} {problem} (200): {_excerpt(raw)}", CHECK_BASE_URL
        )
    return Answer(
        status=raw.status,
        code=code if isinstance(code, int) and not isinstance(code, bool) else None,
        message=message,
        content=content if error is None else None,
        error=error,
        date=date,
        retry_after=_retry_after(raw.headers.get("retry-after"), date or raw.received),
    )


def parse_json(body: bytes) -> Any:
    """The value of a JSON text, strictly. Raises `ValueError` whose text says "is not …".

    Not UTF-8, `NaN` and `Infinity`, and nesting deeper than `DEEPEST_NESTING` are refused. A number
    too large for any reader (`1e400`) is kept as its text.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        raise ValueError("is not UTF-8") from failure
    if not text.strip():
        raise ValueError("is empty")
    try:
        value = _DECODER.decode(text)
    except RecursionError as failure:
        raise ValueError("is nested too deeply") from failure
    except ValueError as failure:
        raise ValueError("is not JSON") from failure
    if text.count("[") + text.count("{") > DEEPEST_NESTING and _is_too_deep(value):
        raise ValueError("is nested too deeply")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _finite(text: str) -> float | str:
    number = float(text)
    return number if isfinite(number) else text


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST_NESTING):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def _without_key(value: Any, raw: RawAnswer) -> Any:
    """The parsed value with the key redacted; walked only when the key could be in it at all."""
    text = raw.body.decode("utf-8-sig")
    if "\\" not in text and raw.redact(text) == text:
        return value

    def walk(inner: Any) -> Any:
        if isinstance(inner, str):
            return raw.redact(inner)
        if isinstance(inner, list):
            return [walk(each) for each in inner]
        if isinstance(inner, dict):
            return {raw.redact(name): walk(each) for name, each in inner.items()}
        if isinstance(inner, (int, float)) and raw.redact(text := str(inner)) != text:
            return raw.redact(text)
        return inner

    return walk(value)


def _excerpt(raw: RawAnswer) -> str:
    """The first harmless characters of the body, the key redacted, in quotes; or "empty"."""
    text = raw.redact(raw.body.decode("utf-8", "replace").replace("\0", ""))
    return f'"{excerpt(text)}"' if text.strip() else "empty"


def _explanation(envelope: dict[str, Any], message: str | None, raw: RawAnswer) -> str:
    """Why, in the server's words: either error envelope, or what a gateway said instead."""
    if raw.broken is not None:
        return f"it {raw.broken}"
    words = [message] if message else []
    content, errors = envelope.get("content"), envelope.get("errors")
    if isinstance(content, dict):
        words += [f"{name}: {_flat(value)}" for name, value in list(content.items())[:5]]
    if isinstance(errors, list):
        words += [_flat(each) for each in errors[:5]]
    if words:
        return excerpt(": ".join(words), 400)
    return _excerpt(raw) if raw.body.strip() else "no explanation given"


def _flat(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return " ".join(value)
    return to_json(value)


def _error_for(raw: RawAnswer, why: str) -> CmdstatError:
    """The error of any answer that is not a 200."""
    status, host = raw.status, raw.host
    if 400 <= status < 500:
        return _client_error(raw, why)
    if 300 <= status < 400:
        where = excerpt(raw.redact(raw.headers.get("location", "an unnamed place")))
        return RequestRefused(
            f"{host} redirects to {where} ({status}), and redirects are never followed",
            CHECK_BASE_URL,
        )
    if 200 <= status < 300:
        return ServerFailed(
            f"{host} answered {status} where only 200 says that it is done: {why}", CHECK_BASE_URL
        )
    return ServerFailed(f"{host} failed ({status}): {why}", "wait a moment, then try again")


def _client_error(raw: RawAnswer, why: str) -> CmdstatError:
    """The error of a 4xx."""
    status, host = raw.status, raw.host
    if status in (401, 403):
        return KeyRefused(
            f"{host} refused the key ({status}): {why}",
            f"the key came from {raw.key_source}: check that it is the right one for this host, and"
            " still valid in the console; a profile's is replaced with:"
            " cmdstat profile set NAME --api-key-stdin",
        )
    if status == 429:
        return ServerFailed(
            f"{host} limits the rate of requests (429): {why}", "wait, then try again"
        )
    if status == 404:
        return RequestRefused(
            f"{host} does not know it (404): {why}", "check the id, the profile and the base URL"
        )
    return RequestRefused(
        f"{host} refused the request ({status}): {why}", "check the id, the state and the reason"
    )


def _asked_wait(raw: RawAnswer) -> str:
    """What an answer asks to wait, in the server's words, for the end of a message."""
    asked = raw.redact(raw.headers.get("retry-after", ""))
    if not asked:
        return ""
    return f"; it asks to wait {excerpt(asked, 40)}{' s' if asked.isdigit() else ''}"


def _retry_after(text: str | None, now: float) -> float | None:
    """Seconds to wait that a `Retry-After` asks for, in seconds or as a date; None for junk."""
    if text is None:
        return None
    if _DIGITS.fullmatch(text.strip()):
        return float(text)
    moment = parse_http_date(text)
    return None if moment is None else max(0.0, moment - now)
