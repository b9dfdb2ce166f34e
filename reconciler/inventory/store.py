"""Records and inventories as ConfigMaps, one a cluster, with shards for large inventories. Every write names the version it is based on.

Losing one of them is never permission to delete (A3): a missing record means "unknown", and an unreadable one is `Stalled`.
"""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from reconciler.errors import ApiError, ErrorClass, Retry, Stalled
from reconciler.kube.client import Client
from reconciler.model import InventoryEntry, Object, ObjectRef, Record

FORMAT = "1"
LABEL = "nidus.dev/state"
SHARD_BYTES = 512 * 1024
_encoder = msgspec.json.Encoder(order="deterministic")
_entries = msgspec.json.Decoder(tuple[InventoryEntry, ...])
_record = msgspec.json.Decoder(Record)


@dataclass(frozen=True, slots=True)
class State:
    """A cluster's record and inventory; `versions` are the resourceVersions of the ConfigMaps they were read from, first the record's."""

    record: Record
    entries: tuple[InventoryEntry, ...] = ()
    versions: tuple[str, ...] = ()


class Store:
    """Reads and writes states in one namespace. Raises ApiError, Retry when somebody else wrote first, Stalled on a newer format (I25)."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    def load(self) -> dict[str, State]:
        """All states, by cluster: one LIST."""
        objects, _ = self._client.list("", "ConfigMap", namespace=self._namespace, labels=LABEL)
        by_name = {str(item["metadata"]["name"]): item for item in objects}
        states = (_decode(item, by_name) for item in objects if item["metadata"]["labels"][LABEL] == "record")
        return {state.record.cluster: state for state in states}

    def read(self, cluster: str) -> State | None:
        """One state, fresh from the server."""
        head = self._client.get(self._ref(_name(cluster, 0)))
        if head is None:
            return None
        names = [_name(cluster, n) for n in range(1, int(head["data"].get("shards", "1")))]
        shards = {name: item for name in names if (item := self._client.get(self._ref(name)))}
        return _decode(head, {_name(cluster, 0): head, **shards})

    def write(self, state: State) -> State:
        """Persist a state; shards first, so that a record never names entries that are not stored."""
        bodies = _encode(state)
        versions = list(state.versions) + [""] * (len(bodies) - len(state.versions))
        for number in reversed(range(len(bodies))):
            versions[number] = self._put(_name(state.record.cluster, number), bodies[number], versions[number], state)
        for number in range(len(bodies), len(state.versions)):
            self._remove(_name(state.record.cluster, number))
        return replace(state, versions=tuple(versions[: len(bodies)]))

    def close(self, state: State) -> None:
        """The cluster is over: its record goes, shards last."""
        for number in range(len(state.versions)):
            self._remove(_name(state.record.cluster, number))

    def _put(self, name: str, data: Mapping[str, Any], version: str, state: State) -> str:
        role = "record" if name == _name(state.record.cluster, 0) else "shard"
        labels = {LABEL: role, "nidus.dev/record-of": state.record.cluster}
        metadata = {"name": name, "namespace": self._namespace, "labels": labels}
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **data}
        try:
            if version:
                body["metadata"]["resourceVersion"] = version
                written = self._client.replace(body)
            else:
                written = self._client.create(body)
        except ApiError as error:
            if error.kind == ErrorClass.RACED:
                raise Retry(
                    f"the record of {state.record.cluster} was written by somebody else", reason="Raced"
                ) from error
            raise
        return str(written["metadata"]["resourceVersion"])

    def _remove(self, name: str) -> None:
        found = self._client.get(self._ref(name))
        if found is not None:
            self._client.delete(self._ref(name), uid=str(found["metadata"]["uid"]))

    def _ref(self, name: str) -> ObjectRef:
        return ObjectRef("", "ConfigMap", self._namespace, name)


def _name(cluster: str, shard: int) -> str:
    return f"nidus-record-{cluster}" if shard == 0 else f"nidus-inventory-{cluster}-{shard}"


def _encode(state: State) -> list[dict[str, Any]]:
    packed = base64.b64encode(zlib.compress(_encoder.encode(state.entries), 6)).decode()
    parts = [packed[at : at + SHARD_BYTES] for at in range(0, len(packed), SHARD_BYTES)] or [""]
    record = _encoder.encode(state.record).decode()
    head = {"data": {"format": FORMAT, "record": record, "shards": str(len(parts)), "entries": parts[0]}}
    return [head, *({"data": {"format": FORMAT, "entries": part}} for part in parts[1:])]


def _decode(head: Object, by_name: Mapping[str, Object]) -> State:
    name, data = str(head["metadata"]["name"]), head.get("data") or {}
    if data.get("format") != FORMAT:
        raise Stalled(
            f"ConfigMap {name} has format {data.get('format')!r}, this version reads {FORMAT!r}", reason="NewerFormat"
        )
    try:
        record = _record.decode(data["record"])
        heads = [head, *(by_name[_name(record.cluster, n)] for n in range(1, int(data["shards"])))]
        packed = "".join(item["data"]["entries"] for item in heads)
        entries = _entries.decode(zlib.decompress(base64.b64decode(packed)))
    except (KeyError, ValueError, zlib.error, msgspec.MsgspecError) as error:
        raise Stalled(
            f"ConfigMap {name} cannot be read ({type(error).__name__}); nothing of it is deleted", reason="BadRecord"
        ) from error
    return State(record, entries, tuple(str(item["metadata"]["resourceVersion"]) for item in heads))
