"""The nine states of a command: one table, everything else derived from it.

Texts, meanings and which of them a caller may set come from the service's reference
(`contract/API.md`); the short names are cmdstat's own. `Command TimeOut` is final, yet a device may
still report success or failure later, so `wait` does not end on it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cmdstat.errors import UsageError


class State(NamedTuple):
    """One state: the API's exact text and what cmdstat knows of it."""

    text: str
    short: str
    other_names: tuple[str, ...]
    settable: bool
    final: bool
    may_change_later: bool
    meaning: str


STATES: tuple[State, ...] = (
    State(
        "Command Queued", "queued", (), False, False, False,
        "waiting its turn, first in, first out",
    ),
    State(
        "Command Scheduled", "scheduled", (), True, False, False,
        "has a schedule; fires within its window",
    ),
    State(
        "Command Initiated", "initiated", (), False, False, False,
        "has been fired at the device",
    ),
    State(
        "Command Acknowledged", "acknowledged", ("ack",), True, False, False,
        "has reached the device, which still has to process it",
    ),
    State(
        "Command In Progress", "in-progress", (), True, False, False,
        "the device is processing it",
    ),
    State(
        "Command Success", "success", (), True, True, False,
        "the device reports that it worked",
    ),
    State(
        "Command Failure", "failure", ("failed",), True, True, False,
        "the device reports that it did not",
    ),
    State(
        "Command TimeOut", "timeout", (), True, True, True,
        "the cloud stopped waiting; the command may still succeed or fail later",
    ),
    State(
        "Command Cancelled", "cancelled", ("canceled",), True, True, False,
        "cancelled before it fired",
    ),
)  # fmt: skip

BY_TEXT: dict[str, State] = {state.text: state for state in STATES}
SETTABLE: tuple[State, ...] = tuple(state for state in STATES if state.settable)


def _folded(name: str) -> str:
    """`Command In-Progress`, `command_in progress`, `in-progress` all fold to `inprogress`."""
    folded = re.sub(r"[\s_-]+", "", name).casefold()
    return folded.removeprefix("command")


_BY_FOLDED: dict[str, State] = {
    _folded(name): state for state in STATES for name in (state.text, *state.other_names)
}


def find_state(name: str) -> State | None:
    """The state that `name` names, in any letter case and spelling that the design allows."""
    return _BY_FOLDED.get(_folded(name))


def is_final(text: object) -> bool:
    """Whether a reported state is final; a state that this table does not know is not."""
    return isinstance(text, str) and text in BY_TEXT and BY_TEXT[text].final


def nearest_state(name: str, among: tuple[State, ...] = STATES) -> State | None:
    """The state whose name is closest to a misspelt one, or None if nothing is near."""
    from difflib import get_close_matches

    folded = {
        _folded(spelling): state for state in among for spelling in (state.text, *state.other_names)
    }
    match = get_close_matches(_folded(name), folded, n=1, cutoff=0.6)
    return folded[match[0]] if match else None


def parse_state(name: str, suggest: tuple[State, ...] = STATES) -> State:
    """The state that `name` names, settable or not.

    Raises `UsageError` for anything else, with the nearest of the states in `suggest`.
    """
    state = find_state(name)
    if state is None:
        near = nearest_state(name, suggest)
        raise UsageError(
            f'"{name}" is not a state',
            f"did you mean {near.short}?" if near else "see them all with: cmdstat states",
        )
    return state


def parse_settable_state(name: str) -> State:
    """The state to set. Raises `UsageError` for an unknown one and for one only servers report."""
    state = parse_state(name, SETTABLE)
    if not state.settable:
        raise UsageError(
            f"{state.text} cannot be set: the server reports it, a caller cannot set it",
            "one of these can be set: " + ", ".join(each.short for each in SETTABLE),
        )
    return state
