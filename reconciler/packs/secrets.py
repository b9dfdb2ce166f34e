"""Pack kind `secrets`: copies of Secrets of the host's share namespace (K11).

What they hold was read by the pass and comes with the job. Offline nothing is known of it, and the copies hold nothing.
"""

from typing import Any

from reconciler.packs.objects import Sourced
from reconciler.packs.wire import Job


def render(job: Job) -> list[Sourced]:
    """One Secret for each entry, in their order."""
    shared = job.spec.get("shared", {})
    return [(f"secrets[{at}]", _copy(one, shared.get(one["from"], {}))) for at, one in enumerate(job.spec["secrets"])]


def _copy(one: dict[str, Any], held: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": one["to"] or one["from"]} | ({"namespace": one["namespace"]} if one["namespace"] else {})
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **held}
