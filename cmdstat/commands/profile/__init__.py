"""`cmdstat profile`: which service, with what settings, and where its API key comes from."""

COMMANDS: dict[str, str] = {
    "add": "Add a profile, and store or name the source of its API key.",
    "set": "Change a profile's settings, or its API key.",
    "list": "List the profiles.",
    "show": "Show every setting in force, where it comes from, and what it overrides.",
    "use": "Make a profile the default.",
    "rename": "Give a profile another name.",
    "remove": "Remove a profile, and the API key that is stored for it.",
    "check": "Call the API once, and say whether address and key are right.",
}
