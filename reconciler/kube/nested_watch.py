"""A watch of a nested cluster for a layer that waits (R1): it stores nothing and only wakes, until it is stopped."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from reconciler import jitter
from reconciler.errors import NidusError
from reconciler.kube.watch import Watch

PAUSE, LONGEST = 1.0, 60.0
LASTED = 5.0  # seconds after which a watch counts as one that worked
EACH = 0.02  # seconds an event may take: a flood is read no faster
BURST = 100  # events that pass at once


class NestedWatch:
    """Calls `wake` for each event that `opened` streams, and whenever a watch is open again, because events may have
    been missed.

    If the server does not answer or lacks the kind, it is tried again with a growing pause. `over` is called once,
    after the end; `failed` is called for bugs.
    """

    def __init__(
        self,
        name: str,
        opened: Callable[[], Watch],
        wake: Callable[[], None],
        over: Callable[[], None],
        failed: Callable[[str, Exception], None] = lambda what, error: None,
    ) -> None:
        self._name = name
        self._failed = failed
        self._opened = opened
        self._wake = wake
        self._over = over
        self._stopped = threading.Event()
        self._stream: Watch | None = None
        threading.Thread(target=self._run, name=f"watch-{name}", daemon=True).start()

    def stop(self) -> None:
        """End it; does not wait for the thread."""
        self._stopped.set()
        if self._stream:
            self._stream.stop()

    def _run(self) -> None:
        pause = PAUSE
        try:
            while not self._stopped.is_set():
                began = time.monotonic()
                try:
                    with suppress(NidusError):  # the passes over this cluster meet the same error and report it
                        self._follow()
                except Exception as error:  # bugs are reported and must not end this thread
                    self._failed(f"watching {self._name}", error)
                pause = PAUSE if time.monotonic() - began > LASTED else min(LONGEST, pause * 2)
                self._stopped.wait(pause / 2 * jitter.between(0.8, 1.2))
        finally:
            self._over()

    def _follow(self) -> None:
        stream = self._stream = self._opened()
        if self._stopped.is_set():
            stream.stop()
            return
        self._wake()
        due = 0.0
        for event in stream:
            if event.head is not None:
                self._wake()
            due, pause = paced(due, time.monotonic())
            self._stopped.wait(pause)


def paced(due: float, now: float) -> tuple[float, float]:
    """When the next event is due, and the pause until then, for one that was read at `now`. What is not read stays with the server."""
    due = max(due, now - BURST * EACH) + EACH
    return due, max(0.0, due - now)
