"""Health of one live object, from the object alone: kstatus in Python.

The order is kstatus's (kubernetes-sigs/cli-utils, pkg/kstatus/status): deletion, generation observed, the standard
conditions, the rule of the kind (`RULES`), condition Ready, and else Current. Some rules are stricter than kstatus,
because layers wait for them: a Job is Current once it completed, a load balancer once it has an address. A StatefulSet
or DaemonSet whose pods are updated by hand (OnDelete) needs ready pods, and no updated ones.
"""

from collections.abc import Mapping
from typing import Any

from reconciler.health.builtin import (
    api_service,
    class_of,
    cron_job,
    custom_resource_definition,
    ingress,
    job,
    namespace,
    pod_disruption_budget,
    resource_quota,
    service,
    unbound,
    volume_claim,
)
from reconciler.health.reading import CURRENT, Rule, condition, number, oddity, section, spelled, told
from reconciler.health.workloads import daemon_set, deployment, pod, replica_set, stateful_set
from reconciler.model import Check, ConditionCheck, Health, Object, ObjectRef

__all__ = ["PAUSED", "RULES", "class_of", "compute", "gate", "unbound"]

PAUSED = frozenset({"Paused", "JobSuspended", "CronJobSuspended"})
"""Reasons of a Current object that does nothing because it was told so."""

RULES: Mapping[str, Rule] = {
    "/Namespace": namespace,
    "/PersistentVolumeClaim": volume_claim,
    "/Pod": pod,
    "/ResourceQuota": resource_quota,
    "/Service": service,
    "apiextensions.k8s.io/CustomResourceDefinition": custom_resource_definition,
    "apiregistration.k8s.io/APIService": api_service,
    "apps/DaemonSet": daemon_set,
    "apps/Deployment": deployment,
    "apps/ReplicaSet": replica_set,
    "apps/StatefulSet": stateful_set,
    "batch/CronJob": cron_job,
    "batch/Job": job,
    "networking.k8s.io/Ingress": ingress,
    "policy/PodDisruptionBudget": pod_disruption_budget,
}


def compute(obj: Object) -> Health:
    """The health of a live object, as one of kstatus's words; never raises: a status of a wrong type is Unknown."""
    generic = _generic(obj)
    if generic is not None:
        return generic
    rule = RULES.get(_kind_of(obj), _ready_condition)
    return rule(obj)


def gate(check: Check, objects: Mapping[ObjectRef, Object]) -> Health:
    """Whether one `ready.checks` entry holds over the live objects: a CRD established, or a condition True.

    A check without a group or namespace accepts any; where several objects fit, the least healthy decides.
    """
    if check.crd:
        ref = ObjectRef("apiextensions.k8s.io", "CustomResourceDefinition", "", check.crd)
        found = objects.get(ref)
        return compute(found) if found else Health("NotFound", "Absent", f"{ref} does not exist yet")
    if check.condition is None:
        return Health("Unknown", "EmptyCheck", "the check has no crd and no condition")
    return _condition_gate(check.condition, objects)


def _generic(obj: Object) -> Health | None:
    odd = oddity(obj)
    if odd:
        return Health("Unknown", "StatusUnreadable", f"the object's {odd}")
    metadata, status = section(obj, "metadata"), section(obj, "status")
    if metadata.get("deletionTimestamp"):
        return Health("Terminating", "Terminating", "waits for its finalizers to be removed")
    seen = status.get("observedGeneration")
    if seen is not None and seen != metadata.get("generation", seen):
        return Health("InProgress", "GenerationNotObserved", f"generation {metadata['generation']} not observed yet")
    if not status.get("conditions"):  # of most objects
        return None
    stalled = condition(obj, "Stalled")
    if stalled.get("status") == "True":
        return Health("Failed", spelled(stalled, "Stalled"), told(stalled))
    reconciling = condition(obj, "Reconciling")
    if reconciling.get("status") == "True":
        return Health("InProgress", spelled(reconciling, "Reconciling"), told(reconciling))
    return None


def _ready_condition(obj: Object) -> Health:
    ready = condition(obj, "Ready")
    if not ready or ready.get("status") == "True":
        return CURRENT
    return Health("InProgress", spelled(ready, "NotReady"), told(ready))


def _condition_gate(check: ConditionCheck, objects: Mapping[ObjectRef, Object]) -> Health:
    found = [objects[ref] for ref in sorted(objects) if _fits(check, ref)]
    if not found:
        return Health("NotFound", "Absent", f"{check.kind}/{check.name} does not exist yet")
    waiting = [obj for obj in found if _condition_health(check, obj).status != "Current"]
    return _condition_health(check, (waiting or found)[0])


def _fits(check: ConditionCheck, ref: ObjectRef) -> bool:
    return (
        (ref.kind, ref.name) == (check.kind, check.name)
        and check.group in ("", ref.group)
        and check.namespace in ("", ref.namespace)
    )


def _condition_health(check: ConditionCheck, obj: Object) -> Health:
    generic = _generic(obj)
    if generic is not None:
        return generic
    entry: Mapping[str, Any] = condition(obj, check.type)
    if entry.get("status") == "True" and number(entry, "observedGeneration", _generation(obj)) >= _generation(obj):
        return CURRENT
    reason = spelled(entry, "ConditionMissing" if not entry else f"Not{check.type}")
    return Health("InProgress", reason, f"{check.kind}/{check.name} is not {check.type} yet")


def _generation(obj: Object) -> int:
    return number(section(obj, "metadata"), "generation", 0)


def _kind_of(obj: Object) -> str:
    group, _, version = str(obj.get("apiVersion", "")).rpartition("/")
    return f"{group}/{obj.get('kind', '')}" if version else ""
