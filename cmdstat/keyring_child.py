"""A program of its own: one errand to the system keyring, in a process that can be ended.

A keyring may wait for ever (a dialogue that nobody sees, a dead session bus), and a thread that
hangs in a C library cannot be stopped. `system_keyring` runs this file by its path, without the
current folder on the module path, so it imports nothing of cmdstat. The errand is JSON on stdin,
`{"errand": "probe|fetch|store|remove", "name", "secret"}`; the answer JSON on stdout, with
`secret`, `found` or `problem`. No key is ever on a command line.
"""

from __future__ import annotations

import json
import sys

SERVICE = "cmdstat"


def _run(errand: str, name: str, secret: str) -> dict[str, object]:
    import keyring
    import keyring.backends.fail
    import keyring.backends.null

    backend = keyring.get_keyring()
    if isinstance(backend, (keyring.backends.fail.Keyring, keyring.backends.null.Keyring)):
        return {"problem": "unusable"}
    if errand == "store":
        keyring.set_password(SERVICE, name, secret)
    kept = keyring.get_password(SERVICE, name)
    if errand == "store" and kept != secret:
        return {"problem": "it did not keep what was stored"}
    if errand == "remove" and kept is not None:
        keyring.delete_password(SERVICE, name)
    return {"secret": kept} if errand == "fetch" else {"found": kept is not None}


def _main() -> None:
    request = json.load(sys.stdin)
    answer: dict[str, object]
    try:
        answer = _run(request["errand"], request["name"], request["secret"])
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0] == "keyring"
        answer = {"problem": "missing" if missing else f"{type(error).__name__}: {error}"}
    except Exception as error:  # noqa: BLE001  (backends raise what they like)
        answer = {"problem": f"{type(error).__name__}: {error}"}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    _main()
