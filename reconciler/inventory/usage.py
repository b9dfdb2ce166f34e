"""Days of usage as ConfigMaps of the controller's namespace (U4): one a day, and further ones for more than EACH clusters, or where their
labels need more room.

A write says what stood before this process and what this process measured, together. Both stay known until the day is over, so
writing again after a lost answer changes nothing, and what another process wrote meanwhile is taken as what stood before.
"""

import zlib
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

from reconciler import decoding
from reconciler.errors import UNREADABLE, ApiError, Retry, Stalled
from reconciler.inventory.packing import deflated, inflated
from reconciler.inventory.store import READ_BACK
from reconciler.kube.client import Client
from reconciler.model import Object, ObjectRef, Prices
from reconciler.usage import days
from reconciler.usage.days import Day

LABEL: Final = "nidus.dev/usage"  # its value is the month
PREFIX: Final = "nidus-usage-"
DAYS: Final = 400  # days that are kept
EACH: Final = 1000  # clusters in one ConfigMap, about 200 bytes each
LABELS: Final = 256 << 10  # bytes of their labels in one ConfigMap; no compression is counted on
UNPACKED: Final = 64 << 20  # bytes; what unpacks to more was not written by us
TRIES: Final = 4
_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = decoding.decoder(Day)


class _Part(Struct):
    """One ConfigMap: what stood there before this process, and its resourceVersion, "" where there is none."""

    before: Day
    version: str = ""


class KeptDay:
    """One day, as it is stored and as this process measured it. `session` marks what this process wrote; for one thread."""

    def __init__(self, client: Client, namespace: str, day: str, session: str) -> None:
        self.day = day
        self._client, self._namespace, self._session = client, namespace, session
        self._parts: list[_Part] | None = None
        self._own = Day(day)
        self._where: dict[str, int] = {}  # cluster -> its part
        self.dirty = False

    def add(self, more: Day) -> None:
        """Add what this process measured."""
        self._own = days.added(self._own, more)
        self.dirty = True

    def write(self, prices: Prices, *, over: bool) -> None:
        """Store it. A day that is over keeps the prices it was stored with. Raises ApiError; Stalled where what is stored cannot
        be read, and is left as it is; Retry where others keep writing it."""
        if self._parts is None:
            self._parts = self._loaded()
        first = self._parts[0]
        valued = first.before.prices if over and first.version else prices
        self._place(self._parts)
        for number in reversed(range(len(self._parts))):  # the first, which says how many there are, last
            self._put(number, valued)
        self.dirty = False

    def _loaded(self) -> list[_Part]:
        first = self._part(0)
        count = first[1] if first else 1
        found = [first, *(self._part(number) for number in range(1, count))]
        return [one[0] if one else _Part(Day(self.day)) for one in found]

    def _part(self, number: int) -> tuple[_Part, int] | None:
        item = self._client.get(self._ref(number))
        if item is None:
            return None
        stored = unpacked(item)
        return _Part(stored.day, str(item["metadata"]["resourceVersion"])), stored.parts

    def _place(self, parts: list[_Part]) -> None:
        """Give each cluster its part: where it is already, else the last, as long as that has room, else a new one."""
        for number, one in enumerate(parts):
            for name in one.before.accounts:
                self._where.setdefault(name, number)
        last = [name for name, number in self._where.items() if number == len(parts) - 1]
        count, size = len(last), sum(map(self._labels, last))
        for name in sorted(self._own.accounts.keys() - self._where.keys()):
            count, size = count + 1, size + self._labels(name)
            if count > EACH or (count > 1 and size > LABELS):
                parts.append(_Part(Day(self.day)))
                count, size = 1, self._labels(name)
            self._where[name] = len(parts) - 1

    def _labels(self, name: str) -> int:
        """Bytes of a cluster's labels, as they are or were."""
        one = self._own.accounts.get(name)
        return len(_encoder.encode(one.labels)) if one is not None else 0

    def _put(self, number: int, prices: Prices) -> None:
        assert self._parts is not None
        mine = {name: one for name, one in self._own.accounts.items() if self._where[name] == number}
        if number and not mine and self._parts[number].version:
            return
        own = Day(self.day, 0 if number else self._own.seen, prices, mine)
        for _ in range(TRIES):
            part = self._parts[number]
            body = self._body(number, len(self._parts), days.added(part.before, own), part.version)
            try:
                written = self._client.replace(body) if part.version else self._client.create(body)
            except ApiError as error:
                if error.kind not in READ_BACK:
                    raise
                self._reread(number)
                continue
            part.version = str(written["metadata"]["resourceVersion"])
            return
        raise Retry(f"the usage of {self.day} keeps being written by somebody else", reason="Raced")

    def _reread(self, number: int) -> None:
        """After a lost answer or a conflict: go on from what the server has. What this process wrote changes nothing of what
        stood before it."""
        assert self._parts is not None
        item = self._client.get(self._ref(number))
        if item is None:
            self._parts[number].version = ""
            return
        stored = unpacked(item)
        self._parts[number].version = str(item["metadata"]["resourceVersion"])
        if stored.session != self._session:
            self._parts[number].before = stored.day

    def _body(self, number: int, parts: int, day: Day, version: str) -> dict[str, Any]:
        metadata: dict[str, Any] = {
            "name": self._ref(number).name,
            "namespace": self._namespace,
            "labels": {LABEL: days.month(self.day)},
        }
        if version:
            metadata["resourceVersion"] = version
        data = {
            "format": "1",
            "session": self._session,
            "parts": str(parts),
            "day": deflated(_encoder.encode(day)),
        }
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}

    def _ref(self, number: int) -> ObjectRef:
        return ObjectRef("", "ConfigMap", self._namespace, name_of(self.day, number))


class _Stored(Struct, frozen=True):
    day: Day
    parts: int
    session: str


def name_of(day: str, number: int = 0) -> str:
    """The name of the ConfigMap of a day, or of a further one."""
    return f"{PREFIX}{day}-{number}"


def unpacked(item: Object) -> _Stored:
    """What a ConfigMap holds. Raises Stalled where it cannot be read."""
    name = str(item["metadata"]["name"])
    try:
        data = item["data"]
        if data["format"] != "1":
            raise Stalled(
                f"ConfigMap {name} is of a newer version", reason="NewerFormat", hint="run the version that wrote it"
            )
        day = days.checked(_decoder.decode(inflated(data["day"], UNPACKED)))
        found = _Stored(day, int(data["parts"]), str(data["session"]))
        if not name.startswith(f"{PREFIX}{found.day.day}-") or not 1 <= found.parts <= 1000:
            raise ValueError("it is of another day")
    except (KeyError, TypeError, zlib.error, *UNREADABLE) as error:
        told = (
            f"ConfigMap {name} cannot be read ({type(error).__name__}); its usage is missing, and it is left as it is"
        )
        raise Stalled(told, reason="BadUsage", hint="restore it from a backup, or delete it") from error
    return found


class Read(Struct, frozen=True):
    """`days`: what was kept, one or more a day; `unread`: why others are missing, a sentence each."""

    days: tuple[Day, ...]
    unread: tuple[str, ...]


def read(client: Client, namespace: str, wanted: Callable[[str], bool], months: Iterable[str]) -> Read:
    """The days of some months that are `wanted`, each part of a day on its own. Raises ApiError."""
    selector = f"{LABEL} in ({','.join(sorted(set(months)))})"
    items, _ = client.list("", "ConfigMap", namespace=namespace, labels=selector)
    found: dict[str, Day] = {}
    parts: dict[str, int] = {}
    unread = []
    for item in sorted(items, key=lambda one: str(one["metadata"]["name"])):
        try:
            stored = unpacked(item)
        except Stalled as error:
            unread.append(error.told)
            continue
        if wanted(stored.day.day):
            found[str(item["metadata"]["name"])] = stored.day
            parts[stored.day.day] = max(stored.parts, parts.get(stored.day.day, 0))
    lost = [name for day, count in parts.items() for part in range(count) if (name := name_of(day, part)) not in found]
    unread += [f"ConfigMap {name} is missing" for name in lost if not any(name in one for one in unread)]
    return Read(tuple(found.values()), tuple(unread))


def sweep(client: Client, namespace: str, first: str) -> None:
    """Delete the days before `first`. Raises ApiError."""
    for head in client.heads("", "ConfigMap", namespace=namespace, labels=LABEL):
        day = head.ref.name.removeprefix(PREFIX).rpartition("-")[0]
        if head.ref.name.startswith(PREFIX) and day < first:
            client.delete(head.ref, uid=head.uid)
