"""Streams that are terminals, and what is drawn on them, for the tests of what a person sees."""

from __future__ import annotations

import fcntl
import io
import os
import re
import struct
import termios

import pyte

from cmdstat.render.console import make_console

NOW = 1_795_446_245.0  # 2026-11-23T15:04:05Z
ID = "7d0f8a3e-1b2c-4d5e-8f90-abcdef123456"
SGR = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.TextIOWrapper):
    """A stream of a given encoding that is a terminal, or a pipe, and remembers what it got."""

    def __init__(self, encoding="utf-8", *, tty=True):
        super().__init__(io.BytesIO(), encoding=encoding, newline="")
        self.tty = tty

    def isatty(self):
        return self.tty

    @property
    def text(self):
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)


def drawn(show, *args, width=100, encoding="utf-8", tty=True, colour=False, **options):
    stream = Terminal(encoding, tty=tty)
    env = {"COLUMNS": str(width), "TERM": "xterm" if colour else "dumb"}
    show(make_console(stream, env), *args, **options)
    text = stream.text
    return SGR.sub("", text) if colour else text


def content(**fields):
    return {
        "id": ID,
        "request": "0aa2c9d1-63f1-4f4d-9a7f-0d1b0a3c5e77",
        "device": "5b1c7a52-5d0c-4a55-8f4e-2f8a90e7d001",
        "state": "Command Success",
        "reason": "Confirmed by the shop floor",
        "created_at": "2026-11-23T12:00:00Z",
        "updated_at": "2026-11-23T15:04:04Z",
        "command_meta": None,
    } | fields


def record(**fields):
    return {
        "n": 17,
        "id": ID,
        "requested": {"state": "Command Success", "reason": None},
        "outcome": "updated",
        "http_status": 200,
        "code": 0,
        "message": "Updated",
        "content": content(),
        "before": None,
        "confirmed": None,
        "error": None,
        "attempts": 1,
        "elapsed_ms": 131.4,
        "profile": "prod",
        "base_url": "https://user:pw@acme-api.example.test:8443/api",
        "by": "ann@desk",
        "run": None,
        "line": None,
        "at": "2026-11-23T15:04:05Z",
    } | fields


class PseudoTerminal:
    """A real terminal of 30 columns, and a screen that shows what its other end was sent."""

    def __init__(self):
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 30, 0, 0))
        self.stream = open(slave, "w", encoding="utf-8", newline="")  # noqa: SIM115
        self.screen = pyte.Screen(30, 5)
        self.feed = pyte.ByteStream(self.screen).feed
        self.raw = b""

    def read_until(self, wanted):
        while wanted not in self.raw:
            self._read()

    def lines(self):
        self.stream.write("\x00")
        self.stream.flush()
        self.read_until(b"\x00")
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def _read(self):
        part = os.read(self.master, 4096)
        self.raw += part
        self.feed(part)
