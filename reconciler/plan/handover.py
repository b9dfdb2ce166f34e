"""Takes ownership of fields that have to be removed (A1): server-side apply removes a field only if we are its only
owner.

The change of `managedFields` alone changes no value; the way of client-go's csaupgrade and Flux's ssa (PatchReplaceFieldsManagers).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.model import Object
from reconciler.plan import paths
from reconciler.plan.conflict import edited, is_ours
from reconciler.plan.fields import DEPTH, MANAGER, element_of, entries, name_of, owner_of


def handed_over(live: Object, strays: Iterable[str]) -> list[dict[str, Any]]:
    """`managedFields` with these paths taken from those who edited them and listed as ours alone, so that the next
    apply, which does not name them, removes them. Other appliers keep their fields."""
    every = [paths.parse(path) for path in strays]
    mine: dict[str, Any] = {"manager": MANAGER, "operation": "Apply", "apiVersion": live["apiVersion"]}
    mine |= {"fieldsType": "FieldsV1", "fieldsV1": {}}
    others = []
    for entry in entries(live):
        owner, tree = owner_of(entry), _copy(entry.get("fieldsV1"))
        if is_ours(owner):
            mine = {**entry, "fieldsV1": tree}
        elif not edited([owner]) or _cut(tree, every):
            others.append({**entry, "fieldsV1": tree})
    for elements in every:
        _enter(mine["fieldsV1"], elements)
    return [mine, *others]


def _copy(tree: Any, depth: int = 0) -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        return {}
    return {name: _copy(below, depth + 1) if depth < DEPTH else below for name, below in tree.items()}


def _cut(tree: dict[str, Any], every: Sequence[tuple[paths.Element, ...]]) -> bool:
    """Remove these paths from a tree, in place. Returns whether anything is left in it."""
    for elements in every:
        _cut_one(tree, elements)
    return any(name != "." for name in tree)


def _cut_one(node: dict[str, Any], elements: Sequence[paths.Element]) -> None:
    name = _named(node, elements[0])
    if name is None:
        return
    if len(elements) > 1:
        _cut_one(node[name], elements[1:])
    if len(elements) == 1 or not any(one != "." for one in node[name]):
        del node[name]


def _enter(tree: dict[str, Any], elements: Sequence[paths.Element]) -> None:
    for element in elements[:-1]:
        tree = tree.setdefault(_named(tree, element) or name_of(element), {})
        if isinstance(element, tuple):
            tree.setdefault(".", {})
    tree[_named(tree, elements[-1]) or name_of(elements[-1])] = {}


def _named(node: Mapping[str, Any], element: paths.Element) -> str | None:
    """The name this element has in a tree: the server may print a key in another way than we do."""
    name = name_of(element)
    if name in node or isinstance(element, (str, int)):
        return name if name in node else None
    return next((one for one in node if element_of(one) == element), None)
