"""The controller's own objects as watches show them: which of them somebody else changed, deleted or made."""

import threading
from collections.abc import Callable, Mapping

from reconciler.model import ObjectRef

Versions = Mapping[ObjectRef, str]
SURE = 1.0  # seconds after which the answer to a write of ours has arrived, too


class OwnObjects:
    """What was heard last of each object that is not known to be of our own making. Thread-safe.

    `known` gives the resourceVersion that we wrote or read last, "" where we know of no such object.
    """

    def __init__(self, known: Callable[[ObjectRef], str]) -> None:
        self._known = known
        self._lock = threading.Lock()
        self._heard: dict[ObjectRef, str] = {}

    def hear(self, ref: ObjectRef, version: str) -> None:
        """The object has this resourceVersion now, "" = it is gone."""
        with self._lock:
            self._heard[ref] = version

    def foreign(self) -> Versions:
        """What is not as we know it; the rest is forgotten. A write of ours is among it until its answer has arrived."""
        with self._lock:
            self._heard = {ref: version for ref, version in self._heard.items() if self._known(ref) != version}
            return dict(self._heard)

    def compared(self, found: Versions) -> None:
        """Forget what was compared since it was `foreign`, unless more was heard of it."""
        with self._lock:
            self._heard = {ref: version for ref, version in self._heard.items() if found.get(ref) != version}

    def compare(self, wait: Callable[[float], bool], compare: Callable[[], None]) -> None:
        """Call `compare` if somebody else changed anything. `wait` waits so many seconds and returns whether to stop. What
        `compare` raises is passed on, and nothing is forgotten then."""
        if not self.foreign() or wait(SURE):
            return
        found = self.foreign()
        if found:
            compare()
            self.compared(found)
