"""Objects that an operation makes once and removes itself: they are no desired objects, and not in the inventory."""

from reconciler.errors import ApiError, ErrorClass
from reconciler.kube.client import Client
from reconciler.model import Object, ObjectRef


def made(client: Client, one: Object) -> str:
    """Create it and return its UID; one that is there already is ours of a pass that was cut. Raises ApiError."""
    try:
        return str(client.create(one)["metadata"]["uid"])
    except ApiError as error:
        if error.kind is not ErrorClass.RACED:
            raise
    ref = ObjectRef("", str(one["kind"]), one["metadata"]["namespace"], one["metadata"]["name"])
    there = client.get(ref)
    return str(there["metadata"]["uid"]) if there is not None else ""


def gone(client: Client, refs: tuple[ObjectRef, ...]) -> bool:
    """Delete what is there of them, each by its UID; whether none was there. Raises ApiError."""
    found = [(ref, live) for ref in refs if (live := client.get(ref)) is not None]
    for ref, live in found:
        client.delete(ref, str(live["metadata"]["uid"]))
    return not found
