"""Locks between processes: exclusive, dropped when the holder dies, and honest about who lives."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

from cmdstat.errors import ConfigurationError
from cmdstat.locks import ByteLocks, FileLock

FAR = 2**62 - 1

_HOLDER = """
import sys
from pathlib import Path
from cmdstat.locks import ByteLocks, FileLock
path = Path(sys.argv[1])
if sys.argv[2] == "file":
    lock = FileLock(path)
    lock.__enter__()
else:
    locks = ByteLocks(path)
    for token in sys.argv[2:]:
        locks.hold(int(token))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Starts a process that holds a lock until it is ended; all are ended with the test."""
    started = []

    def start(*what):
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, tmp_path / "lock", *map(str, what)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout.readline() == b"held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_file_lock_waits_and_gives_up(tmp_path, holder):
    """A lock that another process holds is waited for, then given up with its name."""
    process = holder("file")
    start = time.monotonic()
    with pytest.raises(ConfigurationError, match="is locked"), FileLock(tmp_path / "lock", 0.2):
        pytest.fail("the lock was had by two")
    assert 0.2 <= time.monotonic() - start < 5
    os.kill(process.pid, signal.SIGKILL)
    with FileLock(tmp_path / "lock", 10):
        pass


def test_file_lock_between_threads(tmp_path):
    """Two threads of a process exclude each other too, and the file is private."""
    inside, most = [], []

    def work():
        for _ in range(20):
            with FileLock(tmp_path / "lock"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 80
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600


@pytest.mark.parametrize("make", [lambda path: FileLock(path).__enter__(), ByteLocks])
def test_folder_missing(tmp_path, make):
    """A lock file that cannot be opened is a configuration error that names it."""
    with pytest.raises(ConfigurationError, match="could not be locked"):
        make(tmp_path / "missing" / "lock")


def test_byte_locks_tell_the_living_from_the_dead(tmp_path, holder):
    """A token is held as long as its process lives, and free the moment it is killed."""
    process = holder(7, FAR)
    locks = ByteLocks(tmp_path / "lock")
    assert [locks.is_held(token) for token in (7, 8, FAR, FAR - 1)] == [True, False, True, False]
    process.kill()
    process.wait()
    assert [locks.is_held(token) for token in (7, FAR)] == [False, False]
    locks.close()
    assert (tmp_path / "lock").stat().st_size == 0


def test_own_tokens_are_held(tmp_path, holder):
    """A process sees its own tokens as held, a probe does not drop them, and others see them."""
    locks = ByteLocks(tmp_path / "lock")
    locks.hold(3)
    assert locks.is_held(3)
    with pytest.raises(AssertionError):
        holder(3)
    holder(4)
    locks.release(3)
    assert not locks.is_held(3)
    holder(3)
    assert locks.is_held(3)
    locks.close()


def test_objects_share_one_descriptor(tmp_path, holder):
    """Closing one of two objects for a file leaves the other's locks in force."""
    first, second = ByteLocks(tmp_path / "lock"), ByteLocks(tmp_path / "lock")
    first.hold(11)
    second.close()
    with pytest.raises(AssertionError):
        holder(11)
    first.close()
    holder(11)


def test_children_do_not_inherit(tmp_path):
    """A child that closes everything it was given drops none of its parent's locks."""
    locks = ByteLocks(tmp_path / "lock")
    locks.hold(5)
    child = os.fork()
    if child == 0:
        os.closerange(3, 256)
        os._exit(0)
    os.waitpid(child, 0)
    probe = (
        "import sys; from pathlib import Path; from cmdstat.locks import ByteLocks;"
        "print(ByteLocks(Path(sys.argv[1])).is_held(5))"
    )
    seen = subprocess.run(
        [sys.executable, "-c", probe, tmp_path / "lock"], capture_output=True, check=True
    )
    assert seen.stdout == b"True\n"
    locks.close()
