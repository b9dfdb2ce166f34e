"""Pods that a cluster's pod security level refuses for certain: the engine and the host namespace enforce it in every namespace.

Rules: https://kubernetes.io/docs/concepts/security/pod-security-standards/, those that no version of Kubernetes has judged otherwise; so
no sysctls, no SELinux and no AppArmor, and where a pod has users of its own (hostUsers: false) neither its users nor its /proc.
What is not as Kubernetes has it is left to the API server.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

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
    return tuple(dict.fromkeys(_reasons(spec, level)))


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


class _Container(Struct, frozen=True):
    """A container of a pod: its name, what it and the pod say of security, and whether the pod's users are those of the node."""

    name: object
    whole: Mapping[str, Any]
    context: Mapping[str, Any]
    spec: Mapping[str, Any]
    shares_users: bool

    def own(self, name: str) -> object:
        """The container's value, or where it has none or null, the pod's."""
        value = self.context.get(name)
        return _map(self.spec.get("securityContext")).get(name) if value is None else value

    def capabilities(self, name: str) -> list[str]:
        return [str(each)[:40] for each in _list(_map(self.context.get("capabilities")).get(name))]


def _reasons(spec: Mapping[str, Any], level: str) -> Iterator[str]:
    for of_pod, of_container in (_BASELINE, _RESTRICTED)[: 2 if level == "restricted" else 1]:
        yield from of_pod(spec)
        for one in _containers(spec):
            yield from (f"container {one.name} {why}" for rule in of_container if (why := rule(one)))


def _pod_baseline(spec: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{name}: true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name) is True)
    yield from (f"hostPath volume {one.get('name')}" for one in _maps(spec.get("volumes")) if one.get("hostPath"))
    if _seccomp(spec) == "Unconfined":
        yield "seccompProfile Unconfined"


def _pod_restricted(spec: Mapping[str, Any]) -> Iterator[str]:
    for one in _maps(spec.get("volumes")):
        yield from (f"volume {one.get('name')} is a {kind}" for kind in one if kind not in _VOLUMES)


def _proc(one: _Container) -> str:
    mount = one.context.get("procMount")
    return f"has procMount {str(mount)[:40]}" if one.shares_users and mount not in (None, "Default") else ""


def _adds(one: _Container) -> str:
    added = [each for each in one.capabilities("add") if each not in _ADDED]
    return f"adds capabilities {', '.join(added[:5])}" if added else ""


def _where(text: str, holds: Callable[[_Container], bool]) -> Callable[[_Container], str]:
    return lambda one: text if holds(one) else ""


_Rules = tuple[Callable[[Mapping[str, Any]], Iterator[str]], tuple[Callable[[_Container], str], ...]]
_BASELINE: _Rules = (
    _pod_baseline,
    (
        _where("is privileged", lambda one: one.context.get("privileged") is True),
        _where("has seccompProfile Unconfined", lambda one: _seccomp(one.whole) == "Unconfined"),
        _proc,
        _where("has a hostPort", lambda one: any(port.get("hostPort") for port in _maps(one.whole.get("ports")))),
        _adds,
    ),
)
_RESTRICTED: _Rules = (
    _pod_restricted,
    (
        _where(
            "lacks allowPrivilegeEscalation: false",
            lambda one: one.context.get("allowPrivilegeEscalation") is not False,
        ),
        _where("lacks runAsNonRoot: true", lambda one: one.shares_users and one.own("runAsNonRoot") is not True),
        _where("has runAsUser: 0", lambda one: one.shares_users and one.own("runAsUser") == 0),
        _where("lacks capabilities.drop: [ALL]", lambda one: "ALL" not in one.capabilities("drop")),
        _where("adds capabilities", lambda one: bool({*one.capabilities("add")} - {"NET_BIND_SERVICE"})),
        _where(
            "lacks seccompProfile: {type: RuntimeDefault}",
            lambda one: (_seccomp(one.whole) or _seccomp(one.spec)) not in _SECCOMP,
        ),
    ),
)


def _containers(spec: Mapping[str, Any]) -> list[_Container]:
    shares, names = spec.get("hostUsers") is not False, ("containers", "initContainers", "ephemeralContainers")
    return [
        _Container(one.get("name"), one, _map(one.get("securityContext")), spec, shares)
        for name in names
        for one in _maps(spec.get(name))
    ]


def _seccomp(one: Mapping[str, Any]) -> object:
    return _map(_map(one.get("securityContext")).get("seccompProfile")).get("type")


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _maps(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in _list(value) if isinstance(one, Mapping)]
