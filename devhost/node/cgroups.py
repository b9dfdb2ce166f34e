"""The control groups of a node's pods: one folder below each hierarchy of the machine. Standard library alone."""

import os
import time
from pathlib import Path


def hierarchies() -> list[Path]:
    """Return where control groups are mounted: each controller of version 1, or the one tree of version 2, or both."""
    rows = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [Path(row[1]) for row in rows if row[2] in ("cgroup", "cgroup2")]


def make(name: str) -> None:
    """Make the group `name` in every hierarchy. Raises OSError."""
    for one in hierarchies():
        (one / name).mkdir(exist_ok=True)


def remove(name: str, seconds: float = 5.0) -> None:
    """Remove the group `name` and all below it, once its processes are gone; gives up after `seconds`."""
    deadline = time.monotonic() + seconds
    left = [one / name for one in hierarchies()]
    while (left := [one for one in left if not _removed(one)]) and time.monotonic() < deadline:
        time.sleep(0.05)


def _removed(group: Path) -> bool:
    for folder, _, _ in os.walk(group, topdown=False):
        try:
            Path(folder).rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return False
    return True
