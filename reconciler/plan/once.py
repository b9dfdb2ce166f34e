"""Jobs that Kubernetes removes when they have ended (`ttlSecondsAfterFinished`): gone is not deleted, and they run once for
each content in Git.

A mark in the inventory says what was applied, and that it was last seen failed.
"""

import hashlib

import msgspec

from reconciler.health.reading import condition, section
from reconciler.model import Object

FAILED = ":Failed"


def mark(obj: Object | None, live: Object | None = None) -> str:
    """The mark of a Job with a ttl as it was applied; "" for everything else."""
    if obj is None or obj.get("kind") != "Job" or not str(obj.get("apiVersion")).startswith("batch/"):
        return ""
    if section(obj, "spec").get("ttlSecondsAfterFinished") is None:
        return ""
    spec = msgspec.json.encode(obj["spec"], order="deterministic")
    return seen(hashlib.sha256(spec).hexdigest()[:32], live)


def seen(known: str, live: Object | None) -> str:
    """A mark after a look at the object: how it ended is kept, as it will be gone."""
    content = known.removesuffix(FAILED)
    if not content or live is None:
        return content
    return content + (FAILED if condition(live, "Failed").get("status") == "True" else "")
