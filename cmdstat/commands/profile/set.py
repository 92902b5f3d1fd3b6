"""`cmdstat profile set`: change a profile's settings, or its key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from cmdstat import options
from cmdstat.base_urls import host
from cmdstat.commands.profile import keys
from cmdstat.commands.profile.items import profile_item, show_item
from cmdstat.commands.profile.keys import KeyOptions, ask_for_key
from cmdstat.context import Context, open_context
from cmdstat.errors import LOCAL_EXITS, UsageError
from cmdstat.key_sources import how_to_store
from cmdstat.profiles import SANDBOX, check_address
from cmdstat.settings import SETTINGS, parse_assignments

EXAMPLES = (
    "cmdstat profile set prod timeout=60 retries=5",
    "cmdstat profile set prod --api-key-stdin < key.txt",
)
EXIT_CODES = LOCAL_EXITS
EPILOG = "\b\nSettings:\n" + "\n".join(f"  {rule.name:<11}  {rule.meaning}" for rule in SETTINGS)

_OPTIONS_FOR = {
    "keyring": "--keyring",
    "api_key_command": "--api-key-command",
    "api_key_env": "--api-key-env",
    **dict.fromkeys(("api_key", "key", "apikey", "token", "api_key_stdin"), "--api-key-stdin"),
}
"""What a person may take for a setting, and which option it is."""


def command(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which profile.")],
    assignments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="A setting and its new value; KEY= goes back to the default.",
        ),
    ] = None,
    api_key_stdin: keys.FromStdin = False,
    api_key_command: keys.FromCommand = None,
    api_key_env: keys.FromVariable = None,
    keyring: keys.InKeyring = None,
    output: options.Output = None,
    quiet: options.Quiet = False,
) -> None:
    """Change a profile's settings, or its API key."""
    context = open_context(ctx, output=output, quiet=quiet)
    key_options = KeyOptions(api_key_stdin, api_key_command, api_key_env, keyring)
    given = assignments or []
    if not given and not key_options.is_given:
        raise UsageError(
            "nothing to change was given",
            f"give KEY=VALUE, or for a new key: {how_to_store(name)}",
        )
    if name == SANDBOX:
        raise UsageError("the profile sandbox is built in", "only your own profiles have settings")
    run(context, name, given, key_options)


def run(context: Context, name: str, given: Sequence[str], key_options: KeyOptions) -> None:
    """Make the changes all at once, and show the profile as it then is."""
    store = context.profiles
    old = store.get(name)
    _point_out_options(name, given)
    changes = parse_assignments(given)
    new = replace(old, **changes)
    check_address(new)
    source, key = None, None
    if key_options.is_given:
        source = key_options.source(context.env, old.key_source)
        if source.is_store:
            key = ask_for_key(context, source, key_options, host(new.base_url))
    changed, left = store.update(name, changes, key_source=source, key=key)
    item = profile_item(context, changed)
    stale = store.stale_key(changed)
    if stale is not None:
        item["problem"] = stale
    show_item(context, item, "changed")
    if left is not None:
        context.warn(left)


def _point_out_options(name: str, given: Sequence[str]) -> None:
    """Notice a key, or its source, given as a setting; what was given is not repeated."""
    for assignment in given:
        option = _OPTIONS_FOR.get(assignment.partition("=")[0].strip().lower())
        if option is not None:
            raise UsageError(
                "where the key comes from is said by an option, and a key is never an argument",
                f"write: cmdstat profile set {name} {option}",
            )
