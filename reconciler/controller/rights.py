"""Who people of the dashboard are, and what they may do: asked of the API server, and remembered for half a minute (U8)."""

import hashlib
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from reconciler.errors import Unavailable
from reconciler.kube import review
from reconciler.kube.client import Client
from reconciler.model import UserInfo

GROUP: Final = "nidus.dev"
CLUSTERS: Final = "nestedclusters"
LASTS: Final = 30.0  # seconds an answer counts: as long as a right that was taken away may last
DENIED: Final = (
    300.0  # seconds a cluster stays unseen: of many, one by one is asked about for whoever may get only some
)
KEPT: Final = 50_000  # answers
TOKENS_AT_ONCE: Final = 4  # reviews: whoever tries many tokens holds up nobody but others who sign in
AT_ONCE: Final = 8  # questions about rights

_Key = tuple[str | UserInfo, ...]
_T = TypeVar("_T")
_V = TypeVar("_V")


class Rights:
    """Answers for one namespace, that of the controller. Every call may raise ApiError: nobody is taken for somebody, and nothing for
    allowed, because the API server did not answer. Thread-safe."""

    def __init__(self, client: Client, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._namespace, self._clock = client, namespace, clock
        self._lock = threading.Lock()
        self._people: dict[str, tuple[float, UserInfo]] = {}
        self._answers: dict[_Key, tuple[float, bool]] = {}
        self._reviews = threading.BoundedSemaphore(TOKENS_AT_ONCE)

    def holder(self, token: str) -> UserInfo | None:
        """Whose token this is, None where it is nobody's. Raises Unavailable where too many are asked about."""
        key = hashlib.sha256(token.encode()).hexdigest()
        with self._lock:
            until, known = self._people.get(key, (0.0, None))
        if known is not None and self._clock() < until:
            return known
        if not self._reviews.acquire(blocking=False):
            raise Unavailable("too many people sign in just now")
        try:
            found = review.holder(self._client, token)
        finally:
            self._reviews.release()
        with self._lock:
            if found is None:
                self._people.pop(key, None)
            else:
                _bounded(self._people)[key] = (self._clock() + LASTS, found)
        return found

    def may(self, who: UserInfo, verb: str, name: str = "", resource: str = CLUSTERS) -> bool:
        """Whether somebody may do `verb` to one object of ours, or, without a name, to all."""
        key = (who, verb, resource, name)
        with self._lock:
            until, known = self._answers.get(key, (0.0, False))
        if self._clock() < until:
            return known
        found = review.another_may(self._client, who, verb, GROUP, resource, self._namespace, name)
        lasts = DENIED if verb == "get" and name and not found else LASTS
        with self._lock:
            _bounded(self._answers)[key] = (self._clock() + lasts, found)
        return found

    def seen(self, who: UserInfo, names: Collection[str], resource: str = CLUSTERS) -> frozenset[str]:
        """Which of these somebody may get. Who may get all is asked about once."""
        if not names or self.may(who, "get", resource=resource):
            return frozenset(names)
        with ThreadPoolExecutor(AT_ONCE, "rights") as pool:
            asked = {name: pool.submit(self.may, who, "get", name, resource) for name in names}
            try:
                return frozenset(name for name, one in asked.items() if one.result())
            finally:
                pool.shutdown(cancel_futures=True)


def _bounded(kept: dict[_T, _V]) -> dict[_T, _V]:
    """The same dictionary, with room for one more: where it is full, all is asked anew."""
    if len(kept) >= KEPT:
        kept.clear()
    return kept
