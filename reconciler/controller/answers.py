"""Answers that count for a while: of several who want one at the same moment, one asks, and nobody waits for another question."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

_V = TypeVar("_V")
KEPT: Final = 50_000  # answers, of all together
EACH: Final = 10_000  # answers about one person
PEOPLE: Final = 1_000


class Answers(Generic[_V]):
    """Thread-safe. Answers are kept by whom they are about (`whose`) and a key. Where there is no room, the oldest one goes: of the
    same person where they have their share, else of whoever has the most, so that nobody loses theirs to one who asks for many."""

    def __init__(self, clock: Callable[[], float], kept: int = KEPT, each: int = EACH) -> None:
        self._clock, self._kept, self._each = clock, kept, each
        self._lock = threading.Lock()
        self._of: OrderedDict[Hashable, OrderedDict[Hashable, tuple[float, _V]]] = OrderedDict()
        self._count = 0
        self._asked: dict[tuple[Hashable, Hashable], Future[_V]] = {}

    def last(self, whose: Hashable, key: Hashable) -> tuple[float, _V] | None:
        """The last answer and until when it counts (seconds of the clock), also where that is over; None where there is none."""
        with self._lock:
            return self._last(whose, key)

    def find(self, whose: Hashable, key: Hashable, ask: Callable[[], tuple[_V, float]]) -> _V:
        """The answer that counts, or that of `ask`: it and the seconds it counts. What `ask` raises is raised for all who wait for it,
        and not kept."""
        with self._lock:
            found = self._last(whose, key)
            if found is not None and self._clock() < found[0]:
                return found[1]
            going = self._asked.get((whose, key))
            mine = going is None
            one: Future[_V] = going or Future()
            if mine:
                self._asked[whose, key] = one
        if mine:
            self._answer(whose, key, ask, one)
        return one.result()

    def _last(self, whose: Hashable, key: Hashable) -> tuple[float, _V] | None:
        mine = self._of.get(whose)
        return None if mine is None else mine.get(key)

    def _answer(self, whose: Hashable, key: Hashable, ask: Callable[[], tuple[_V, float]], one: Future[_V]) -> None:
        try:
            answer, lasts = ask()
        except BaseException as error:
            with self._lock:
                del self._asked[whose, key]
            one.set_exception(error)
            raise
        with self._lock:
            self._keep(whose, key, (self._clock() + lasts, answer))
            del self._asked[whose, key]
        one.set_result(answer)

    def _keep(self, whose: Hashable, key: Hashable, answer: tuple[float, _V]) -> None:
        mine = self._of.setdefault(whose, OrderedDict())
        self._of.move_to_end(whose)
        self._count -= mine.pop(key, None) is not None
        if len(mine) >= self._each:
            self._drop(whose)
        elif self._count >= self._kept:
            self._drop(max(self._of, key=lambda one: len(self._of[one])))
        self._of.setdefault(whose, mine)[key] = answer
        self._count += 1
        if len(self._of) > PEOPLE:
            self._count -= len(self._of.popitem(last=False)[1])

    def _drop(self, whose: Hashable) -> None:
        self._of[whose].popitem(last=False)
        self._count -= 1
        if not self._of[whose]:
            del self._of[whose]
