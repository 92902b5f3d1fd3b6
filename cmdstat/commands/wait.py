"""`cmdstat wait`: wait until a command reaches a state."""

from __future__ import annotations

from typing import Annotated

import typer

from cmdstat import options
from cmdstat.answers import Answer
from cmdstat.attempts import Clock
from cmdstat.commands.get import show
from cmdstat.context import Context, open_context
from cmdstat.errors import READING_EXITS, ExitCode
from cmdstat.instants import describe_duration, parse_duration
from cmdstat.models import check_id
from cmdstat.states import parse_state
from cmdstat.stopping import PromptInterruption
from cmdstat.waiting import Goal, Wait

EXAMPLES = (
    "cmdstat wait 8a6b4c2d-1e0f-4d3c-9b8a-7f6e5d4c3b2a --for success --for-at-most 10s",
    "cmdstat wait 8a6b4c2d-1e0f-4d3c-9b8a-7f6e5d4c3b2a -o json",
)
EXIT_CODES = (*READING_EXITS, ExitCode.CONDITION_NOT_MET)
SHORTEST_INTERVAL = 0.1


def command(
    ctx: typer.Context,
    command_id: Annotated[
        str, typer.Argument(metavar="ID", help="The id of the command status, as it is.")
    ],
    states: Annotated[
        list[str] | None,
        typer.Option(
            "--for",
            metavar="STATE",
            help="The state to wait for; repeatable, any of them will do. Default: success.",
        ),
    ] = None,
    at_most: Annotated[
        float | None,
        typer.Option(
            "--for-at-most",
            metavar="DURATION",
            parser=parse_duration,
            help="How long to wait, such as 90s or 2h; default 10m.",
        ),
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option(
            "--interval",
            metavar="DURATION",
            parser=parse_duration,
            help="How long between two reads, about; default 5s.",
        ),
    ] = None,
    profile: options.Profile = None,
    timeout: options.Timeout = None,
    retries: options.Retries = None,
    output: options.Output = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    utc: options.Utc = False,
) -> None:
    """Wait until a command reaches a state.

    Exit 0 when a state that --for names is reached, 9 when another final state is, or the time is
    up. Command TimeOut may still end otherwise, so it ends no wait for another named state. Without
    --for any final state ends the wait: 0 on Command Success, 9 on every other. Failures that may
    pass are waited out.
    """
    context = open_context(
        ctx,
        profile=profile,
        output=output,
        quiet=quiet,
        verbose=verbose,
        timeout=timeout,
        retries=retries,
        utc=utc,
    )
    default = Goal(check_id(command_id))
    goal = Goal(
        command_id=default.command_id,
        states=tuple(dict.fromkeys(parse_state(name).text for name in states or ())),
        at_most=default.at_most if at_most is None else at_most,
        interval=default.interval if interval is None else max(interval, SHORTEST_INTERVAL),
    )
    run(context, goal)


def run(context: Context, goal: Goal) -> None:
    """Wait, show the content that was read last, and raise why the wait was in vain, if it was."""
    client = context.client()

    def look(within: float) -> Answer:
        answer = client.get(goal.command_id, within)
        watch.note(answer)
        return answer

    with PromptInterruption("waiting") as interruption:
        wait = Wait(goal, look, interruption.wait, policy=context.policy, clock=Clock())
        watch = _Watch(context, wait)
        try:
            with interruption.stoppable(), context.status_line(watch.text, delay=0.0):
                wait.run()
        finally:
            if wait.content is not None:
                show(context, wait.content)


class _Watch:
    """What is waited for, in words: the line on a terminal, and lines where none can be drawn."""

    def __init__(self, context: Context, wait: Wait) -> None:
        from cmdstat.render.terminal import is_dumb, is_terminal

        self._context = context
        self._wait = wait
        self._tells = is_terminal(context.stderr) and is_dumb(context.env)
        self._told: object = None

    def text(self) -> str:
        """One line: the state, since when, and how long it will wait on at most."""
        from cmdstat.render.signs import STATE_SIGNS
        from cmdstat.render.terminal import draws, encoding_of

        left = f"{describe_duration(self._wait.left)} left"
        failure, content = self._wait.failure, self._wait.content
        why = "" if failure is None else f", last read failed: {failure.message}"
        if content is None:
            return f"reading the command, {left}{why}"
        state = content.get("state")
        sign = STATE_SIGNS.get(state) if isinstance(state, str) else None
        ascii_only = not draws(encoding_of(self._context.stderr))
        mark = "" if sign is None else f"{sign.drawn(ascii_only=ascii_only)} "
        spent = describe_duration(max(1.0, self._wait.in_state_for))
        return f"{mark}{state} for {spent}, {left}{why}"

    def note(self, answer: Answer) -> None:
        """On a terminal that can draw no line, tell each new state."""
        state = None if answer.content is None else answer.content.get("state")
        if self._tells and state is not None and state != self._told:
            self._told = state
            self._context.tell(f"the state is {state}")
