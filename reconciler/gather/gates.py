"""What a layer's health needs besides its own objects: the objects of its `ready.checks`, and the answer of the nested
API server."""

from collections.abc import Iterable, Mapping

from reconciler.engine import readiness
from reconciler.errors import ApiError, ErrorClass, NidusError
from reconciler.gather.reader import Reader
from reconciler.model import Health, Layer, Object, ObjectRef, Target


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


def engine(live: Mapping[ObjectRef, Object], nested: Target, unreachable: str, reader: Reader) -> Health:
    """The engine's health: Current when its rollout is complete and its API server answers.

    `unreachable`: why the API server did not answer earlier in this pass, "" otherwise; it is then not asked again (A7).
    """
    rolled_out = readiness.compute(live, secret=True, answers=True)
    if rolled_out.status != "Current":
        return rolled_out
    if unreachable:
        return Health("InProgress", "NotAnswering", unreachable)
    try:
        answers = reader.client(nested).readyz()
    except NidusError as error:
        return Health("InProgress", "NotAnswering", error.message)
    return readiness.compute(live, secret=True, answers=answers)
