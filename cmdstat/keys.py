"""API keys: a type that carries its source along and keeps the key out of every text.

Nothing but `reveal()` gives a key away: `repr`, `str`, formatting and pickling mask it, no message
repeats it, and `redact` takes it out of what a server or gateway echoes, in whatever spelling.
"""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from cmdstat.errors import ConfigurationError

MASK = "…"
REDACTED = "[key]"
LONGEST_KEY = 8192
"""Characters; servers refuse longer header lines, so a longer text is some other file."""

_SHOWN_FROM = 12
_SECRET_FROM = 6
_TELLING = 8
_FORMS_OF = {'"': "&quot;", "'": "&apos;", "<": "&lt;", ">": "&gt;", "&": "&amp;"}
_BASE64 = "[A-Za-z0-9+/_-]"


class ApiKey:
    """An API key and where it came from, in words: "CMDSTAT_API_KEY", "credentials.toml" …

    Make one with `ApiKey.parse`; the bare constructor is for a text that is known to be a key.
    """

    __slots__ = ("_encoded", "_plain_forms", "_spelt", "_text", "source")

    def __init__(self, text: str, source: str) -> None:
        self._text = text
        self.source = source
        self._spelt: re.Pattern[str] | None = None
        self._encoded: tuple[str, ...] = ()
        in_hex = text.encode("utf-8", "replace").hex()
        self._plain_forms = (text, text.lower(), text.upper(), in_hex, in_hex.upper())
        _held.append(self)

    @classmethod
    def parse(cls, text: str, source: str) -> ApiKey:
        """The key in a text, trimmed of surrounding white space and a byte-order mark.

        Raises `ConfigurationError`, which never repeats the text, unless what is left is printable
        ASCII without white space: nothing else can stand in a header.
        """
        key = text.strip().strip("\ufeff").strip()
        if not key:
            raise ConfigurationError(
                f"the API key from {source} is empty", "give the key as the console showed it"
            )
        if len(key) > LONGEST_KEY:
            problem = f"has more than {LONGEST_KEY} characters"
        elif key.lower().startswith(("bearer ", "authorization:")):
            problem = "is a whole header, not the key alone"
        elif key.lower().startswith(("http://", "https://")):
            problem = "is an address, not a key"
        elif re.search(r"\s", key):
            problem = "has white space inside it, or is more than one line"
        elif re.search(r"[^\x21-\x7e]", key):
            problem = "has characters that no header can carry (only printable ASCII can be)"
        else:
            return cls(key, source)
        raise ConfigurationError(
            f"the API key from {source} {problem}", "copy the key alone, as the console showed it"
        )

    def reveal(self) -> str:
        """The key itself: for the `Authorization` header and the stores, and nothing else."""
        return self._text

    @property
    def masked(self) -> str:
        """`…` and the last 4 characters of a key of 12 or more, else `…` alone."""
        return MASK + self._text[-4:] if len(self._text) >= _SHOWN_FROM else MASK

    def redact(self, text: str) -> str:
        """`text` with every occurrence of the key replaced by `[key]`.

        Found are the key as it is, in one letter case, in hex, percent-encoded once or more,
        escaped as JSON or HTML have it, and in base64, alone or within `user:key`. A text too short
        to be a secret is left alone: it would be found inside ordinary words.
        """
        if len(self._text) < _SECRET_FROM:
            return text
        for form in self._plain_forms:
            text = text.replace(form, REDACTED)
        if "%" in text or "\\" in text or "&" in text:
            self._spelt = self._spelt or re.compile("".join(map(_spellings, self._text)))
            text = self._spelt.sub(REDACTED, text)
        self._encoded = self._encoded or tuple(_base64_forms(self._text))
        for form in self._encoded:
            if form in text:
                text = re.sub(f"{_BASE64}{{0,3}}{re.escape(form)}{_BASE64}{{0,3}}={{0,2}}",
                              REDACTED, text)  # fmt: skip
        return text

    def __repr__(self) -> str:
        return f"ApiKey({self.masked!r}, source={self.source!r})"

    def __str__(self) -> str:
        return self.masked

    def __format__(self, specification: str) -> str:
        return format(self.masked, specification)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("an API key is not to be copied or pickled")


_held: list[ApiKey] = []


def redact_known(text: str) -> str:
    """`text` with every key taken out that this process has held: for the details of a defect."""
    for key in _held:
        text = key.redact(text)
    return text


def read_key_file(path: Path, source: str) -> ApiKey:
    """The key that a file holds and nothing else (a mounted secret; it may have any mode).

    Raises `ConfigurationError` for a file that is missing, cannot be read, is a folder, or holds
    something that is not one key.
    """
    try:
        with path.open("rb") as file:
            held = file.read(LONGEST_KEY * 2)
    except IsADirectoryError:
        problem = "is a folder"
    except OSError as error:
        problem = f"could not be read: {error.strerror or error}"
    else:
        return ApiKey.parse(_decoded(held, source), source)
    raise ConfigurationError(
        f"{source}: {path} {problem}", "name a file that holds the API key and nothing else"
    )


def _decoded(held: bytes, source: str) -> str:
    try:
        return held.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass  # leaving the handler first keeps the bytes out of the chained exceptions
    raise ConfigurationError(
        f"the API key from {source} is not text", "name a file that holds the API key alone"
    )


def _spellings(character: str) -> str:
    """A pattern of the ways in which one character of a key may be written."""
    point = ord(character)
    plain = re.escape(character)
    digits = "".join(f"[{digit}{digit.upper()}]" for digit in f"{point:02x}")
    escaped = r"\\{1,8}"
    forms = [
        plain,
        f"{escaped}{plain}",
        f"{escaped}u00{digits}",
        f"{escaped}x{digits}",
        f"%(?:25){{0,8}}{digits}",
        f"&#0{{0,8}}{point};?",
        f"&#[xX]0{{0,8}}{digits};?",
    ]
    if character in _FORMS_OF:
        forms.append(_FORMS_OF[character])
    return f"(?:{'|'.join(forms)})"


def _base64_forms(key: str) -> Iterable[str]:
    """The key in base64, at each of the three ways in which it can meet the groups of three bytes.

    Within something longer, the characters at either end also carry bits of the neighbours; those
    in the middle are always the same, and are sought if they are long enough to mean the key.
    """
    for encode in (b64encode, urlsafe_b64encode):
        for before in range(3):
            whole = encode(b"\0" * before + key.encode()).decode().rstrip("=")
            middle = whole[(0, 2, 3)[before] : (before + len(key)) // 3 * 4]
            if len(middle) >= _TELLING:
                yield middle
