"""A request that was not sent, for a person: what it would be, and a `curl` line to paste."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from cmdstat.foreign import to_json
from cmdstat.render.tables import Detail, show_details
from cmdstat.render.texts import plain


def show_request(console: Console, request: Mapping[str, Any], curl: str) -> None:
    """The method, URL and body of a request, and the `curl` line, which is never broken."""
    details = [
        Detail("method", Text(request["method"])),
        Detail("url", plain(request["url"], console.encoding), whole=True),
        Detail("body", plain(to_json(request["body"]), console.encoding)),
    ]
    show_details(console, "Request", Text("not sent", "bold yellow"), details)
    console.file.write(f"\n{curl}\n")
