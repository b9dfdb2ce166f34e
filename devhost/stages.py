"""How kwok plays the kubelet: Stage documents for nodes and pods, chosen by the annotation BEHAVIOUR.

A pod becomes ready at once, a Job's pod then completes, a deleted pod goes. A pod may ask for something else:
`slow` (ready after the annotation DELAY, 5 s without it), `crash-looping`, `never-ready`, `image-missing` or `failing`. The status of a
pod with the annotation READINESS: external is left to somebody else; only its deletion is played.
"""

from __future__ import annotations

from typing import Any

Stage = dict[str, Any]
Rule = dict[str, Any]

BEHAVIOUR = "nidus.dev/behaviour"
READINESS = "nidus.dev/readiness"
DELAY = "nidus.dev/delay"
SLOW_MILLISECONDS = 5000

NODE_ROOM = {"cpu": "64", "memory": "512Gi", "pods": "5000", "ephemeral-storage": "4Ti"}
"""What each node offers; without ephemeral-storage pods that ask for some stay pending."""


def documents() -> list[Stage]:
    """Return every stage."""
    return [
        _stage("node-ready", "Node", [_ready("NotIn", "True")], _NODE_READY),
        _stage("node-heartbeat", "Node", [_ready("In", "True")], _NODE_CONDITIONS, {"durationMilliseconds": 60_000}),
        _stage(
            "pod-ready",
            "Pod",
            [_IS_PENDING, _behaves("NotIn", "slow", "crash-looping", "never-ready", "image-missing", "failing")],
            _RUNNING,
        ),
        # An engine that copies a status it read a moment ago may take the conditions away; a kubelet writes them anew.
        _stage(
            "pod-ready-again",
            "Pod",
            [_IS_RUNNING, _ready("DoesNotExist"), _behaves("NotIn", "crash-looping", "never-ready")],
            _conditions("True"),
        ),
        _stage("pod-ready-slow", "Pod", [_IS_PENDING, _behaves("In", "slow")], _RUNNING, _asked_delay()),
        _stage("pod-never-ready", "Pod", [_IS_PENDING, _behaves("In", "never-ready")], _NOT_READY),
        _stage(
            "pod-image-missing",
            "Pod",
            [_IS_PENDING, _rule(".status.containerStatuses", "DoesNotExist"), _behaves("In", "image-missing")],
            _NO_IMAGE,
        ),
        _stage("pod-fail", "Pod", [_IS_PENDING, _behaves("In", "failing")], _FAILED),
        _stage("pod-crash", "Pod", [_IS_PENDING, _behaves("In", "crash-looping")], _CRASHED),
        _stage(
            "pod-crash-again",
            "Pod",
            [_IS_RUNNING, _behaves("In", "crash-looping")],
            _CRASHED_AGAIN,
            {"durationMilliseconds": 2000},
        ),
        _stage(
            "pod-complete",
            "Pod",
            [_IS_RUNNING, _OF_A_JOB, _behaves("NotIn", "crash-looping", "never-ready")],
            _COMPLETED,
        ),
        # An engine makes the pods of its tenants itself: on the host only a label says that a Job inside asked for one.
        _stage(
            "pod-complete-inside",
            "Pod",
            [_IS_RUNNING, _OF_A_JOB_INSIDE, _behaves("NotIn", "crash-looping", "never-ready")],
            _COMPLETED,
        ),
        _body("pod-delete", "Pod", [_rule(".metadata.deletionTimestamp", "Exists")], {"delete": True}),
    ]


def _stage(name: str, kind: str, rules: list[Rule], status: str, delay: dict[str, Any] | None = None) -> Stage:
    alive = [_rule(".metadata.deletionTimestamp", "DoesNotExist"), *rules]
    if kind == "Pod":
        alive.append(_rule(f'.metadata.annotations["{READINESS}"]', "NotIn", "external"))
    return _body(name, kind, alive, {"statusTemplate": status}, delay)


def _body(name: str, kind: str, rules: list[Rule], then: dict[str, Any], delay: dict[str, Any] | None = None) -> Stage:
    spec: dict[str, Any] = {
        "resourceRef": {"apiGroup": "v1", "kind": kind},
        "selector": {"matchExpressions": rules},
        "next": then,
    }
    if delay:
        spec["delay"] = delay
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}


def _rule(key: str, operator: str, *values: str) -> Rule:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def _behaves(operator: str, *behaviours: str) -> Rule:
    return _rule(f'.metadata.annotations["{BEHAVIOUR}"]', operator, *behaviours)


def _ready(operator: str, *values: str) -> Rule:
    return _rule('.status.conditions.[] | select( .type == "Ready" ) | .status', operator, *values)


def _asked_delay() -> dict[str, Any]:
    asked = {"expressionFrom": f'.metadata.annotations["{DELAY}"]'}
    return {"durationMilliseconds": SLOW_MILLISECONDS, "durationFrom": asked}


_IS_PENDING = _rule(".status.phase", "In", "Pending")
_IS_RUNNING = _rule(".status.phase", "In", "Running")
_OF_A_JOB = _rule(".metadata.ownerReferences.[].kind", "In", "Job")
_OF_A_JOB_INSIDE = _rule('.metadata.labels["batch.kubernetes.io/job-name"]', "Exists")

_NODE_CONDITIONS = """\
conditions:
{{ range NodeConditions }}
- type: {{ .type | Quote }}
  status: {{ .status | Quote }}
  reason: {{ .reason | Quote }}
  message: {{ .message | Quote }}
  lastHeartbeatTime: {{ Now | Quote }}
  lastTransitionTime: {{ $.metadata.creationTimestamp | Quote }}
{{ end }}
"""

_ROOM = "".join(f"  {name}: {amount}\n" for name, amount in NODE_ROOM.items())

_NODE_READY = (
    _NODE_CONDITIONS
    + f"capacity:\n{_ROOM}allocatable:\n{_ROOM}"
    + """\
addresses:
- type: InternalIP
  address: {{ NodeIP | Quote }}
- type: Hostname
  address: {{ NodeName | Quote }}
daemonEndpoints:
  kubeletEndpoint:
    Port: {{ NodePort }}
nodeInfo:
  architecture: amd64
  operatingSystem: linux
  kubeletVersion: "kwok-{{ Version }}"
  kubeProxyVersion: "kwok-{{ Version }}"
  containerRuntimeVersion: "kwok://{{ Version }}"
  kernelVersion: none
  osImage: none
  machineID: {{ .metadata.uid | Quote }}
  systemUUID: {{ .metadata.uid | Quote }}
  bootID: {{ .metadata.uid | Quote }}
phase: Running
"""
)


def _conditions(ready: str) -> str:
    """The conditions of a pod whose containers were started; `ready` is True or False. Others stay as they are."""
    return f"""\
conditions:
- type: Initialized
  status: "True"
  lastTransitionTime: {{{{ Now | Quote }}}}
- type: ContainersReady
  status: "{ready}"
  lastTransitionTime: {{{{ Now | Quote }}}}
- type: Ready
  status: "{ready}"
  lastTransitionTime: {{{{ Now | Quote }}}}
{{{{ range .spec.readinessGates }}}}
- type: {{{{ .conditionType | Quote }}}}
  status: "{ready}"
  lastTransitionTime: {{{{ Now | Quote }}}}
{{{{ end }}}}
"""


_PLACE = """\
hostIP: {{ NodeIP | Quote }}
hostIPs:
- ip: {{ NodeIP | Quote }}
{{ with PodIPsWith .spec.nodeName ( or .spec.hostNetwork false ) .metadata.uid .metadata.name .metadata.namespace }}
podIP: {{ index . 0 | Quote }}
podIPs:
{{ range . }}
- ip: {{ . | Quote }}
{{ end }}
{{ end }}
startTime: {{ .metadata.creationTimestamp | Quote }}
initContainerStatuses:
{{ range .spec.initContainers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  restartCount: 0
  ready: true
  {{ if eq ( or .restartPolicy "" ) "Always" }}
  started: true
  state:
    running:
      startedAt: {{ Now | Quote }}
  {{ else }}
  state:
    terminated:
      exitCode: 0
      reason: Completed
      startedAt: {{ Now | Quote }}
      finishedAt: {{ Now | Quote }}
  {{ end }}
{{ end }}
"""


def _containers(state: str, ready: bool, restarts: str = "0") -> str:
    """One status for each container; `state` is its YAML, already indented, `restarts` a template."""
    flag = "true" if ready else "false"
    return f"""\
containerStatuses:
{{{{ range $index, $container := .spec.containers }}}}
- name: {{{{ $container.name | Quote }}}}
  image: {{{{ $container.image | Quote }}}}
  imageID: ""
  restartCount: {restarts}
  ready: {flag}
  started: {flag}
  state:
{state}{{{{ end }}}}
"""


_STARTED = "    running:\n      startedAt: {{ Now | Quote }}\n"
_ENDED = """\
    terminated:
      exitCode: 0
      reason: Completed
      startedAt: {{ $.metadata.creationTimestamp | Quote }}
      finishedAt: {{ Now | Quote }}
"""
_ENDED_BADLY = _ENDED.replace("exitCode: 0", "exitCode: 3").replace("Completed", "Error")
_BACKING_OFF = """\
    waiting:
      reason: CrashLoopBackOff
      message: "back-off restarting failed container"
  lastState:
    terminated:
      exitCode: 1
      reason: Error
      startedAt: {{ Now | Quote }}
      finishedAt: {{ Now | Quote }}
"""
_PULLING = """\
    waiting:
      reason: ImagePullBackOff
      message: {{ printf "Back-off pulling image %q" $container.image | Quote }}
"""
_ONE_MORE = "{{ with $.status.containerStatuses }}{{ add 1 ( index . $index ).restartCount }}{{ else }}1{{ end }}"

_RUNNING = "phase: Running\n" + _conditions("True") + _PLACE + _containers(_STARTED, ready=True)
_NOT_READY = "phase: Running\n" + _conditions("False") + _PLACE + _containers(_STARTED, ready=False)
_CRASHED_AGAIN = _conditions("False") + _containers(_BACKING_OFF, ready=False, restarts=_ONE_MORE)
_CRASHED = "phase: Running\n" + _PLACE + _CRASHED_AGAIN
_COMPLETED = "phase: Succeeded\n" + _conditions("False") + _containers(_ENDED, ready=False)
_FAILED = "phase: Failed\n" + _conditions("False") + _containers(_ENDED_BADLY, ready=False)
_NO_IMAGE = "phase: Pending\n" + _conditions("False") + _PLACE + _containers(_PULLING, ready=False)
