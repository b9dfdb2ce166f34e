"""The claims of a control plane that is to have larger volumes, and whether their class lets them grow. Nothing is read of others."""

from collections.abc import Mapping, Sequence

from reconciler import health
from reconciler.assignment import Assignment
from reconciler.errors import LeaseLost, NidusError
from reconciler.gather.reader import Key, Reader
from reconciler.health.reading import section
from reconciler.kube.client import Client
from reconciler.model import Claim, Desired, Object, ObjectRef, Observed, Target, Volumes
from reconciler.operations import growth


def read(
    assignment: Assignment, desired: Sequence[Desired], observed: Mapping[Key, Observed], reader: Reader, host: Target
) -> Volumes | None:
    """None where no volume is to grow. What could not be read is a refusal for now, but of volumes that are known to have grown."""
    bundle, state = assignment.bundle, assignment.state
    if bundle.tombstone is not None:
        return None
    larger = growth.asked(desired, observed)
    asked = larger or growth.left(desired, observed, state.record.growth, state.entries)
    if not asked:
        return None
    try:
        client = reader.client(host)
        found = {ref: live for ref in growth.claims(bundle) if (live := client.get(ref)) is not None}
        claims = tuple(_claim(ref, live) for ref, live in found.items())
        if not larger and not any(growth.smaller(one.has, asked) for one in claims):
            return None
        small = [found[one.ref] for one in claims if growth.smaller(one.asks, asked)]
        return Volumes(asked, claims, _refused(small, client) if small else "")
    except LeaseLost:
        raise
    except NidusError as error:
        if growth.grown(state.record.growth, asked):
            return Volumes(asked)
        return Volumes(asked, (), f"whether its volumes can grow could not be read: {error.message}", unread=True)


def _claim(ref: ObjectRef, live: Object) -> Claim:
    asks = section(live, "spec", "resources", "requests").get("storage", "")
    has = section(live, "status", "capacity").get("storage", "")
    return Claim(ref, str(live["metadata"]["uid"]), str(asks), str(has))


def _refused(claims: Sequence[Object], client: Client) -> str:
    classes = client.list("storage.k8s.io", "StorageClass")[0]
    for claim in claims:
        found = health.class_of(claim, classes)
        if found is None:
            return "its volumes cannot grow: the host has no StorageClass of theirs (spec.controlPlane.store.size)"
        if found.get("allowVolumeExpansion") is not True:
            name = found["metadata"]["name"]
            return f"its volumes cannot grow: StorageClass {name} has no allowVolumeExpansion (spec.controlPlane.store.size)"
    return ""
