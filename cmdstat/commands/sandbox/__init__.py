"""`cmdstat sandbox`: the same API on this machine, to rehearse against."""

COMMANDS: dict[str, str] = {
    "serve": "Serve the sandbox until Ctrl-C.",
    "reset": "Bring the sandbox back to its first content.",
    "path": "Show where the sandbox keeps its data.",
}
