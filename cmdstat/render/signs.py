"""The sign and colour of every state and outcome: one table, so that both always agree.

A sign is one column wide and says the same as the colour, for a monochrome terminal and for eyes
that do not tell red from green; each has a stand-in for encodings without it. Colours are the
terminal's own sixteen, which its user chose to be readable. No rich here: these are data.
"""

from __future__ import annotations

from typing import NamedTuple

from cmdstat.models import Outcome


class Sign(NamedTuple):
    """How one state or outcome is marked; `style` is a colour in rich's words."""

    sign: str
    ascii: str
    style: str

    def drawn(self, *, ascii_only: bool) -> str:
        """The sign for an encoding with or without it."""
        return self.ascii if ascii_only else self.sign


STATE_SIGNS: dict[str, Sign] = {
    "Command Queued": Sign("○", ".", ""),
    "Command Scheduled": Sign("◷", "@", ""),
    "Command Initiated": Sign("→", ">", "cyan"),
    "Command Acknowledged": Sign("◔", "*", "cyan"),
    "Command In Progress": Sign("◑", "~", "cyan"),
    "Command Success": Sign("✓", "+", "green"),
    "Command Failure": Sign("✗", "x", "red"),
    "Command TimeOut": Sign("!", "!", "yellow"),
    "Command Cancelled": Sign("⊘", "-", "magenta"),
}

OUTCOME_SIGNS: dict[Outcome, Sign] = {
    Outcome.UPDATED: Sign("✓", "+", "green"),
    Outcome.SKIPPED: Sign("↷", "-", "magenta"),
    Outcome.REFUSED: Sign("✗", "x", "red"),
    Outcome.UNAUTHORIZED: Sign("⊗", "#", "red"),
    Outcome.SERVER_ERROR: Sign("▲", "!", "red"),
    Outcome.UNREACHABLE: Sign("↯", "/", "red"),
    Outcome.UNKNOWN: Sign("?", "?", "yellow"),
    Outcome.PENDING: Sign("○", ".", "cyan"),
}
