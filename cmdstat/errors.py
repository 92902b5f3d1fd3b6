"""Everything that can go wrong, as one tree, and the exit code that each ending has.

An error knows its exit code, its message (what failed and why) and its hint (what to do), each one
line, and nothing of how it will be shown: `cli.main` alone catches and shows it.

    CmdstatError                  kind             exit
    ├── Defect                    defect           1
    ├── UsageError                usage            2
    ├── ConfigurationError        configuration    3
    ├── KeyRefused                unauthorized     4
    ├── RequestRefused            refused          5
    ├── ServerFailed              server_error     6
    ├── Unreachable               unreachable      7
    ├── BatchIncomplete           incomplete       8
    ├── ConditionNotMet           condition        9
    ├── InDoubt                   unknown          10
    └── Interrupted               interrupted      130 or 143

The codes and their meanings are fixed by the product's design (§2): scripts branch on them.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes; `EXIT_MEANINGS` says in words what each promises."""

    DONE = 0
    DEFECT = 1
    USAGE = 2
    CONFIGURATION = 3
    UNAUTHORIZED = 4
    REFUSED = 5
    SERVER_FAILED = 6
    UNREACHABLE = 7
    INCOMPLETE = 8
    CONDITION_NOT_MET = 9
    UNKNOWN = 10
    INTERRUPTED = 130
    TERMINATED = 143


EXIT_MEANINGS: dict[ExitCode, str] = {
    ExitCode.DONE: "done",
    ExitCode.DEFECT: "a defect in cmdstat",
    ExitCode.USAGE: "the call or the input is wrong; nothing was sent",
    ExitCode.CONFIGURATION: "configuration: no profile, no key, unreadable or unsafe file",
    ExitCode.UNAUTHORIZED: "the key was refused",
    ExitCode.REFUSED: "the request was refused",
    ExitCode.SERVER_FAILED: "the server failed",
    ExitCode.UNREACHABLE: "the server could not be reached; nothing was changed",
    ExitCode.INCOMPLETE: "a batch ended, and not every row is updated or skipped",
    ExitCode.CONDITION_NOT_MET: "a condition was not met (--if-state, wait)",
    ExitCode.UNKNOWN: "unknown: sent, and it could not be learned whether it was applied",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
    ExitCode.TERMINATED: "interrupted by SIGTERM",
}

LOCAL_EXITS = (ExitCode.DONE, ExitCode.USAGE, ExitCode.CONFIGURATION)
"""How a command may end that asks no service."""
READING_EXITS = (
    *LOCAL_EXITS,
    ExitCode.UNAUTHORIZED,
    ExitCode.REFUSED,
    ExitCode.SERVER_FAILED,
    ExitCode.UNREACHABLE,
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
)
"""How a command may end that reads from a service; one that updates may end in more ways."""


class CmdstatError(Exception):
    """The base of every error that cmdstat reports.

    `message` says what failed and why, `hint` what to do about it. Both are single lines of plain
    text that may quote foreign text; whoever shows them cleans them. `kind` is the machine's word
    for the same thing, in JSON.
    """

    kind = "defect"
    exit_code = ExitCode.DEFECT

    def __init__(self, message: str, hint: str = "", *, kind: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if kind is not None:
            self.kind = kind

    def to_dict(self) -> dict[str, str]:
        """The `error` object of a record: `{"kind", "message", "hint"}`."""
        return {"kind": self.kind, "message": self.message, "hint": self.hint}


class Defect(CmdstatError):
    """cmdstat itself is wrong; raised by the boundary alone, for an exception nobody expected."""


class UsageError(CmdstatError):
    """The call or its input is wrong; nothing was sent."""

    kind = "usage"
    exit_code = ExitCode.USAGE


class ConfigurationError(CmdstatError):
    """No profile, no key, or a file that cannot be read, trusted or written."""

    kind = "configuration"
    exit_code = ExitCode.CONFIGURATION


class KeyRefused(CmdstatError):
    """The service refused the key (401, 403)."""

    kind = "unauthorized"
    exit_code = ExitCode.UNAUTHORIZED


class RequestRefused(CmdstatError):
    """The service refused the request (400, 404, any other 4xx, a redirect)."""

    kind = "refused"
    exit_code = ExitCode.REFUSED


class ServerFailed(CmdstatError):
    """5xx, 429 after the retries, or an answer to a read that never came or made no sense."""

    kind = "server_error"
    exit_code = ExitCode.SERVER_FAILED


class Unreachable(CmdstatError):
    """Name, connection or TLS handshake failed: surely nothing was sent."""

    kind = "unreachable"
    exit_code = ExitCode.UNREACHABLE


class BatchIncomplete(CmdstatError):
    """A batch ended and not every row is `updated` or `skipped`."""

    kind = "incomplete"
    exit_code = ExitCode.INCOMPLETE


class ConditionNotMet(CmdstatError):
    """`--if-state` did not hold, or `wait` did not see what it waited for."""

    kind = "condition"
    exit_code = ExitCode.CONDITION_NOT_MET


class InDoubt(CmdstatError):
    """The update was sent, and it could not be learned whether it was applied."""

    kind = "unknown"
    exit_code = ExitCode.UNKNOWN


class Interrupted(CmdstatError):
    """Ctrl-C (130) or SIGTERM (143) ended the command before it was through."""

    kind = "interrupted"
    exit_code = ExitCode.INTERRUPTED

    def __init__(self, message: str, hint: str = "", *, terminated: bool = False) -> None:
        super().__init__(message, hint)
        if terminated:
            self.exit_code = ExitCode.TERMINATED


_BY_KIND: dict[str, type[CmdstatError]] = {
    error.kind: error
    for error in (
        UsageError,
        ConfigurationError,
        KeyRefused,
        RequestRefused,
        ServerFailed,
        Unreachable,
        BatchIncomplete,
        ConditionNotMet,
        InDoubt,
        Interrupted,
    )
}


def error_from_dict(stored: dict[str, str]) -> CmdstatError:
    """Rebuild the error of a stored record; one of an unknown kind exits as a defect."""
    kind = stored.get("kind", "defect")
    return _BY_KIND.get(kind, CmdstatError)(stored.get("message", ""), stored.get("hint", ""))
