"""Who people of the dashboard are, and what they may do: asked of the API server, and remembered for half a minute (U8)."""

import hashlib
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from reconciler.controller.answers import Answers
from reconciler.errors import Unavailable
from reconciler.kube import review
from reconciler.kube.client import Client
from reconciler.model import UserInfo, replace

GROUP: Final = "nidus.dev"
CLUSTERS: Final = "nestedclusters"
LASTS: Final = 30.0  # seconds an answer counts: as long as a right that was taken away may last
DENIED: Final = (
    300.0  # seconds a cluster stays unseen: of many, one by one is asked about for whoever may get only some
)
CHECKS_AT_ONCE: Final = 4  # questions about tokens of those who signed in
TURN: Final = 1.0  # seconds that one of these waits for its turn
GRACE: Final = 30.0  # seconds that who they were counts beside, where the turn does not come
TOKENS: Final = 10_000
AT_ONCE: Final = 8  # questions about rights
PORTION: Final = 32  # clusters of one page that are asked about before the next page has its turn
OF_ONE_TOKEN: Final = "authentication.kubernetes.io/"
ONES: Final = ("credential-id", "pod-name", "pod-uid")


class Rights:
    """Answers for one namespace, that of the controller. Every call may raise ApiError: nobody is taken for somebody, and nothing for
    allowed, because the API server did not answer. Thread-safe."""

    def __init__(self, client: Client, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._namespace, self._clock = client, namespace, clock
        self._people: Answers[UserInfo | None] = Answers(clock, TOKENS, TOKENS)
        self._answers: Answers[bool] = Answers(clock)
        self._checks = threading.BoundedSemaphore(CHECKS_AT_ONCE)
        self._pool = ThreadPoolExecutor(AT_ONCE, "rights")  # its threads begin with the first question

    def enter(self, token: str) -> UserInfo | None:
        """Whose token somebody signs in with, None where it is nobody's: always asked, and only what is somebody's is remembered. The
        listener says how many are asked about at once."""
        found = review.holder(self._client, token)
        return found and self._people.find("", _digest(token), lambda: (found, LASTS))

    def holder(self, token: str) -> UserInfo | None:
        """Whose token this is, of somebody who signed in with it; None where it is nobody's any more. Raises Unavailable where too many
        are asked about and it was not known shortly before."""
        key = _digest(token)
        return self._people.find("", key, partial(self._checked, key, token))

    def may(self, who: UserInfo, verb: str, name: str = "", resource: str = CLUSTERS) -> bool:
        """Whether somebody may do `verb` to one object of ours, or, without a name, to all."""
        asked = partial(self._asked, who, verb, resource, name)
        return self._answers.find(_person(who), (verb, resource, name), asked)

    def seen(self, who: UserInfo, names: Collection[str], resource: str = CLUSTERS) -> frozenset[str]:
        """Which of these somebody may get. Who may get all is asked about once."""
        if not names or self.may(who, "get", resource=resource):
            return frozenset(names)
        person, now = _person(who), self._clock()
        known = {name: self._answers.last(person, ("get", resource, name)) for name in names}
        found = {name for name, one in known.items() if one is not None and now < one[0] and one[1]}
        unknown = [name for name, one in known.items() if one is None or now >= one[0]]
        for begin in range(0, len(unknown), PORTION):
            found |= self._gotten(who, unknown[begin : begin + PORTION], resource)
        return frozenset(found)

    def _gotten(self, who: UserInfo, names: Collection[str], resource: str) -> set[str]:
        asked = {name: self._pool.submit(self.may, who, "get", name, resource) for name in names}
        try:
            return {name for name, one in asked.items() if one.result()}
        finally:
            for one in asked.values():
                one.cancel()

    def _checked(self, key: str, token: str) -> tuple[UserInfo | None, float]:
        if not self._checks.acquire(timeout=TURN):
            until, known = self._people.last("", key) or (0.0, None)
            left = until - self._clock()
            if known is not None and left > -GRACE:
                return known, left  # below zero: the next one asks again, and the grace is no longer by that
            raise Unavailable("too many are asked about just now")
        try:
            return review.holder(self._client, token), LASTS
        finally:
            self._checks.release()

    def _asked(self, who: UserInfo, verb: str, resource: str, name: str) -> tuple[bool, float]:
        found = review.another_may(self._client, who, verb, GROUP, resource, self._namespace, name)
        return found, DENIED if verb == "get" and name and not found else LASTS


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _person(who: UserInfo) -> UserInfo:
    """Somebody without what tells one token of theirs, or one pod of a service account, from another: rights are the same for all."""
    kept = tuple((key, value) for key, value in who.extra if key.removeprefix(OF_ONE_TOKEN) not in ONES)
    return replace(who, extra=kept)
