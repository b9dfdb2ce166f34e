"""Records and inventories as ConfigMaps, one a cluster, with shards for large inventories. Every write names the version it is based on.

A lost ConfigMap is never permission to delete (A3): a missing record means "unknown", and an unreadable one is
`Stalled`. The remembered version of a record is only a hint: where the server has another one, the record is read and
the write is based on it.
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from msgspec import Struct

from reconciler.errors import ApiError, ErrorClass, Retry, Stalled
from reconciler.fleet import recalled
from reconciler.inventory import ledger, packing
from reconciler.inventory.packing import LABEL, OWNER
from reconciler.inventory.packing import State as State
from reconciler.kube.client import Client
from reconciler.model import Held, Object, ObjectRef, replace

TRIES = 4  # conflicts on one record before the caller's backoff decides
READ_BACK = frozenset({ErrorClass.RACED, ErrorClass.AMBIGUOUS, ErrorClass.ABSENT})


class Loaded(Struct, frozen=True):
    """What the store holds: states by cluster, and why others cannot be read, by cluster too."""

    states: Mapping[str, State]
    unreadable: Mapping[str, Stalled]

    @property
    def held(self) -> dict[str, Held]:
        """Why clusters with an unreadable record wait for a human, and what to do."""
        return {name: unread(error) for name, error in self.unreadable.items()}

    def recalled(self, said: Callable[[str], Mapping[str, Any]]) -> "Loaded":
        """With the records of an older format, which have no versions, completed from what `said` gives: the status of a cluster."""
        states = {name: replace(one, record=recalled(one.record, said(name))) for name, one in self.states.items()}
        return replace(self, states=states)


def unread(error: Stalled) -> Held:
    """Why a cluster whose record cannot be read waits."""
    return Held(error.reason, error.told)


class Store:
    """Reads and writes states in one namespace. Raises ApiError, Retry when others keep writing, Stalled where a human
    must act (I25)."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._orphans: dict[ObjectRef, str] = {}

    def load(self) -> Loaded:
        """Read all records with one LIST. A record that cannot be read does not stop the others."""
        objects, _ = self._client.list("", "ConfigMap", namespace=self._namespace, labels=LABEL)
        by_name = {str(item["metadata"]["name"]): item for item in objects}
        states: dict[str, State] = {}
        unreadable: dict[str, Stalled] = {}
        for item in objects:
            if item["metadata"]["labels"].get(LABEL) != "record":
                continue
            try:
                states[packing.cluster_of(item)] = packing.unpack(item, by_name)
            except Stalled as error:
                unreadable[packing.cluster_of(item)] = error
        return Loaded(states, unreadable)

    def versions(self) -> dict[str, str]:
        """The resourceVersion of every record, by cluster."""
        heads = self._client.heads("", "ConfigMap", namespace=self._namespace, labels=f"{LABEL}=record")
        return {head.ref.name.removeprefix(packing.RECORD): head.version for head in heads}

    def read(self, cluster: str) -> State | None:
        """One state, fresh from the server; None where there is no record. Raises ApiError; Stalled where it cannot be read."""
        head = self._client.get(self._ref(packing.record_name(cluster)))
        return None if head is None else packing.unpack(head, self._shards_of(head))

    def write(self, state: State) -> State:
        """Save a state; shards first, so that a record never names entries that are not stored. Returns the state as
        stored.

        Where the stored record is not the base, it is read: the same data is overwritten, another state with the same
        nonce is merged with this one, and any other record is left alone.
        """
        sharded = state.base is not None and state.base.sharded
        for _ in range(TRIES):
            packed = packing.pack(state)
            for name, data in packed.shards.items():
                self._shard(name, state.record.cluster, data)
            state, done = self._tried(state, packed)
            if done:
                if packed.shards or sharded:
                    self._sweep(state.record.cluster, packed)
                return state
        raise Retry(f"the record of {state.record.cluster} keeps being written by somebody else", reason="Raced")

    def close(self, state: State) -> None:
        """Delete the record of a removed cluster, shards last."""
        self._remove(packing.record_name(state.record.cluster))
        for item in self._stored_shards(state.record.cluster):
            self._remove(str(item["metadata"]["name"]))

    def sweep(self, known: Callable[[], Collection[str]]) -> None:
        """Delete the shards that no record names, neither now nor at the last call: a process ended between the record
        and its shards. `known` gives the clusters that may still write a record. Raises ApiError."""
        shards = self._client.heads("", "ConfigMap", namespace=self._namespace, labels=f"{LABEL}=shard")
        owned = {*known(), *self.versions()}  # after the list: shards are written before their record
        lost = {head.ref: head.uid for head in shards if head.labels.get(OWNER, "") not in owned}
        for ref, uid in lost.items():
            if self._orphans.get(ref) == uid:
                self._client.delete(ref, uid=uid)
        self._orphans = lost

    def _tried(self, state: State, packed: packing.Packed) -> tuple[State, bool]:
        """One write of the record. Returns the state to go on with, and whether it is stored."""
        try:
            written = self._put(state, packed.head)
        except ApiError as error:
            if error.kind not in READ_BACK:
                raise
            return self._settled(state, packed)
        return replace(state, base=packing.base({**written, "data": packed.head})), True

    # Going on from what the server holds

    def _settled(self, state: State, packed: packing.Packed) -> tuple[State, bool]:
        """After a write with a lost answer or a conflict: the state to go on with, and whether it is stored already."""
        stored = self.read(state.record.cluster)
        if stored is None:
            return replace(state, base=None), False  # deleted by hand, or the create never arrived: it is created again
        base = stored.base
        assert base is not None  # what was read has one
        if base.digest == packing.digest(packed.head):
            return replace(state, base=base), True  # our own write, whose answer was lost
        if stored.record.nonce != state.record.nonce:
            raise Stalled(
                f"the record of {state.record.cluster} was written by another controller, or before the cluster was made anew",
                reason="ForeignRecord",
                hint="stop the other controller of this namespace, or delete the wrong record; then restart this controller",
            )
        if state.base is not None and base.digest == state.base.digest:
            return replace(state, base=base), False  # only its metadata changed
        return replace(state, entries=ledger.united(state.entries, stored.entries), base=base), False

    # Objects

    def _put(self, state: State, data: Mapping[str, str]) -> Object:
        body = self._body(packing.record_name(state.record.cluster), state.record.cluster, "record", data)
        if state.base is None:
            return self._client.create(body)
        body["metadata"]["resourceVersion"] = state.base.version
        return self._client.replace(body)

    def _shard(self, name: str, cluster: str, data: Mapping[str, str]) -> None:
        """Store a shard. Its name is the digest of its content, so a stored one with other data is damaged and is
        overwritten."""
        found = self._client.get(self._ref(name))
        if found is not None and found.get("data") == data:
            return
        body = self._body(name, cluster, "shard", data)
        try:
            if found is None:
                self._client.create(body)
            else:
                body["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
                self._client.replace(body)
        except ApiError as error:
            again = self._client.get(self._ref(name)) if error.kind in READ_BACK else None
            if again is None or again.get("data") != data:
                raise

    def _sweep(self, cluster: str, packed: packing.Packed) -> None:
        """Delete the shards of earlier states. One that stays does no harm: no record names it."""
        with suppress(ApiError):
            for item in self._stored_shards(cluster):
                if str(item["metadata"]["name"]) not in packed.shards:
                    self._remove(str(item["metadata"]["name"]))

    def _stored_shards(self, cluster: str) -> list[Object]:
        selector = f"{LABEL}=shard,{OWNER}={cluster}"
        return self._client.list("", "ConfigMap", namespace=self._namespace, labels=selector)[0]

    def _shards_of(self, head: Object) -> dict[str, Object]:
        try:
            names = packing.shard_names(head)
        except (KeyError, ValueError, TypeError):
            return {}  # `unpack` says what is wrong with it
        return {name: item for name in names if (item := self._client.get(self._ref(name))) is not None}

    def _body(self, name: str, cluster: str, role: str, data: Mapping[str, str]) -> dict[str, Any]:
        metadata = {"name": name, "namespace": self._namespace, "labels": {LABEL: role, OWNER: cluster}}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}

    def _remove(self, name: str) -> None:
        found = self._client.get(self._ref(name))
        if found is not None:
            self._client.delete(self._ref(name), uid=str(found["metadata"]["uid"]))

    def _ref(self, name: str) -> ObjectRef:
        return ObjectRef("", "ConfigMap", self._namespace, name)
