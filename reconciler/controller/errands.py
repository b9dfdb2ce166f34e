"""What is done at object stores beside the passes: a pass never waits for the network (O7)."""

import threading
from collections.abc import Callable, Iterable

from reconciler import archives
from reconciler.controller.border import contained
from reconciler.errors import NidusError
from reconciler.model import Answer, Errand

AT_ONCE = 2  # errands of all clusters
Key = tuple[str, str, str]  # cluster, snapshot, what is done


class Errands:
    """Each errand is done once, however often a pass asks for it, until what it came to is on record; of one cluster one at a time.
    No archive is removed that somebody asked to read: its removal is forgotten, as a pass asks for it again.
    `woken` is called with the cluster of one that ended. Its threads begin with the first errand; after `close` each ends with what it is
    doing, and nobody is woken any more."""

    def __init__(self, woken: Callable[[str], None], run: Callable[[Errand], Answer] = archives.run) -> None:
        self._woken, self._run = woken, run
        self._lock = threading.Condition()
        self._under_way: dict[Key, Errand] = {}
        self._busy: set[str] = set()
        self._answers: dict[str, dict[tuple[str, str], Answer]] = {}
        self._waiting: list[Errand] = []
        self._threads = 0
        self._over = False

    def close(self) -> None:
        """Begin nothing any more. Does not wait for what is under way: what it comes to is done again by whoever asks next."""
        with self._lock:
            self._over = True
            self._lock.notify_all()

    def ask(self, errands: tuple[Errand, ...]) -> None:
        for one in errands:
            with self._lock:
                if self._needless(one):
                    continue
                if one.does == "read":
                    self._spare(one)
                self._under_way[_key(one)] = one
                begin, self._threads = self._threads < AT_ONCE, min(AT_ONCE, self._threads + 1)
                self._waiting.append(one)
                self._lock.notify_all()
            if begin:
                threading.Thread(target=self._work, name="errand", daemon=True).start()

    def answers(self, cluster: str) -> dict[tuple[str, str], Answer]:
        """The answers for a cluster, by (snapshot, what was done). A pass may end before it comes to them: they stay until `settled`."""
        with self._lock:
            return dict(self._answers.get(cluster, {}))

    def settled(self, cluster: str, answered: Iterable[tuple[str, str]]) -> None:
        """What these answers came to is on record: they are not given again."""
        with self._lock:
            left = self._answers.get(cluster, {})
            for one in answered:
                left.pop(one, None)
            if not left:
                self._answers.pop(cluster, None)

    def forget(self, cluster: str) -> None:
        """The cluster is over."""
        with self._lock:
            self._answers.pop(cluster, None)

    def _needless(self, one: Errand) -> bool:
        """Whether it is under way or answered already, or removes what is read."""
        if _key(one) in self._under_way or (one.id, one.does) in self._answers.get(one.cluster, {}):
            return True
        wanted = (_place(each) for each in self._under_way.values() if each.does == "read")
        return one.does == "remove" and _place(one) in wanted

    def _spare(self, read: Errand) -> None:
        """No removal of what is to be read waits any more, of whichever cluster; one that has begun goes on."""
        gone = [one for one in self._waiting if one.does == "remove" and _place(one) == _place(read)]
        for one in gone:
            self._waiting.remove(one)
            del self._under_way[_key(one)]

    def _work(self) -> None:
        while (one := self._next()) is not None:
            self._do(one)

    def _next(self) -> Errand | None:
        """The first that waits of a cluster for which nothing is done, once there is one; it is taken. None once it is over."""
        with self._lock:
            self._lock.wait_for(lambda: self._over or any(one.cluster not in self._busy for one in self._waiting))
            if self._over:
                return None
            one = next(one for one in self._waiting if one.cluster not in self._busy)
            self._waiting.remove(one)
            self._busy.add(one.cluster)
        return one

    def _do(self, one: Errand) -> None:
        answer = Answer(one.does, "a bug, told in the log")
        try:
            with contained("errand", one.cluster):
                answer = self._run(one)
        except NidusError:
            pass
        with self._lock:
            self._under_way.pop(_key(one), None)
            self._busy.discard(one.cluster)
            self._lock.notify_all()
            self._answers.setdefault(one.cluster, {})[one.id, one.does] = answer
        if not self._over:
            self._woken(one.cluster)


def _key(one: Errand) -> Key:
    return one.cluster, one.id, one.does


def _place(one: Errand) -> tuple[str, str]:
    """An archive by bucket and key alone: one store may have several addresses."""
    return one.location.bucket, one.key
