"""Prints the progress of a long step."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, float, bool], None]
"""Called with a step's name, its seconds so far, and whether it is over: at its start, about once a second, at its end."""

WORTH_TELLING = 0.5
"""Seconds; shorter steps are not worth a line of a log."""


@contextmanager
def step(name: str, progress: Progress) -> Iterator[Callable[[], None]]:
    """Tell of the step `name` while the body runs; the body calls what it is given when time has passed."""
    started = time.monotonic()
    progress(name, 0.0, False)
    yield lambda: progress(name, time.monotonic() - started, False)
    progress(name, time.monotonic() - started, True)


def silent(step: str, seconds: float, over: bool) -> None:
    """Tell nobody."""


def printed(step: str, seconds: float, over: bool) -> None:
    """Tell on standard error: one rewritten line on a terminal, elsewhere one line at the end of each step that took time."""
    if sys.stderr.isatty():
        print(f"\r\033[K{step}: {seconds:.0f} s", end="\n" if over else "", file=sys.stderr, flush=True)
    elif over and seconds >= WORTH_TELLING:
        print(f"{step}: {seconds:.1f} s", file=sys.stderr, flush=True)


def named(step: str) -> None:
    """Tell on standard error, at a terminal, what is done now; an empty name clears the line."""
    if sys.stderr.isatty():
        print(f"\r\033[K{step}", end="", file=sys.stderr, flush=True)
