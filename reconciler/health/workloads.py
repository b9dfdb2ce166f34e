"""Rules of what runs pods (kstatus core.go: deploymentConditions, stsConditions, daemonsetConditions, ...)."""

from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.errors import one_line
from reconciler.health.reading import CURRENT, condition, number, rows, section, spelled, told, waiting
from reconciler.model import Health, Object

CRASHES = frozenset({"CrashLoopBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError"})


def deployment(obj: Object) -> Health:
    """Current once every replica is updated and available; Failed past its progress deadline. Pods that may not be made
    (Pod Security, a quota) and a pause are named."""
    progressing = condition(obj, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return Health("Failed", "ProgressDeadlineExceeded", told(progressing))
    status, wanted = section(obj, "status"), _replicas(obj)
    if "observedGeneration" not in status:
        return waiting("NotObserved", "the controller has not seen it yet")
    rollout = _rollout(status, wanted)
    paused = section(obj, "spec").get("paused") is True
    if rollout.status == "Current":
        return Health("Current", "Paused", "the Deployment is paused") if paused else CURRENT
    failure = condition(obj, "ReplicaFailure")
    if failure.get("status") == "True":
        return waiting(spelled(failure, "ReplicaFailure"), told(failure))
    return waiting("Paused", f"the Deployment is paused (spec.paused): {rollout.message}") if paused else rollout


def _rollout(status: Mapping[str, Any], wanted: int) -> Health:
    have = number(status, "replicas")
    updated = number(status, "updatedReplicas")
    return _first(
        _short("LessReplicas", "replicas", have, wanted),
        _short("LessUpdated", "updated replicas", updated, wanted),
        waiting("ExtraPods", f"{have - updated} old replicas still run") if have > updated else None,
        _short("LessAvailable", "available replicas", number(status, "availableReplicas"), wanted),
        _short("LessReady", "ready replicas", number(status, "readyReplicas"), wanted),
    )


def stateful_set(obj: Object) -> Health:
    """Current once all replicas are ready at the update revision; a partition counts only the pods above it, and with
    OnDelete the revision does not matter."""
    spec, status, wanted = section(obj, "spec"), section(obj, "status"), _replicas(obj)
    if "observedGeneration" not in status:
        return waiting("NotObserved", "the controller has not seen it yet")
    ready = _first(
        _short("LessReplicas", "replicas", number(status, "replicas"), wanted),
        _short("LessReady", "ready replicas", number(status, "readyReplicas"), wanted),
        _extra(number(status, "replicas"), wanted),
    )
    if ready.status != "Current" or _by_hand(spec):
        return ready
    return _rolled_out(spec, status, wanted)


def daemon_set(obj: Object) -> Health:
    """Current once every wanted node runs an updated, available pod; with OnDelete it need not be updated."""
    status = section(obj, "status")
    by_hand = _by_hand(section(obj, "spec"))
    if "observedGeneration" not in status:
        return waiting("NotObserved", "the controller has not seen it yet")
    if "desiredNumberScheduled" not in status:
        return waiting("NoDesiredNumber", "the number of wanted pods is not known yet")
    wanted = number(status, "desiredNumberScheduled")
    return _first(
        _short("LessScheduled", "scheduled pods", number(status, "currentNumberScheduled"), wanted),
        None if by_hand else _short("LessUpdated", "updated pods", number(status, "updatedNumberScheduled"), wanted),
        _short("LessAvailable", "available pods", number(status, "numberAvailable"), wanted),
        _short("LessReady", "ready pods", number(status, "numberReady"), wanted),
    )


def replica_set(obj: Object) -> Health:
    """Current once all replicas are there, available and ready."""
    failure = condition(obj, "ReplicaFailure")
    if failure.get("status") == "True":
        return waiting(spelled(failure, "ReplicaFailure"), told(failure))
    status, wanted = section(obj, "status"), _replicas(obj)
    if "observedGeneration" not in status:
        return waiting("NotObserved", "the controller has not seen it yet")
    return _first(
        _short("LessLabelled", "labelled replicas", number(status, "fullyLabeledReplicas"), wanted),
        _short("LessAvailable", "available replicas", number(status, "availableReplicas"), wanted),
        _short("LessReady", "ready replicas", number(status, "readyReplicas"), wanted),
        _extra(number(status, "replicas"), wanted),
    )


def pod(obj: Object) -> Health:
    """Current when ready or completed; Failed when it failed, or a container cannot start."""
    status = section(obj, "status")
    phase = one_line(status.get("phase"), 100)
    if phase == "Succeeded":
        return Health("Current", "PodCompleted", "the pod ran to its end")
    if phase == "Failed":
        return Health("Failed", "PodFailed", told(status))
    stuck = _stuck(status)
    if stuck:
        return Health("Failed", stuck, f"a container waits: {stuck}")
    ready = condition(obj, "Ready")
    if phase == "Running" and ready.get("status") == "True":
        return CURRENT
    scheduled = condition(obj, "PodScheduled")
    if scheduled.get("reason") == "Unschedulable":
        return waiting("Unschedulable", told(scheduled))
    return waiting("PodNotReady", f"the pod is {phase or 'new'} and not ready yet")


def _by_hand(spec: Mapping[str, Any]) -> bool:
    """Whether somebody deletes the pods to update them."""
    return section(spec, "updateStrategy").get("type") == "OnDelete"


def _rolled_out(spec: Mapping[str, Any], status: Mapping[str, Any], wanted: int) -> Health:
    partition = number(section(spec, "updateStrategy", "rollingUpdate"), "partition")
    updated = number(status, "updatedReplicas")
    if partition > 0:
        return _first(_short("PartitionRollout", "updated replicas", updated, wanted - partition))
    if wanted and status.get("currentRevision") != status.get("updateRevision"):
        return waiting("RollingUpdate", f"{updated} of {wanted} replicas updated")
    return CURRENT


def _stuck(status: Mapping[str, Any]) -> str:
    containers = (*rows(status, "initContainerStatuses"), *rows(status, "containerStatuses"))
    reasons = (str(section(row, "state", "waiting").get("reason", "")) for row in containers)
    return next((reason for reason in reasons if reason in CRASHES), "")


def _replicas(obj: Object) -> int:
    return number(section(obj, "spec"), "replicas", 1)


def _short(reason: str, what: str, have: int, wanted: int) -> Health | None:
    return waiting(reason, f"{have} of {wanted} {what}") if have < wanted else None


def _extra(have: int, wanted: int) -> Health | None:
    return waiting("ExtraPods", f"{have - wanted} replicas too many still run") if have > wanted else None


def _first(*found: Health | None) -> Health:
    verdicts: Iterable[Health] = (health for health in found if health is not None)
    return next(iter(verdicts), CURRENT)
