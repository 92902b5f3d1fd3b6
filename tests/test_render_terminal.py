"""What stream and environment allow is what is drawn: colour, width, characters, a waiting line."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys

import pytest
from rich.cells import cell_len
from screens import NOW, PseudoTerminal, Terminal, content, drawn, record

from cmdstat.render.console import make_console
from cmdstat.render.content import show_content
from cmdstat.render.terminal import WIDEST, has_colour, width_of
from cmdstat.render.update import show_update
from cmdstat.render.waiting import WaitingLine


def test_a_pipe_gets_whole_lines_without_colour():
    """Nothing is wrapped at 80 columns in a pipe, whatever COLUMNS says; no escape is written."""
    reason = "word " * 300 + "end"
    stream = Terminal(tty=False)
    show_content(make_console(stream, {"COLUMNS": "40"}), content(reason=reason), now=NOW)
    assert f"reason       {reason}\n" in stream.text
    assert "\x1b" not in stream.text
    assert max(map(len, stream.text.splitlines())) == 13 + len(reason)


@pytest.mark.parametrize(
    ("tty", "env", "coloured"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"NO_COLOR": "0"}, False),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"TERM": "dumb", "FORCE_COLOR": "0"}, False),
        (False, {"TERM": "xterm"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "0"}, False),
        (False, {"FORCE_COLOR": ""}, False),
    ],
)
def test_colour_is_as_stream_and_environment_say(tty, env, coloured):
    """NO_COLOR, FORCE_COLOR and TERM mean what the design says, empty and 0 included."""
    stream = Terminal(tty=tty)
    show_update(make_console(stream, env), record(), now=NOW)
    assert has_colour(stream, env) is coloured
    assert ("\x1b[" in stream.text) is coloured


@pytest.mark.parametrize(
    ("tty", "columns", "width"),
    [(True, "60", 60), (True, "0", 80), (True, "-5", 80), (True, "wide", 80), (True, "", 80),
     (True, "²", 80), (True, "9" * 5000, 999_999), (False, "60", WIDEST), (False, None, WIDEST)],
)  # fmt: skip
def test_width_is_as_stream_and_environment_say(tty, columns, width):
    """COLUMNS counts on a terminal alone, and only where it is a sensible number."""
    env = {} if columns is None else {"COLUMNS": columns}
    assert width_of(Terminal(tty=tty), env) == width


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "latin-1"])
def test_a_poor_encoding_gets_ascii_lines_and_signs(encoding):
    """Where the encoding lacks what cmdstat draws, everything of its own is ASCII."""
    meta = {"result": {"is_downloaded": True, "download_percent_complete": 0.5}}
    shown = record(content=content(reason=None, command_meta=meta), before=content(state="Odd"))
    text = drawn(show_update, shown, now=NOW, encoding=encoding)
    assert text.isascii()
    assert "+ Command Success" in text
    assert "Odd -> + Command Success" in text


def test_a_broken_pipe_is_left_to_the_boundary():
    """rich would end the process; here the error goes up like any other."""

    class Broken(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        show_content(make_console(Broken(), {}), content(), now=NOW)


def test_start_up_pays_for_nothing_that_is_not_drawn():
    """The rooms without rich leave it unloaded; the others load only what its console brings."""
    code = (
        "import sys, cmdstat.output, cmdstat.render.signs, cmdstat.render.waiting\n"
        "assert not any(name.startswith('rich') for name in sys.modules)\n"
        "import rich.console\n"
        "before = {name for name in sys.modules if name.startswith('rich')}\n"
        "import cmdstat.render.update, cmdstat.render.console\n"
        "print({name for name in sys.modules if name.startswith('rich')} - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.fixture
def pseudo_terminal():
    terminal = PseudoTerminal()
    yield terminal
    terminal.stream.close()
    os.close(terminal.master)


def test_the_waiting_line_is_cut_to_the_width_and_leaves_nothing(pseudo_terminal):
    """It shows what is said now on one line, and makes way for others and at the end."""
    said = iter(["first \x1b[2J " + "日本" * 40, "second", "third"])
    last = ["last"]
    line = WaitingLine(
        pseudo_terminal.stream,
        {"TERM": "xterm"},
        lambda: next(said, last[0]),
        delay=0,
        interval=0.001,
    )
    with line:
        pseudo_terminal.read_until(b"last")
        with line.hidden():
            pseudo_terminal.stream.write("hello\n")
            pseudo_terminal.stream.flush()
        last[0] = "after"
        pseudo_terminal.read_until(b"after")
    assert pseudo_terminal.lines() == ["hello"]
    assert b"\x1b[2J" not in pseudo_terminal.raw
    shown = [each.decode() for each in re.findall(rb"\r([^\r\x1b]+)\x1b\[K", pseudo_terminal.raw)]
    assert shown[0].startswith("first \\x1b[2J 日本")
    assert all(cell_len(each) < 30 for each in shown)
    assert shown.count("last") <= 2


@pytest.mark.parametrize(
    ("tty", "env", "delay"), [(True, {}, 60), (True, {"TERM": "dumb"}, 0), (False, {}, 0)]
)
def test_the_waiting_line_stays_away(tty, env, delay):
    """Nothing is written within the first second, to a dumb terminal, or to a pipe."""
    stream = Terminal(tty=tty)
    with WaitingLine(stream, env, lambda: "waiting", delay=delay, interval=0) as line:
        assert (line._thread is not None) == (delay > 0)
    assert stream.text == ""
