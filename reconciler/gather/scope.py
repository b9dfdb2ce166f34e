"""Which objects have a namespace. The server decides the scope of a kind, and the scope is part of an object's identity
(A2). An object of unknown scope waits; the scope is never guessed."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from reconciler.errors import UNSERVED, ApiError, NidusError
from reconciler.model import InventoryEntry, Object, Target, replace
from reconciler.plan import mark
from reconciler.plan.kinds import NAMESPACED

Kind = tuple[str, str]  # group, kind
Versioned = tuple[Target, Kind, str]  # and the version
Served = Callable[[Target, str, str], bool]
CRD = ("apiextensions.k8s.io", "CustomResourceDefinition")


class Scopes:
    """The scopes of one pass: kinds of Kubernetes first, then what the target serves, then the CRDs that the bundle brings.

    `served` raises NidusError where the target cannot say; a target that did not answer is not asked again in this pass.
    """

    def __init__(self, served: Served, declared: Mapping[tuple[Target, Kind], bool]) -> None:
        self._served = served
        self._declared = declared
        self._known: dict[tuple[Target, Kind], bool | None] = {}
        self._silent: set[Target] = set()

    def namespaced(self, target: Target, kind: Kind) -> bool | None:
        """Whether objects of this (group, kind) have a namespace in `target`; None while that is not known."""
        if kind in NAMESPACED:
            return NAMESPACED[kind]
        key = (target, kind)
        if key not in self._known:
            found = self._asked(target, kind)
            self._known[key] = self._declared.get(key) if found is None else found
        return self._known[key]

    def _asked(self, target: Target, kind: Kind) -> bool | None:
        if target in self._silent:
            return None
        try:
            return self._served(target, *kind)
        except ApiError as error:
            if error.kind not in UNSERVED:
                self._silent.add(target)
        except NidusError:
            self._silent.add(target)
        return None


def declared(rendered: Iterable[tuple[Target, Iterable[Object]]]) -> dict[tuple[Target, Kind], bool]:
    """(target, (group, kind)) -> whether it is namespaced, of every CRD among the rendered objects."""
    found: dict[tuple[Target, Kind], bool] = {}
    for target, objects in rendered:
        for item in objects:
            ref = mark.ref_of(item)
            if (ref.group, ref.kind) == CRD and (kind := _named(item.get("spec"))) is not None:
                found[target, kind] = item["spec"].get("scope") != "Cluster"
    return found


def versions(desired: Iterable[tuple[Target, Iterable[Object]]]) -> frozenset[Versioned]:
    """The versions that the CRDs among the desired objects serve."""
    found: set[Versioned] = set()
    for target, objects in desired:
        for item in objects:
            ref = mark.ref_of(item)
            if (ref.group, ref.kind) == CRD and (kind := _named(item.get("spec"))) is not None:
                listed = item["spec"].get("versions")
                rows = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
                found |= {(target, kind, str(one.get("name"))) for one in rows if one.get("served") is True}
    return frozenset(found)


def placed(item: Object, namespace: str, namespaced: bool) -> Object:
    """The object with its own namespace or else `namespace` if its kind is namespaced, and without one otherwise."""
    metadata: Mapping[str, Any] = item["metadata"]
    if not namespaced:
        return {**item, "metadata": {name: value for name, value in metadata.items() if name != "namespace"}}
    if metadata.get("namespace"):
        return item
    return {**item, "metadata": {**metadata, "namespace": namespace or "default"}}


def settled(entries: Iterable[InventoryEntry], scopes: Scopes) -> tuple[InventoryEntry, ...]:
    """The entries with the scope that is known now: an entry of a cluster-scoped kind has no namespace, whatever was
    recorded.

    Of two entries of one object the owned one stays.
    """
    found: dict[tuple[Target, Any], InventoryEntry] = {}
    for entry in entries:
        ref = entry.ref
        if ref.namespace and scopes.namespaced(entry.target, (ref.group, ref.kind)) is False:
            entry = replace(entry, ref=replace(ref, namespace=""))
        known = found.get((entry.target, entry.ref))
        if known is None or (entry.uid and not known.uid):
            found[entry.target, entry.ref] = entry
    return tuple(found.values())


def _named(spec: Any) -> Kind | None:
    names = spec.get("names") if isinstance(spec, Mapping) else None
    kind = names.get("kind") if isinstance(names, Mapping) else None
    return (str(spec.get("group", "")), kind) if isinstance(kind, str) else None
