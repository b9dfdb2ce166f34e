"""The loops beside syncs and passes: requests, records that cannot be read, and comparing what is remembered."""

import threading
from collections.abc import Callable
from functools import partial

from msgspec import Struct

from reconciler.controller import requests, verify
from reconciler.controller.own_objects import OwnObjects
from reconciler.controller.pace import Pace
from reconciler.controller.queue import Queue
from reconciler.controller.registry import Registry
from reconciler.controller.rounds import Rounds
from reconciler.controller.sources import Sources
from reconciler.inventory import packing
from reconciler.inventory.store import Store
from reconciler.model import ObjectRef
from reconciler.report import Reporter

TIDY = 60.0  # seconds between two looks at what is remembered alone; it asks the host for nothing
APART = 5.0  # seconds between two comparisons because of what watches show


class Remembered(Struct, frozen=True):
    """What is compared with the home cluster, and who corrects it."""

    store: Store
    registry: Registry
    queue: Queue
    reporter: Reporter
    sources: Sources

    def version(self, ref: ObjectRef) -> str:
        """The resourceVersion that is remembered of a record or a status object, "" where there is none."""
        if ref.kind == "ConfigMap":
            return self.registry.version(ref.name.removeprefix(packing.RECORD))
        return self.reporter.statuses.version(ref)

    def compare(self, alive: Callable[[], None], *, wholly: bool) -> None:
        """Compare records and status objects, these `wholly` or by metadata. Raises the first NidusError, after all was tried."""
        verify.each(
            "compare",
            partial(verify.records, self.store, self.registry, self.queue, self.sources.mended, alive),
            partial(verify.tell, self.reporter, self.registry, self.registry.unreadable().keys()),
            partial(self.reporter.statuses.compare, wholly=wholly, alive=alive),
            self.sources.sweep,
            self.sources.astray,
            *((partial(self.store.sweep, self.registry.known),) if wholly else ()),
        )


class Checks:
    """`requests` and `compare` may be asked for. `hear` lists the requests; `stop` ends all loops."""

    def __init__(self, remembered: Remembered, hear: Callable[[], None], stop: threading.Event) -> None:
        self._remembered, self._stop = remembered, stop
        self._own = OwnObjects(remembered.version)
        self.requests = Rounds("requests", hear, stop, every=requests.EVERY, pace=Pace())
        self.records = Rounds("records", self._read, stop, every=verify.AGAIN)
        self.compare = Rounds("compare", self._compare, stop, every=verify.EVERY)
        self._noticed = Rounds("noticed", self._differing, stop, every=None)
        self._tidied = Rounds("tidy", self._tidy, stop, every=TIDY)
        self.all = (self.requests, self.records, self.compare, self._noticed, self._tidied)

    def notice(self, ref: ObjectRef, version: str) -> None:
        """A watch shows a record or a status object at this resourceVersion, "" = it is gone."""
        self._own.hear(ref, version)
        self._noticed.ask()

    def _read(self) -> None:
        verify.unreadable(self._remembered.store, self._remembered.registry, self._remembered.sources.mended)

    def _compare(self) -> None:
        self._remembered.compare(self.compare.beat, wholly=True)

    def _differing(self) -> None:
        def compare() -> None:
            self._remembered.compare(self._noticed.beat, wholly=False)
            self._stop.wait(APART)

        self._own.compare(self._stop.wait, compare)

    def _tidy(self) -> None:
        verify.each("tidy", self._remembered.sources.sweep, self._remembered.sources.astray)
