"""The few system calls that a real node needs and Python 3.11 lacks: unshare, setns, mount, prctl. Standard library alone."""

import ctypes
import os
import time
from pathlib import Path

NEWNS, NEWUTS, NEWIPC, NEWPID, NEWNET = 0x00020000, 0x04000000, 0x08000000, 0x20000000, 0x40000000
"""unshare(2)"""
RDONLY, REMOUNT, BIND, REC, PRIVATE, SHARED = 0x1, 0x20, 0x1000, 0x4000, 0x40000, 0x100000
"""mount(2)"""
_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def unshare(kinds: int) -> None:
    """Make new namespaces of these kinds; of NEWPID the next children are the first processes. Raises OSError."""
    _check(_LIBC.unshare(kinds), "new namespaces")


def enter(file: int) -> None:
    """Enter the namespace that the open `file` names. Raises OSError."""
    _check(_LIBC.setns(file, 0), "the namespace")


def die_with_parent(number: int) -> None:
    """Get signal `number` when the thread that started this process ends."""
    _check(_LIBC.prctl(_PDEATHSIG, number, 0, 0, 0), "the parent's end")


def mount(source: str | Path, target: str | Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2). Raises OSError."""
    words = [os.fsencode(word) or None for word in (source, target, kind)]
    _check(_LIBC.mount(*words, flags, options.encode() or None), str(target))


def namespace(pid: int, kind: str) -> int:
    """Open the namespace of `pid`: mnt, net, pid. Raises OSError."""
    return os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


def born(pid: int) -> str:
    """Return when `pid` was started, in clock ticks since boot; empty when it is not there, or ended and nobody has taken note."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]


def holder(file: Path, seconds: float = 0.0) -> int:
    """Return the pid that the holder's file names, 0 when it names none that lives within `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := _living(file)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _living(file: Path) -> int:
    try:
        pid, birth = file.read_text().split()
    except (OSError, ValueError):
        return 0
    return int(pid) if born(int(pid)) == birth else 0


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
