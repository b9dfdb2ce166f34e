"""The hooks of a chart (K7): which of them run, in which order, and what became of each. Pure.

A layer's hooks run once for each digest of the layer, as Helm runs them once for each install or upgrade (Helm 3,
pkg/action/hooks.go): by weight, then by kind in Helm's order, then by name. What ran is in the cluster's record
(`plan.hook_runs`); what an object says of itself (its UID and the annotation `hook`) is read back where the record does not know yet.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from reconciler.health.reading import condition, section
from reconciler.model import Bundle, Desired, InventoryEntry, Layer, Object, ObjectRef, Observed, Ran
from reconciler.plan import fields, paths
from reconciler.plan.mark import RUN, Key, domain, ref_of

EVENT, WEIGHT, POLICY = "helm.sh/hook", "helm.sh/hook-weight", "helm.sh/hook-delete-policy"
BEFORE, SUCCEEDED, FAILED = "before-hook-creation", "hook-succeeded", "hook-failed"
EXPIRED = "it failed, and its ttlSecondsAfterFinished removed it"
DEFINITION = ("apiextensions.k8s.io", "CustomResourceDefinition")
_WAITED = frozenset({("batch", "Job"), ("", "Pod")})
_KINDS = """
    PriorityClass Namespace NetworkPolicy ResourceQuota LimitRange PodSecurityPolicy PodDisruptionBudget ServiceAccount Secret
    SecretList ConfigMap StorageClass PersistentVolume PersistentVolumeClaim CustomResourceDefinition ClusterRole ClusterRoleList
    ClusterRoleBinding ClusterRoleBindingList Role RoleList RoleBinding RoleBindingList Service DaemonSet Pod
    ReplicationController ReplicaSet Deployment HorizontalPodAutoscaler StatefulSet Job CronJob IngressClass Ingress APIService
    MutatingWebhookConfiguration ValidatingWebhookConfiguration
"""
_ORDER = {kind: index for index, kind in enumerate(_KINDS.split())}
"""Helm's order of kinds (pkg/release/util/kind_sorter.go, InstallOrder); others come last, by name."""


class State(StrEnum):
    """What became of a hook; OPEN: nothing is known of it."""

    OPEN = ""
    BEGUN = "begun"
    DONE = "done"
    BROKE = "failed"


class Stage(Struct, frozen=True):
    """What became of a hook and, where it failed, why."""

    state: State = State.OPEN
    why: str = ""

    @property
    def text(self) -> str:
        """As it stands on record."""
        return f"{self.state}: {self.why}" if self.state is State.BROKE else str(self.state)


_STATES = {str(one): one for one in State}
OPEN, BEGUN, DONE = Stage(), Stage(State.BEGUN), Stage(State.DONE)


def broke(why: str) -> Stage:
    return Stage(State.BROKE, why)


class Hook(Struct, frozen=True):
    """One hook object for one event. `policies`: when it is deleted."""

    event: str
    ref: ObjectRef
    obj: Object
    weight: int
    policies: frozenset[str]

    @property
    def key(self) -> str:
        """Its name in the record."""
        return f"{self.event} {self.ref}"


class Ground(Struct, frozen=True):
    """What a pass knows of a cluster. `entries`: the inventory by key; `dark`: layers that could not be rendered or read; `nonce`
    marks its objects (A3); `now` in seconds since the epoch."""

    bundle: Bundle
    desired: Sequence[Desired]
    observed: Mapping[Key, Observed]
    entries: Mapping[Key, InventoryEntry]
    dark: frozenset[str]
    nonce: str
    now: float


def run_by(layer: Layer) -> bool:
    """Whether the layer's chart may have hooks that are run."""
    return layer.kind == "helm" and layer.spec.get("hooks") == "Run"


def split(layer: Layer, objects: Sequence[Object]) -> tuple[list[Object], list[Object]]:
    """A layer's rendered objects: those it consists of, and its hooks."""
    if not run_by(layer):
        return list(objects), []
    found = [(one, bool(events(one))) for one in objects]
    return [one for one, hook in found if not hook], [one for one, hook in found if hook]


def events(obj: Object) -> frozenset[str]:
    """The events that an object is a hook of. A definition of Helm 2 (`crd-install`) is an object like others."""
    return frozenset(_words(obj, EVENT)) - {"crd-install"}


def of(objects: Iterable[Object], event: str) -> list[Hook]:
    """The hooks of an event in their order."""
    found = [
        Hook(event, ref_of(one), one, _weight(one), frozenset(_words(one, POLICY)) or frozenset({BEFORE}))
        for one in objects
        if event in events(one)
    ]
    last = len(_ORDER)
    return sorted(found, key=lambda one: (one.weight, _ORDER.get(one.ref.kind, last), one.ref.kind, one.ref.name))


def waited(ref: ObjectRef) -> bool:
    """Whether a hook of this kind is done only when it ran to its end; others are done once they are applied."""
    return (ref.group, ref.kind) in _WAITED


def phases(one: Desired, ran: Ran) -> tuple[list[Hook], list[Hook]]:
    """The hooks before and after the layer's own objects, for what `ran` is about."""
    return of(one.hooks, f"pre-{ran.event}"), of(one.hooks, f"post-{ran.event}")


def concerned(desired: Iterable[Desired]) -> bool:
    """Whether any layer has hooks."""
    return any(one.hooks for one in desired)


def stamp(hook: Hook, ran: Ran, *, nested: bool) -> Object:
    """The object as it is applied: it says which run it belongs to."""
    metadata = hook.obj["metadata"]
    notes = {**(metadata.get("annotations") or {}), f"{domain(nested)}/{RUN}": f"{ran.run} {hook.event}"}
    return {**hook.obj, "metadata": {**metadata, "annotations": notes}}


def of_run(seen: Observed, hook: Hook, ran: Ran) -> bool:
    """Whether the live object was made for this run of this hook."""
    notes = section(seen.live or {}, "metadata", "annotations")
    return notes.get(f"{domain(bool(seen.target.nested))}/{RUN}") == f"{ran.run} {hook.event}"


def of_any_run(seen: Observed) -> bool:
    """Whether a run of a hook of ours made the live object: its annotation stands as we applied it. The next apply as an ordinary
    object removes it."""
    note = paths.child("metadata.annotations", f"{domain(bool(seen.target.nested))}/{RUN}")
    return seen.live is not None and note in fields.managed(seen.live)


def stage(ran: Ran, hook: Hook) -> Stage:
    """What the record says of a hook. What this version does not know, it does not say."""
    word, _, why = ran.steps.get(hook.key, "").partition(": ")
    state = _STATES.get(word)
    return Stage(state, why) if state else OPEN


def verdict(ref: ObjectRef, live: Object, timeout: float, now: float) -> Stage:
    """What became of a hook that is there. Only one that failed by itself, so without a reason of ours, cannot end well any more."""
    if not waited(ref):
        return DONE
    status = section(live, "status")
    if condition(live, "Complete").get("status") == "True" or status.get("phase") == "Succeeded":
        return DONE
    if condition(live, "Failed").get("status") == "True" or status.get("phase") == "Failed":
        return broke("")
    return broke(f"not complete after {timeout:.0f} s") if now > deadline(live, timeout) else BEGUN


def deadline(live: Object, timeout: float) -> float:
    """Until when a hook that is there may take, in seconds since the epoch: by the API server's own time of its making."""
    try:
        return datetime.fromisoformat(str(live["metadata"].get("creationTimestamp"))).timestamp() + timeout
    except ValueError:
        return float("inf")


def _words(obj: Object, name: str) -> list[str]:
    notes = section(obj, "metadata", "annotations")
    return [word for part in str(notes.get(name) or "").split(",") if (word := part.strip().lower())]


def _weight(obj: Object) -> int:
    """As Helm reads it: what is no number counts as 0."""
    try:
        return int(str(section(obj, "metadata", "annotations").get(WEIGHT) or "0").strip())
    except ValueError:
        return 0
