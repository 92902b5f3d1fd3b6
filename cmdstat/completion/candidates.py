"""The candidates for a place: those that are safe, and fit what is typed."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from cmdstat.completion.place import COMMANDS, OPTIONS, Place
from cmdstat.completion.table import Command

FILES = "@files"
FILES_OR_RUNS = "@files-or-runs"
STATES, SETTABLE_STATES = "@states", "@settable-states"
PROFILES, IDS, RUNS, UNFINISHED_RUNS = "@profiles", "@ids", "@runs", "@unfinished-runs"

_NAME_CHARACTERS = frozenset(string.ascii_letters + string.digits + "._-")
_LONGEST = 200


class Candidate(NamedTuple):
    """A word that may stand at the cursor, and a note on it for the shells that show one."""

    text: str
    note: str = ""


class Offer(NamedTuple):
    """What to offer; `files` leaves it to the shell to complete file names."""

    candidates: tuple[Candidate, ...] = ()
    files: bool = False


Source = Callable[[], Iterable[Candidate]]


def is_name(text: object) -> bool:
    """Whether a text found on this machine may be offered: harmless in any shell, and no option."""
    return (
        isinstance(text, str)
        and 0 < len(text) <= _LONGEST
        and _NAME_CHARACTERS.issuperset(text)
        and not text.startswith("-")
    )


def candidates_at(
    place: Place, table: Mapping[str, Command], sources: Mapping[str, Source], *, quoted: bool
) -> Offer:
    """What to offer at a place; `quoted` if the word there has a quote open.

    `sources` are the makers of values by their names in the table; only the one that is needed is
    called.
    """
    values = place.values
    if values == FILES_OR_RUNS:
        resuming = {"--resume": UNFINISHED_RUNS, "--retry-failed": RUNS}
        values = next((resuming[name] for name in resuming if name in place.given), FILES)
    if values == FILES:
        return Offer(files=True)
    if values in (STATES, SETTABLE_STATES):
        return Offer(_states(place.typed, settable=values == SETTABLE_STATES, quoted=quoted))
    known = table.get(place.path) or Command()
    if values == OPTIONS:
        every = [Candidate(_longest(each.names), each.note) for each in known.options]
    elif values == COMMANDS:
        every = [Candidate(name, note) for name, note in known.commands.items()]
    elif values in sources:
        every = [each for each in sources[values]() if is_name(each.text)]
    else:
        every = [Candidate(each) for each in values.split("|") if each not in ("", "*")]
    return Offer(_fitting(every, place.typed))


def _states(typed: str, *, settable: bool, quoted: bool) -> tuple[Candidate, ...]:
    """The short names, or the exact texts in open quotes; the others where none of them fits."""
    from cmdstat.states import SETTABLE, STATES

    among = SETTABLE if settable else STATES
    short = _fitting([Candidate(state.short, state.meaning) for state in among], typed)
    exact = _fitting([Candidate(state.text, state.meaning) for state in among], typed)
    return (exact or short) if quoted else (short or exact)


def _fitting(every: Iterable[Candidate], typed: str) -> tuple[Candidate, ...]:
    """Those that begin with what is typed, in any letter case."""
    folded = typed.casefold()
    return tuple(each for each in every if each.text.casefold().startswith(folded))


def _longest(names: Iterable[str]) -> str:
    return max(names, key=len)
