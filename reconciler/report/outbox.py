"""Values waiting to be written, by key: only the newest of a key is written, one write of a key at a time, several keys
in parallel, retried until written."""

import random
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from reconciler.errors import LeaseLost, NidusError
from reconciler.report import bugs, log

Key = TypeVar("Key", bound=Hashable)
FIRST, LAST = 1.0, 60.0  # seconds until a failed write is tried again, doubling


class Outbox(Generic[Key]):
    """`write` writes the newest value of a key and raises where that fails; it is called from `threads` threads of this
    object. `first`: seconds until the first retry."""

    def __init__(self, name: str, write: Callable[[Key], None], *, threads: int, first: float = FIRST) -> None:
        self._name, self._write, self._first = name, write, first
        self._changed = threading.Condition()
        self._due: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._busy: set[Key] = set()
        self._closing = False
        self._jitter = random.Random()
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, key: Key, after: float = 0.0) -> None:
        """Write the newest of `key` soon, or `after` so many seconds; several calls before it is written are one write, when the first
        asked for it. One that failed waits for its retry."""
        with self._changed:
            at = time.monotonic() + after
            if key not in self._failures or key not in self._due:
                self._due[key] = min(at, self._due.get(key, at))
                self._changed.notify()

    def waiting(self) -> int:
        """Keys that are not written yet."""
        with self._changed:
            return len(self._due.keys() | self._busy)

    def settle(self, seconds: float) -> bool:
        """Wait at most `seconds` until nothing is left to write; whether nothing is."""
        ends = time.monotonic() + seconds
        with self._changed:
            return self._changed.wait_for(lambda: not self._due and not self._busy, max(0.0, ends - time.monotonic()))

    def close(self, seconds: float) -> None:
        """Give what waits `seconds` to be written, each tried at once; then end."""
        ends = time.monotonic() + seconds
        with self._changed:
            self._due = dict.fromkeys(self._due, time.monotonic())
            self._changed.notify_all()
        self.settle(seconds)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(max(0.1, ends - time.monotonic()))

    def _run(self) -> None:
        while (key := self._take()) is not None:
            failed = self._failed(key)
            with self._changed:
                self._busy.discard(key)
                if failed:
                    count = self._failures[key] = self._failures.get(key, 0) + 1
                    pause = min(LAST, self._first * 2.0 ** min(count - 1, 10)) * self._jitter.uniform(0.8, 1.2)
                    self._due[key] = time.monotonic() + pause
                else:
                    self._failures.pop(key, None)
                self._changed.notify_all()

    def _failed(self, key: Key) -> bool:
        """Write a key; whether it has to be tried again."""
        try:
            self._write(key)
        except LeaseLost:
            return False  # the process is about to end (H1)
        except NidusError as error:
            if key not in self._failures:
                log.line("WriteFailed", what=self._name, key=str(key), message=error.message)
            return True
        except Exception as error:
            bugs.tell(self._name, error, str(key))
            return True
        return False

    def _take(self) -> Key | None:
        """A key that is due and not being written; None once closed."""
        with self._changed:
            while not self._closing:
                now = time.monotonic()
                found = next((key for key, at in self._due.items() if at <= now and key not in self._busy), None)
                if found is not None:
                    del self._due[found]
                    self._busy.add(found)
                    return found
                later = [at for key, at in self._due.items() if key not in self._busy]
                self._changed.wait(min(later) - now if later else None)
            return None
