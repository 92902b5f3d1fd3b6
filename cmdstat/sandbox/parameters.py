"""What a request asks for: the fields of a PUT's body, the parameters of a listing, checked."""

from __future__ import annotations

import json
import re
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode

from cmdstat.sandbox.replies import Refusal, bad_request, envelope
from cmdstat.sandbox.store import Filters
from cmdstat.states import BY_TEXT, SETTABLE

DEFAULT_LIMIT = 20
LARGEST_LIMIT = 1000
_LARGEST_OFFSET = 2**53

_SETTABLE = frozenset(state.text for state in SETTABLE)
_WHOLE_NUMBER = re.compile(r"[0-9]{1,4000}")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def read_update(body: bytes) -> tuple[str | None, str | None]:
    """State and reason of a PUT's body, None for what is not in it. Raises `Refusal`."""
    try:
        update = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Refusal(envelope(400, "The request body is not valid JSON", {})) from None
    if not isinstance(update, dict):
        raise Refusal(envelope(400, "The request body is not a JSON object", {}))
    problems: dict[str, list[str]] = {}
    for field in ("state", "reason"):
        value = update.get(field, "")
        if not isinstance(value, str) or _SURROGATE.search(value):
            problems[field] = ["Not a valid string."]
    if "state" in update and "state" not in problems and update["state"] not in _SETTABLE:
        problems["state"] = [f'"{update["state"]}" is not a valid choice.']
    if problems:
        raise bad_request(problems)
    return update.get("state"), update.get("reason")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class Listing(NamedTuple):
    """Which page of which commands."""

    filters: Filters
    limit: int
    offset: int

    def link(self, address: str, offset: int) -> str:
        """The page of the listing at `address` that begins at `offset`, with the same filters."""
        query: list[tuple[str, str | int]] = [("limit", self.limit)]
        if offset:
            query.append(("offset", offset))
        filters = self.filters
        if filters.requests:
            query.append(("request", ",".join(filters.requests)))
        if filters.devices:
            query.append(("device", ",".join(filters.devices)))
        if filters.state is not None:
            query.append(("state", filters.state))
        if filters.exclude_internal:
            query.append(("exclude_internal_commands", "true"))
        return f"{address}?{urlencode(query, safe=',')}"


def read_listing(query: str) -> Listing:
    """The parameters of a listing. Raises `Refusal`, naming every one that makes no sense."""
    try:
        given = parse_qs(query, max_num_fields=1000)
    except ValueError:
        raise bad_request({"query": ["Too many parameters."]}) from None
    problems: dict[str, list[str]] = {}

    def last(name: str, default: str) -> str:
        return given.get(name, [default])[-1]

    def number(name: str, default: int, least: int, most: int) -> int:
        text = last(name, str(default))
        if not _WHOLE_NUMBER.fullmatch(text) or int(text) < least:
            problems[name] = [f"Give a whole number, {least} or more."]
            return default
        return min(int(text), most)

    limit = number("limit", DEFAULT_LIMIT, 1, LARGEST_LIMIT)
    offset = number("offset", 0, 0, _LARGEST_OFFSET)
    state = last("state", "") or None
    if state is not None and state not in BY_TEXT:
        problems["state"] = [f'"{state}" is not a valid choice.']
    exclude = _BOOLEANS.get(last("exclude_internal_commands", "false").lower())
    if exclude is None:
        problems["exclude_internal_commands"] = ["Give true or false."]
    if problems:
        raise bad_request(problems)
    return Listing(
        Filters(_ids(given, "request"), _ids(given, "device"), state, bool(exclude)), limit, offset
    )


def _ids(given: dict[str, list[str]], name: str) -> tuple[str, ...]:
    """The ids of a comma-joined parameter, each once, in their order."""
    joined = ",".join(given.get(name, []))
    return tuple(dict.fromkeys(part for part in joined.split(",") if part))
