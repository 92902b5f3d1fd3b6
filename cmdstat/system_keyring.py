"""Keys in the system keyring (extra `cmdstat[keyring]`), with 3 seconds for each errand.

There is no fall-back to a file: a keyring that is missing, fails or does not answer is a
`ConfigurationError` that says how to go on. An entry's secret is the origin, a space and the key,
so a key is bound to the place it was stored for, as in `credentials.toml`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cmdstat.credentials import BoundKey
from cmdstat.errors import ConfigurationError
from cmdstat.foreign import excerpt
from cmdstat.key_sources import how_to_store
from cmdstat.keys import ApiKey

SOURCE = "system keyring"
SECONDS = 3.0
_PROBE = "cmdstat-probe"
_INSTEAD = "or keep the key in the file: leave out --keyring"


def probe() -> None:
    """Raise `ConfigurationError` unless the keyring answers: before a key is asked for."""
    _send("probe", _PROBE)


def find(profile: str) -> BoundKey | None:
    """The key kept for a profile, or None. Raises `ConfigurationError`."""
    secret = _send("fetch", profile).get("secret")
    if secret is None:
        return None
    origin, space, text = str(secret).partition(" ")
    if not space:
        raise ConfigurationError(
            f"the entry {profile} of cmdstat in the system keyring was not made by cmdstat",
            f"store the key anew: {how_to_store(profile)} --keyring",
        )
    return BoundKey(ApiKey.parse(text, SOURCE), origin)


def store(profile: str, key: ApiKey, origin: str) -> None:
    """Keep a key for a profile, and see that it can be read back. Raises `ConfigurationError`."""
    _send("store", profile, f"{origin} {key.reveal()}", redact=key.redact)


def remove(profile: str) -> bool:
    """Forget a profile's key; returns whether there was one. Raises `ConfigurationError`."""
    return bool(_send("remove", profile).get("found"))


def _send(
    errand: str, name: str, secret: str = "", *, redact: Callable[[str], str] = str
) -> dict[str, Any]:
    """Run one errand in a child process and return its answer.

    The child has no terminal, so a backend that would ask for a password fails, and does not hang.
    """
    import subprocess

    request = json.dumps({"errand": errand, "name": name, "secret": secret})
    program = Path(__file__).with_name("keyring_child.py")
    child = subprocess.Popen(
        [sys.executable, "-P", str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        encoding="utf-8",
    )
    with child:
        try:
            output, _ = child.communicate(request, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise ConfigurationError(
                f"the system keyring did not answer within {SECONDS:g} seconds",
                f"unlock it and try again, {_INSTEAD}",
            ) from None
        finally:
            child.kill()
    return _answer(output, redact)


def _answer(output: str, redact: Callable[[str], str]) -> dict[str, Any]:
    try:
        answer = json.loads(output)
        problem = answer.get("problem")
    except (ValueError, AttributeError):
        answer, problem = {}, "it ended without an answer"
    if problem is None:
        return dict(answer)
    if problem == "missing":
        raise ConfigurationError(
            "the keyring library is not installed",
            f"install it: pipx inject cmdstat keyring (pip: 'cmdstat[keyring]'), {_INSTEAD}",
        )
    if problem == "unusable":
        raise ConfigurationError(
            "this machine has no system keyring that can be used",
            f"start one (GNOME Keyring, KWallet, KeePassXC), {_INSTEAD}",
        )
    raise ConfigurationError(
        f"the system keyring failed: {excerpt(redact(str(problem)))}",
        f"see whether it is unlocked, {_INSTEAD}",
    )
