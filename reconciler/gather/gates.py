"""What a layer's health needs besides its own objects: the objects of its `ready.checks`, the storage classes of claims that are
not bound, and the answer of the nested API server."""

from collections.abc import Iterable, Mapping

from reconciler import health
from reconciler.engine import readiness, versions
from reconciler.errors import ApiError, ErrorClass, NidusError
from reconciler.gather.reader import Reader
from reconciler.model import Health, Layer, Object, ObjectRef, Target, replace


def refs(layer: Layer) -> Iterable[ObjectRef]:
    """The objects that the layer's `ready.checks` read."""
    for check in layer.gates:
        if check.crd:
            yield ObjectRef("apiextensions.k8s.io", "CustomResourceDefinition", "", check.crd)
        if check.condition:
            named = check.condition
            yield ObjectRef(named.group, named.kind, named.namespace or layer.namespace, named.name)


def read(
    layer: Layer, live: Mapping[ObjectRef, Object], reader: Reader
) -> tuple[dict[ObjectRef, Object], Health | None]:
    """The objects of `ready.checks` that are not in `live`; and the health of a layer for which one of them could not
    be read.

    A kind that is not installed yet is a check that does not hold yet, and no failure of the pass.
    """
    found: dict[ObjectRef, Object] = {}
    for ref in refs(layer):
        if ref in live:
            continue
        try:
            there = reader.client(layer.target).get(ref)
        except ApiError as error:
            if error.kind not in (ErrorClass.KIND_MISSING, ErrorClass.NAMESPACE_MISSING):
                return found, Health("Unknown", error.reason, f"{ref} could not be read: {error.message}")
            there = None
        except NidusError as error:
            return found, Health("Unknown", error.reason, f"{ref} could not be read: {error.message}")
        if there is not None:
            found[ref] = there
    return found, None


def unhurried(mine: Mapping[ObjectRef, Object], target: Target, reader: Reader) -> frozenset[ObjectRef]:
    """The claims among `mine` that are bound only once a pod uses them, as their storage class says. A nested cluster has the
    classes of its host, unless it has one of that name itself; classes that cannot be read say nothing."""
    waiting = {ref: claim for ref, claim in mine.items() if health.unbound(claim)}
    found: set[ObjectRef] = set()
    for place in dict.fromkeys((target, replace(target, nested=""))) if waiting else ():
        classes = _classes(place, reader)
        known = {ref: one for ref, claim in waiting.items() if (one := health.class_of(claim, classes)) is not None}
        found |= {ref for ref, one in known.items() if one.get("volumeBindingMode") == "WaitForFirstConsumer"}
        waiting = {ref: claim for ref, claim in waiting.items() if ref not in known}
        if not waiting:
            break
    return frozenset(found)


def _classes(target: Target, reader: Reader) -> list[Object]:
    try:
        return reader.client(target).list("storage.k8s.io", "StorageClass")[0]
    except NidusError:
        return []


def engine(
    live: Mapping[ObjectRef, Object], nested: Target, unreachable: str, reader: Reader, version: str = ""
) -> Health:
    """The engine's health: Current when its rollout is complete and its API server answers.

    `unreachable`: why the API server did not answer earlier in this pass, "" otherwise; it is then not asked again (A7).
    `version`: what it must be of, "" where that is not asked (O11).
    """
    rolled_out = readiness.compute(live, secret=True, answers=True)
    if rolled_out.status != "Current":
        return rolled_out
    if unreachable:
        return Health("InProgress", "NotAnswering", unreachable)
    try:
        client = reader.client(nested)
        answers, says = client.readyz(), client.version() if version else ""
    except NidusError as error:
        return Health("InProgress", "NotAnswering", error.message)
    if answers and version and not versions.same_minor(says, version):
        return Health("InProgress", "OtherVersion", f"the nested API server says {says}, and not {version} yet")
    return readiness.compute(live, secret=True, answers=answers)
