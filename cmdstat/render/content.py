"""A command's content for a person: whose command it is, its state, why, and since when."""

from __future__ import annotations

from rich.console import Console

from cmdstat.models import CONTENT_FIELDS, Content
from cmdstat.render.meta import show_meta
from cmdstat.render.tables import Detail, show_details
from cmdstat.render.texts import id_text, moment_text, more_text, state_text, value_text

_MOST_UNKNOWN = 100


def show_content(console: Console, content: Content, *, now: float, utc: bool = False) -> None:
    """The table "Command", with the fields that nobody documented last, and what it returned.

    `now` is seconds since the epoch, for how long ago; `utc` shows times in UTC instead of local.
    """
    encoding = console.encoding
    unknown = [name for name in content if name not in CONTENT_FIELDS]
    state = state_text(content.get("state"), encoding)
    details = [
        *(
            Detail(name, id_text(content.get(name), encoding), whole=True)
            for name in ("id", "request", "device")
        ),
        Detail("state", state, whole=True),
        Detail("reason", value_text(content.get("reason"), encoding)),
        *(
            Detail(label, moment_text(content.get(name), encoding, now=now, utc=utc))
            for label, name in (("created", "created_at"), ("updated", "updated_at"))
        ),
        *(Detail(name, value_text(content[name], encoding)) for name in unknown[:_MOST_UNKNOWN]),
    ]
    if len(unknown) > _MOST_UNKNOWN:
        more = f"and {len(unknown) - _MOST_UNKNOWN:,} more fields"
        details.append(Detail("", more_text(more, encoding)))
    glance = state.copy()
    glance.stylize("bold")
    show_details(console, "Command", glance, details)
    show_meta(console, content.get("command_meta"))
