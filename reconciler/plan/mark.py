"""The labels and annotations of our objects ("marks", A3), and the name of an object.

On the host: labels `app.kubernetes.io/managed-by: nidus`, `nidus.dev/cluster`, `nidus.dev/layer`, annotation `nidus.dev/nonce`.
Inside nested clusters the keys are `inside.nidus.dev/*`: the engine copies labels to the host, where a tenant's must not count.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from reconciler.model import InventoryEntry, Object, ObjectRef, Observed, Target
from reconciler.patterns import lazy
from reconciler.plan.fields import MANAGER

Key = tuple[Target, ObjectRef]

MANAGED_BY = "app.kubernetes.io/managed-by"
HOST = "nidus.dev"
INSIDE = "inside.nidus.dev"
ENGINE = "vcluster"  # the field manager of the engine's syncer inside a nested cluster
REMADE = frozenset({"intended", "owned"})  # states of an entry whose object is one that we want
RUN = "hook"  # the annotation that says which run of a hook made an object (K7)
LABEL = lazy(r"[^A-Za-z0-9_.-]+")
REFS = 8192  # names kept: a pass asks for each about ten times, and one value for all makes every look into a mapping cheap


def domain(nested: bool) -> str:
    """The domain of the keys of our marks."""
    return INSIDE if nested else HOST


def mark(obj: Object, *, cluster: str, layer: str, nonce: str, nested: bool) -> Object:
    """A copy that carries our marks, and not the one of hooks, which only a run gives. A Secret's `stringData` becomes `data`, as the
    server would make it: only then do its field paths stay comparable."""
    where = domain(nested)
    metadata = obj["metadata"]
    ours = {f"{where}/cluster": cluster, f"{where}/layer": label(layer)}
    managed_by = {f"{INSIDE}/managed-by": "nidus"} if nested else {MANAGED_BY: "nidus"}
    labels = {**(metadata.get("labels") or {}), **managed_by, **ours}
    annotations = {**(metadata.get("annotations") or {}), f"{where}/nonce": nonce}
    annotations.pop(f"{where}/{RUN}", None)
    marked = {**obj, "metadata": {**metadata, "labels": labels, "annotations": annotations}}
    if obj["kind"] == "Secret" and obj["apiVersion"] == "v1" and "stringData" in obj:
        marked["data"] = {**(obj.get("data") or {}), **_encoded(marked.pop("stringData") or {})}
    return marked


NONCES = frozenset(f'metadata.annotations."{domain}/nonce"' for domain in (HOST, INSIDE))
MARKS = NONCES | frozenset(
    {f'metadata.labels."{MANAGED_BY}"', f'metadata.labels."{INSIDE}/managed-by"'}
    | {f'metadata.labels."{domain}/{key}"' for domain in (HOST, INSIDE) for key in ("cluster", "layer")}
)


def is_mark(path: str) -> bool:
    """Whether a field path is one of our marks."""
    return path in MARKS


def marked(obj: Object, *, cluster: str, nonce: str, nested: bool, writer: str = MANAGER) -> bool:
    """Whether a live object has our marks with this nonce and was applied by us, or its marks were written by this other field manager
    (A3: an intended entry then becomes owned)."""
    where = domain(nested)
    metadata = obj["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    return (
        labels.get(f"{INSIDE}/managed-by" if nested else MANAGED_BY) == "nidus"
        and labels.get(f"{where}/cluster") == cluster
        and nonce != ""
        and annotations.get(f"{where}/nonce") == nonce
        and any(_wrote(entry, writer) for entry in metadata.get("managedFields") or ())
    )


def _wrote(entry: Mapping[str, Any], writer: str) -> bool:
    return entry.get("manager") == MANAGER or (
        entry.get("manager") == writer and entry.get("operation") == "Update" and not entry.get("subresource")
    )


def remade(entry: InventoryEntry, live: Object) -> bool:
    """Whether a live object may be the one of this entry although its UID is another: a Service inside a nested cluster. The engine's
    syncer deletes each whose address is not that of its copy on the host, and creates it anew as it was (R4; vCluster 0.36.1,
    pkg/controllers/resources/services/syncer.go). Whether it is the one, its marks and their writer say."""
    where = bool(entry.target.nested) and entry.state in REMADE and (entry.ref.group, entry.ref.kind) == ("", "Service")
    return where and live["metadata"].get("uid") != entry.uid


def ours(entry: InventoryEntry | None, seen: Observed, cluster: str, nonce: str) -> bool:
    """Whether a live object is the one in our inventory (A3): by UID, whatever its labels; by our marks and nonce for an intended entry,
    and for a Service that the engine made anew. Never an object that the engine made itself (R4)."""
    if entry is None or seen.live is None:
        return False
    if entry.uid and entry.uid == seen.uid:
        return True
    anew = remade(entry, seen.live)
    if entry.uid and entry.state != "intended" and not anew:
        return False
    writer = ENGINE if anew else MANAGER
    nested = bool(entry.target.nested)
    return not seen.foreign and marked(seen.live, cluster=cluster, nonce=nonce, nested=nested, writer=writer)


def entries_of(inventory: Iterable[InventoryEntry], observed: Mapping[Key, Observed]) -> dict[Key, InventoryEntry]:
    """The inventory by key; an observed object whose UID it holds under another name (its scope or group was another when it
    was made) is found by that UID."""
    listed = tuple(inventory)
    found = {(entry.target, entry.ref): entry for entry in listed}
    by_uid = {(entry.target, entry.uid): entry for entry in listed if entry.uid}
    for key, seen in observed.items():
        entry = found.get(key)
        if seen.live is not None and (entry is None or entry.uid != seen.uid):
            held = by_uid.get((key[0], seen.uid), entry)
            found.update({key: held} if held is not None else {})
    return found


def label(layer: str) -> str:
    """A layer's name as a label value: `web/ingress` is `web.ingress`; longer than 63 characters ends in a hash."""
    safe = LABEL.sub(".", layer).strip("._-")
    if len(safe) <= 63:
        return safe
    return f"{safe[:52]}-{hashlib.sha256(layer.encode()).hexdigest()[:10]}"


def ref_of(obj: Object) -> ObjectRef:
    """The name of an object; `namespace` is what it says itself ("" where it says nothing)."""
    metadata = obj["metadata"]
    return _ref(obj["apiVersion"], obj["kind"], metadata.get("namespace") or "", metadata["name"])


@lru_cache(maxsize=REFS)
def _ref(api_version: str, kind: str, namespace: str, name: str) -> ObjectRef:
    return ObjectRef(api_version.rpartition("/")[0], kind, namespace, name)


def _encoded(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: base64.b64encode(str(value).encode()).decode() for key, value in values.items()}
