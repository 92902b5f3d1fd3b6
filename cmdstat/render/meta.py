"""What a device returned (`command_meta`), in the two documented shapes and in any other."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from cmdstat.render.lines import print_lines
from cmdstat.render.tables import Column, Detail, show_details, show_rows
from cmdstat.render.texts import (
    id_text,
    more_text,
    percentage_text,
    plain_line,
    size_text,
    value_text,
)
from cmdstat.render.tree import show_tree

_STATUS_LABELS = {
    "status": "status",
    "is_downloaded": "downloaded",
    "download_percent_complete": "progress",
    "product_version": "version",
    "product_key": "product key",
}
_STATUS_MARKS = {"is_downloaded", "download_percent_complete", "product_key"}

_MOST_UPDATES = 50
_MOST_UNKNOWN_COLUMNS = 4
_UPDATE_COLUMNS = {
    "human_readable_name": Column("update"),
    "product_version": Column("version", whole=True),
    "build": Column("build", whole=True),
    "is_critical": Column("critical", whole=True),
    "download_size": Column("size", right=True),
    "product_key": Column("product key", whole=True),
}


def show_meta(console: Console, meta: Any) -> None:
    """A blank line and what the device returned; nothing at all where it returned nothing.

    `meta` is the content's `command_meta`: an object with a `result`, or whatever else was sent.
    """
    result, others = None, meta
    if isinstance(meta, dict):
        result = meta.get("result")
        others = {key: value for key, value in meta.items() if key != "result"}
    if result is not None:
        console.line()
        _show_result(console, result)
    if others not in (None, {}):
        console.line()
        show_tree(console, "Returned" if result is None else "Returned besides", others)


def _show_result(console: Console, result: Any) -> None:
    if result == []:
        print_lines(console, [Text("The device returned an empty list: it found nothing.")])
    elif isinstance(result, dict) and _STATUS_MARKS & result.keys():
        _show_update_status(console, result)
    elif isinstance(result, list) and _are_updates(result):
        _show_updates(console, result)
    else:
        show_tree(console, "Returned", result)


def _show_update_status(console: Console, status: dict[str, Any]) -> None:
    """The result of OS_UPDATE_STATUS: how far the device is with its system update."""
    encoding = console.encoding
    details = []
    for key in dict.fromkeys([*_STATUS_LABELS, *status]):
        if key in status:
            text = percentage_text if key == "download_percent_complete" else value_text
            value = text(status[key], encoding)
            details.append(Detail(_STATUS_LABELS.get(key, key), value))
    show_details(console, "OS update", Text(), details)


def _are_updates(result: list[Any]) -> bool:
    return all(isinstance(each, dict) for each in result) and any(
        _UPDATE_COLUMNS.keys() & each.keys() for each in result
    )


def _show_updates(console: Console, updates: list[dict[str, Any]]) -> None:
    """The result of SCAN_OS_UPDATES, one row an update; columns that no row fills are left out."""
    encoding = console.encoding
    shown = updates[:_MOST_UPDATES]
    known = [key for key in _UPDATE_COLUMNS if any(key in each for each in shown)]
    unknown = [key for each in shown for key in each if key not in _UPDATE_COLUMNS]
    keys = [*known, *list(dict.fromkeys(unknown))[:_MOST_UNKNOWN_COLUMNS]]
    rows = [[_update_cell(key, each.get(key), encoding) for key in keys] for each in shown]
    columns = [_UPDATE_COLUMNS.get(key) or Column(plain_line(key, encoding).plain) for key in keys]
    show_rows(console, columns, rows, title="OS updates found")
    if len(updates) > len(shown):
        print_lines(console, [more_text(f"and {len(updates) - len(shown):,} more", encoding)])


def _update_cell(key: str, value: Any, encoding: str) -> Text:
    if key == "download_size":
        return size_text(value, encoding)
    column = _UPDATE_COLUMNS.get(key)
    return (id_text if column and column.whole else value_text)(value, encoding)
