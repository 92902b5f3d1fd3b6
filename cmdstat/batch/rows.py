"""Read the rows of a batch: CSV, TSV, JSONL, JSON or plain ids into updates and numbered problems.

Every format but JSON streams, so memory stays flat whatever the input's length. A problem names the
physical line that its row starts on; nothing here raises for what a row says.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple

from cmdstat.envelopes import parse_json
from cmdstat.errors import UsageError
from cmdstat.foreign import excerpt
from cmdstat.models import StatusUpdate
from cmdstat.states import parse_settable_state, parse_state

LONGEST_LINE = 1024 * 1024
"""Bytes of one line, and characters of one CSV cell."""
LARGEST_JSON = 64 * 1024 * 1024
"""Bytes of a JSON array, the one format that is read whole."""
_OWN = ("id", "state", "reason", "if_state", "requested")


class InputFormat(StrEnum):
    """The values of `--format`."""

    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    JSON = "json"
    IDS = "ids"


class Row(NamedTuple):
    """One update and the line of the input that it starts on."""

    line: int
    update: StatusUpdate


class Problem(NamedTuple):
    """What is wrong with the row that starts on a line.

    `ends_input`: nothing after that line could be read, so it cannot be skipped.
    """

    line: int
    text: str
    ends_input: bool = False


class Defaults(NamedTuple):
    """What fills the rows that lack it: exact texts, as `StatusUpdate` has them."""

    state: str | None = None
    reason: str | None = None
    if_state: tuple[str, ...] = ()


NO_DEFAULTS = Defaults()


class _Unreadable(Exception):
    """The input cannot be read on from a line, for a reason."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.problem = Problem(line, text, ends_input=True)


def format_of(name: str) -> InputFormat:
    """The format that a file's extension tells. Raises `UsageError` if it tells none."""
    extension = name.rpartition(".")[2].lower() if "." in name else ""
    known: dict[str, InputFormat] = {each.value: each for each in InputFormat}
    known |= {"ndjson": InputFormat.JSONL, "txt": InputFormat.IDS}
    if extension in known:
        return known[extension]
    shown = "standard input" if name == "-" else f'"{name}"'
    raise UsageError(
        f"the format of {shown} is not known",
        "name it with --format csv, tsv, jsonl, json or ids",
    )


def read_rows(
    source: BinaryIO, form: InputFormat, defaults: Defaults, notice: Callable[[str], None]
) -> Iterator[Row | Problem]:
    """The rows of an input, each an update or a problem, in order.

    `notice` is told once of columns that are ignored.
    """
    ignored = _Ignored(notice)
    read: dict[InputFormat, Callable[[], _Lines]] = {
        InputFormat.CSV: lambda: _read_csv(source, ",", ignored),
        InputFormat.TSV: lambda: _read_csv(source, "\t", ignored),
        InputFormat.JSONL: lambda: _read_json_lines(source, ignored),
        InputFormat.JSON: lambda: _read_json(source, ignored),
        InputFormat.IDS: lambda: _read_ids(source),
    }
    try:
        for line, cells in read[form]():
            if isinstance(cells, str):
                yield Problem(line, cells)
                continue
            try:
                yield Row(line, _update(cells, defaults))
            except UsageError as problem:
                hint = f" ({problem.hint})" if problem.hint.startswith("did you mean") else ""
                yield Problem(line, excerpt(problem.message + hint))
    except _Unreadable as end:
        yield end.problem


_Cells = Mapping[str, Any]
_Lines = Iterator[tuple[int, "_Cells | str"]]


def _update(cells: _Cells, defaults: Defaults) -> StatusUpdate:
    """The update of one row. Raises `UsageError` for what is wrong with it."""
    requested = cells.get("requested")
    if isinstance(requested, Mapping):
        cells = {**cells, "state": requested.get("state"), "reason": requested.get("reason")}
    command_id = _text(cells, "id")
    if command_id is None:
        raise UsageError("there is no id")
    state, reason = _text(cells, "state"), _text(cells, "reason")
    conditions = _conditions(cells.get("if_state"))
    return StatusUpdate(
        command_id,
        defaults.state if state is None else _settable(state),
        defaults.reason if reason is None else reason,
        conditions or defaults.if_state,
    )


def _text(cells: _Cells, name: str) -> str | None:
    value = cells.get(name)
    if value is None or isinstance(value, str):
        return value
    raise UsageError(f"the {name} is not a text; write it in quotes")


def _conditions(value: Any) -> tuple[str, ...]:
    """The states of `if_state`: a text with `|` between several, or an array of texts."""
    if value is None or value == "":
        return ()
    names = value.split("|") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError("if_state is neither a text nor an array of texts")
    return tuple(_any_state(name) for name in names)


@lru_cache(maxsize=256)
def _settable(name: str) -> str:
    return parse_settable_state(name).text


@lru_cache(maxsize=256)
def _any_state(name: str) -> str:
    return parse_state(name).text


def _numbered_lines(source: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Each physical line with its number from 1; a byte-order mark at the start is dropped."""
    number = 0
    while raw := _read(lambda: source.readline(LONGEST_LINE + 1), number + 1):
        number += 1
        if len(raw) > LONGEST_LINE:
            raise _Unreadable(number, f"the line is over {LONGEST_LINE // 1024} KiB")
        yield number, raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw


def _read(read: Callable[[], bytes], line: int) -> bytes:
    try:
        return read()
    except OSError as failure:
        raise _Unreadable(line, f"cannot be read on: {failure.strerror or failure}") from failure


def _decoded(number: int, raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as failure:
        raise _Unreadable(number, f"not UTF-8 (byte {failure.start + 1} of the line)") from None
    if "\0" in text:
        raise _Unreadable(number, "has a NUL byte in it, so it is not text")
    return text


def _read_ids(source: BinaryIO) -> _Lines:
    for number, raw in _numbered_lines(source):
        text = _decoded(number, raw).rstrip("\r\n")
        if text.strip():
            yield number, {"id": text}


def _read_json_lines(source: BinaryIO, ignored: _Ignored) -> _Lines:
    for number, raw in _numbered_lines(source):
        if not raw.strip():
            continue
        try:
            value = parse_json(raw)
        except ValueError as failure:
            yield number, f"the line {failure}"
            continue
        yield number, ignored.checked(value)


def _read_json(source: BinaryIO, ignored: _Ignored) -> _Lines:
    """One object, or an array of them, each with the line that it starts on."""
    raw = _read(lambda: source.read(LARGEST_JSON + 1), 1)
    if len(raw) > LARGEST_JSON:
        size = LARGEST_JSON // 1024 // 1024
        raise _Unreadable(1, f"a JSON input of over {size} MiB is not read whole; use JSONL")
    try:
        value = parse_json(raw)
    except ValueError as failure:
        raise _Unreadable(1, f"the input {failure}") from None
    if not isinstance(value, list):
        yield 1, ignored.checked(value)
        return
    text = raw.decode("utf-8-sig")
    lines = _starting_lines(text, len(value))
    for number, item in zip(lines, value, strict=True):
        yield number, ignored.checked(item)


def _starting_lines(text: str, count: int) -> Iterator[int]:
    """The line on which each of an array's items starts, in a text that is known to be JSON."""
    decoder = json.JSONDecoder()
    position = counted = text.index("[") + 1
    number = 1 + text.count("\n", 0, position)
    for _ in range(count):
        while text[position] in " \t\r\n,":
            position += 1
        number += text.count("\n", counted, position)
        yield number
        _, end = decoder.raw_decode(text, position)
        counted, position = position, end


def _read_csv(source: BinaryIO, delimiter: str, ignored: _Ignored) -> _Lines:
    last = 0

    def texts() -> Iterator[str]:
        nonlocal last
        for last, raw in _numbered_lines(source):
            yield _decoded(last, raw)

    csv.field_size_limit(LONGEST_LINE)
    rows = csv.reader(texts(), delimiter=delimiter, strict=True)
    names: list[str] | None = None
    while True:
        started = last + 1
        try:
            cells = next(rows, None)
        except csv.Error as failure:
            raise _Unreadable(started, f"not readable as a table: {failure}") from None
        if cells is None:
            return
        if not any(cells):
            continue
        if names is None:
            names = _header(cells, started, ignored)
        elif len(cells) > len(names):
            yield started, f"{len(cells)} cells, but the header names {len(names)}"
        else:
            pairs = zip(names, cells, strict=False)
            yield started, {name: cell for name, cell in pairs if cell != ""}


def _header(cells: Sequence[str], line: int, ignored: _Ignored) -> list[str]:
    names = [cell.strip().lower() for cell in cells]
    if "id" not in names:
        if ";" in cells[0]:
            raise _Unreadable(line, "the columns are separated by semicolons; save it with commas")
        found = excerpt(", ".join(f'"{name}"' for name in names[:10]))
        raise _Unreadable(line, f"the header has no column id; it has {found}")
    for name in _OWN:
        if names.count(name) > 1:
            raise _Unreadable(line, f"the header has the column {name} more than once")
    ignored.note([name for name in names if name not in _OWN[:4]])
    return names


class _Ignored:
    """Tells once which columns or keys are ignored."""

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice: Callable[[str], None] | None = notice

    def note(self, names: Sequence[str]) -> None:
        if names and self._notice is not None:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            self._notice(f"columns that are ignored: {excerpt(', '.join(names[:5]))}{more}")
            self._notice = None

    def checked(self, value: Any) -> _Cells | str:
        """A JSON row, or what is wrong with it."""
        if not isinstance(value, dict):
            return "not a JSON object"
        if self._notice is not None and not value.keys() <= set(_OWN):
            self.note([name for name in value if name not in _OWN])
        return value
