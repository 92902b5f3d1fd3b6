"""The sandbox: the API on loopback, to rehearse against and to test with.

`seed` says which commands it begins with, `store` keeps them in SQLite, `api` answers requests,
`faults` makes it misbehave on request, `server` speaks HTTP. The constants stand here because
options and help name them, and importing the rooms themselves costs SQLite and an HTTP server.
"""

from __future__ import annotations

DEFAULT_KEY = "sandbox-key"
"""The API key of a sandbox that was given none. It guards nothing, so it may be seen by anyone."""

SEEDED_COMMANDS = 12
"""How many commands a store has unless more are asked for."""

MOST_COMMANDS = 1_000_000
"""How many commands a store can be asked for."""

FIRST_COMMAND = "5d1f0c2b-8e77-4a35-b0c9-6f2d3e4a5b6c"
"""The id of the newest seeded command, which is in progress: the first one to try things on."""
