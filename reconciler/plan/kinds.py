"""Which of Kubernetes' own kinds are namespaced: known without asking a server.

From the discovery of Kubernetes 1.36, with the kinds that earlier and later minors serve under feature gates.
tests/test_plan_rules.py holds it against what a real server says of its kinds.
"""

from collections.abc import Mapping

from reconciler.model import ObjectRef

_CLUSTER = {
    "": "ComponentStatus Namespace Node PersistentVolume",
    "admissionregistration.k8s.io": "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration"
    " ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration",
    "apiextensions.k8s.io": "CustomResourceDefinition",
    "apiregistration.k8s.io": "APIService",
    "authentication.k8s.io": "SelfSubjectReview TokenReview",
    "authorization.k8s.io": "SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview",
    "certificates.k8s.io": "CertificateSigningRequest ClusterTrustBundle",
    "flowcontrol.apiserver.k8s.io": "FlowSchema PriorityLevelConfiguration",
    "internal.apiserver.k8s.io": "StorageVersion",
    "networking.k8s.io": "IPAddress IngressClass ServiceCIDR",
    "node.k8s.io": "RuntimeClass",
    "rbac.authorization.k8s.io": "ClusterRole ClusterRoleBinding",
    "resource.k8s.io": "DeviceClass DeviceTaintRule ResourceSlice",
    "scheduling.k8s.io": "PriorityClass",
    "storage.k8s.io": "CSIDriver CSINode StorageClass VolumeAttachment VolumeAttributesClass",
    "storagemigration.k8s.io": "StorageVersionMigration",
}
_NAMESPACED = {
    "": "Binding ConfigMap Endpoints Event LimitRange PersistentVolumeClaim Pod PodTemplate ReplicationController"
    " ResourceQuota Secret Service ServiceAccount",
    "apps": "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet",
    "authorization.k8s.io": "LocalSubjectAccessReview",
    "autoscaling": "HorizontalPodAutoscaler",
    "batch": "CronJob Job",
    "certificates.k8s.io": "PodCertificateRequest",
    "coordination.k8s.io": "Lease LeaseCandidate",
    "discovery.k8s.io": "EndpointSlice",
    "events.k8s.io": "Event",
    "networking.k8s.io": "Ingress NetworkPolicy",
    "policy": "PodDisruptionBudget",
    "rbac.authorization.k8s.io": "Role RoleBinding",
    "resource.k8s.io": "ResourceClaim ResourceClaimTemplate",
    "storage.k8s.io": "CSIStorageCapacity",
}


def _rows(table: Mapping[str, str], namespaced: bool) -> dict[tuple[str, str], bool]:
    return {(group, kind): namespaced for group, kinds in table.items() for kind in kinds.split()}


MAKE_NAMESPACE = "make it in an earlier pack, or list it in spec.namespaces of the cluster"
NAMESPACED: Mapping[tuple[str, str], bool] = {**_rows(_CLUSTER, False), **_rows(_NAMESPACED, True)}
"""(group, kind) -> whether its objects live in a namespace."""

_NAMESPACES = frozenset({"default", "kube-node-lease", "kube-public", "kube-system"})


def home(kind: tuple[str, str], own: str, default: str) -> str:
    """The namespace that sets an object of this (group, kind) apart from others of its name: its own, else `default`; "" where the
    kind is one of Kubernetes' without namespaces."""
    return "" if NAMESPACED.get(kind) is False else own or default


def shared(kind: str) -> str:
    """Why two objects of one name are one object of this kind."""
    return f"{kind} has no namespaces: metadata.namespace does not set two objects apart"


def made_by_kubernetes(ref: ObjectRef) -> bool:
    """Whether every cluster has this object without anybody asking for it."""
    if (ref.group, ref.kind) == ("", "Namespace"):
        return ref.name in _NAMESPACES
    return (ref.group, ref.kind, ref.name) == ("", "ServiceAccount", "default")


GONE: Mapping[tuple[str, str], str] = {
    ("extensions", "DaemonSet"): "write apiVersion: apps/v1",
    ("extensions", "Deployment"): "write apiVersion: apps/v1",
    ("extensions", "Ingress"): "write apiVersion: networking.k8s.io/v1",
    ("extensions", "NetworkPolicy"): "write apiVersion: networking.k8s.io/v1",
    ("extensions", "PodSecurityPolicy"): "set isolation.podSecurity of the cluster",
    ("extensions", "ReplicaSet"): "write apiVersion: apps/v1",
    ("policy", "PodSecurityPolicy"): "set isolation.podSecurity of the cluster",
}
"""(group, kind) that Kubernetes served once and serves no more (its deprecation guide) -> what to write instead."""
