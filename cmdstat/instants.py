"""Moments and durations: the server's timestamps, the user's `10m`, and how long ago that was."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from cmdstat.errors import UsageError

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([smhd]?)\s*")
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d[T ]")
LONGEST_DURATION = 36500 * 86400.0


def parse_duration(text: str) -> float:
    """Seconds in a duration: a number with `s`, `m`, `h` or `d`; a bare number is seconds.

    Raises `UsageError` for anything else, and for a duration of more than a hundred years.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise UsageError(
            f'"{text}" is not a duration', "write a number with s, m, h or d, for example 90s or 2h"
        )
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds > LONGEST_DURATION:
        raise UsageError(f'"{text}" is longer than a hundred years', "write a shorter duration")
    return seconds


def parse_timestamp(text: object) -> datetime | None:
    """The moment that an ISO 8601 timestamp with an offset tells, or None if it does not tell one.

    A timestamp without an offset names no moment: whose clock is it on? Those are None too.
    """
    if not isinstance(text, str) or not _ISO_DATE.match(text) or len(text) > 64:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else None


def parse_http_date(text: str | None) -> float | None:
    """Seconds since the epoch that an HTTP date names, or None if the text is not one."""
    if not text:
        return None
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as the records write them: UTC, whole seconds, a `Z` at the end."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def describe_age(seconds: float) -> str:
    """How long ago: `12 s ago`, `5 min ago`, `3 h ago`, `4 d ago`; `in …` for the future."""
    size = describe_duration(abs(seconds))
    if abs(seconds) < 1:
        return "just now"
    return f"{size} ago" if seconds > 0 else f"in {size}"


def describe_duration(seconds: float) -> str:
    """A duration in its largest sensible unit: `131 ms`, `2.4 s`, `12 s`, `5 min`, `3 h`, `4 d`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (unit == "min" and seconds >= 90):
            return f"{int(seconds // size)} {unit}"
    return f"{seconds:.0f} s"


def describe_moment(text: object, *, now: float, utc: bool = False) -> str | None:
    """A server's timestamp for a person: local time with its offset and how long ago.

    `now` is seconds since the epoch; `utc` shows UTC instead of local time. None if the text does
    not tell a moment: show it as it came.
    """
    moment = parse_timestamp(text)
    if moment is None:
        return None
    try:
        shown = moment.astimezone(UTC if utc else None)
        age = timedelta(seconds=now - moment.timestamp()).total_seconds()
    except (OverflowError, ValueError, OSError):
        return None
    offset = "UTC" if utc else shown.strftime("%z")
    return f"{shown:%Y-%m-%d %H:%M:%S} {offset} ({describe_age(age)})"
