"""Measures what clusters ask for (U3, U4): labelled watches of pods, claims, Services and quotas feed a meter, and what it
measured is kept by day. Nothing of this runs where the configuration has no `prices`.

Of each object a few numbers stay in memory. A namespace counts for a cluster whose inventory lists it, so labels that somebody
forges elsewhere count for nobody.
"""

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct

from reconciler import decoding
from reconciler.controller.registry import Registry
from reconciler.controller.rounds import Rounds
from reconciler.engine import namespace_of, writes
from reconciler.errors import LeaseLost, NidusError
from reconciler.inventory import usage as kept
from reconciler.inventory.usage import KeptDay
from reconciler.kube.cache import Cache, Selection
from reconciler.kube.client import Client
from reconciler.kube.events import Seen
from reconciler.kube.reflector import EVERY as COMPARED
from reconciler.kube.shape import Head
from reconciler.model import ControllerSpec, ObjectRef, Prices
from reconciler.plan.mark import MANAGED_BY
from reconciler.report import bugs, log
from reconciler.report.metrics import Metrics
from reconciler.usage import days, uses
from reconciler.usage.days import Charged
from reconciler.usage.meter import DAY, Meter, Moment
from reconciler.usage.uses import Use

EVERY: Final = 5.0  # seconds between two looks at whether everything is watched
SETTLED: Final = (
    60.0  # seconds after which open intervals are closed: metrics, and steps of the wall clock, are no older
)
WRITTEN: Final = 600.0  # seconds between two writes
LAST: Final = 5.0  # seconds a write under way has at the end
UNWRITTEN: Final = 31  # days that are held in memory where they cannot be written
ENGINES: Final = f"app in (vcluster,vcluster-etcd),!{writes.MANAGED_BY}"
SYNCED: Final = ((writes.MANAGED_BY, None),)
KINDS: Final = (("", "Pod"), ("", "PersistentVolumeClaim"), ("", "Service"))
SELECTIONS: Final = (
    *(Selection(group, kind, SYNCED) for group, kind in KINDS),
    *(Selection(group, kind, (), more=ENGINES) for group, kind in KINDS),
    Selection("", "ResourceQuota", ((MANAGED_BY, "nidus"),)),
)
"""What engines copy to the host, what they consist of themselves, and the quotas of both."""

Clocks = Callable[[], Moment]
Charges = Callable[[], Mapping[str, Charged]]
_encoder = msgspec.json.Encoder()
_use = lru_cache(4096)(decoding.decoder(Use).decode)
_same = lru_cache(4096)(lambda raw: raw)  # many objects ask for the same


class Clock(Struct, frozen=True):
    """Seconds of a clock that never steps, and of the wall clock. A machine that sleeps stops the first: it watches nothing."""

    steady: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time

    def at(self, steady: float | None = None) -> Moment:
        """Now, or a moment of the steady clock that has passed."""
        now = self.steady()
        past = now if steady is None else min(steady, now)
        return Moment(round(past * 1000), round((self.wall() - (now - past)) * 1000))


class Sampler:
    """`charges` gives, for each host namespace, to whom it is charged. `work` is one look, in one thread; `end` is the last."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        prices: Callable[[], Prices],
        charges: Charges,
        metrics: Metrics,
        *,
        clock: Clock = Clock(),  # noqa: B008 (it is frozen)
        compared: float = COMPARED,
    ) -> None:
        self._client, self._namespace = client, namespace
        self._prices, self._charges, self._metrics, self._clock = prices, charges, metrics, clock
        self._lock = threading.Lock()
        self._meter = Meter()
        self._read = uses.readers(frozenset(prices().storage_classes))
        self._session = secrets.token_hex(8)
        self._charged: Mapping[str, Charged] = {}
        self._days: dict[int, KeptDay] = {}
        self._settle_at = self._write_at = self._swept = 0.0
        self._started = False
        self._cache = Cache(
            client,
            SELECTIONS,
            self._changed,
            slim=self._slim,
            before=self._watch,
            every=compared,
            failed=_failed,
            clock=clock.steady,
        )

    def work(self) -> None:
        """Begin at the first call; then look whether everything is watched, close intervals and write, each when it is due.
        Raises NidusError where days cannot be written, after all were tried."""
        if not self._started:
            self._started = True
            self._cache.start()
            self._write_at = self._clock.steady() + WRITTEN
        self._watch()
        now = self._clock.steady()
        if now >= self._settle_at:
            self._settle_at = now + SETTLED
            self._settle()
        if now >= self._write_at:
            self._write_at = now + SETTLED  # where it fails
            self._write()
            self._write_at = now + WRITTEN

    def end(self) -> None:
        """Stop watching, and write what was measured until now, as far as that is possible."""
        if self._started:
            self._settle()
            self._cache.stop()
            try:
                self._write()
            except NidusError as error:
                log.line("UsageUnwritten", message=f"{error.reason}: {error.message}", level="error")

    # From watches

    def _slim(self, head: Head, raw: bytes) -> bytes:
        """The use of an object, encoded; b"" where it asks for nothing, or is no such object."""
        engine = writes.MANAGED_BY not in head.labels
        try:
            use = self._read[head.ref.kind, engine or head.ref.kind == "ResourceQuota"](raw)
        except (ValueError, msgspec.MsgspecError):
            return b""
        return _same(_encoder.encode(use)) if use else b""

    def _changed(self, seen: Seen) -> None:
        self._watch()
        ref = seen.ref
        with self._lock:  # of two watches that saw the object, the last to come here sees what both saw
            raw = self._cache.content(ref)
            use = _use(raw) if raw else None
            self._meter.change((ref.kind, ref.namespace, ref.name), ref.namespace, use, self._clock.at())

    def _watch(self) -> None:
        """Nothing counts from when a watch was lost until everything is watched again."""
        lost = self._cache.stale_since
        with self._lock:
            if lost is not None and self._meter.runs:
                self._meter.stop(self._clock.at(lost))
            elif lost is None and not self._meter.runs:
                self._meter.go(self._clock.at())

    # To days

    def _settle(self) -> None:
        charged = dict(self._charges())
        with self._lock:
            self._meter.settle(self._clock.at())
            self._meter.sleep({place for place, one in charged.items() if one.asleep}, self._clock.at())
            measured = self._meter.take()
        both = {**self._charged, **charged}  # the last interval of a cluster that is gone counts
        self._charged = charged
        for number, found in measured.items():
            day = days.of(number, found, both)
            self._metrics.used(day)
            self._kept(number).add(day)
        while len(self._days) > UNWRITTEN:
            lost = self._days.pop(min(self._days))
            log.line("UsageLost", message=f"the usage of {lost.day} could not be written for too long", level="error")

    def _kept(self, number: int) -> KeptDay:
        if number not in self._days:
            self._days[number] = KeptDay(self._client, self._namespace, days.name_of(number), self._session)
        return self._days[number]

    def _write(self) -> None:
        """Write each day that has something new, and forget those that are over. One that cannot be written stops no other."""
        today, problems = self._clock.at().wall // DAY, list[NidusError]()
        for number in sorted(self._days):
            day = self._days[number]
            try:
                if day.dirty:
                    day.write(self._prices(), over=number < today)
                if number < today:
                    del self._days[number]
            except LeaseLost:
                raise
            except NidusError as error:
                problems.append(error)
        if self._swept != today:
            kept.sweep(self._client, self._namespace, days.name_of(max(0, today - kept.DAYS)))
            self._swept = today
        if problems:
            raise problems[0]


def charges(registry: Registry) -> Mapping[str, Charged]:
    """The host namespaces that inventories list, with the labels of their clusters in Git, and which of these sleep."""
    found, records = {}, registry.records()
    labels: dict[str, Mapping[str, str]] = {}
    for source in {record.source for record in records.values()}:
        for name, content in registry.accepted(source).items():
            if name in content.specs.clusters:
                labels[name] = content.specs.clusters[name].cluster.metadata.labels
    for name, record in records.items():
        place = namespace_of(name, registry.rules)
        if registry.lists(name, ObjectRef("", "Namespace", "", place)):
            asleep = record.slept is not None and not record.slept.woken
            found[place] = Charged(name, labels.get(name, {}), asleep)
    return found


def begin(
    client: Client, config: Callable[[], ControllerSpec], registry: Registry, metrics: Metrics, stop: threading.Event
) -> tuple[tuple[Rounds, ...], Callable[[], None]]:
    """The loop to start, none where nothing is to be measured, and what to call at the end."""
    if config().prices is None:
        return (), lambda: None
    sampler = Sampler(
        client,
        config().namespace,
        lambda: config().prices or Prices(),
        lambda: charges(registry),
        metrics,
    )
    rounds = Rounds("usage", sampler.work, stop, every=EVERY)
    rounds.ask()
    return (rounds,), lambda: sampler.end() if rounds.end(LAST) else None


def _failed(what: str, error: Exception) -> None:
    bugs.tell("usage", error, what)
