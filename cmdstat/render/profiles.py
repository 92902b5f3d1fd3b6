"""Profiles for a person: the list, one of them, its settings with their sources, and its check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from cmdstat.instants import describe_duration
from cmdstat.models import Outcome
from cmdstat.render.lines import cells
from cmdstat.render.signs import OUTCOME_SIGNS
from cmdstat.render.tables import Column, Detail, show_details, show_rows
from cmdstat.render.terminal import draws, encodable
from cmdstat.render.texts import nothing, plain, plain_line, value_text

Item = Mapping[str, Any]

_SETTINGS = ("timeout", "retries", "ca_bundle", "client_cert", "allow_http")
_ROOM_FOR_ROWS = 90
_SHORT = 20
_SANDBOX_URL = "on this machine, while a command runs"


def show_profiles(console: Console, items: Sequence[Item]) -> None:
    """The table of `profile list`."""
    columns = [
        Column("NAME", whole=True),
        Column("DEFAULT"),
        Column("BASE URL", whole=True),
        Column("KEY"),
    ]
    rows = [
        (
            plain_line(item["name"], console.encoding, "bold"),
            "yes" if item["default"] else "",
            _base_url(console, item),
            _key(console, item),
        )
        for item in items
    ]
    show_rows(console, columns, rows)


def show_profile(console: Console, item: Item, what_was_done: str) -> None:
    """One profile, after something was done to it."""
    details = [
        Detail("name", plain_line(item["name"], console.encoding), whole=True),
        Detail("default", value_text(item["default"])),
        Detail("base url", _base_url(console, item), whole=True),
        Detail("key", _key(console, item)),
        *(
            Detail(name.replace("_", " "), _setting_value(console, name, item[name]))
            for name in _SETTINGS
            if item[name] is not None
        ),
    ]
    show_details(console, "Profile", _glance(console, Outcome.UPDATED, what_was_done), details)


def show_removal(console: Console, item: Item) -> None:
    """What was removed, and what was left alone."""
    details = [
        Detail(label if index == 0 else "", plain(line, console.encoding))
        for label, lines in (("removed", item["removed"]), ("left alone", item["left"]))
        for index, line in enumerate(lines)
    ]
    show_details(console, "Profile", _glance(console, Outcome.UPDATED, "removed"), details)


def show_settings(console: Console, item: Item) -> None:
    """Every setting in force, its value, its source, and what it overrides.

    A row each where there is room; else a labelled value each, with its source behind or below it.
    """
    if console.width < _ROOM_FOR_ROWS:
        details = [_setting_detail(*row) for row in _setting_rows(console, item)]
        return show_details(console, "Settings", Text(), details)
    columns = [
        Column("SETTING", whole=True),
        Column("VALUE", whole=True),
        Column("FROM"),
        Column("OVERRIDES"),
    ]
    return show_rows(console, columns, _setting_rows(console, item))


def show_check(console: Console, item: Item) -> None:
    """What one call to the API showed."""
    error = item["error"]
    outcome = Outcome.UPDATED if error is None else Outcome(error["kind"])
    status, took = item["http_status"], describe_duration(item["elapsed_ms"] / 1000)
    profile = item["profile"]
    answer = f"none, after {took}" if status is None else f"HTTP {status} after {took}"
    details = [
        Detail(
            "profile",
            Text("none (from the environment)")
            if profile is None
            else plain_line(profile, console.encoding),
            whole=True,
        ),
        Detail("base url", _base_url(console, item), whole=True),
        Detail("key", _key(console, item)),
        Detail("answer", Text(answer)),
    ]
    if item["proxy"] is not None:
        details.insert(2, Detail("proxy", plain_line(item["proxy"], console.encoding), whole=True))
    words = item["verdict"].replace("_", " ")
    show_details(console, "Check", _glance(console, outcome, words), details)


def _glance(console: Console, outcome: Outcome, words: str) -> Text:
    """What came of it, with the sign and colour that such an outcome has everywhere."""
    sign = OUTCOME_SIGNS[outcome]
    drawn = sign.drawn(ascii_only=not draws(console.encoding))
    return Text(f"{drawn} {encodable(words, console.encoding)}", f"bold {sign.style}")


def _base_url(console: Console, item: Item) -> Text:
    if item["base_url"] is not None:
        return plain_line(item["base_url"], console.encoding)
    is_sandbox = item.get("key_source") == "built in"
    return Text(_SANDBOX_URL, "dim") if is_sandbox else nothing(console.encoding)


def _key(console: Console, item: Item) -> Text:
    """The masked key and its source on one line, or what is wrong with it."""
    encoding = console.encoding
    if item.get("problem") is not None:
        return plain(item["key_source"] or item["problem"], encoding, "yellow")
    mask = encodable(item["key"] or "", encoding) if draws(encoding) else (
        (item["key"] or "").replace("…", "...")
    )  # fmt: skip
    return Text.assemble(f"{mask}  ", (encodable(item["key_source"], encoding), "dim"))


def _setting_rows(console: Console, item: Item) -> list[tuple[Text, Text, Text, Text]]:
    """Name, value, source and what is overridden, of the choice of the profile and each setting."""
    choice = {
        "name": "profile",
        "value": item["profile"],
        "source": item["chosen_by"],
        "overrides": item["not_chosen"],
    }
    return [
        (
            Text(each["name"]),
            _setting_value(console, each["name"], each["value"]),
            plain(each["source"], console.encoding, "dim" if each["source"] == "default" else ""),
            _overridden(console, each["name"], each["overrides"]),
        )
        for each in (choice, *item["settings"])
    ]


def _setting_detail(name: Text, value: Text, source: Text, overrides: Text) -> Detail:
    """One setting as a labelled value; an address is never broken for what it overrides."""
    origin = Text.assemble((source.plain, "dim"))
    if overrides:
        origin.append(f", over {overrides.plain}", "dim")
    is_long = cells(value) > _SHORT or bool(overrides)
    text = Text("\n" if is_long else "  ").join([value, origin])
    return Detail(name.plain, text, whole=is_long and cells(value) >= cells(origin))


def _overridden(console: Console, name: str, overrides: Sequence[Item]) -> Text:
    """`60 s (profile prod), 30 s (default)`; a key that is not used is not shown either."""
    parts = [
        each["source"]
        if name == "key"
        else f"{_setting_value(console, name, each['value']).plain} ({each['source']})"
        for each in overrides
    ]
    return plain(", ".join(parts), console.encoding, "dim")


def _setting_value(console: Console, name: str, value: Any) -> Text:
    encoding = console.encoding
    if name == "timeout" and isinstance(value, (int, float)):
        return Text(f"{value:g} s")
    if name == "base_url" and value is None:
        return Text(_SANDBOX_URL, "dim")
    if name == "key" and value is not None and not draws(encoding):
        return Text(value.replace("…", "..."))
    return value_text(value, encoding)
