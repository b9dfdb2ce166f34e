"""One object, or one Event, as a link of a chain (`health.causes`): its state in a word or a count, and what it says."""

from collections.abc import Mapping
from typing import Any

from reconciler.errors import one_line
from reconciler.health.reading import condition, number, rows, section
from reconciler.health.workloads import pod as pod_health
from reconciler.model import Health, Link, Object, replace

TEXT = 400  # characters of a message
WORD = 100
NAME = 253
_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})
_COUNTED = {"StatefulSet": "readyReplicas", "Deployment": "readyReplicas", "ReplicaSet": "readyReplicas"}
_TURNED = (
    ("ReplicaFailure", "True"),
    ("Failed", "True"),
    ("PodScheduled", "False"),
    ("Available", "False"),
    ("Ready", "False"),
)


def of(obj: Object) -> Link:
    """An object as a link: its state, and what a condition says against it."""
    kind = str(obj.get("kind"))
    if kind == "Pod":
        return _pod(obj)
    state, message = _state(kind, obj)
    return Link(kind, namespace(obj), name(obj), state, message, _since(obj))


def _state(kind: str, obj: Object) -> tuple[str, str]:
    """(state, message) of an object that is no pod. A refusal to make pods (Pod Security, a quota) is a condition."""
    status, spec = section(obj, "status"), section(obj, "spec")
    failure = condition(obj, "ReplicaFailure" if kind != "Job" else "Failed")
    message = one_line(failure.get("message"), TEXT) if failure.get("status") == "True" else ""
    if kind in _COUNTED:
        return f"{number(status, _COUNTED[kind])}/{number(spec, 'replicas', 1)}", message
    if kind == "DaemonSet":
        return f"{number(status, 'numberReady')}/{number(status, 'desiredNumberScheduled')}", message
    if kind == "Job":
        return f"{number(status, 'succeeded')}/{number(spec, 'completions', 1)}", message
    return one_line(status.get("phase"), WORD), ""


def _pod(obj: Object) -> Link:
    """A pod as its worst container has it: what it waits for, how often it was started again, and its image."""
    status, health = section(obj, "status"), pod_health(obj)
    head = Link("Pod", namespace(obj), name(obj), _word(status, health), "", _since(obj))
    containers = (*rows(status, "initContainerStatuses"), *rows(status, "containerStatuses"))
    unready = [one for one in containers if one.get("ready") is not True]
    worst = next((one for one in unready if trouble(one)), next(iter(unready), None))
    if worst is None or health.reason == "Unschedulable":
        return head if health.reason == "PodNotReady" else replace(head, message=health.message[:TEXT])
    waits = one_line(section(worst, "state", "waiting").get("reason"), WORD)
    restarts, image = number(worst, "restartCount"), one_line(worst.get("image"), NAME)
    return replace(head, state=waits or head.state, message=_end(worst), restarts=restarts, image=image)


def _word(status: Mapping[str, Any], health: Health) -> str:
    """A pod's state where no container tells it."""
    phase = one_line(status.get("phase"), WORD) or "new"
    if health.reason == "PodNotReady":
        return "not ready" if phase == "Running" else phase
    return one_line(status.get("reason"), WORD) or health.reason  # such as Evicted


def trouble(container: Mapping[str, Any]) -> bool:
    """Whether a container waits for more than its start, or ended with an error."""
    waiting = section(container, "state", "waiting")
    return (bool(waiting) and one_line(waiting.get("reason"), WORD) not in _STARTING) or bool(_end(container))


def _end(container: Mapping[str, Any]) -> str:
    """How a container that is not ready ended last."""
    ended = section(container, "state", "terminated") or section(container, "lastState", "terminated")
    code = number(ended, "exitCode")
    if not code or container.get("ready") is True:
        return ""
    reason = one_line(ended.get("reason"), WORD)
    return f"ended with exit code {code}" + (f" ({reason})" if reason not in ("", "Error") else "")


def event(obj: Object) -> Link:
    """An Event as the last link: its reason, and what it says."""
    text = one_line(obj.get("message"), TEXT)
    return Link("Event", namespace(obj), name(obj), one_line(obj.get("reason"), WORD), text, order(obj)[0])


def order(event: Object) -> tuple[str, str]:
    """When an Event was seen last (RFC 3339), and its name."""
    series = section(event, "series").get("lastObservedTime")
    at = (
        series
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or section(event, "metadata").get("creationTimestamp")
    )
    return one_line(at, WORD), name(event)


def _since(obj: Object) -> str:
    """Since when it is not as it should be, as its conditions say; else when it was made (RFC 3339)."""
    for name, status in _TURNED:
        found = condition(obj, name)
        if found.get("status") == status and found.get("lastTransitionTime"):
            return one_line(found.get("lastTransitionTime"), WORD)
    return one_line(section(obj, "metadata").get("creationTimestamp"), WORD)


def name(obj: Object) -> str:
    """Its name, printable and bounded."""
    return one_line(section(obj, "metadata").get("name"), NAME)


def namespace(obj: Object) -> str:
    """Its namespace, printable and bounded; "" for none."""
    return one_line(section(obj, "metadata").get("namespace"), NAME)
