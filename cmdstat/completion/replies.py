"""An offer as the lines that a shell's script understands (see the package's description)."""

from __future__ import annotations

from collections.abc import Iterator

from cmdstat.completion.candidates import Candidate, Offer
from cmdstat.completion.words import QUOTING, Word, split


def reply(shell: str, offer: Offer, word: Word, head: str, replaced: str) -> list[str]:
    """The lines of the answer.

    `head` is the part of the word before the value, as text; `replaced` is the end of the word that
    bash is going to replace, as typed.
    """
    if offer.files:
        return ["files"]
    to_go_on = bool(offer.candidates) and all(each.text.endswith("=") for each in offer.candidates)
    return [
        "open" if to_go_on else "plain",
        *_lines(shell, offer.candidates, word, head, replaced),
    ]


def _lines(
    shell: str, candidates: tuple[Candidate, ...], word: Word, head: str, replaced: str
) -> Iterator[str]:
    for candidate in candidates:
        whole = head + candidate.text
        if shell == "bash":
            insert = _rest_of(whole, word, replaced)
            if insert is not None:
                yield insert
        elif shell == "powershell":
            yield f"{_quoted(whole, word.quote)}\t{candidate.text}\t{candidate.note}"
        else:
            yield f"{whole}\t{candidate.note}"


def _rest_of(whole: str, word: Word, replaced: str) -> str | None:
    """What bash shall put in place of the end of a word, so that all of it comes to `whole`.

    Bash replaces what follows the last of its word breaks (`=`, `:`) or the opening quote, and
    closes the quote itself. None if the part that stays does not begin `whole`.
    """
    stays = split(word.typed.removesuffix(replaced), QUOTING["bash"])[-1]
    if not whole.casefold().startswith(stays.text.casefold()):
        return None
    rest = whole[len(stays.text) :]
    return rest if stays.quote else rest.replace(" ", "\\ ")


def _quoted(whole: str, quote: str) -> str:
    """A word for PowerShell, in the quotes that were opened or, for a space, in single ones."""
    quote = quote or ("'" if " " in whole else "")
    return f"{quote}{whole}{quote}"
