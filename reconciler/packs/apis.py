"""What a chart may ask of `.Capabilities.APIVersions` (K6): the API versions and kinds of its target."""

import re
import zlib
from collections.abc import Iterable, Mapping

from reconciler.patterns import lazy

_ASKED = b".APIVersions"
_NAMED = lazy(rb'\.APIVersions(?:\.Has\s{1,8}"([A-Za-z0-9./-]{1,300})")?', re.ASCII)
ANYTHING = frozenset({""})

_BASE = """
v1: ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume PersistentVolumeClaim Pod PodTemplate
 ReplicationController ResourceQuota Secret Service ServiceAccount
admissionregistration.k8s.io/v1: MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding
 ValidatingWebhookConfiguration
apiextensions.k8s.io/v1: CustomResourceDefinition
apiregistration.k8s.io/v1: APIService
apps/v1: ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet
autoscaling/v1: HorizontalPodAutoscaler
autoscaling/v2: HorizontalPodAutoscaler
batch/v1: CronJob Job
certificates.k8s.io/v1: CertificateSigningRequest
coordination.k8s.io/v1: Lease
discovery.k8s.io/v1: EndpointSlice
events.k8s.io/v1: Event
flowcontrol.apiserver.k8s.io/v1: FlowSchema PriorityLevelConfiguration
networking.k8s.io/v1: Ingress IngressClass NetworkPolicy
node.k8s.io/v1: RuntimeClass
policy/v1: PodDisruptionBudget
rbac.authorization.k8s.io/v1: ClusterRole ClusterRoleBinding Role RoleBinding
scheduling.k8s.io/v1: PriorityClass
storage.k8s.io/v1: CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment
"""
"""What Kubernetes 1.30 and every later version up to 1.36 serve by default."""

_SINCE = {
    33: "networking.k8s.io/v1: IPAddress ServiceCIDR",
    34: "resource.k8s.io/v1: DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice\n"
    "storage.k8s.io/v1: VolumeAttributesClass",
    36: "admissionregistration.k8s.io/v1: MutatingAdmissionPolicy MutatingAdmissionPolicyBinding",
}
"""What came with a minor version and stays (CHANGELOG of each minor version)."""

_UNTIL = {31: "flowcontrol.apiserver.k8s.io/v1beta3: FlowSchema PriorityLevelConfiguration"}
"""What was served up to a minor version (the deprecation guide)."""


_PACKED = b"\x1f\x8b"  # gzip
_UNPACKED = 64 << 20  # bytes of an archive that are looked at
_BLOCK = 1 << 20


def asked(files: Mapping[str, bytes]) -> frozenset[str]:
    """The API versions and kinds that a chart of these files, by path, may ask for, ANYTHING where that cannot be told: of a packed
    subchart, of a name that is computed. An archive of a whole chart is looked through, not read."""
    if any(path.endswith(".tgz") or _in_archive(data) for path, data in files.items()):
        return ANYTHING
    return frozenset(
        found[1].decode() if found[1] else "" for data in files.values() for found in _NAMED.finditer(data)
    )


def _in_archive(data: bytes) -> bool:
    """Whether an archive names API versions or has another in it, or cannot be looked through."""
    if not data.startswith(_PACKED):
        return False
    unpacked, left, before = zlib.decompressobj(wbits=31), _UNPACKED, b""
    try:
        block = unpacked.decompress(data, _BLOCK)
        while block:
            seen = before + block
            left -= len(block)
            if left < 0 or _ASKED in seen or b".tgz" in seen:
                return True
            before, block = seen[-len(_ASKED) :], unpacked.decompress(unpacked.unconsumed_tail, _BLOCK)
    except zlib.error:
        return True
    return bool(unpacked.unused_data) or not unpacked.eof


def known(version: str) -> tuple[str, ...]:
    """What a Kubernetes of this version ("v1.36.0") serves by default, without asking one; sorted."""
    found = re.match(r"v?1\.([0-9]+)", version)
    minor = int(found[1]) if found else 0
    tables = [_BASE, *(rows for since, rows in _SINCE.items() if minor >= since)]
    tables += [rows for until, rows in _UNTIL.items() if minor <= until]
    return spelled(kind for table in tables for kind in _rows(table))


def spelled(kinds: Iterable[str]) -> tuple[str, ...]:
    """The API versions and the kinds, as charts ask for both, of "group/version/Kind" names; sorted."""
    names = set(kinds)
    return tuple(sorted(names | {name.rpartition("/")[0] for name in names}))


def _rows(table: str) -> list[str]:
    lines = table.replace("\n ", " ").strip().splitlines()
    pairs = (line.split(": ") for line in lines)
    return [f"{version}/{kind}" for version, kinds in pairs for kind in kinds.split()]
