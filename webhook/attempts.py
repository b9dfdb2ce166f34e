"""Failed authentications by sender: a bucket each, which only failures empty. Whoever signs is never refused for its rate (W3)."""

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

SIZE = 20  # failures in a row
EVERY = 3.0  # seconds for one more
SENDERS = 4096


def sender(address: str) -> str:
    """Who an address counts as: itself for IPv4, its /64 for IPv6, since one host may choose any address of that."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


class Attempts:
    """The buckets of the latest `senders` that failed: `size` failures at once, then one every `every` seconds."""

    def __init__(
        self,
        size: int = SIZE,
        every: float = EVERY,
        senders: int = SENDERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size, self._every, self._senders, self._clock = size, every, senders, clock
        self._lock = threading.Lock()
        self._full: OrderedDict[str, float] = OrderedDict()  # when each bucket is full again, by sender

    def failed(self, address: str) -> float:
        """Count one failure. Returns 0 where the bucket still had one, else the seconds until it has one again."""
        now, who = self._clock(), sender(address)
        with self._lock:
            debt = max(0.0, self._full.pop(who, now) - now) + self._every
            wait = round(debt - self._size * self._every, 3)  # of a clock's large numbers, differences are not exact
            self._full[who] = now + debt - (self._every if wait > 0 else 0)
            if len(self._full) > self._senders:
                self._full.popitem(last=False)
        return max(0.0, wait)
