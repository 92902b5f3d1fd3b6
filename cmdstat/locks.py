"""Locks between processes that the kernel drops when their holder dies, `kill -9` included.

Our own few lines instead of `filelock`, whose import costs 63 ms of every start. Both kinds are
advisory: they bind whoever asks. A lock file is empty, is never removed (a waiter may have it
open), and is no file that anything else opens.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import ClassVar, NoReturn, Self

from cmdstat.errors import ConfigurationError

_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_POLL_SECONDS = 0.01


class FileLock:
    """A whole file's lock, as a context manager: one holder at a time, threads included.

    Waits at most `timeout` seconds. Raises `ConfigurationError` when it is not free by then, and
    when the file cannot be opened or its file system knows no locks.
    """

    def __init__(self, path: Path, timeout: float = 10.0) -> None:
        self._path = path
        self._timeout = timeout
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        descriptor = _open(self._path)
        try:
            self._wait(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._descriptor is not None
        os.close(self._descriptor)
        self._descriptor = None

    def _wait(self, descriptor: int) -> None:
        deadline = time.monotonic() + self._timeout
        while not self._try(descriptor):
            if time.monotonic() >= deadline:
                raise ConfigurationError(
                    f"{self._path} is locked: another cmdstat has been writing there"
                    f" for {self._timeout:g} seconds",
                    "wait for the other cmdstat to end, or end it, and try again",
                )
            time.sleep(_POLL_SECONDS)

    def _try(self, descriptor: int) -> bool:
        """Each holder has a descriptor of its own, so `flock` tells threads apart as well."""
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            _refuse_unless_taken(self._path, error)
            return False
        return True


class ByteLocks:
    """Locks on single bytes of one file, each named by a number: "whoever holds 4711 is alive".

    A token is any number from 0 to 2**62 - 1; the byte need not exist, the file stays empty. A
    process's locks are gone the moment it ends, however it ends. Threads may share an object.

    POSIX record locks belong to the process and are all lost when it closes any descriptor of the
    file, so all objects for one file share one descriptor, which stays open until the last of them
    is closed. A child process inherits none of the locks. The file is made with mode 0600; its
    folder must be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shared = _SharedFile.attach(path)

    def hold(self, token: int) -> None:
        """Hold a token until `release`, `close` or the end of the process.

        Raises `ConfigurationError` if another process holds it: tokens are chosen at random, so
        that is no accident.
        """
        self._shared.hold(token)

    def release(self, token: int) -> None:
        """Let go of a token; one that is not held is left alone."""
        self._shared.release(token)

    def is_held(self, token: int) -> bool:
        """Whether any living process, this one included, holds the token."""
        return self._shared.is_held(token)

    def close(self) -> None:
        """Let go of the file; the last object of a process to do so drops what it still holds."""
        self._shared.detach()


class _SharedFile:
    """The one descriptor that a process has of a lock file, and the tokens that it holds.

    The kernel does not tell a process of its own record locks, so they are remembered here. A
    probe is a shared lock taken for an instant: two probes do not disturb each other, and whoever
    wants to hold the byte meanwhile waits that instant.
    """

    _open_files: ClassVar[dict[tuple[int, str], _SharedFile]] = {}
    _registry: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, path: Path, key: tuple[int, str]) -> None:
        self.path = path
        self._key = key
        self._guard = threading.Lock()
        self._held: set[int] = set()
        self._users = 0
        self._descriptor = _open(path)

    @classmethod
    def attach(cls, path: Path) -> _SharedFile:
        """The process's file for a path; a forked child has its own, as it has no locks yet."""
        key = (os.getpid(), os.path.realpath(path))
        with cls._registry:
            shared = cls._open_files.get(key)
            if shared is None:
                shared = cls._open_files[key] = cls(path, key)
            shared._users += 1
            return shared

    def detach(self) -> None:
        with self._registry:
            self._users -= 1
            if self._users == 0 and self._key[0] == os.getpid():
                del self._open_files[self._key]
                os.close(self._descriptor)
                self._held.clear()

    def hold(self, token: int) -> None:
        deadline = time.monotonic() + 1.0
        with self._guard:
            if token in self._held:
                return
            while not self._lock(token, exclusive=True):
                if time.monotonic() >= deadline:
                    raise ConfigurationError(
                        f"{self.path} is locked by another process",
                        "see which program has that file open, and try again",
                    )
                time.sleep(_POLL_SECONDS)
            self._held.add(token)

    def release(self, token: int) -> None:
        with self._guard:
            if token in self._held:
                self._held.remove(token)
                self._unlock(token)

    def is_held(self, token: int) -> bool:
        with self._guard:
            if token in self._held:
                return True
            if not self._lock(token, exclusive=False):
                return True
            self._unlock(token)
            return False

    def _lock(self, token: int, *, exclusive: bool) -> bool:
        try:
            if sys.platform == "win32":
                import msvcrt

                os.lseek(self._descriptor, _windows_offset(token), os.SEEK_SET)
                msvcrt.locking(self._descriptor, msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                how = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
                fcntl.lockf(self._descriptor, how | fcntl.LOCK_NB, 1, token)
        except OSError as error:
            _refuse_unless_taken(self.path, error)
            return False
        return True

    def _unlock(self, token: int) -> None:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(self._descriptor, _windows_offset(token), os.SEEK_SET)
            msvcrt.locking(self._descriptor, msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, token)


def _windows_offset(token: int) -> int:
    """`msvcrt` counts offsets in 32 bits, so tokens are folded there.

    That two living holders meet on one byte is a chance of one in a thousand million, and would
    make a dead holder look alive, never a living one dead.
    """
    return token & 0x3FFF_FFFF


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as error:
        _refuse(path, error)


def _refuse_unless_taken(path: Path, error: OSError) -> None:
    """Raise for every reason that a lock was not had, other than that somebody else has it."""
    if error.errno not in _TAKEN:
        _refuse(path, error)


def _refuse(path: Path, error: OSError) -> NoReturn:
    raise ConfigurationError(
        f"{path} could not be locked: {error.strerror or error}",
        "check that you may write there and that its file system supports locks",
    ) from error
