"""What the engine leaves on the host when its workload is deleted or sleeps (D2, O3): pods, which go on running without a control
plane. Those of a tenant are told from others by a label of the engine; a pod without it runs and costs all the same, so all pods of the
cluster's own namespace go when it sleeps.

Of a removed cluster they are deleted one by one only under policy Retain: Delete removes them with the namespace, Orphan
leaves everything. Volume claims stay.
"""

from collections.abc import Collection, Sequence

from msgspec import Struct

from reconciler.engine import leftovers
from reconciler.engine.leftovers import Selector
from reconciler.engine.policies import TENANT_ROLE
from reconciler.gather.reader import Reader
from reconciler.kube.client import Client
from reconciler.model import Bundle, InventoryEntry, Object, ObjectRef, Observed, Target
from reconciler.plan import mark

LAYER = "engine"
WORKLOADS = frozenset({"StatefulSet", "Deployment"})


class Absent(Struct, frozen=True):
    """What must not be there, as it was found: none of it before the pods of the engine are gone (`staying`)."""

    found: tuple[Observed, ...] = ()
    staying: tuple[ObjectRef, ...] = ()

    def claims(self, entries: Sequence[InventoryEntry]) -> tuple[InventoryEntry, ...]:
        """The inventory entries of what is new (D4)."""
        known = {(entry.target, entry.ref, entry.uid) for entry in entries}
        return tuple(
            InventoryEntry(one.target, one.ref, LAYER, one.uid, "claimed")
            for one in self.found
            if (one.target, one.ref, one.uid) not in known
        )


def absent(
    bundle: Bundle, selectors: Sequence[Selector], entries: Sequence[InventoryEntry], reader: Reader, host: Target
) -> Absent:
    """The objects that match the selectors, in a namespace that is ours by UID; raises NidusError where one cannot be listed."""
    client = reader.client(host) if selectors else None
    if client is None or not _is_ours(bundle, entries, client, host):
        return Absent()
    staying = _engine(bundle, client)
    if staying:
        return Absent(staying=tuple(map(mark.ref_of, staying)))
    found = [item for one in selectors for item in _selected(one, client)]
    return Absent(tuple(Observed(host, mark.ref_of(item), item, foreign=True) for item in found))


def claims(bundle: Bundle, entries: Sequence[InventoryEntry], reader: Reader, host: Target) -> list[InventoryEntry]:
    """The pods left over, as new inventory entries with their UIDs (D4); raises NidusError. None while the engine runs,
    because it would delete the tenant's own pod as well; none where we did not create the namespace."""
    if not _due(bundle) or _running(entries):
        return []
    client = reader.client(host)
    if not _is_ours(bundle, entries, client, host) or _engine(bundle, client):
        return []
    known = {(entry.target, entry.ref) for entry in entries}
    found = [(mark.ref_of(pod), str(pod["metadata"]["uid"])) for pod in _synced(bundle, client)]
    return [InventoryEntry(host, ref, LAYER, uid, "claimed") for ref, uid in found if (host, ref) not in known]


def held(bundle: Bundle, client: Client) -> list[Object]:
    """Requests for snapshots with the engine's finalizer, which would keep the namespace for ever once the engine is gone (D5)."""
    found = _selected(leftovers.asked(bundle.namespace), client)
    return [one for one in found if leftovers.HOLDS in (one["metadata"].get("finalizers") or ())]


def bound(entries: Sequence[InventoryEntry], deleted: Collection[ObjectRef]) -> bool:
    """Whether our own rights in the namespace still stand; they go with the policies, after what the engine held."""
    return any(one.ref.name == TENANT_ROLE and one.ref not in deleted for one in entries)


def left(bundle: Bundle, client: Client, *, all_of_it: bool = False) -> tuple[ObjectRef, ...]:
    """The pods of the engine and of its tenant that are still there; of one whose namespace goes, only where `all_of_it` is asked for:
    the engine's."""
    if not _due(bundle):
        return tuple(map(mark.ref_of, _engine(bundle, client))) if all_of_it else ()
    return tuple(mark.ref_of(pod) for pod in (*_engine(bundle, client), *_synced(bundle, client)))


def _due(bundle: Bundle) -> bool:
    return bundle.tombstone is not None and bundle.tombstone.policy == "Retain"


def _running(entries: Sequence[InventoryEntry]) -> bool:
    return any(entry.ref.kind in WORKLOADS and not entry.target.nested for entry in entries)


def _is_ours(bundle: Bundle, entries: Sequence[InventoryEntry], client: Client, host: Target) -> bool:
    home = ObjectRef("", "Namespace", "", bundle.namespace)
    made = next((entry.uid for entry in entries if (entry.target, entry.ref) == (host, home)), "")
    live = client.get(home) if made else None
    return live is not None and live["metadata"]["uid"] == made


def _engine(bundle: Bundle, client: Client) -> list[Object]:
    return _selected(leftovers.planes(bundle.cluster, bundle.namespace), client)


def _synced(bundle: Bundle, client: Client) -> list[Object]:
    return _selected(leftovers.synced(bundle.cluster, bundle.namespace), client)


def _selected(one: Selector, client: Client) -> list[Object]:
    found = client.list(one.group, one.kind, namespace=one.namespace, labels=one.labels)[0]
    return [item for item in found if item["metadata"]["name"] not in one.but] if one.but else found
