"""What the server fills in where nothing was given, by type (pkg/apis/*/v1/defaults.go). Of the kinds the tests use, not of all."""

import base64
from collections.abc import Callable
from typing import Any

Object = dict[str, Any]

FIXED: dict[str, Object] = {
    "Container": {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"},
    "ContainerPort": {"protocol": "TCP"},
    "PodSpec": {
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
        "schedulerName": "default-scheduler",
    },
    "Probe": {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
    "HTTPGetAction": {"path": "/", "scheme": "HTTP"},
    "ObjectFieldSelector": {"apiVersion": "v1"},
    "SecretVolumeSource": {"defaultMode": 420},
    "ConfigMapVolumeSource": {"defaultMode": 420},
    "DownwardAPIVolumeSource": {"defaultMode": 420},
    "ProjectedVolumeSource": {"defaultMode": 420},
    "ServiceAccountTokenProjection": {"expirationSeconds": 3600},
    "HostPathVolumeSource": {"type": ""},
    "DeploymentSpec": {
        "replicas": 1,
        "strategy": {"type": "RollingUpdate"},
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
    },
    "StatefulSetSpec": {
        "replicas": 1,
        "podManagementPolicy": "OrderedReady",
        "updateStrategy": {"type": "RollingUpdate"},
        "revisionHistoryLimit": 10,
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
    },
    "DaemonSetSpec": {"updateStrategy": {"type": "RollingUpdate"}, "revisionHistoryLimit": 10},
    "ReplicaSetSpec": {"replicas": 1},
    "NetworkPolicyPort": {"protocol": "TCP"},
    "PersistentVolumeClaimSpec": {"volumeMode": "Filesystem"},
    "PersistentVolumeClaimStatus": {"phase": "Pending"},
    "PersistentVolumeSpec": {"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"},
    "PersistentVolumeStatus": {"phase": "Pending"},
    "StorageClass": {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"},
    "PriorityClass": {"preemptionPolicy": "PreemptLowerPriority"},
    "CronJobSpec": {
        "concurrencyPolicy": "Allow",
        "suspend": False,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
    },
    "JobSpec": {
        "backoffLimit": 6,
        "completionMode": "NonIndexed",
        "suspend": False,
        "parallelism": 1,
        "completions": 1,
        "podReplacementPolicy": "TerminatingOrFailed",
    },
    "HorizontalPodAutoscalerSpec": {"minReplicas": 1},
    "RoleRef": {"apiGroup": "rbac.authorization.k8s.io"},
    "NamespaceStatus": {"phase": "Active"},
    "ServicePort": {"protocol": "TCP"},
    "LeaseSpec": {},
    "CustomResourceDefinitionSpec": {"conversion": {"strategy": "None"}},
}


def filled(name: str, value: Object) -> Object:
    """The struct of type `name` with what the server fills in; `value` is the caller's own and may be changed."""
    for key, default in FIXED.get(name, {}).items():
        if value.get(key) in (None, "", 0) and not (key == "suspend" or (value.get(key) == 0 and key in _MAY_BE_ZERO)):
            value[key] = default
        elif isinstance(default, dict) and isinstance(value[key], dict):
            value[key] = {**default, **value[key]}
    more = _MORE.get(name)
    return more(value) if more else value


_MAY_BE_ZERO = frozenset({"replicas", "revisionHistoryLimit", "progressDeadlineSeconds", "terminationGracePeriodSeconds", "backoffLimit",
    "parallelism", "completions", "successfulJobsHistoryLimit", "failedJobsHistoryLimit", "defaultMode", "minReplicas"})  # fmt: skip


def _secret(value: Object) -> Object:
    plain = value.pop("stringData", None) or {}
    data = {**(value.get("data") or {}), **{key: base64.b64encode(one.encode()).decode() for key, one in plain.items()}}
    return {**value, **({"data": data} if data else {}), "type": value.get("type") or "Opaque"}


def _namespace(value: Object) -> Object:
    meta = value.get("metadata") or {}
    name = meta.get("name")
    labels = {**(meta.get("labels") or {}), **({"kubernetes.io/metadata.name": name} if name else {})}
    return {**value, "metadata": {**meta, **({"labels": labels} if labels else {})}}


def _container(value: Object) -> Object:
    image = str(value.get("image", "")).rpartition("/")[2]
    tag = image.partition("@")[0].partition(":")[2]
    fresh = "@" not in image and tag in ("", "latest")
    return (
        value if value.get("imagePullPolicy") else {**value, "imagePullPolicy": "Always" if fresh else "IfNotPresent"}
    )


def _pod_spec(value: Object) -> Object:
    """The deprecated name of the service account follows the new one."""
    account = value.get("serviceAccountName") or value.get("serviceAccount")
    return {**value, "serviceAccountName": account, "serviceAccount": account} if account else value


def _volume(value: Object) -> Object:
    return value if set(value) - {"name"} else {**value, "emptyDir": {}}


def _service_spec(value: Object) -> Object:
    kind = value.setdefault("type", "ClusterIP")
    if value.setdefault("sessionAffinity", "None") == "ClientIP":
        value.setdefault("sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 10800}})
    else:
        value.pop("sessionAffinityConfig", None)
    if kind in ("NodePort", "LoadBalancer"):
        value.setdefault("externalTrafficPolicy", "Cluster")
    if kind != "ExternalName":
        value.setdefault("internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        value.setdefault("allocateLoadBalancerNodePorts", True)
    return value


def _service_port(value: Object) -> Object:
    return value if value.get("targetPort") else {**value, "targetPort": value.get("port", 0)}


def _strategy(value: Object) -> Object:
    if value.get("type") == "RollingUpdate":
        value["rollingUpdate"] = {"maxUnavailable": "25%", "maxSurge": "25%", **(value.get("rollingUpdate") or {})}
    return value


def _deployment_spec(value: Object) -> Object:
    return {**value, "strategy": _strategy(dict(value["strategy"]))}


def _stateful_set_spec(value: Object) -> Object:
    update = dict(value["updateStrategy"])
    if update.get("type") == "RollingUpdate":
        update["rollingUpdate"] = {"partition": 0, **(update.get("rollingUpdate") or {})}
    claims = [
        {"kind": "PersistentVolumeClaim", "apiVersion": "v1", **one} for one in value.get("volumeClaimTemplates", ())
    ]
    return {**value, "updateStrategy": update} | ({"volumeClaimTemplates": claims} if claims else {})


def _daemon_set_spec(value: Object) -> Object:
    update = dict(value["updateStrategy"])
    if update.get("type") == "RollingUpdate":
        update["rollingUpdate"] = {"maxUnavailable": 1, "maxSurge": 0, **(update.get("rollingUpdate") or {})}
    return {**value, "updateStrategy": update}


def _network_policy_spec(value: Object) -> Object:
    if not value.get("policyTypes"):
        value["policyTypes"] = ["Ingress", *(["Egress"] if value.get("egress") else [])]
    return value


def _subject(value: Object) -> Object:
    if not value.get("apiGroup") and value.get("kind") in ("User", "Group"):
        return {**value, "apiGroup": "rbac.authorization.k8s.io"}
    return value


def _limit_range_item(value: Object) -> Object:
    if value.get("type") != "Container":
        return value
    value["default"] = {**value.get("max", {}), **value.get("default", {})}
    value["defaultRequest"] = {**value.get("min", {}), **value["default"], **value.get("defaultRequest", {})}
    return {key: one for key, one in value.items() if one not in ({}, None)}


def _definition_spec(value: Object) -> Object:
    names = dict(value.get("names") or {})
    kind = str(names.get("kind", ""))
    names = {
        **names,
        "singular": names.get("singular") or kind.lower(),
        "listKind": names.get("listKind") or f"{kind}List",
    }
    return {**value, "names": names}


_MORE: dict[str, Callable[[Object], Object]] = {
    "Namespace": _namespace,
    "Secret": _secret,
    "Container": _container,
    "PodSpec": _pod_spec,
    "Volume": _volume,
    "ServiceSpec": _service_spec,
    "ServicePort": _service_port,
    "DeploymentSpec": _deployment_spec,
    "StatefulSetSpec": _stateful_set_spec,
    "DaemonSetSpec": _daemon_set_spec,
    "NetworkPolicySpec": _network_policy_spec,
    "Subject": _subject,
    "LimitRangeItem": _limit_range_item,
    "CustomResourceDefinitionSpec": _definition_spec,
}
