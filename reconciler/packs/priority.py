"""The share of the processor that another process of ours gets: how much it used, and how it gives way to others (H4).

Linux keeps niceness for each thread (setpriority(2)), and where sessions are scheduled as groups it counts within one session alone
(sched(7), "The autogroup feature"): there the session gives way by a niceness of its own.
"""

import contextlib
import os
from pathlib import Path

NICENESS = 10
"""A tenth of what a process of usual priority gets beside it; all of a processor that nobody else wants."""
_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12  # in /proc/PID/stat after the name (proc_pid_stat(5)), from 0


def used(process: int) -> float:
    """Seconds of processor time of its threads so far; 0 where it has ended or the system does not tell."""
    try:
        fields = (_PROC / str(process) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        return (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS
    except (OSError, IndexError, ValueError):
        return 0.0


def lower(process: int) -> bool:
    """Let a process of ours, which leads a session of its own, give way to all others, for good: to take that back needs privileges.

    Returns False where it is to be tried again: the kernel changes ten sessions a second at most.
    """
    folder = _PROC / str(process)
    try:
        (folder / "autogroup").write_text(str(NICENESS))
    except BlockingIOError:
        return False
    except OSError:  # it has ended, or the system has no such groups
        pass
    done = set[int]()
    while late := _threads(folder) - done:  # one that was made meanwhile has the niceness of its maker
        for thread in late:
            with contextlib.suppress(OSError):  # it has ended
                os.setpriority(os.PRIO_PROCESS, thread, NICENESS)
        done |= late
    return True


def _threads(folder: Path) -> set[int]:
    try:
        return {int(one.name) for one in (folder / "task").iterdir()}
    except OSError:
        return set()
