"""API versions that Kubernetes serves no more from some minor on, and the objects of a cluster's packs that are of them (O11). Pure.

The table is upstream's published one (Deprecated API Migration Guide, Removed APIs by release), up to v1.32, its newest with a removal.
"""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from reconciler.engine import versions
from reconciler.model import Bundle, Desired, Object
from reconciler.plan.mark import ref_of

SHOWN = 20  # objects that are named


class Removal(Struct, frozen=True):
    """From `minor` of Kubernetes 1 on these kinds are not served at this version; `instead`: what is, "" for none."""

    minor: int
    kinds: frozenset[str]
    instead: str


def _row(minor: int, instead: str, *kinds: str) -> Removal:
    return Removal(minor, frozenset(kinds), instead)


_RBAC = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
_REVIEWS = ("LocalSubjectAccessReview", "SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview")
_FLOW = ("FlowSchema", "PriorityLevelConfiguration")
_FLOWS = "flowcontrol.apiserver.k8s.io"
REMOVED: Mapping[str, tuple[Removal, ...]] = {
    f"{_FLOWS}/v1beta3": (_row(32, f"{_FLOWS}/v1", *_FLOW),),
    f"{_FLOWS}/v1beta2": (_row(29, f"{_FLOWS}/v1", *_FLOW),),
    f"{_FLOWS}/v1beta1": (_row(26, f"{_FLOWS}/v1", *_FLOW),),
    "autoscaling/v2beta2": (_row(26, "autoscaling/v2", "HorizontalPodAutoscaler"),),
    "autoscaling/v2beta1": (_row(25, "autoscaling/v2", "HorizontalPodAutoscaler"),),
    "batch/v1beta1": (_row(25, "batch/v1", "CronJob"),),
    "discovery.k8s.io/v1beta1": (_row(25, "discovery.k8s.io/v1", "EndpointSlice"),),
    "events.k8s.io/v1beta1": (_row(25, "events.k8s.io/v1", "Event"),),
    "node.k8s.io/v1beta1": (_row(25, "node.k8s.io/v1", "RuntimeClass"),),
    "policy/v1beta1": (_row(25, "policy/v1", "PodDisruptionBudget"), _row(25, "", "PodSecurityPolicy")),
    "admissionregistration.k8s.io/v1beta1": (
        _row(22, "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"),
    ),
    "apiextensions.k8s.io/v1beta1": (_row(22, "apiextensions.k8s.io/v1", "CustomResourceDefinition"),),
    "apiregistration.k8s.io/v1beta1": (_row(22, "apiregistration.k8s.io/v1", "APIService"),),
    "authentication.k8s.io/v1beta1": (_row(22, "authentication.k8s.io/v1", "TokenReview"),),
    "authorization.k8s.io/v1beta1": (_row(22, "authorization.k8s.io/v1", *_REVIEWS),),
    "certificates.k8s.io/v1beta1": (_row(22, "certificates.k8s.io/v1", "CertificateSigningRequest"),),
    "coordination.k8s.io/v1beta1": (_row(22, "coordination.k8s.io/v1", "Lease"),),
    "networking.k8s.io/v1beta1": (_row(22, "networking.k8s.io/v1", "Ingress", "IngressClass"),),
    "rbac.authorization.k8s.io/v1beta1": (_row(22, "rbac.authorization.k8s.io/v1", *_RBAC),),
    "scheduling.k8s.io/v1beta1": (_row(22, "scheduling.k8s.io/v1", "PriorityClass"),),
    "storage.k8s.io/v1beta1": (
        _row(27, "storage.k8s.io/v1", "CSIStorageCapacity"),
        _row(22, "storage.k8s.io/v1", "CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"),
    ),
    "extensions/v1beta1": (
        _row(22, "networking.k8s.io/v1", "Ingress"),
        _row(16, "networking.k8s.io/v1", "NetworkPolicy"),
        _row(16, "apps/v1", "DaemonSet", "Deployment", "ReplicaSet"),
        _row(16, "", "PodSecurityPolicy"),
    ),
    "apps/v1beta1": (_row(16, "apps/v1", "Deployment", "StatefulSet"),),
    "apps/v1beta2": (_row(16, "apps/v1", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"),),
}
"""apiVersion -> the removals of its kinds."""


def told(bundle: Bundle, desired: Iterable[Desired]) -> tuple[str, ...]:
    """A sentence for each object inside that the version of Kubernetes that is asked for, or the minor after it, does not serve as it is
    written; () where the version is not known."""
    minor = versions.minor((bundle.versions, *bundle.ahead)[-1].kubernetes)
    if minor is None:
        return ()
    found = [text for one in desired if one.layer.target.nested for text in _of(one, minor + 1)]
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return (*found[:SHOWN], *more)


def removal(obj: Object) -> Removal | None:
    """When the version of an object is removed; None where it stays, or is none of Kubernetes' own."""
    rows = REMOVED.get(str(obj.get("apiVersion")), ())
    return next((row for row in rows if obj.get("kind") in row.kinds), None)


def _of(one: Desired, minor: int) -> Iterator[str]:
    for obj in (*one.objects, *one.unplaced, *one.hooks):
        row = removal(obj)
        if row is not None and row.minor <= minor:
            instead = f"write {row.instead}" if row.instead else "nothing takes its place"
            since = f"is not served from Kubernetes 1.{row.minor} on"
            yield f"{one.layer.name}: {ref_of(obj)} is of {obj['apiVersion']}, which {since}: {instead}"
