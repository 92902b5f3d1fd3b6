"""The details of a defect: a traceback in a private file, for a report, without keys or locals."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cmdstat.keys import redact_known
from cmdstat.paths import Paths, private_folder


def keep_details(error: BaseException, env: Mapping[str, str]) -> Path | None:
    """Write the traceback of an unexpected exception into the state folder; None if it cannot be.

    Every key that this process has held is taken out of it first.
    """
    text = redact_known("".join(traceback.format_exception(error)))
    with suppress(Exception):
        folder = Paths.from_environment(env).state_dir
        private_folder(folder)
        path = folder / f"defect-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        return path
    return None
