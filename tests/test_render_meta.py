"""What a device returned reads like a table that a person made."""

from __future__ import annotations

import re

import pytest
from screens import drawn

from cmdstat.render.meta import show_meta
from cmdstat.render.texts import percentage_text, size_text


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (437_120_331, "437 MB"), (6_300_000_000, "6.3 GB"),
     (1.2e9, "1.2 GB"), (999_999_999, "1 GB"), (9_960_000, "10 MB"), (1e20, "100 EB"),
     (True, "yes"), (-1, "-1"), ("12", "12"), (None, "—"), (10**400, str(10**400))],
)  # fmt: skip
def test_sizes_read_as_phones_say_them(size, shown):
    """Bytes are shown in powers of 1000; what is no size is shown as it came."""
    assert size_text(size).plain == shown


@pytest.mark.parametrize(
    ("share", "shown", "filled"),
    [(0, "0 %", 0), (0.42, "42 %", 8), (0.29, "29 %", 5), (1, "100 %", 20), (1.5, "1.5 %", 0),
     (42, "42 %", 8), (0.9999, "99.9 %", 19), (100, "100 %", 20), (250, "250 %", 20),
     ("42", "42", 0), (False, "no", 0), (-1, "-1", 0), (10**400, str(10**400), 0)],
)  # fmt: skip
def test_percentages_are_fractions_up_to_one(share, shown, filled):
    """0 to 1 is a fraction, above 1 per cent; almost done is not called done."""
    text = percentage_text(share).plain
    assert text.split("  ")[0] == shown
    assert text.count("━") == filled


def test_what_a_device_found_is_a_table_with_a_row_an_update():
    """SCAN_OS_UPDATES shows names, `yes` and sizes in columns; a narrow screen gets blocks."""
    updates = [
        {"product_key": "K-1", "human_readable_name": "Ventura", "is_critical": True,
         "download_size": 1_200_000_000, "channel": "beta"},
        {"product_key": "K-2", "human_readable_name": "Safari", "download_size": 437_000_000},
    ]  # fmt: skip
    text = drawn(show_meta, {"result": updates})
    assert re.search(r"update +critical +size +product key +channel\n", text)
    assert re.search(r"Ventura +yes +1\.2 GB +K-1 +beta\n", text)
    assert re.search(r"Safari +— +437 MB +K-2 +—\n", text)
    assert "update: Ventura\ncritical: yes\nsize: 1.2 GB\n" in drawn(
        show_meta, {"result": updates}, width=30
    )
    assert "… and 312 more\n" in drawn(show_meta, {"result": updates[:1] * 362})


def test_any_other_result_is_an_outline_that_ends():
    """Unforeseen JSON is indented and bounded in every direction, saying how much is left."""
    deep = "bottom"
    for _ in range(99):
        deep = {"in": deep}
    result = {
        "level": 42, "on": True, "names": list(range(362)), "apps": [{"a": 1, "b": [{}]}] * 60,
        "deep": deep, "long": "x" * 5000,
    }  # fmt: skip
    text = drawn(show_meta, {"result": result})
    assert "level: 42\non: yes\nnames: 0, 1, 2," in text
    assert "apps:\n  - a: 1\n    b:\n      - (none)\n" in text
    for end in (
        "49, … and 312 more",
        "… and 10 more",
        "… 1 more, nested deeper",
        "… and 3,000 more characters",
    ):
        assert end in " ".join(text.split())
    wide = drawn(show_meta, {"result": {str(n): {str(m): m for m in range(50)} for n in range(50)}})
    assert len(wide.splitlines()) < 210
    assert "-o json shows everything" in wide


@pytest.mark.parametrize(
    ("meta", "shown"),
    [(None, ""), ({}, ""), ({"result": None}, ""),
     ({"result": []}, "\nThe device returned an empty list"),
     ({"result": 0}, "\nReturned\n"), ("odd", "\nReturned\n"), ({"took": 3}, "\nReturned\n")],
)  # fmt: skip
def test_nothing_returned_shows_nothing_and_an_empty_list_a_sentence(meta, shown):
    """A command that returned no data has no table for it; any value that is there is shown."""
    text = drawn(show_meta, meta)
    assert text.startswith(shown)
    assert bool(text) == bool(shown)
