"""The report of a batch: every row's record in a file, CSV or JSON lines, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cmdstat.errors import ConfigurationError, UsageError
from cmdstat.models import UpdateRecord
from cmdstat.output import RECORD, Format, Results


def check_report(name: str | None, journal: Path, source: str | None = None) -> None:
    """Whether a report can be written there, before anything is sent. Raises `UsageError`.

    It must replace neither the journal nor the input (`source`, "-" for standard input).
    """
    if name is None:
        return
    _format_of(name)
    folder = Path(name).absolute().parent
    if Path(name).is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(
            f"the report {name} cannot be written there", "name a file in a folder of yours"
        )
    for what, other in (("the journal", journal), ("the input", 0 if source == "-" else source)):
        if other is not None and _is_same_file(Path(name), other):
            raise UsageError(
                f"the report {name} is the same file as {what}", "give it a name of its own"
            )


def write_report(name: str, records: Iterable[UpdateRecord]) -> None:
    """Write the records, then put the file in its place. Raises `ConfigurationError`."""
    from tempfile import mkstemp

    path = Path(name).absolute()
    unfinished: Path | None = None
    try:
        descriptor, made = mkstemp(prefix=".cmdstat-", dir=path.parent)
        unfinished = Path(made)
        with (
            open(descriptor, "w", encoding="utf-8", newline="") as file,
            Results(file, _format_of(name), RECORD).stream() as write,
        ):
            for record in records:
                write(record.to_dict())
        unfinished.replace(path)
    except OSError as failure:
        if unfinished is not None:
            with suppress(OSError):
                unfinished.unlink()
        raise ConfigurationError(
            f"the report {name} cannot be written: {failure.strerror or failure}",
            "the journal has every row: cmdstat history --run RUN",
        ) from failure


def _is_same_file(path: Path, other: Path | str | int) -> bool:
    """Whether two names, or a name and an open file's number, are one file, or would become it."""
    if not isinstance(other, int) and path.resolve() == Path(other).resolve():
        return True
    with suppress(OSError):
        return os.path.samestat(path.stat(), os.stat(other))  # noqa: PTH116  (may be a descriptor)
    return False


def _format_of(name: str) -> Format:
    extension = Path(name).suffix.lower()
    formats = {".csv": Format.CSV, ".jsonl": Format.JSONL, ".ndjson": Format.JSONL}
    if extension not in formats:
        raise UsageError(
            f"the report {name} is of no known format", "name it with .csv or .jsonl at the end"
        )
    return formats[extension]
