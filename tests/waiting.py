"""Waiting for what another thread or process does; the seconds are a bound, not a measure."""

import time
from collections.abc import Callable


def until(check: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether `check` becomes true in time."""
    ends = time.monotonic() + seconds
    while not check():
        if time.monotonic() > ends:
            return False
        time.sleep(0.01)
    return True


def eventually(check: Callable[[], bool], seconds: float = 60.0) -> None:
    """Fails where `check` does not become true in time."""
    assert until(check, seconds), "not in time"
