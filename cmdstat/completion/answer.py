"""`cmdstat __complete SHELL`: the call that the completion scripts make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from cmdstat.completion.candidates import candidates_at
from cmdstat.completion.place import find_place
from cmdstat.completion.replies import reply
from cmdstat.completion.sources import sources_of
from cmdstat.completion.table import load_table
from cmdstat.completion.words import QUOTING, Word, split

LINE, WORD = "_CMDSTAT_LINE", "_CMDSTAT_WORD"
"""The variables that carry the command line, and the part of its last word to be replaced."""


def run(arguments: Sequence[str]) -> NoReturn:
    """Answer a script and end the process, silently and with exit code 0 whatever happens."""
    import os

    try:
        lines = answer(arguments[0] if arguments else "", os.environ)
        os.write(1, "".join(f"{line}\n" for line in lines).encode())
    finally:
        os._exit(0)


def answer(shell: str, env: Mapping[str, str]) -> list[str]:
    """The lines of the answer; whatever cannot be read is not offered."""
    if shell not in QUOTING:
        return []
    words = _after_program(split(env.get(LINE, ""), QUOTING[shell]))
    if not words:
        return []
    table = load_table()
    place = find_place(words, table)
    offer = candidates_at(place, table, sources_of(env), quoted=bool(words[-1].quote))
    return reply(shell, offer, words[-1], place.head, env.get(WORD, ""))


def _after_program(words: list[Word]) -> list[Word]:
    """The words after the program's name, which assignments may precede (`TZ=UTC cmdstat …`)."""
    for number, word in enumerate(words):
        name, equals, _ = word.text.partition("=")
        if not (equals and name.isidentifier()):
            return words[number + 1 :]
    return []
