"""What waits to be posted to one channel: bounded, the newest of what is alike, and nothing twice in a short time. Pure; times in
seconds of a clock that never steps."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from reconciler.errors import one_line

QUIET: Final = 600.0  # seconds in which the same is not told again
MOST: Final = 1000  # notices that wait, and that are remembered
SHOWN: Final = 20  # of one post
TEXT: Final = 500  # characters of a message

Key = tuple[str, str, str]


class Notice(Struct, frozen=True):
    """One thing that happened, to a cluster, to a source, or to the controller where both are "". `at` in seconds since the epoch;
    `labels` are the cluster's."""

    reason: str
    message: str
    at: float
    warning: bool = False
    cluster: str = ""
    source: str = ""
    revision: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """What is alike: the same reason of the same cluster or source."""
        return self.source, self.cluster, self.reason

    @property
    def about(self) -> str:
        """Its cluster, its source or the controller."""
        return self.cluster or (f"source {self.source}" if self.source else "the controller")


class Batch(Struct, frozen=True):
    """One post: the first of `count` notices, those that somebody should look at before others; `lost`: how many were not delivered
    since the last one."""

    shown: tuple[Notice, ...]
    count: int
    lost: int = 0


class Pending:
    """`due`: when there is something to post, None where there is nothing. `lost`: what was dropped. `gathers`: seconds from the first
    notice until it is posted with what came meanwhile; `gap`: seconds between two posts."""

    def __init__(self, gathers: float, gap: float) -> None:
        self._gathers, self._gap = gathers, gap
        self._waiting: dict[Key, Notice] = {}
        self._told: dict[Key, tuple[str, float]] = {}
        self._next = 0.0
        self.due: float | None = None
        self.lost = 0

    def add(self, one: Notice, now: float) -> None:
        """Something happened."""
        message = one_line(one.message, TEXT)
        if one.key not in self._waiting and self._repeats(one.key, message, now):
            return
        if one.key not in self._waiting and len(self._waiting) >= MOST:
            self.lost += 1
            return
        self._waiting[one.key] = one
        self.due = self.due if self.due is not None else max(now + self._gathers, self._next)

    def take(self, now: float) -> Batch:
        """What is posted now; nothing waits after it."""
        found = sorted(self._waiting.values(), key=lambda one: (not one.warning, one.at))
        for one in found:
            self._told.pop(one.key, None)
            self._told[one.key] = one_line(one.message, TEXT), now
        for key in list(self._told)[: max(0, len(self._told) - MOST)]:
            del self._told[key]
        batch = Batch(tuple(found[:SHOWN]), len(found), self.lost)
        self._waiting, self.lost, self.due, self._next = {}, 0, None, now + self._gap
        return batch

    def _repeats(self, key: Key, message: str, now: float) -> bool:
        """Whether just this was told a short while ago, and nothing else of the same cluster or source since."""
        told, at = self._told.get(key, ("", -QUIET))
        if told != message or now - at >= QUIET:
            return False
        others = [when for other, (_, when) in self._told.items() if other[:2] == key[:2] and other != key]
        others_wait = any(other[:2] == key[:2] for other in self._waiting)
        return not others_wait and all(when <= at for when in others)
