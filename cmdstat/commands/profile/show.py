"""`cmdstat profile show`: every setting in force, where it comes from, and what it overrides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from cmdstat import options
from cmdstat.commands.profile.choice import Name, chosen
from cmdstat.context import Context, open_context
from cmdstat.errors import LOCAL_EXITS
from cmdstat.output import Format, flat
from cmdstat.profile_choice import Setting
from cmdstat.profile_warnings import warnings_about

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = (
    "cmdstat profile show",
    "cmdstat profile show prod -o json",
)
EXIT_CODES = LOCAL_EXITS
_ROW = flat("name", "value", "source", "overrides")


def command(
    ctx: typer.Context,
    name: Name = None,
    profile: options.Profile = None,
    output: options.Output = None,
    quiet: options.Quiet = False,
) -> None:
    """Show every setting in force, where it comes from, and what it overrides."""
    context = open_context(ctx, profile=chosen(name, profile), output=output, quiet=quiet)
    run(context)


def run(context: Context) -> None:
    """Show the settings, and warn of what they do not say."""
    target = context.target
    masked = target.describe_key().masked or None
    settings = [_setting_item(each, masked) for each in target.settings if each.name != "profile"]
    chosen_by = _setting_item(target.settings[0], None)
    warnings = warnings_about(target, context.env)
    item = {
        "profile": target.profile,
        "chosen_by": chosen_by["source"],
        "not_chosen": chosen_by["overrides"],
        "settings": settings,
        "warnings": warnings,
    }

    def table(console: Console) -> None:
        from cmdstat.render.profiles import show_settings

        show_settings(console, item)

    if context.format is Format.CSV:
        context.show_many([chosen_by, *settings], _ROW, table)
    else:
        context.show_one(item, flat(*item), table)
    for line in warnings:
        context.warn(line)


def _setting_item(setting: Setting, masked_key: str | None) -> dict[str, Any]:
    """A setting for JSON; the key's value is masked, and that of one it overrides is not read."""
    value = masked_key if setting.name == "key" else setting.value
    return {
        "name": setting.name,
        "value": None if value == "" else value,
        "source": setting.source,
        "overrides": [
            {"value": value or None if setting.name == "base_url" else value, "source": source}
            for value, source in setting.overrides
        ],
    }
