"""The report of a batch: every row's record in a file, CSV or JSON lines, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cmdstat.errors import ConfigurationError, UsageError
from cmdstat.models import UpdateRecord
from cmdstat.output import RECORD, Format, Results


def check_report(name: str | None) -> None:
    """Whether a report can be written there, before anything is sent. Raises `UsageError`."""
    if name is None:
        return
    _format_of(name)
    folder = Path(name).absolute().parent
    if Path(name).is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(
            f"the report {name} cannot be written there", "name a file in a folder of yours"
        )


def write_report(name: str, records: Iterable[UpdateRecord]) -> None:
    """Write the records, then put the file in its place. Raises `ConfigurationError`."""
    path = Path(name).absolute()
    unfinished = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        with (
            unfinished.open("w", encoding="utf-8", newline="") as file,
            Results(file, _format_of(name), RECORD).stream() as write,
        ):
            for record in records:
                write(record.to_dict())
        unfinished.replace(path)
    except OSError as failure:
        with suppress(OSError):
            unfinished.unlink()
        raise ConfigurationError(
            f"the report {name} cannot be written: {failure.strerror or failure}",
            "the journal has every row: cmdstat history --run RUN",
        ) from failure


def _format_of(name: str) -> Format:
    extension = Path(name).suffix.lower()
    formats = {".csv": Format.CSV, ".jsonl": Format.JSONL, ".ndjson": Format.JSONL}
    if extension not in formats:
        raise UsageError(
            f"the report {name} is of no known format", "name it with .csv or .jsonl at the end"
        )
    return formats[extension]
