"""A cluster's record and inventory as the data of ConfigMaps, and back. Pure.

Format 1 is one ConfigMap, or a record with numbered shards. Format 2 is for an inventory too large for one ConfigMap:
its shards are named by the digest of their joint content, so that an unfinished write never damages the stored one.
"""

import base64
import hashlib
import math
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from reconciler import decoding
from reconciler.errors import Stalled
from reconciler.model import InventoryEntry, Object, Record

LABEL = "nidus.dev/state"
OWNER = "nidus.dev/record-of"
RECORD = "nidus-record-"
APART = 60.0  # seconds that the clock of the API server may be from ours
SHARD_BYTES = 512 * 1024
UNPACKED_BYTES = 256 << 20  # an inventory of a million objects; what unpacks to more was not written by us
MEND = "restore the ConfigMap from a backup; the controller then reads it by itself"
_encoder = msgspec.json.Encoder(order="deterministic")
_entries = decoding.decoder(tuple[InventoryEntry, ...])
_record = decoding.decoder(Record)


class Base(Struct, frozen=True):
    """The stored object of a state: the record's resourceVersion, the digest of its data, whether it had shards, and when the API server
    made it, in seconds since the epoch, 0 where that is not known."""

    version: str
    digest: str
    sharded: bool = False
    made: float = 0.0


class State(Struct, frozen=True):
    """A cluster's record and inventory; `base` None: nothing of it is stored yet."""

    record: Record
    entries: tuple[InventoryEntry, ...] = ()
    base: Base | None = None

    @property
    def begun(self) -> float:
        """When the cluster began by the clock of the API server, in whole seconds since the epoch, as it tells times: requests of before
        were made for another one of its name. By our own clock where the record was made for an earlier life."""
        made = self.base.made if self.base is not None else 0.0
        return made if abs(made - self.record.born) <= APART else math.floor(self.record.born)


class Packed(Struct, frozen=True):
    """The data of the record's ConfigMap, and of each shard by name."""

    head: Mapping[str, str]
    shards: Mapping[str, Mapping[str, str]]


def pack(state: State) -> Packed:
    """The ConfigMaps of a state; equal states give equal data."""
    packed = deflated(_encoder.encode(state.entries))
    parts = [packed[at : at + SHARD_BYTES] for at in range(0, len(packed), SHARD_BYTES)] or [""]
    head = {"format": "1", "record": _encoder.encode(state.record).decode(), "shards": "1", "entries": parts[0]}
    if len(parts) == 1:
        return Packed(head, {})
    lot = hashlib.sha256(packed.encode()).hexdigest()[:16]
    named = {
        shard_name(state.record.cluster, number, lot): {"format": "2", "entries": part}
        for number, part in enumerate(parts)
        if number
    }
    return Packed(head | {"format": "2", "shards": str(len(parts)), "lot": lot}, named)


def unpack(head: Object, shards: Mapping[str, Object]) -> State:
    """The state in a record's ConfigMap and its shards, by name. Raises Stalled with the way to mend where it cannot be read."""
    name, data = str(head["metadata"]["name"]), _data(head)
    if data.get("format") not in ("1", "2"):
        raise Stalled(
            f"ConfigMap {name} has format {str(data.get('format'))[:20]!r}, this version reads 1 and 2",
            reason="NewerFormat",
            hint="run the version that wrote it",
        )
    try:
        record = _record.decode(data["record"])
        heads = [data, *(_data(shards[one]) for one in shard_names(head))]
        packed = "".join(item["entries"] for item in heads)
        if data["format"] == "2" and hashlib.sha256(packed.encode()).hexdigest()[:16] != data["lot"]:
            raise ValueError("the shards are not those of the record")
        entries = _entries.decode(inflated(packed, UNPACKED_BYTES))
    except (KeyError, ValueError, TypeError, zlib.error, msgspec.MsgspecError) as error:
        raise damaged(name, type(error).__name__) from error
    if cluster_of(head) != record.cluster:
        raise damaged(name, "it is the record of another cluster")
    return State(record, entries, base(head))


def base(head: Object) -> Base:
    """The base of a state, from the record's ConfigMap as it was read or as a write returned it."""
    data, metadata = _data(head), head["metadata"]
    return Base(str(metadata["resourceVersion"]), digest(data), str(data.get("shards", "1")) != "1", _made(metadata))


def damaged(name: str, how: str) -> Stalled:
    """The error of a record that cannot be read. It is never deleted and never overwritten; a human decides."""
    return Stalled(
        f"ConfigMap {name} cannot be read ({how}); nothing of the cluster is changed", reason="BadRecord", hint=MEND
    )


def shard_names(head: Object) -> tuple[str, ...]:
    """The names of a record's shards. Raises ValueError or KeyError where the record is malformed."""
    data, cluster = _data(head), cluster_of(head)
    count = int(data["shards"])
    if not 1 <= count <= 1000:
        raise ValueError("no number of shards")
    return tuple(shard_name(cluster, number, data.get("lot", "")) for number in range(1, count))


def shard_name(cluster: str, number: int, lot: str = "") -> str:
    return f"nidus-inventory-{cluster}-{lot}-{number}" if lot else f"nidus-inventory-{cluster}-{number}"


def record_name(cluster: str) -> str:
    return f"{RECORD}{cluster}"


def cluster_of(head: Object) -> str:
    """The cluster of a record's ConfigMap, by its name, because its content may be damaged."""
    return str(head["metadata"]["name"]).removeprefix(RECORD)


def digest(data: Mapping[str, Any]) -> str:
    """A digest of a record's data, to compare it without its metadata."""
    return hashlib.sha256(_encoder.encode(dict(data))).hexdigest()


def _made(metadata: Mapping[str, Any]) -> float:
    try:
        return datetime.fromisoformat(metadata["creationTimestamp"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return 0.0


def _data(item: Object) -> Mapping[str, Any]:
    data = item.get("data")
    return data if isinstance(data, Mapping) else {}


def deflated(data: bytes) -> str:
    """Bytes as text of a ConfigMap; equal ones give equal text."""
    return base64.b64encode(zlib.compress(data, 6)).decode()


def inflated(packed: str, most: int) -> bytes:
    """What was `deflated`. Raises ValueError or zlib.error for text that was not, or that unpacks to more than `most` bytes."""
    unpacking = zlib.decompressobj()
    found = unpacking.decompress(base64.b64decode(packed, validate=True), most)
    if not unpacking.eof:
        raise ValueError("cut short, or too large")
    return found
