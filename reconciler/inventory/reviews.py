"""What is durably known of change requests: a ConfigMap for each, which only the controller writes (B1). People who may ask for
something have no right on ConfigMaps, so nobody makes up what a comment has shown.

Losing one is losing a review: what it would have let go on is then held. Those that cannot be read, are of another repository, or of
a source without a forge are deleted.
"""

import hashlib
import zlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from reconciler import decoding
from reconciler.errors import ApiError, ErrorClass
from reconciler.inventory.packing import deflated, inflated
from reconciler.kube.client import Client
from reconciler.model import ChangeRecord, Object, ObjectRef, replace

LABEL = "nidus.dev/review"
PREFIX = "nidus-review-"
PACKED = 700 << 10  # characters of a packed record; a larger one is stored without what it showed
UNPACKED = 64 << 20  # bytes
_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = decoding.decoder(ChangeRecord)


class Reviews:
    """Records of the change requests of all sources in one namespace. `forges` names the forge and repository of each source."""

    def __init__(self, client: Client, namespace: str, forges: Mapping[str, str]) -> None:
        self._client, self._namespace, self._forges = client, namespace, forges
        self._stored: dict[tuple[str, int], tuple[str, ChangeRecord]] = {}

    def load(self) -> dict[str, list[ChangeRecord]]:
        """All records by source, with one LIST. Raises ApiError."""
        found: dict[str, list[ChangeRecord]] = {name: [] for name in self._forges}
        for item in self._client.list("", "ConfigMap", namespace=self._namespace, labels=LABEL)[0]:
            record = _unpacked(item, self._forges)
            if record is None:
                self._delete(str(item["metadata"]["name"]))
                continue
            self._stored[_key(record)] = str(item["metadata"]["resourceVersion"]), record
            found[record.source].append(record)
        return found

    def save(self, record: ChangeRecord) -> None:
        """Store a record where it is another than the stored one. Raises ApiError."""
        version, known = self._stored.get(_key(record), ("", None))
        if known == record:
            return
        body = self._body(record)
        try:
            written = self._written(body, version)
        except ApiError as error:
            if error.kind not in (ErrorClass.RACED, ErrorClass.ABSENT):
                raise
            found = self._client.get(
                self._ref(record.source, record.change.number)
            )  # somebody else wrote or deleted it
            written = self._written(body, str(found["metadata"]["resourceVersion"]) if found else "")
        self._stored[_key(record)] = str(written["metadata"]["resourceVersion"]), record

    def keep(self, source: str, numbers: Collection[int]) -> None:
        """Forget all other change requests of a source. Raises ApiError."""
        for name, number in [key for key in self._stored if key[0] == source and key[1] not in numbers]:
            self._delete(self._ref(name, number).name)
            del self._stored[(name, number)]

    def _written(self, body: dict[str, Any], version: str) -> Object:
        if not version:
            return self._client.create(body)
        metadata = {**body["metadata"], "resourceVersion": version}
        return self._client.replace({**body, "metadata": metadata})

    def _delete(self, name: str) -> None:
        self._client.delete(ObjectRef("", "ConfigMap", self._namespace, name), "")

    def _ref(self, source: str, number: int) -> ObjectRef:
        return ObjectRef("", "ConfigMap", self._namespace, name_of(source, number))

    def _body(self, record: ChangeRecord) -> dict[str, Any]:
        name = name_of(record.source, record.change.number)
        metadata = {"name": name, "namespace": self._namespace, "labels": {LABEL: "record"}}
        data = {"forge": self._forges[record.source], "record": _packed(record)}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def name_of(source: str, number: int) -> str:
    """The name of a record's ConfigMap. A source's name may be as long as a name of an object."""
    short = source if len(source) <= 200 else f"{source[:180]}-{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    return f"{PREFIX}{short}-{number}"


def _key(record: ChangeRecord) -> tuple[str, int]:
    return record.source, record.change.number


def _packed(record: ChangeRecord) -> str:
    packed = deflated(_encoder.encode(record))
    return packed if len(packed) <= PACKED or record.basis is None else _packed(replace(record, basis=None))


def _unpacked(item: Object, forges: Mapping[str, str]) -> ChangeRecord | None:
    """The record in a ConfigMap; None where it is none of this configuration."""
    with suppress(KeyError, TypeError, AttributeError, ValueError, zlib.error, msgspec.MsgspecError, RecursionError):
        record = _decoder.decode(inflated(item["data"]["record"], UNPACKED))
        ours = forges.get(record.source) == item["data"]["forge"]
        return record if ours and item["metadata"]["name"] == name_of(*_key(record)) else None
    return None
