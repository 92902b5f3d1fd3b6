r"""Foreign text: what a server, a file or the command line brought, made harmless when shown.

Such text is data. A control, escape or bidirectional control character in it could move the cursor,
retitle the window, or make an id read backwards; none of them may reach a terminal. JSON gets `\u`
escapes, which lose nothing; a person gets the same characters spelt out (`\x1b`, `\u202e`).
"""

from __future__ import annotations

import json
import re
from typing import Any

_STEERING = (
    "\x7f-\x9f"  # DEL and the C1 controls, 0x9b (CSI) among them
    "\u061c\u200e\u200f"  # bidirectional marks
    "\u2028-\u202e"  # line and paragraph separators, embeddings and overrides
    "\u00ad\u180e\u200b"  # soft hyphen and spaces of no width, which make two ids look alike
    "\u2060-\u206f"  # isolates and other invisible formatting
    "\ufeff\ufff9-\ufffb"  # byte-order mark, interlinear annotation
    "\ud800-\udfff"  # lone surrogates, which no encoding can carry
    "\U000e0000-\U000e007f"  # invisible tags
)
_NOT_IN_JSON = re.compile(f"[{_STEERING}]")
_NOT_ON_SCREEN = re.compile(f"[\x00-\x09\x0b-\x1f{_STEERING}]")
_NOT_ON_ONE_LINE = re.compile(f"[\x00-\x1f{_STEERING}]")


def _spelt_out(match: re.Match[str]) -> str:
    point = ord(match.group())
    if match.group() == "\t":
        return "    "
    if point <= 0xFF:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"


def _json_escape(match: re.Match[str]) -> str:
    return json.dumps(match.group())[1:-1]


def clean(text: str) -> str:
    """`text` with every steering character spelt out; line feeds stay, for a cell that folds."""
    return _NOT_ON_SCREEN.sub(_spelt_out, text.replace("\r\n", "\n"))


def clean_line(text: str) -> str:
    """`text` as one harmless line: as `clean`, and line feeds are spelt out too."""
    return _NOT_ON_ONE_LINE.sub(_spelt_out, text)


def quoted(text: str) -> str:
    """A text as one word to paste into a shell, in a command that a hint shows; harmless there."""
    import shlex

    word = shlex.quote(clean_line(text))
    return f"-- {word}" if text.startswith("-") else word


def excerpt(text: str, longest: int = 200) -> str:
    """The first `longest` harmless characters of a text, on one line, for an error message."""
    line = clean_line(" ".join(text[: longest * 4].split()))
    return line if len(line) <= longest else line[: longest - 1] + "…"


def to_json(value: Any, *, indent: int | None = None, ascii_only: bool = False) -> str:
    r"""JSON text in which no character can steer a terminal; `\u` escapes keep every value.

    Steering characters can only stand inside JSON strings, so escaping them in the finished text
    is exact. Raises `ValueError` for NaN and infinities, which are not JSON.
    """
    separators = None if indent else (", ", ": ")
    text = json.dumps(
        value, indent=indent, ensure_ascii=ascii_only, allow_nan=False, separators=separators
    )
    return text if ascii_only else _NOT_IN_JSON.sub(_json_escape, text)
