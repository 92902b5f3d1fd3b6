"""A profile as results show it: one flat object in `list`, and in what changes one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmdstat.context import Context
from cmdstat.keys import MASK
from cmdstat.output import flat
from cmdstat.profile_tables import SANDBOX, Profile

if TYPE_CHECKING:
    from rich.console import Console

SHAPE = flat(
    "name", "default", "base_url", "key", "key_source", "timeout", "retries", "ca_bundle",
    "client_cert", "allow_http", "problem",
)  # fmt: skip


def profile_item(context: Context, profile: Profile) -> dict[str, Any]:
    """A profile as an object; null is "not set here". Its key is masked, or null with a problem."""
    key = context.profiles.describe_key(profile, context.env)
    return {
        "name": profile.name,
        "default": context.profiles.default_name() == profile.name,
        "base_url": profile.base_url,
        "key": key.masked or None,
        "key_source": key.source,
        "timeout": profile.timeout,
        "retries": profile.retries,
        "ca_bundle": profile.ca_bundle,
        "client_cert": profile.client_cert,
        "allow_http": profile.allow_http,
        "problem": None if key.problem is None else key.problem.message,
    }


def sandbox_item(context: Context) -> dict[str, Any]:
    """The built-in profile in the same shape; it has no address before it runs."""
    return dict.fromkeys(SHAPE.columns) | {
        "name": SANDBOX,
        "default": context.profiles.default_name() == SANDBOX,
        "key": MASK,
        "key_source": "built in",
    }


def damaged_item(name: str, default: str | None, problem: str) -> dict[str, Any]:
    """A profile whose table cannot be read, in the same shape."""
    return dict.fromkeys(SHAPE.columns) | {
        "name": name,
        "default": name == default,
        "problem": problem,
    }


def show_item(context: Context, item: dict[str, Any], what_was_done: str) -> None:
    """Show a profile after something was done to it: `added`, `changed` …"""

    def table(console: Console) -> None:
        from cmdstat.render.profiles import show_profile

        show_profile(console, item, what_was_done)

    with context.showing_what_was_done():
        context.show_one(item, SHAPE, table)
    if item["problem"] is not None:
        context.warn(item["problem"])
