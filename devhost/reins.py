"""Run a command that is killed when its parent ends: `python -I -S reins.py PARENT COMMAND...`.

The kernel sends SIGKILL when the thread that started us ends (prctl(2), PR_SET_PDEATHSIG), which survives execve; the
parent may have died before we asked, so we look once more. A file of its own, with the standard library alone, so that
it starts fast and nothing runs between fork and exec in a process that has threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def tied() -> list[str]:
    """Return what to put before a command so that it dies with the thread that starts it."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid())]


def main(arguments: list[str]) -> None:
    """Tie this process to its parent, then become the command."""
    parent, *command = arguments
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit(1)
    try:
        os.execv(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]} does not start: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
