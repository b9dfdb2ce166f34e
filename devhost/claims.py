"""Locks of a host's folder: one process at a time may start or stop its host; also tells whether a host runs.

The locks are the kernel's (flock): they end with their holder, so none is ever stale.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from devhost import layout
from devhost.errors import HostError

ROOM = 200 * 2**20
"""Bytes a folder must have free: etcd alone takes 64 MiB for its log at once."""

START_SECONDS = 90.0
"""How long to wait for another process that starts or ends the same host."""


@contextmanager
def sole_starter(folder: Path, prepare: Callable[[Path], None]) -> Iterator[None]:
    """Let one process at a time start or end the host of `folder`; the lock is the kernel's and dies with its holder."""
    deadline = time.monotonic() + START_SECONDS
    while (lock := _take_start_lock(folder, prepare)) is None:
        if time.monotonic() > deadline:
            raise HostError(f"another process has been starting or ending the host in {folder} for too long")
        time.sleep(0.1)
    try:
        yield
    finally:
        os.close(lock)


def _take_start_lock(folder: Path, prepare: Callable[[Path], None]) -> int | None:
    prepare(folder)
    path = layout.start_lock(folder)
    lock = -1
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # the folder may have been removed, and made again, while we waited
        if _lock(lock) and os.fstat(lock).st_ino == path.stat().st_ino:
            return lock
    except FileNotFoundError:
        pass
    if lock >= 0:
        os.close(lock)
    return None


def claim(folder: Path) -> None:
    """Make `folder` ours. Raises HostError when it holds something that is not a host's, or cannot be made."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark = folder / layout.MARK
        if not mark.exists() and any(folder.iterdir()):
            raise HostError(f"{folder} holds files that are not a host's: choose another folder with --dir")
        folder.chmod(0o700)
        mark.touch(mode=0o600)
        layout.hide(folder)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise HostError(f"the folder {folder} cannot be used: {error.strerror}") from error
    if free < ROOM and not is_supervised(folder):
        raise HostError(f"a host needs {ROOM >> 20} MiB free in {folder}, which has {free >> 20}: free some room")


def require_ours(folder: Path) -> None:
    """Raise HostError when `folder` is not a host's."""
    if not (folder / layout.MARK).exists():
        raise HostError(f"{folder} is not the folder of a host, so it is left alone")


def remove(folder: Path) -> None:
    """Remove `folder`, at once for everybody who looks: half a folder would look like somebody else's."""
    gone = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        folder.rename(gone)
    except OSError:  # a mount point
        gone = folder
    shutil.rmtree(gone)


def hold_as_supervisor(folder: Path, seconds: float = 3.0) -> int | None:
    """Take the supervisor's lock and write our pid into it; return its descriptor, None when another supervisor lives.

    Whoever asks is_supervised() holds the lock for a moment, hence the patience.
    """
    lock = os.open(layout.supervisor_lock(folder), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + seconds
    while not _lock(lock):
        if time.monotonic() > deadline:
            os.close(lock)
            return None
        time.sleep(0.02)
    os.truncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    return lock


def is_supervised(folder: Path) -> bool:
    """Tell whether a supervisor lives in `folder`."""
    try:
        with layout.supervisor_lock(folder).open() as lock:
            return not _lock(lock.fileno(), fcntl.LOCK_SH)
    except OSError:
        return False


def _lock(file: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
