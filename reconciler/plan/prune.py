"""The changes of inventory entries that are not desired: delete, retain or leave (P2, P7, D1, D2, D4, I7)."""

from collections.abc import Iterator, Mapping, Sequence

from reconciler.model import (
    TENANTS,
    UNPROVEN,
    Bundle,
    Change,
    InventoryEntry,
    Layer,
    ObjectRef,
    Observed,
    Target,
    Tombstone,
    replace,
)
from reconciler.plan import flags, frozen, leaving
from reconciler.plan.kinds import made_by_kubernetes
from reconciler.plan.mark import ours, remade
from reconciler.plan.suspects import Key

KEPT = "Kept"
POLICY = "helm.sh/resource-policy"
ACCESS = "access"  # the layer of who gets in


def changes(
    bundle: Bundle,
    gone: Sequence[InventoryEntry],
    observed: Mapping[Key, Observed],
    known: frozenset[str],
    kept: frozenset[tuple[Target, str]],
    nonce: str,
    now: float,
) -> Iterator[Change]:
    """One change per entry that is not desired: delete, or skip with the reason it stays. `known`: layers rendered in
    this pass; `kept`: UIDs of desired objects, maybe under another name than the entry has. A deletion needs the live
    object read, with the UID the entry has (D4)."""
    unknown = [layer for layer in bundle.layers if layer.name not in known]
    pruning = {layer.name: layer.prune for layer in bundle.layers}
    for entry in gone:
        change = Change("skip", entry.target, entry.ref, entry.layer, uid=entry.uid)
        seen = observed.get((entry.target, entry.ref))
        if (entry.target, entry.uid) in kept:
            yield replace(change, reason="SameObject")
        elif bundle.tombstone is not None:
            yield _buried(change, entry, seen, bundle, bundle.tombstone, nonce, now)
        elif doubtful := [one.name for one in unknown if one.name == entry.layer or _with(entry, one)]:
            yield replace(change, reason="LayerUnknown", flags=_waits(entry, doubtful))
        elif entry.state == "retained":
            yield replace(change, reason="Retained")
        elif not pruning.get(entry.layer, True):
            yield replace(change, reason="PruneDisabled")
        elif why := _kept(entry, seen):
            yield replace(change, reason=KEPT, flags=(why,))
        else:
            yield deletion(change, entry, seen, bundle.cluster, nonce)


def deletion(change: Change, entry: InventoryEntry, seen: Observed | None, cluster: str, nonce: str) -> Change:
    """The change of an object that is to go: its deletion where it is there and ours."""
    if seen is None or seen.unknown:
        return replace(change, reason=seen.unknown if seen else "NotObserved")
    live = seen.live
    if live is None:
        return replace(change, reason="Gone")
    if not ours(entry, seen, cluster, nonce):
        return replace(change, reason="NotOwner")
    change = replace(change, uid=seen.uid)
    if "deletionTimestamp" in live["metadata"]:
        return replace(change, reason="Terminating")
    return replace(change, action="delete", flags=flags.destroying(entry.ref, live))


def revokes(change: Change) -> bool:
    """Whether a deletion takes somebody's way in: it waits for no other layer, so no pack that is broken keeps it (O12)."""
    return change.action == "delete" and change.layer == ACCESS and change.target.nested != ""


def claimed(bundle: Bundle, gone: Sequence[InventoryEntry]) -> tuple[list[InventoryEntry], list[InventoryEntry]]:
    """The entries apart from those of a tenant's pods in a cluster that is not removed: these go by the cluster's sleep alone."""
    mine = [one for one in gone if one.state == "claimed" and bundle.tombstone is None]
    return [one for one in gone if one not in mine], mine


def tenants(
    bundle: Bundle, pods: Sequence[InventoryEntry], observed: Mapping[Key, Observed], absent: frozenset[Key]
) -> Iterator[Change]:
    """The tenant's pods go while the cluster sleeps (O3), by UID; once it wakes they are the engine's again, and no entry of ours."""
    for entry in pods:
        key = (entry.target, entry.ref)
        change = Change("skip", *key, entry.layer, uid=entry.uid)
        if key not in absent:
            yield replace(change, reason="NotOwner")
            continue
        change = deletion(change, entry, observed.get(key), bundle.cluster, "")
        yield replace(change, reason=TENANTS) if change.action == "delete" else change


def _kept(entry: InventoryEntry, seen: Observed | None) -> str:
    """Why an object inside a nested cluster that leaves Git is not deleted, "" where it is: nothing of it is ours from then
    on. A chart asks for it as Helm's charts do; what Kubernetes makes itself it would make again, or refuse to delete."""
    if not entry.target.nested or seen is None or seen.live is None:
        return ""
    if entry.uid != seen.uid and not remade(entry, seen.live):
        return ""
    if made_by_kubernetes(entry.ref):
        return "Kubernetes makes it itself"
    annotations = seen.live["metadata"].get("annotations") or {}
    policy = str(annotations.get(POLICY, "")).strip().lower()
    return f"{POLICY}: keep" if policy == "keep" else ""


def _with(entry: InventoryEntry, unknown: Layer) -> bool:
    """Whether the object may be one that a layer names that is not known in this pass."""
    return entry.target == unknown.target and entry.layer != ACCESS


def _waits(entry: InventoryEntry, doubtful: Sequence[str]) -> tuple[str, ...]:
    """What the deletion of an object waits for. If its own layer is unknown, it is not known whether the object is
    still desired."""
    return () if entry.layer in doubtful else (f"pruning waits for layer {doubtful[0]}",)


def _buried(
    change: Change,
    entry: InventoryEntry,
    seen: Observed | None,
    bundle: Bundle,
    tombstone: Tombstone,
    nonce: str,
    now: float,
) -> Change:
    """The change of an entry of a cluster that is no longer in Git (D1, D2)."""
    if tombstone.policy == "Orphan":
        return replace(change, reason="Orphaned")
    if entry.target.nested:
        return replace(change, reason="GoesWithCluster")
    if tombstone.policy != "Delete" and retained(entry.ref, bundle):
        return replace(change, reason="Retained")
    if seen is not None and seen.unknown:
        return replace(change, reason=UNPROVEN, detail=seen.unknown)
    change = deletion(change, entry, seen, bundle.cluster, nonce)
    if change.action != "delete":
        return change
    if tombstone.protect:
        return replace(change, action="hold", reason="Protected", would="delete")
    if now < tombstone.due:
        return replace(change, action="hold", reason="Grace", would="delete")
    return change


def retained(ref: ObjectRef, bundle: Bundle) -> bool:
    """Whether `Retain` keeps the object: the namespace, volumes and their claims, the engine's Service (it owns the
    tenant's objects), the cluster's certificates and configuration, what its charts made up, and the hooks that are kept of
    them."""
    if ref.group:
        return False
    if frozen.is_kept(ref) or leaving.is_kept(ref):
        return True
    if ref.kind in ("Namespace", "PersistentVolumeClaim", "PersistentVolume"):
        return True
    name = bundle.cluster
    return (ref.kind, ref.name) in {("Service", name), ("Secret", f"{name}-certs"), ("Secret", f"vc-config-{name}")}
