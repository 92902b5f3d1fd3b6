"""Read from the service until there is an answer that counts: what may pass is tried again.

Every read goes through here, whether a command is looked at, a listing is paged, or an update that
is in doubt is read back: one rule for which failures are tried again, and for how long (design §4).
Pure: the request, the waiting and the policy are passed in.
"""

from __future__ import annotations

from collections.abc import Callable

from cmdstat.answers import Answer
from cmdstat.attempts import Pacing, Policy, Step
from cmdstat.errors import RequestRefused
from cmdstat.foreign import quoted
from cmdstat.models import Content


def read(
    request: Callable[[], Answer],
    pacing: Pacing,
    policy: Policy,
    watch: Callable[[Step], None] = lambda _step: None,
) -> Answer:
    """The answer to a read, which is the last one when none was good or the user asked to stop.

    `watch` hears of each request (`sending`) and of each wait before the next.
    """
    tries = 0
    while True:
        tries += 1
        watch(Step("sending", tries, policy.retries + 1))
        answer = request()
        if not answer.may_pass:
            return answer
        wait = policy.wait_after(tries, answer)
        if answer.status == 429 and pacing.takes_over(answer):
            tries -= 1
            wait = 0.0
        if wait is None:
            return answer
        watch(Step("waiting", tries + 1, policy.retries + 1, wait, answer))
        if not (pacing.wait(wait) and pacing.turn()):
            return answer


def content_of(answer: Answer, command_id: str) -> Content:
    """The content of a command that was read. Raises the answer's error if there is none.

    A command has two ids, its own and its request's, and the wrong one is easily copied: for an
    unknown id the hint says how to look for it as the other.
    """
    if answer.status == 404 and answer.error is not None:
        raise RequestRefused(
            answer.error.message,
            "if it is the id of a request, see its commands:"
            f" cmdstat list --request {quoted(command_id)}",
        ) from answer.error
    return answer.usable()
