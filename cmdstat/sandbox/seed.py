"""The commands that a store begins with: the same twelve every time, and as many more as asked for.

The twelve have every state among them, four devices, five requests, both documented shapes of
`command_meta` and two internal commands, so that every filter has something to find and something
to leave out. The ids, requests and devices of the others are counted, so that a script can write
them down without asking: `00000000-0000-4000-8000-000000000013` is the thirteenth.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from cmdstat.sandbox import FIRST_COMMAND, MOST_COMMANDS, SEEDED_COMMANDS
from cmdstat.states import STATES

SECOND = 1_000_000
_MINUTE = 60 * SECOND
_HOUR = 60 * _MINUTE


class Row(NamedTuple):
    """One command as the store keeps it.

    `position` counts from the newest, 1. The moments are microseconds since the epoch; `internal`
    is 1 for a command that the platform issued for its own purposes; `command_meta` is JSON text.
    """

    position: int
    id: str
    request: str
    device: str
    state: str
    reason: str
    created_us: int
    updated_us: int
    internal: int = 0
    command_meta: str | None = None


_APP_INSTALL = "3f0c2a9e-6f55-4f0c-8a51-0d8f2f6f1a11"
_OS_UPDATE = "92e4b1d7-2c3a-4a0e-9b1d-7a5c4e3f2b10"
_REBOOT = "b7d3f1a2-0c4e-4d6f-8a9b-1c2d3e4f5a60"
_NIGHTLY = "e4a8c2d6-7b1f-4c3e-9d5a-8f7e6d5c4b30"
_HEARTBEAT = "0a9b8c7d-6e5f-4a3b-8c2d-1e0f9a8b7c60"

_TILL = "c7a1d2e3-4b5f-4c6d-8e7f-9a0b1c2d3e4f"
_TABLET = "0b8c7d6e-5f4a-4b3c-9d2e-1f0a9b8c7d6e"
_KIOSK = "4e5d6c7b-8a9f-4e0d-b1c2-d3e4f5a6b7c8"
_SCANNER = "f1e2d3c4-b5a6-4978-8a6b-5c4d3e2f1a0b"

_UPDATE_STATUS: dict[str, Any] = {
    "result": {
        "product_key": "iOSUpdate22D82",
        "is_downloaded": False,
        "download_percent_complete": 0.42,
        "status": "Downloading",
        "product_version": "18.3.2",
    }
}
_FOUND_UPDATES: dict[str, Any] = {
    "result": [
        {
            "product_key": "iOSUpdate22D82",
            "product_version": "18.3.2",
            "build": "22D82",
            "human_readable_name": "iOS 18.3.2",
            "is_critical": False,
            "download_size": 6341787648,
        },
        {
            "product_key": "iOSUpdate21H414",
            "product_version": "17.7.5",
            "build": "21H414",
            "human_readable_name": "iOS 17.7.5",
            "is_critical": True,
            "download_size": 437256192,
        },
    ]
}


class _Seed(NamedTuple):
    """One of the twelve; `created` and `updated` are ages, in microseconds before the reset."""

    id: str
    request: str
    device: str
    state: str
    reason: str
    created: int
    updated: int
    internal: bool = False
    meta: dict[str, Any] | None = None


_SEEDS: tuple[_Seed, ...] = (
    _Seed(
        FIRST_COMMAND, _APP_INSTALL, _TILL, "Command In Progress",
        "Downloading", 4 * _MINUTE + 481_203, 3 * _MINUTE + 902_551,
    ),
    _Seed(
        "71c0e9d8-3b2a-4f1e-8d7c-6b5a4f3e2d1c", _APP_INSTALL, _TABLET, "Command Queued",
        "Device is offline", 4 * _MINUTE + 481_204, 4 * _MINUTE + 481_204,
    ),
    _Seed(
        "9c8b7a69-5847-4362-9150-4f3e2d1c0b9a", _APP_INSTALL, _KIOSK, "Command Failure",
        "Install failed: not enough storage (needs 412 MB, 96 MB free)",
        4 * _MINUTE + 481_205, 2 * _MINUTE + 530_077,
    ),
    _Seed(
        "3a5c7e91-b2d4-4f68-8a0c-e1f3a5b7c9d0", _REBOOT, _SCANNER, "Command Initiated",
        "", 11 * _MINUTE + 75_310, 10 * _MINUTE + 640_021,
    ),
    _Seed(
        "d0c9b8a7-f6e5-4d4c-b3b2-a1908f7e6d5c", _REBOOT, _TILL, "Command Acknowledged",
        "", 11 * _MINUTE + 75_311, 9 * _MINUTE + 264_018,
    ),
    _Seed(
        "8a6b4c2d-1e0f-4d3c-9b8a-7f6e5d4c3b2a", _OS_UPDATE, _TABLET, "Command Success",
        "", 52 * _MINUTE + 12_345, 51 * _MINUTE + 700_312, meta=_UPDATE_STATUS,
    ),
    _Seed(
        "6f1e2d3c-4b5a-4697-88a9-b0c1d2e3f405", _HEARTBEAT, _TILL, "Command Success",
        "", 55 * _MINUTE + 3_107, 55 * _MINUTE + 1_944, internal=True,
    ),
    _Seed(
        "2c4e6a80-9b7d-4f5e-8c3a-1d2e3f4a5b6c", _OS_UPDATE, _TABLET, "Command Success",
        "", 58 * _MINUTE + 500_000, 57 * _MINUTE + 874_119, meta=_FOUND_UPDATES,
    ),
    _Seed(
        "b4a39281-706f-4e5d-8c4b-3a291807f6e5", _NIGHTLY, _KIOSK, "Command Scheduled",
        "Every night at 02:00", 7 * _HOUR + 318_640, 7 * _HOUR + 200_913,
    ),
    _Seed(
        "e7d6c5b4-a392-4817-8605-f4e3d2c1b0a9", _NIGHTLY, _SCANNER, "Command Cancelled",
        "Replaced by a later command", 7 * _HOUR + 318_641, 6 * _HOUR + 913,
    ),
    _Seed(
        "1b3d5f70-8294-4a6c-9e8d-7c6b5a493827", _OS_UPDATE, _KIOSK, "Command TimeOut",
        "No answer from the device", 27 * _HOUR + 481_203, 26 * _HOUR + 600_000,
    ),
    _Seed(
        "a5f4e3d2-c1b0-4a9f-8e7d-6c5b4a392817", _HEARTBEAT, _SCANNER, "Command Failure",
        "Device went to sleep", 31 * _HOUR + 66_012, 31 * _HOUR + 2_250, internal=True,
    ),
)  # fmt: skip

assert len(_SEEDS) == SEEDED_COMMANDS

_GENERATED_STEP = 20 * SECOND
_REASONS = {"Command Failure": "Install failed", "Command TimeOut": "No answer from the device"}


def counted_id(position: int) -> str:
    """The id of a command beyond the twelve: `position` in decimal, in the shape of a UUID."""
    return f"00000000-0000-4000-8000-{position:012d}"


def rows(commands: int, now_us: int) -> Iterator[Row]:
    """`commands` rows, newest first, their moments counted back from `now_us`.

    Lazy, so that a million of them take no memory. `commands` is checked by who calls.
    """
    assert SEEDED_COMMANDS <= commands <= MOST_COMMANDS
    for position, seed in enumerate(_SEEDS, 1):
        meta = None if seed.meta is None else json.dumps(seed.meta)
        yield Row(
            position, seed.id, seed.request, seed.device, seed.state, seed.reason,
            now_us - seed.created, now_us - seed.updated, int(seed.internal), meta,
        )  # fmt: skip
    newest = now_us - _SEEDS[-1].created
    for position in range(SEEDED_COMMANDS + 1, commands + 1):
        state = STATES[position % len(STATES)].text
        created = newest - (position - SEEDED_COMMANDS) * _GENERATED_STEP
        yield Row(
            position,
            counted_id(position),
            f"00000000-0000-4000-9000-{position // 100:012d}",
            f"00000000-0000-4000-a000-{position % 997:012d}",
            state,
            _REASONS.get(state, ""),
            created,
            created if state == "Command Queued" else created + 7 * SECOND,
            int(position % 10 == 0),
        )
