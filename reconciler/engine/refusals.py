"""Pods that a cluster's pod security level refuses for certain: the engine and the host namespace enforce it in every namespace.

Rules: https://kubernetes.io/docs/concepts/security/pod-security-standards/, those that no version of Kubernetes has judged otherwise; so
no sysctls, no SELinux and no AppArmor, and where a pod has users of its own (hostUsers: false) neither its users nor its /proc.
What is not as Kubernetes has it is left to the API server.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.engine.values import isolation_of
from reconciler.errors import few
from reconciler.model import Change, ClusterDocument, Plan, Rules, replace

_PODS = {
    "Pod": (),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    **dict.fromkeys(
        ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController", "Job"), ("spec", "template")
    ),
}
_GROUPS = ("v1", "apps/v1", "batch/v1")
_ADDED = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID",
        "SETPCAP", "SETUID", "SYS_CHROOT",
    }
)  # fmt: skip
_VOLUMES = frozenset(
    [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "name",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ]
)
_SHOWN = 3  # reasons
_SECCOMP = ("RuntimeDefault", "Localhost")


def refused(body: Any, level: str) -> tuple[str, ...]:
    """Why no pod of an object is accepted at this level (baseline or restricted), in Kubernetes' words; empty where it may be."""
    body = _map(body)
    path = _PODS.get(str(body.get("kind"))) if body.get("apiVersion") in _GROUPS else None
    if path is None:
        return ()
    for name in path:
        body = _map(body.get(name))
    spec = _map(body.get("spec"))
    if _map(spec.get("os")).get("name") == "windows":
        return ()
    found = list(_baseline(spec))
    if level == "restricted":
        found += _restricted(spec)
    return tuple(dict.fromkeys(found))


def marked(plan: Plan, document: ClusterDocument, rules: Rules) -> Plan:
    """The plan with a flag at each object inside that is sent and whose pods the cluster's level refuses: no dry-run of a workload says
    that. For readers of plans alone."""
    level = isolation_of(document.cluster, rules).pod_security
    return replace(plan, changes=tuple(_marked(one, level) for one in plan.changes))


def _marked(change: Change, level: str) -> Change:
    why = refused(change.desired, level) if change.target.nested and change.desired is not None else ()
    if not why:
        return change
    told = f"no pod of it runs: isolation.podSecurity {level} refuses it ({few(why, _SHOWN)})"
    return replace(change, flags=(*change.flags, told))


def _baseline(spec: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{name}: true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name) is True)
    yield from (f"hostPath volume {one.get('name')}" for one in _maps(spec.get("volumes")) if one.get("hostPath"))
    if _seccomp(spec) == "Unconfined":
        yield "seccompProfile Unconfined"
    for one in _containers(spec):
        name, context = f"container {one.get('name')}", _map(one.get("securityContext"))
        if context.get("privileged") is True:
            yield f"{name} is privileged"
        if _seccomp(one) == "Unconfined":
            yield f"{name} has seccompProfile Unconfined"
        if spec.get("hostUsers") is not False and context.get("procMount") not in (None, "Default"):
            yield f"{name} has procMount {str(context['procMount'])[:40]}"
        if any(port.get("hostPort") for port in _maps(one.get("ports"))):
            yield f"{name} has a hostPort"
        added = [
            str(each)[:40] for each in _list(_map(context.get("capabilities")).get("add")) if str(each) not in _ADDED
        ]
        if added:
            yield f"{name} adds capabilities {', '.join(added[:5])}"


def _restricted(spec: Mapping[str, Any]) -> Iterator[str]:
    pod = _map(spec.get("securityContext"))
    for one in _maps(spec.get("volumes")):
        yield from (f"volume {one.get('name')} is a {kind}" for kind in one if kind not in _VOLUMES)
    for one in _containers(spec):
        name, context = f"container {one.get('name')}", _map(one.get("securityContext"))
        capabilities = _map(context.get("capabilities"))
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{name} lacks allowPrivilegeEscalation: false"
        if spec.get("hostUsers") is not False:
            if _own(context, pod, "runAsNonRoot") is not True:
                yield f"{name} lacks runAsNonRoot: true"
            if _own(context, pod, "runAsUser") == 0:
                yield f"{name} has runAsUser: 0"
        if "ALL" not in _list(capabilities.get("drop")):
            yield f"{name} lacks capabilities.drop: [ALL]"
        if any(each != "NET_BIND_SERVICE" for each in _list(capabilities.get("add"))):
            yield f"{name} adds capabilities"
        if (_seccomp(one) or _seccomp(spec)) not in _SECCOMP:
            yield f"{name} lacks seccompProfile: {{type: RuntimeDefault}}"


def _own(context: Mapping[str, Any], pod: Mapping[str, Any], name: str) -> object:
    """A container's value, or where it has none or null, the pod's."""
    return pod.get(name) if context.get(name) is None else context[name]


def _containers(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    names = ("containers", "initContainers", "ephemeralContainers")
    return [one for name in names for one in _maps(spec.get(name))]


def _seccomp(one: Mapping[str, Any]) -> object:
    return _map(_map(one.get("securityContext")).get("seccompProfile")).get("type")


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _maps(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in _list(value) if isinstance(one, Mapping)]
