"""The log of a pod, line by line."""

from collections.abc import Iterator

from reconciler.kube.client import Client
from reconciler.kube.paths import path_of
from reconciler.kube.transport import Call
from reconciler.model import ObjectRef

QUIET = 86400.0  # seconds that a followed log may say nothing


def read(client: Client, namespace: str, pod: str, *, since: float, follow: bool) -> Iterator[str]:
    """The lines of the last `since` seconds, and with `follow` those that come. Raises ApiError."""
    resource, ref = client.resource("", "Pod"), ObjectRef("", "Pod", namespace, pod)
    query = {"sinceSeconds": str(max(1, int(since)))} | ({"follow": "true"} if follow else {})
    call = Call("get", "GET", path_of(resource, ref, "log"), query, accept="*/*", ref=ref, resource="pods/log")
    silence = QUIET if follow else client.deadline
    for line in client.transport.stream(call, deadline=client.deadline, silence=silence):
        yield line.decode("utf-8", "replace")
