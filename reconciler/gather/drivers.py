"""Who sets the replicas of the observed objects (A1). Autoscalers are listed only where the answer matters."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from reconciler.errors import ApiError, ErrorClass
from reconciler.kube.client import Client
from reconciler.model import Desired, InventoryEntry, Object, ObjectRef, Observed, Target, replace
from reconciler.plan import mark, scale


def told(
    target: Target,
    seen: Mapping[ObjectRef, Observed],
    desired: Sequence[Desired],
    entries: Sequence[InventoryEntry],
    client: Callable[[Target], Client],
    scalers: frozenset[str] = frozenset(),
) -> dict[ObjectRef, Observed]:
    """The observations of one target, each with who sets its replicas. `scalers`: field managers that count as
    autoscalers.

    Raises ApiError where the autoscalers cannot be listed. Where we have no right to list them, a scaled field is left
    alone.
    """
    wanted = {mark.ref_of(item): item for one in desired if one.layer.target == target for item in one.objects}
    before = {entry.ref: entry.fields for entry in entries if entry.target == target}
    asked = {
        ref: item
        for ref, item in wanted.items()
        if (live := _live(seen, ref)) is not None and scale.matters(item, live, before.get(ref, ()))
    }
    if not asked:
        return dict(seen)
    planned = scale.driven(item for ref, item in wanted.items() if (ref.group, ref.kind) == scale.AUTOSCALER)
    spaces = {ref.namespace for ref in asked if ref not in planned}
    drives = {**_listed(client(target), spaces, asked), **planned}
    return {ref: replace(one, driven=_driver(ref, one, drives, scalers)) for ref, one in seen.items()}


def _driver(ref: ObjectRef, one: Observed, drives: Mapping[ObjectRef, str], scalers: frozenset[str]) -> str:
    return drives.get(ref, "") or (scale.writers(one.live, scalers) if one.live is not None and scalers else "")


def _live(seen: Mapping[ObjectRef, Observed], ref: ObjectRef) -> Object | None:
    one = seen.get(ref)
    return one.live if one is not None else None


def _listed(client: Client, spaces: Iterable[str], asked: Iterable[ObjectRef]) -> dict[ObjectRef, str]:
    """The live autoscalers of these namespaces, by the object they scale."""
    found: dict[ObjectRef, str] = {}
    for space in sorted(spaces):
        try:
            found.update(scale.driven(client.list(*scale.AUTOSCALER, namespace=space)[0]))
        except ApiError as error:
            if error.kind in (ErrorClass.DENIED, ErrorClass.KIND_UNREAD):
                found.update({ref: "an autoscaler that may not be read" for ref in asked if ref.namespace == space})
            elif error.kind != ErrorClass.KIND_MISSING:
                raise
    return found
