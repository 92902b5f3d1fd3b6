"""The commands: the path is what the user types, one file a command, imported once it is chosen.

`COMMANDS` names each with the first line of its help, so that the root help need not import them
all; a test holds the two together. A module has a function `command`, or, for a group, a
`COMMANDS` of its own.
"""

COMMANDS: dict[str, str] = {
    "set": "Update one command's state, reason, or both.",
    "batch": "Update many commands, from CSV, TSV, JSONL or JSON; durable, resumable.",
    "get": "Show one command status.",
    "list": "List command statuses, filtered.",
    "wait": "Wait until a command reaches a state.",
    "history": "Show what was sent from this machine, and what came of it.",
    "states": "Show the states, what they mean, and which can be set.",
    "profile": "Keep profiles: which service, and where its API key comes from.",
    "sandbox": "Run the same API on this machine, to rehearse against.",
    "completion": "Print the completion script of a shell.",
}
