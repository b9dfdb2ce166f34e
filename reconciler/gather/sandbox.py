"""Whether the host has the RuntimeClass that a cluster's pods are to run in: without it none of them would start."""

from collections.abc import Iterable

from reconciler.errors import NidusError
from reconciler.gather.reader import Reader
from reconciler.health.reading import section
from reconciler.model import Desired, ObjectRef, Target


def missing(desired: Iterable[Desired], reader: Reader, host: Target) -> str:
    """Why the engine's layer waits, "" where no class is asked for, or it is there."""
    specs = (one.layer.spec for one in desired if one.layer.role == "engine")
    asked = (section(spec, "values", "sync", "toHost", "pods").get("runtimeClassName") for spec in specs)
    name = next((one for one in asked if isinstance(one, str)), "")
    if not name:
        return ""
    try:
        found = reader.client(host).get(ObjectRef("node.k8s.io", "RuntimeClass", "", name))
    except NidusError as error:
        return f"RuntimeClass {name} of the host could not be read: {error.message}"
    return "" if found is not None else f"the host has no RuntimeClass {name} (spec.isolation.runtimeClass)"
