"""Allocations that only one object can have (A1): node ports, cluster IPs, paths of an Ingress host. If an object of
ours that is to be deleted has one that a new object needs, it is deleted first."""

from collections.abc import Iterator, Mapping, Sequence

from reconciler.model import Change, Object, ObjectRef, Observed, Target, replace

Key = tuple[Target, ObjectRef]
TAKEN = ("already allocated", "admission webhook")
"""How a server words that an allocation is taken: its own allocators, and webhooks that guard host names."""


def arranged(
    made: Sequence[Change], gone: Sequence[Change], observed: Mapping[Key, Observed]
) -> tuple[list[Change], list[Change]]:
    """Both lists. Where a deletion frees an allocation that a change needs, the change names it in `after`, and both
    get a flag."""
    holders = {held: one for one in gone if one.action == "delete" for held in _held(one, observed)}
    if not holders:
        return list(made), list(gone)
    frees: dict[Key, list[str]] = {}
    changed = []
    for one in made:
        found = sorted({(_key(holders[held]), _named(held)) for held in _asked(one, observed) if held in holders})
        for key, what in found:
            frees.setdefault(key, []).append(f"frees {what} for {one.ref}")
        told = tuple(f"takes {what} over from {key[1]}" for key, what in found)
        changed.append(replace(one, after=tuple(dict.fromkeys(key for key, _ in found)), flags=(*one.flags, *told)))
    return changed, [replace(one, flags=(*one.flags, *frees.get(_key(one), ()))) for one in gone]


def taken(message: str) -> bool:
    """Whether the server refused because an allocation is in use."""
    return any(words in message for words in TAKEN)


Allocation = tuple[Target, str, str]


def _held(change: Change, observed: Mapping[Key, Observed]) -> set[Allocation]:
    seen = observed.get(_key(change))
    return set(_of(change.target, seen.live)) if seen is not None and seen.live is not None else set()


def _asked(change: Change, observed: Mapping[Key, Observed]) -> set[Allocation]:
    """The allocations that the change needs and its object does not have yet."""
    if change.action not in ("create", "configure", "adopt") or change.desired is None:
        return set()
    return set(_of(change.target, change.desired)) - _held(change, observed)


def _of(target: Target, obj: Object) -> Iterator[Allocation]:
    spec = obj.get("spec")
    if not isinstance(spec, Mapping):
        return
    if obj.get("kind") == "Service":
        for port in (*_maps(spec.get("ports")), {"nodePort": spec.get("healthCheckNodePort")}):
            yield from ((target, "node port", str(one)) for one in [port.get("nodePort")] if one)
        addresses = [spec.get("clusterIP"), *_list(spec.get("clusterIPs"))]
        yield from ((target, "cluster IP", str(one)) for one in addresses if one not in (None, "", "None"))
    if obj.get("kind") == "Ingress":
        for rule in _maps(spec.get("rules")):
            http = rule.get("http")
            for path in _maps(http.get("paths")) if isinstance(http, Mapping) else ():
                yield target, "host", f"{rule.get('host') or '*'}{path.get('path') or '/'}"


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _maps(value: object) -> list[Mapping[str, object]]:
    return [one for one in _list(value) if isinstance(one, Mapping)]


def _named(held: Allocation) -> str:
    return f"{held[1]} {held[2]}"


def _key(change: Change) -> Key:
    return change.target, change.ref
