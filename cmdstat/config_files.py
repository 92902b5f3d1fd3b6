"""The two TOML files: read strictly, written whole or not at all.

A file that cannot be read is an error that names it and the line, and is never overwritten. A new
content is written beside the old one, synced, and moved over it, so whatever happens meanwhile
(`kill -9`, a full disk) one of the two is there, whole. Whoever writes holds the folder's lock.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shlex
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from cmdstat.errors import ConfigurationError
from cmdstat.paths import private_folder

_LARGEST = 4 * 1024 * 1024
_POSITION = re.compile(r" \(at line (\d+), column (\d+)\)$")
_MEND = "mend it by hand: a file that cannot be read is never overwritten"


class ConfigFile:
    """One TOML file. `secret` marks the one that holds keys.

    A secret file must be the user's own, readable by nobody else, and no symbolic link, or it is
    refused; and no message shows any of its text. Any other file may be a link (as dotfile managers
    make them): it is followed, and what it points at is replaced. It says where keys are sent and
    what is run for one, so it must be the user's own or root's, and not everybody may write it. The
    same goes for the folder of either, unless its sticky bit keeps others' hands off.
    """

    def __init__(self, path: Path, *, secret: bool = False) -> None:
        self.path = path
        self._secret = secret

    def read(self) -> dict[str, Any]:
        """The file's content; empty for a missing file. Raises `ConfigurationError`."""
        return self._parse(self._text())

    def edit(self, change: Callable[[str], str]) -> None:
        """Replace the file's text by what `change` makes of it; the caller holds the lock.

        Raises `ConfigurationError`, the file as it was, if it is corrupt or cannot be written.
        """
        text = self._text()
        self._parse(text)
        try:
            changed = change(text)
        except ConfigurationError as error:
            raise ConfigurationError(f"{self.path}: {error.message}", error.hint) from None
        if changed != text:
            self._replace(changed)

    def _text(self) -> str:
        """The text without a byte-order mark, line ends as they are."""
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
        if self._secret:
            flags |= getattr(os, "O_NOFOLLOW", 0)
        self._check_folder()
        try:
            descriptor = os.open(self.path, flags)
        except FileNotFoundError:
            return ""
        except OSError as error:
            if self._secret and self.path.is_symlink():
                self._refuse_link()
            self._fail("could not be read", error)
        try:
            self._check(os.fstat(descriptor))
            with open(descriptor, "rb", closefd=False) as file:
                held = file.read(_LARGEST + 1)
        except OSError as error:
            self._fail("could not be read", error)
        finally:
            os.close(descriptor)
        if len(held) > _LARGEST:
            raise ConfigurationError(f"{self.path} has more than 4 MiB", _MEND)
        return self._decode(held)

    def _decode(self, held: bytes) -> str:
        try:
            return held.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = held.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{self.path}, line {line}: not valid UTF-8", _MEND)

    def _parse(self, text: str) -> dict[str, Any]:
        import tomllib

        try:
            return tomllib.loads(text)
        except RecursionError:
            where, why = "", "nested too deeply"
        except ValueError as error:
            match = _POSITION.search(str(error))
            line = match[1] if match else str(text.rstrip().count("\n") + 1)
            where = f", line {line}" + (f", column {match[2]}" if match else "")
            why = _POSITION.sub("", str(error))
        if self._secret:
            why = "what is there is not shown, it may be a key"
        raise ConfigurationError(f"{self.path}{where}: not valid TOML ({why})", _MEND)

    def _check(self, status: os.stat_result) -> None:
        """Refuse what is no file, what others own or write, and, if it is secret, can read."""
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError(
                f"{self.path} is not a regular file", "move it away: cmdstat makes a new file there"
            )
        if sys.platform == "win32":
            return
        quoted = shlex.quote(str(self.path))
        if status.st_uid != os.geteuid() and (self._secret or status.st_uid != 0):
            what = "holds API keys" if self._secret else "says where keys are sent"
            raise ConfigurationError(
                f"{self.path} {what} and belongs to another user",
                f"if its content is yours: chown {os.geteuid()} {quoted}",
            )
        if not self._secret:
            self._refuse_if_open(self.path, status.st_mode)
        elif status.st_mode & 0o077:
            raise ConfigurationError(
                f"{self.path} holds API keys and others can read it"
                f" (mode {stat.S_IMODE(status.st_mode):04o})",
                f"mend it with: chmod 600 {quoted}",
            )

    def _check_folder(self) -> None:
        """Refuse a folder in which everybody can put another file in this one's place."""
        if sys.platform == "win32":
            return
        with contextlib.suppress(OSError):  # what is wrong with it is told when the file is opened
            mode = self.path.parent.stat().st_mode
            if not mode & stat.S_ISVTX:
                self._refuse_if_open(self.path.parent, mode)

    def _refuse_if_open(self, path: Path, mode: int) -> None:
        if mode & stat.S_IWOTH:
            raise ConfigurationError(
                f"everybody can write {path} (mode {stat.S_IMODE(mode):04o}), and so decide where"
                " keys are sent",
                f"see that its content is yours, then mend it with: chmod o-w"
                f" {shlex.quote(str(path))}",
            )

    def _replace(self, text: str) -> None:
        private_folder(self.path.parent)
        target = self.path if self._secret else Path(os.path.realpath(self.path))
        fresh = target.with_name(f".{target.name}.new")
        try:
            keeps_mode = target.exists() and not self._secret
            mode = stat.S_IMODE(target.stat().st_mode) if keeps_mode else 0o600
            fresh.unlink(missing_ok=True)  # left by a writer that was killed holding our lock
            _write_synced(fresh, text.encode(), mode)
            fresh.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink()
            self._fail("could not be written, and is as it was", error)
        _sync_folder(target.parent)

    def _refuse_link(self) -> NoReturn:
        raise ConfigurationError(
            f"{self.path} holds API keys and is a symbolic link",
            "put the file itself there, mode 600: a link may lead to where others can read",
        )

    def _fail(self, what: str, error: OSError) -> NoReturn:
        hints = {
            errno.ENOSPC: "free some space on the disk and try again",
            errno.EDQUOT: "free some of your disk quota and try again",
            errno.EFBIG: "a limit on file sizes (ulimit -f) is in the way",
            errno.EROFS: "the file system is read-only",
        }
        hint = hints.get(error.errno or 0, "check who owns the file and the folders above it")
        raise ConfigurationError(f"{self.path} {what}: {error.strerror or error}", hint) from error


def _write_synced(path: Path, content: bytes, mode: int) -> None:
    """Make a file that is private from its first byte, and see its content on the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        if sys.platform != "win32":
            os.fchmod(descriptor, mode)
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """See the new name on the disk, where the file system can; the content is there already."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
