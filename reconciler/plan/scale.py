"""Who sets the replicas of an object (A1): a HorizontalPodAutoscaler, live or in Git. Any other change of scale is an
edit."""

from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.model import MISSING, Object, ObjectRef, Observed
from reconciler.plan import paths
from reconciler.plan.fields import managed, scaled
from reconciler.plan.mark import ref_of

AUTOSCALER = ("autoscaling", "HorizontalPodAutoscaler")
REPLICAS = "spec.replicas"


def matters(wanted: Object, live: Object, before: Iterable[str]) -> bool:
    """Whether the autoscaler of this object must be known: a desired field was written through `scale`, or its replicas
    were ours and are no longer in Git."""
    if any(paths.get(wanted, path) is not MISSING for path, _ in scaled(live)):
        return True
    leaves = paths.get(wanted, REPLICAS) is MISSING and REPLICAS in before
    return leaves and paths.get(live, REPLICAS) is not MISSING


def driven(autoscalers: Iterable[Object]) -> dict[ObjectRef, str]:
    """The objects these autoscalers scale, each with the autoscaler's name. One that is being deleted scales
    nothing."""
    found = {}
    for one in autoscalers:
        target = _target(one)
        if target is not None and "deletionTimestamp" not in one["metadata"]:
            found[target] = str(ref_of(one))
    return found


def writers(live: Object, names: frozenset[str]) -> str:
    """The first of these managers that wrote a field of the object through `scale`, "" where none did."""
    return next((who.name for _, who in sorted(scaled(live)) if who.name in names), "")


def kept(wanted: Object, live: Object) -> Object:
    """The object with its live replicas, where Git no longer names them and they are still ours: without them the
    server would reset the replicas before the autoscaler has set them."""
    there = paths.get(live, REPLICAS)
    if there is MISSING or paths.get(wanted, REPLICAS) is not MISSING or REPLICAS not in managed(live):
        return wanted
    return {**wanted, "spec": {**(wanted.get("spec") or {}), "replicas": there}}


def told(wanted: Object, body: Object, seen: Observed, before: Iterable[str]) -> tuple[str, ...]:
    """Flags for fields that the request leaves to an autoscaler, and for replicas that fall back to the default."""
    live = seen.live or {"metadata": {}}
    if not seen.driven:
        falls = (
            paths.get(wanted, REPLICAS) is MISSING and REPLICAS in before and paths.get(live, REPLICAS) is not MISSING
        )
        return (f"{REPLICAS} leaves Git: the server's default applies",) if falls else ()
    left = [path for path, _ in scaled(live) if paths.get(wanted, path) is not MISSING]
    kept_on = [REPLICAS] if paths.get(wanted, REPLICAS) is MISSING and paths.get(body, REPLICAS) is not MISSING else []
    return tuple(f"{path} is left to {seen.driven}" for path in sorted({*left, *kept_on}))


def _target(autoscaler: Object) -> ObjectRef | None:
    spec = autoscaler.get("spec")
    named: Any = spec.get("scaleTargetRef") if isinstance(spec, Mapping) else None
    if not isinstance(named, Mapping):
        return None
    group = str(named.get("apiVersion") or "").rpartition("/")[0]
    return ObjectRef(
        group, str(named.get("kind")), str(autoscaler["metadata"].get("namespace") or ""), str(named.get("name"))
    )
