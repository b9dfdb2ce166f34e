"""What connections share: a number of connections, and a number of bytes. Where it is full, the slowest of whoever holds most
gives way."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol


class Stage(IntEnum):
    """Where a connection is: it waits for its client (RECEIVES, SENDS), for a thread (QUEUES), or is in one (RUNS)."""

    RECEIVES = 0
    SENDS = 1
    QUEUES = 2
    RUNS = 3


class Stream(Protocol):
    """An answer without an end: pieces as they come. `close` is called once, whatever became of it."""

    def pieces(self) -> AsyncIterator[bytes]: ...

    def close(self) -> None: ...


@dataclass(eq=False, slots=True)
class Link:
    """One connection: its sender, the stage it is in and since when (seconds of the monotonic clock), what ends it once
    it has begun, and its stream where the application gave it one."""

    sender: str
    end: Callable[[], object] = lambda: None
    stage: Stage = Stage.RECEIVES
    since: float = field(default_factory=time.monotonic)
    stream: Stream | None = None

    def enter(self, stage: Stage) -> None:
        """Begin the next stage."""
        self.stage, self.since = stage, time.monotonic()


@dataclass(eq=False, slots=True)
class _Asked:
    link: Link
    units: int
    granted: asyncio.Future[None]


class Room:
    """`size` units (connections, or bytes) that links hold. Used by one event loop.

    A link that asks while there is no room waits; the one of the sender with the fewest units is next. Room is made by ending
    links that had `grace` seconds in their stage, those of the sender with the most units first, and then the oldest. One that
    waits for a thread had no fault in it: it is ended after `patience` seconds, after all that wait for their client. One that
    is in a thread is never ended. A sender with `share` units loses a link of its own for each new one, also where there is room.
    """

    def __init__(self, size: int, *, share: int = 0, grace: float, patience: float = math.inf) -> None:
        self._size, self._share, self._grace, self._patience = size, share or size, grace, patience
        self._held: dict[Link, int] = {}
        self._of: Counter[str] = Counter()
        self._used = 0
        self._asked: list[_Asked] = []
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, link: Link, units: int) -> None:
        """Return when `link` holds that many units in place of what it held; more than the whole room counts as all of it."""
        self.leave(link)
        asked = _Asked(link, min(units, self._size), asyncio.get_running_loop().create_future())
        self._asked.append(asked)
        self._settle()
        try:
            await asked.granted
        finally:
            if asked in self._asked:
                self._asked.remove(asked)

    def leave(self, link: Link) -> None:
        """Give back what `link` holds, if anything."""
        if link in self._held:
            self._drop(link)
            self._settle()

    def _settle(self) -> None:
        """Grant what can be granted; end whoever gives way; come again when the next one may."""
        while self._asked:
            asked = min(self._asked, key=lambda one: (self._of[one.link.sender], one.units))
            if self._of[asked.link.sender] + asked.units > self._share:
                self._end(self._slowest(asked.link.sender))
            if self._used + asked.units <= self._size:
                self._grant(asked)
            elif not self._end(self._slowest()):
                self._later()
                return

    def _grant(self, asked: _Asked) -> None:
        self._asked.remove(asked)
        if not asked.granted.cancelled():
            self._held[asked.link] = asked.units
            self._of[asked.link.sender] += asked.units
            self._used += asked.units
            asked.granted.set_result(None)

    def _slowest(self, sender: str = "") -> Link | None:
        """Who gives way next: of one sender, or of all; None where nobody had the time of grace yet."""
        of = [link for link in self._held if self._may_end(link) and sender in ("", link.sender)]
        return min(of, key=lambda link: (link.stage is Stage.QUEUES, -self._of[link.sender], link.since), default=None)

    def _may_end(self, link: Link) -> bool:
        if link.stage is Stage.RUNS:
            return False
        return time.monotonic() - link.since >= (self._patience if link.stage is Stage.QUEUES else self._grace)

    def _end(self, link: Link | None) -> bool:
        if link is None:
            return False
        self._drop(link)
        link.end()
        return True

    def _drop(self, link: Link) -> None:
        units = self._held.pop(link)
        self._used -= units
        self._of[link.sender] -= units
        if not self._of[link.sender]:
            del self._of[link.sender]

    def _later(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._grace / 4, self._again)

    def _again(self) -> None:
        self._timer = None
        self._settle()
