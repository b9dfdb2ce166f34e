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
    `woken` is called with the cluster of one that ended. Its threads begin with the first errand and end with the process."""

    def __init__(self, woken: Callable[[str], None], run: Callable[[Errand], Answer] = archives.run) -> None:
        self._woken, self._run = woken, run
        self._lock = threading.Condition()
        self._under_way: set[Key] = set()
        self._busy: set[str] = set()
        self._answers: dict[str, dict[tuple[str, str], Answer]] = {}
        self._waiting: list[Errand] = []
        self._threads = 0

    def ask(self, errands: tuple[Errand, ...]) -> None:
        for one in errands:
            with self._lock:
                if _key(one) in self._under_way or (one.id, one.does) in self._answers.get(one.cluster, {}):
                    continue
                self._under_way.add(_key(one))
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

    def _work(self) -> None:
        while True:
            self._do(self._next())

    def _next(self) -> Errand:
        """The first that waits of a cluster for which nothing is done, once there is one; it is taken."""
        with self._lock:
            self._lock.wait_for(lambda: any(one.cluster not in self._busy for one in self._waiting))
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
            self._under_way.discard(_key(one))
            self._busy.discard(one.cluster)
            self._lock.notify_all()
            self._answers.setdefault(one.cluster, {})[one.id, one.does] = answer
        self._woken(one.cluster)


def _key(one: Errand) -> Key:
    return one.cluster, one.id, one.does
