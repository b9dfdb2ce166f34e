"""Tells open pages that what they show has changed (U7): server-sent events, which hold no content. A page then asks for itself, as
its reader, and gets what they may get."""

import asyncio
import contextlib
import re
import secrets
import threading
from collections.abc import AsyncIterator
from typing import Final

MOST: Final = 200  # pages that are told at once; others ask every few seconds
EACH: Final = 40  # of them of one reader, where readers are told apart: nobody takes the places of all
TOPICS: Final = 50_000  # that are remembered one by one
LASTS: Final = 300.0  # seconds of one connection: then it is opened again, and the rights of its reader are asked anew
REST: Final = 0.3  # seconds between two events of one connection: what changes meanwhile is one event
SIGN: Final = 15.0  # seconds after which a quiet connection gives a sign of life
TOPIC: Final = re.compile(r"(?:(?:clusters|sources)/[a-z0-9][a-z0-9.-]{0,252})?", re.ASCII)


class Feed:
    """Numbers the changes of topics: `clusters/NAME`, `sources/NAME`, and "" for all of them. Thread-safe."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._boot = secrets.token_hex(4)  # numbers of another process, or of before a restart, mean nothing
        self._lock = threading.Lock()
        self._number = self._floor = 0
        self._at: dict[str, int] = {}
        self._followers: set[Follower] = set()

    def changed(self, topic: str) -> None:
        """Something changed. Returns at once."""
        with self._lock:
            self._number += 1
            if len(self._at) >= TOPICS:
                self._floor = self._number
                self._at.clear()
            self._at[topic] = self._number
            told = [one for one in self._followers if one.topic in ("", topic)]
        for one in told:
            one.wake()

    def newest(self, topic: str = "") -> int:
        """The number of the last change."""
        with self._lock:
            return self._at.get(topic, self._floor) if topic else self._number

    def follow(self, topic: str, seen: str, who: str = "") -> "Follower | None":
        """Somebody who is told from now on; None where there are as many as may be, or as many of this reader. `seen`: the id of the last
        event that they got, "" or anything else where they got none of this process: their page may be of before, so they are told at once.
        """
        boot, _, number = seen.partition("-")
        known = boot == self._boot and number.isdecimal() and len(number) < 16
        made = Follower(self, topic, int(number) if known else -1, who)
        with self._lock:
            mine = sum(one.who == who for one in self._followers) if who else 0
            if len(self._followers) >= self._most or mine >= EACH:
                return None
            self._followers.add(made)
        return made

    def leave(self, one: "Follower") -> None:
        """Forget somebody."""
        with self._lock:
            self._followers.discard(one)

    def count(self) -> int:
        """How many are told now."""
        with self._lock:
            return len(self._followers)

    def event(self, number: int) -> bytes:
        """One event."""
        return f"id: {self._boot}-{number}\ndata: changed\n\n".encode()


class Follower:
    """One open page. `pieces` runs in the loop of the listener, `wake` in any thread."""

    def __init__(self, feed: Feed, topic: str, seen: int, who: str) -> None:
        self.topic, self.who, self._feed, self._seen = topic, who, feed, seen
        self._moved = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def wake(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._moved.set)

    async def pieces(self) -> AsyncIterator[bytes]:
        """What is sent, until the connection had its time."""
        self._loop = asyncio.get_running_loop()
        ends = self._loop.time() + LASTS
        yield b"retry: 2000\n\n"
        while self._loop.time() < ends:
            self._moved.clear()
            number = self._feed.newest(self.topic)
            if number != self._seen:
                self._seen = number
                yield self._feed.event(number)
                await asyncio.sleep(REST)
                continue
            try:
                async with asyncio.timeout(SIGN):  # wait_for of Python 3.11 may lose that it was cancelled
                    await self._moved.wait()
            except TimeoutError:
                yield b":\n\n"

    def close(self) -> None:
        """The connection is over."""
        self._feed.leave(self)
