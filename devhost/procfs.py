"""Reads /proc of a process: whether it is the one we started, whether it runs, how much memory it uses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_STATES = {"T": "paused", "t": "paused", "Z": "exited", "X": "exited"}


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a process: running, paused or exited; `memory` is its resident set in bytes; `born` in clock ticks."""

    state: str
    memory: int
    born: int


def look(pid: int) -> Look | None:
    """Return what `pid` is doing; None when there is no such process."""
    try:
        # the name in parentheses may hold anything, spaces and parentheses too
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text()
    except (OSError, ValueError):
        return None
    return Look(_STATES.get(fields[0], "running"), _resident(status), int(fields[19]))


def lives(pid: int, born: int) -> bool:
    """Tell whether the process started as `pid` at `born` still is there (a zombie is not)."""
    seen = look(pid)
    return seen is not None and seen.born == born and seen.state != "exited"


def children(pid: int) -> list[int]:
    """Return the pids of the children of the main thread of `pid`; none when it is not there."""
    try:
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return []


def _resident(status: str) -> int:
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
