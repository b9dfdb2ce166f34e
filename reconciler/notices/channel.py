"""One channel of people, and the thread that posts to it (U10)."""

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from msgspec import Struct

from reconciler import jitter
from reconciler.errors import NidusError, Retry
from reconciler.model import NotifyConfig
from reconciler.notices import sending
from reconciler.notices.pending import Batch, Notice, Pending

LAST: Final = 300.0  # seconds between two tries at most
GIVEN_UP: Final = 3600.0  # seconds after which what could not be posted is dropped
FAREWELL: Final = 2.0  # seconds for the last try, at a stop


class Pace(Struct, frozen=True):
    """Seconds: of one post and its answer; until one that failed is tried again, doubling; from the first notice until the post; between
    two posts."""

    deadline: float = 10.0
    first: float = 2.0
    gathers: float = 3.0
    gap: float = 10.0


PACE: Final = Pace()
Told = Callable[[str, str, int, str], None]
"""What became of notices: the channel, delivered, failed or dropped, how many, and why."""


class Channel:
    """One channel, and its thread. `place` is the address that people open to see a cluster, with a slash at its end, or ""."""

    def __init__(
        self, config: NotifyConfig, place: str, told: Told, bug: Callable[[Exception], None], pace: Pace = PACE
    ) -> None:
        self._config, self._place, self._pace = config, place, pace
        self._told, self._bug = partial(told, config.name), bug
        self._changed = threading.Condition()
        self._pending = Pending(pace.gathers, pace.gap)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"notices {config.name}", daemon=True)
        self._thread.start()

    def offer(self, one: Notice) -> None:
        """Put something down, where this channel wants it. Returns at once."""
        if not wanted(self._config, one):
            return
        with self._changed:
            self._pending.add(one, time.monotonic())
            self._changed.notify()

    def end(self) -> None:
        """What waits is posted now, once, and nothing more is taken."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def join(self, seconds: float) -> None:
        """Wait for that."""
        self._thread.join(seconds)

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            try:
                self._deliver(batch)
            except Exception as error:  # a bug costs one post
                self._bug(error)

    def _next(self) -> Batch | None:
        """What is to be posted, once it is due; None at the end."""
        with self._changed:
            while True:
                due, now = self._pending.due, time.monotonic()
                if due is None and self._closing:
                    return None
                if due is not None and (due <= now or self._closing):
                    return self._pending.take(now)
                self._changed.wait(None if due is None else due - now)

    def _deliver(self, batch: Batch) -> None:
        """Post until it worked, or is dropped. It is the same post each time, so a receiver can tell that it has it already."""
        post = sending.post_of(self._config, batch, self._place, time.time())
        ends, pause = time.monotonic() + GIVEN_UP, 0.0
        while True:
            try:
                sending.send(self._config, post, min(self._pace.deadline, FAREWELL if self._closing else LAST))
            except Retry as error:
                first, pause = not pause, min(LAST, 2 * pause or self._pace.first)
                wait = max(error.after or 0.0, pause * jitter.between(0.8, 1.2))
                if first:
                    self._told("failed", 0, error.told)
                if self._waits(wait, ends):
                    continue
                self._drop(batch, error)
            except NidusError as error:
                self._drop(batch, error)
            else:
                self._told("delivered", batch.count, "")
            return

    def _waits(self, seconds: float, ends: float) -> bool:
        """Wait before another try; whether there is to be one."""
        with self._changed:
            over = self._closing or time.monotonic() + seconds > ends
            return not over and not self._changed.wait_for(lambda: self._closing, seconds)

    def _drop(self, batch: Batch, error: NidusError) -> None:
        with self._changed:
            self._pending.lost += batch.count
        self._told("dropped", batch.count, error.told)


def wanted(config: NotifyConfig, one: Notice) -> bool:
    """Whether a channel is for something: by its reason, and where it says so by source and labels of the cluster."""
    if one.reason not in config.events or (config.sources and one.source not in config.sources):
        return False
    return _has(one.labels, config.labels)


def _has(labels: Mapping[str, str], asked: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in asked.items())
