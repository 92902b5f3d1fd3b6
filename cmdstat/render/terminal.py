"""What a stream and an environment allow: width, colour and characters (design §3). No rich here.

Nothing reads the process's own streams or environment: both are passed in, so that tests and
several streams in one process see what they should.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import TextIO

WIDEST = 1_000_000
"""The width of what is no terminal: as much as any line needs."""

_USUAL_WIDTH = 80
_DRAWN = "─━┄○◷→◔◑✓✗⊘↷⊗▲↯…—"
"""Every character beyond ASCII that cmdstat draws by itself."""


def is_terminal(stream: TextIO) -> bool:
    """Whether a person sees what is written to `stream`; a closed stream is none."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def is_dumb(env: Mapping[str, str]) -> bool:
    """Whether the terminal understands no escape sequences."""
    return env.get("TERM", "").strip().lower() in ("dumb", "unknown")


def has_colour(stream: TextIO, env: Mapping[str, str]) -> bool:
    """Whether to write in colour; an empty variable means nothing, nor does `FORCE_COLOR=0`."""
    if env.get("NO_COLOR"):
        return False
    if env.get("FORCE_COLOR", "") not in ("", "0"):
        return True
    return is_terminal(stream) and not is_dumb(env)


def width_of(stream: TextIO, env: Mapping[str, str]) -> int:
    """Columns of a terminal: `COLUMNS`, what it says itself, or 80; `WIDEST` for anything else.

    `COLUMNS` that is junk or not positive is as good as unset. It says nothing of a pipe: what
    reads from there wants whole lines.
    """
    if not is_terminal(stream):
        return WIDEST
    columns = env.get("COLUMNS", "").strip()
    if columns.isascii() and columns.isdigit() and 0 < int(columns[:6]) < WIDEST:
        return int(columns[:6])
    try:
        return os.get_terminal_size(stream.fileno()).columns or _USUAL_WIDTH
    except (OSError, ValueError):
        return _USUAL_WIDTH


def encoding_of(stream: TextIO) -> str:
    """The encoding that `stream` writes, in lower case; text streams without one take anything."""
    return (getattr(stream, "encoding", None) or "utf-8").lower()


@lru_cache
def draws(encoding: str) -> bool:
    """Whether an encoding has the lines and signs that cmdstat draws; else it uses ASCII."""
    try:
        _DRAWN.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def encodable(text: str, encoding: str) -> str:
    r"""`text` with each character that `encoding` lacks spelt out (`\xe9`), before layout."""
    return text.encode(encoding, "backslashreplace").decode(encoding)
