"""What a host leaves behind on the machine: processes, listeners, mounts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path


def processes(folder: Path) -> list[str]:
    """Return the command lines that name `folder`, our own aside."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line and entry.parent.name != str(os.getpid()):
            found.append(line)
    return found


def listeners(ports: Iterable[int]) -> set[int]:
    """Return those of `ports` somebody listens on."""
    listening = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        if state == "0A":
            listening.add(int(local.rpartition(":")[2], 16))
    return listening & set(ports)


def mounts(folder: Path) -> list[str]:
    """Return the mounts below `folder`."""
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]


def until(is_true: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Wait for `is_true`; return whether it came."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_true():
            return True
        time.sleep(0.02)
    return is_true()
