"""Deadlines for a whole call: connection, headers and body together, however slowly bytes come (M17).

The limit of a thread's call is in a context variable, because the sockets are made and chosen inside urllib3.
`kube.timed_socket` checks it before each read and write.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from msgspec import Struct


class Limit(Struct, frozen=True):
    """Until when (monotonic seconds) something may take, and how many seconds that were at its start."""

    ends: float
    seconds: float

    @classmethod
    def of(cls, seconds: float) -> "Limit":
        """`seconds` from now."""
        return cls(time.monotonic() + seconds, seconds)

    @property
    def left(self) -> float:
        """Seconds left; 0 when it is over."""
        return max(0.0, self.ends - time.monotonic())

    @property
    def wait(self) -> float:
        """Seconds left, as a timeout: never 0, which means not to wait at all, or is refused."""
        return self.left or 0.001


NEVER = Limit(float("inf"), float("inf"))
_now: ContextVar[Limit] = ContextVar("limit", default=NEVER)


def current() -> Limit:
    """The limit of the call that this thread is making."""
    return _now.get()


def sooner(*limits: Limit | None) -> Limit:
    """The limit that ends first."""
    return min((one for one in limits if one is not None), key=lambda one: one.ends)


@contextmanager
def within(limit: Limit) -> Iterator[None]:
    """While this is entered, reads and writes of this thread on timed sockets end by `limit` or raise TimeoutError."""
    token = _now.set(limit)
    try:
        yield
    finally:
        _now.reset(token)
