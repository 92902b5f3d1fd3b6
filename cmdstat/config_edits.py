"""Changes to a TOML text that leave every other byte of it alone: text in, text out. Pure.

tomlkit writes values, and replaces one within its line. Whole tables and new keys are placed here,
by lines, because tomlkit takes the comment above a table for the end of the table before it, and
would drop it, or write below it. Lines can deceive too (a `[` inside a long string), so no result
is believed: it is read again, and must say what was meant, exactly.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cmdstat.errors import ConfigurationError

Table = tuple[str, ...]
"""A table's name in parts: `("profiles", "prod")`; the empty one is the top of the file."""


def set_values(text: str, table: Table, values: Mapping[str, Any]) -> str:
    """The text with these keys of a table set; None removes a key. The table must be there."""
    meant = tomllib.loads(text)
    target = _find(meant, table)
    present = {name: value for name, value in values.items() if name in target}
    new = {
        name: value for name, value in values.items() if name not in target and value is not None
    }
    for name, value in (present | new).items():
        if value is None:
            del target[name]
        else:
            target[name] = value
    changed = _replace_values(text, table, present) if present else text
    return _as_meant(
        meant,
        lambda: _insert_lines(changed, table, _assignments(new)),
        lambda: _replace_values(changed, table, new),
    )


def add_table(text: str, table: Table, values: Mapping[str, Any]) -> str:
    """The text with a new table at its end."""
    meant = tomllib.loads(text)
    _find(meant, table[:-1], make=True)[table[-1]] = dict(values)
    end = _line_end(text)
    gap = "" if not text.strip() else end if text.endswith("\n") else end + end
    lines = [_header_text(table), *_assignments(values)]
    return _as_meant(meant, lambda: text + gap + end.join(lines) + end)


def remove_table(text: str, table: Table) -> str:
    """The text without a table; the comments below its last key stay, they may be of the next."""
    meant = tomllib.loads(text)
    del _find(meant, table[:-1])[table[-1]]
    bare = copy.deepcopy(meant)
    if len(table) > 1 and not _find(bare, table[:-1]):
        del _find(bare, table[:-2])[table[-2]]

    def by_lines() -> str:
        lines = text.splitlines(keepends=True)
        start, last = _span(lines, table)
        if last < len(lines) and not lines[last].strip():
            last += 1
        return "".join(lines[:start] + lines[last:])

    def by_tomlkit() -> str:
        document = _document(text)
        del _find(document, table[:-1])[table[-1]]
        return str(document.as_string())

    return _as_meant((meant, bare), by_lines, by_tomlkit)


def rename_table(text: str, table: Table, name: str) -> str:
    """The text with the last part of a table's name changed, in its place."""
    meant = tomllib.loads(text)
    parent = _find(meant, table[:-1])
    parent[name] = parent.pop(table[-1])

    def by_lines() -> str:
        lines = text.splitlines(keepends=True)
        start, _ = _span(lines, table)
        tail = lines[start].rpartition("]")[2]
        lines[start] = _header_text((*table[:-1], name)) + tail
        return "".join(lines)

    def by_tomlkit() -> str:
        document = _document(text)
        container = _find(document, table[:-1])
        container[name] = container.pop(table[-1])
        return str(document.as_string())

    return _as_meant(meant, by_lines, by_tomlkit)


def _as_meant(meant: object, *ways: Callable[[], str]) -> str:
    """The first way's result that reads as it was meant to (several readings may be right)."""
    readings = meant if isinstance(meant, tuple) else (meant,)
    for way in ways:
        try:
            text = way()
            if tomllib.loads(text) in readings:
                return text
        except (LookupError, TypeError, ValueError):  # tomlkit's own errors are ValueErrors
            continue
    raise ConfigurationError(
        "the file is laid out in a way that cannot be changed without losing something",
        "write each profile as a [profiles.NAME] table with one setting a line",
    )


def _find(top: Any, table: Table, *, make: bool = False) -> Any:
    for part in table:
        if make:
            top.setdefault(part, {})
        top = top[part]
    return top


def _document(text: str) -> Any:
    import tomlkit

    return tomlkit.parse(text)


def _replace_values(text: str, table: Table, values: Mapping[str, Any]) -> str:
    document = _document(text)
    container = _find(document, table)
    for name, value in values.items():
        if value is None:
            del container[name]
        else:
            container[name] = value
    return str(document.as_string())


def _assignments(values: Mapping[str, Any]) -> list[str]:
    import tomlkit

    return [
        f"{_key_text(name)} = {tomlkit.item(value).as_string()}" for name, value in values.items()
    ]


def _key_text(part: str) -> str:
    import tomlkit

    return str(tomlkit.key(part).as_string())


def _header_text(table: Table) -> str:
    return f"[{'.'.join(map(_key_text, table))}]"


def _insert_lines(text: str, table: Table, new: Iterable[str]) -> str:
    """The text with lines put below a table's last key."""
    lines = text.splitlines(keepends=True)
    end = _line_end(text)
    added = [line + end for line in new]
    if not added:
        return text
    _, place = _span(lines, table)
    if place and not lines[place - 1].endswith("\n"):
        lines[place - 1] += end
    if not table and place < len(lines) and lines[place].strip():
        added.append(end)
    return "".join(lines[:place] + added + lines[place:])


def _span(lines: list[str], table: Table) -> tuple[int, int]:
    """The lines of a table: its header's index, and the index after its last key.

    At the top of the file there is no header; without a key there, the place for one is below the
    comment that opens the file. Raises `LookupError` if no line is the table's header.
    """
    headers = [(index, path) for index, line in enumerate(lines) if (path := _header(line))]
    first = 0 if not table else next((at for at, path in headers if path == table), -1)
    if first < 0:
        raise LookupError(table)
    body = first + 1 if table else 0
    stop = next((at for at, _ in headers if at >= body), len(lines))
    for last in range(stop, body, -1):
        if lines[last - 1].strip() and not lines[last - 1].lstrip().startswith("#"):
            return first, last
    if table:
        return first, body
    blank = next((at for at in range(stop) if not lines[at].strip()), -1)
    return first, blank + 1


def _header(line: str) -> Table | None:
    """The name of the table that a line opens, or None."""
    if not line.lstrip().startswith("["):
        return None
    try:
        opened: Any = tomllib.loads(line)
    except ValueError:
        return None
    path: list[str] = []
    while isinstance(opened, dict) and opened:
        ((part, opened),) = opened.items()
        path.append(part)
    return tuple(path) if isinstance(opened, dict) else None


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
