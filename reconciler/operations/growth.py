"""Growth of a control plane's volumes: the claims grow, and the template that they were made from stays as it is. Pure.

The API server takes no change of a template, so a desired one keeps the size of the live one. Without that, a grown cluster would plan to
replace its StatefulSet for ever, also with each upgrade.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.engine import leftovers, quantity
from reconciler.health.reading import rows, section
from reconciler.model import Bundle, Desired, Growth, InventoryEntry, Object, ObjectRef, Observed, Volumes, replace
from reconciler.operations.situation import Amendment, Situation
from reconciler.plan.mark import Key, ref_of

TEMPLATES = "volumeClaimTemplates"
_QUOTA = "requests.storage"


def asked(desired: Sequence[Desired], observed: Mapping[Key, Observed]) -> str:
    """The size that the document asks for, where the live template is of a smaller one; else ""."""
    for one in desired:
        for item in one.objects if one.layer.role == "engine" else ():
            for wanted, live in _pairs(item, _live(one, item, observed)):
                if _number(_size(wanted)) > _number(_size(live)):
                    return _size(wanted)
    return ""


def left(
    desired: Sequence[Desired],
    observed: Mapping[Key, Observed],
    before: Growth | None,
    entries: Sequence[InventoryEntry],
) -> str:
    """The size that the document asks for, where claims may be behind though the template is not: they were on record as behind, or the
    cluster comes back to claims that it left. Else ""."""
    open_ = before is not None and not before.over
    came_back = any(one.state == "retained" and not one.target.nested for one in entries)
    for one in desired if open_ or came_back else ():
        for item in one.objects if one.layer.role == "engine" else ():
            if item["kind"] == "StatefulSet" and (open_ or _live(one, item, observed) is None):
                return next(filter(None, map(_size, rows(section(item, "spec"), TEMPLATES))), "")
    return ""


def grown(before: Growth | None, asked: str) -> bool:
    """Whether the claims are on record as large enough."""
    return before is not None and before.over and not smaller(before.asked, asked)


def claims(bundle: Bundle) -> tuple[ObjectRef, ...]:
    """The claims of the engine's store, or of its members'."""
    return leftovers.claims(bundle.document.cluster, bundle.namespace) if bundle.document is not None else ()


def smaller(size: str, than: str) -> bool:
    """Whether a quantity is smaller than another; what is none is smaller than any."""
    return _number(size) < _number(than)


def amend(situation: Situation, desired: tuple[Desired, ...], observed: Mapping[Key, Observed]) -> Amendment:
    """Templates as they are, and where volumes cannot grow, the quota for them as well."""
    refused = situation.volumes is not None and bool(situation.volumes.refused)
    return Amendment(tuple(_amended(one, observed, refused=refused) for one in desired))


def body(ref: ObjectRef, size: str) -> Object:
    """What is applied to a claim."""
    metadata = {"name": ref.name, "namespace": ref.namespace}
    requests = {"resources": {"requests": {"storage": size}}}
    return {"apiVersion": "v1", "kind": ref.kind, "metadata": metadata, "spec": requests}


def told(volumes: Volumes, problem: str = "") -> Growth:
    """How far it is."""
    behind = (f"{one.ref.name} has {one.has or 'nothing'}" for one in volumes.claims if smaller(one.has, volumes.asked))
    return Growth(volumes.asked, tuple(behind), volumes.refused or problem)


def _amended(one: Desired, observed: Mapping[Key, Observed], *, refused: bool) -> Desired:
    if one.layer.role == "engine":
        objects = tuple(_kept(item, _live(one, item, observed)) for item in one.objects)
    elif one.layer.role == "policies" and refused:
        objects = tuple(_quota(item, _live(one, item, observed)) for item in one.objects)
    else:
        return one
    same = all(after is before for after, before in zip(objects, one.objects, strict=True))
    return one if same else replace(one, objects=objects)


def _kept(item: Object, live: Object | None) -> Object:
    pairs = list(_pairs(item, live))
    if not any(_size(wanted) != _size(there) for wanted, there in pairs):
        return item
    sizes = {str(section(wanted, "metadata").get("name")): _size(there) for wanted, there in pairs}
    made = [
        _sized(one, sizes.get(str(section(one, "metadata").get("name")), "")) for one in rows(item["spec"], TEMPLATES)
    ]
    return {**item, "spec": {**item["spec"], TEMPLATES: made}}


def _sized(template: Mapping[str, Any], size: str) -> Mapping[str, Any]:
    if not size:
        return template
    resources = section(template, "spec", "resources")
    requests = {**section(resources, "requests"), "storage": size}
    return {**template, "spec": {**section(template, "spec"), "resources": {**resources, "requests": requests}}}


def _quota(item: Object, live: Object | None) -> Object:
    there = section(live or {}, "spec", "hard").get(_QUOTA)
    if item["kind"] != "ResourceQuota" or there is None or _QUOTA not in item["spec"]["hard"]:
        return item
    return {**item, "spec": {**item["spec"], "hard": {**item["spec"]["hard"], _QUOTA: there}}}


def _pairs(item: Object, live: Object | None) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The templates of a desired StatefulSet, each with that of its name in the live one."""
    if item["kind"] != "StatefulSet" or live is None:
        return []
    there = {str(section(one, "metadata").get("name")): one for one in rows(section(live, "spec"), TEMPLATES)}
    wanted = rows(section(item, "spec"), TEMPLATES)
    return [(one, there[name]) for one in wanted if (name := str(section(one, "metadata").get("name"))) in there]


def _size(template: Mapping[str, Any]) -> str:
    return str(section(template, "spec", "resources", "requests").get("storage", ""))


def _number(size: str) -> float:
    try:
        return float(quantity.parse(size))
    except ValueError:
        return -1.0


def _live(one: Desired, item: Object, observed: Mapping[Key, Observed]) -> Object | None:
    seen = observed.get((one.layer.target, ref_of(item)))
    return seen.live if seen is not None else None
