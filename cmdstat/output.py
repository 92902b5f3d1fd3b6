"""Results for scripts: JSON, JSON lines and CSV on a stream that is passed in (design §3).

A script reads these while the command still runs and after it failed midway, so every item is
flushed when it is written and an array is closed whatever happens. Nothing is kept in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, NamedTuple, TextIO

from cmdstat.foreign import clean, to_json
from cmdstat.models import CONTENT_FIELDS

Item = Mapping[str, Any]


class Format(StrEnum):
    """The values of `--output`; `table` is for people and is drawn by `render`."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


class CsvShape(NamedTuple):
    """How one kind of item becomes a CSV row: the header, and the cell of each of its columns."""

    columns: tuple[str, ...]
    flatten: Callable[[Item], dict[str, str]]


_RECORD_PATHS: dict[str, tuple[str, ...]] = {
    "n": ("n",),
    "id": ("id",),
    "state": ("requested", "state"),
    "reason": ("requested", "reason"),
    **{name: (name,) for name in ("outcome", "http_status", "code", "message")},
    **{f"content.{name}": ("content", name) for name in CONTENT_FIELDS},
    "before.state": ("before", "state"),
    "confirmed": ("confirmed",),
    **{f"error.{name}": ("error", name) for name in ("kind", "message", "hint")},
    **{
        name: (name,)
        for name in ("attempts", "elapsed_ms", "profile", "base_url", "by", "run", "line", "at")
    },
}
"""The columns of a record, in order, each with where its value stands in the record."""


def flatten_record(record: Item) -> dict[str, str]:
    """A record as the cells of one CSV row; the same columns in the same order for every record.

    `state` and `reason` are the requested ones. A header has to be known before the first row, so
    fields that the service does not document are left out of CSV; JSON has them.
    """
    return {column: _cell(_at(record, path)) for column, path in _RECORD_PATHS.items()}


def flatten_content(content: Item) -> dict[str, str]:
    """A command's content as the cells of one CSV row: the documented fields, under their names.

    Unknown fields are left out for the reason that `flatten_record` gives.
    """
    return {column: _cell(content.get(column)) for column in CONTENT_FIELDS}


RECORD = CsvShape(tuple(_RECORD_PATHS), flatten_record)
CONTENT = CsvShape(CONTENT_FIELDS, flatten_content)


def flat(*columns: str) -> CsvShape:
    """The shape of items that are flat already (states, profiles, counts): these keys of them."""
    return CsvShape(columns, lambda item: {column: _cell(item.get(column)) for column in columns})


class Results:
    r"""Writes results to `stream` in one of the three machine formats.

    Text that the stream's encoding cannot carry is written as `\u` escapes, which in JSON lose
    nothing. Every method has flushed before it returns; a stream that is gone raises its `OSError`
    as it is.
    """

    def __init__(self, stream: TextIO, form: Format, shape: CsvShape) -> None:
        assert form is not Format.TABLE
        self._stream = stream
        self._form = form
        self._shape = shape
        self._encoding = (getattr(stream, "encoding", None) or "utf-8").lower()
        self._ascii_only = self._encoding not in ("utf-8", "utf8")

    def one(self, item: Item) -> None:
        """Write a single result: a JSON object, one line of JSON, or a CSV header and its row."""
        if self._form is Format.JSON:
            self._write(to_json(item, indent=2, ascii_only=self._ascii_only) + "\n")
        else:
            with self.stream() as write:
                write(item)

    @contextmanager
    def stream(self) -> Iterator[Callable[[Item], None]]:
        """Write many results, each when it is there: `with results.stream() as write: write(item)`.

        JSON is an array with an item a line, closed even when the block ends in an exception.
        """
        if self._form is Format.JSON:
            yield from self._stream_array()
        elif self._form is Format.JSONL:
            yield lambda item: self._write(self._line(item) + "\n")
        else:
            self._write_row(self._shape.columns)
            yield lambda item: self._write_row(self._shape.flatten(item).values())

    def _stream_array(self) -> Iterator[Callable[[Item], None]]:
        separator = "[\n  "

        def write(item: Item) -> None:
            nonlocal separator
            line = self._line(item)
            self._write(separator + line)
            separator = ",\n  "

        try:
            yield write
        finally:
            self._write("[]\n" if separator.startswith("[") else "\n]\n")

    def _line(self, item: Item) -> str:
        return to_json(item, ascii_only=self._ascii_only)

    def _write_row(self, cells: Any) -> None:
        import csv
        from io import StringIO

        row = StringIO(newline="")
        csv.writer(row, lineterminator="\n").writerow(cells)
        self._write(_carried_by(self._encoding, row.getvalue()))

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _at(item: Any, path: tuple[str, ...]) -> Any:
    """The value at a path of keys; None where the path ends early, whatever stands there."""
    for key in path:
        if not isinstance(item, Mapping):
            return None
        item = item.get(key)
    return item


def _carried_by(encoding: str, text: str) -> str:
    """`text` with each character that `encoding` lacks as the escape that JSON would have."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(
            each if each.encode(encoding, "ignore") else to_json(each, ascii_only=True)[1:-1]
            for each in text
        )
    return text


def _cell(value: Any) -> str:
    """One CSV cell: text made harmless, null empty, and everything else as compact JSON."""
    if value is None:
        return ""
    return clean(value) if isinstance(value, str) else to_json(value)
