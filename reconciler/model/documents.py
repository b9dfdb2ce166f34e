"""The documents people write (docs/reference), as typed values, built with `msgspec.convert` from bodies that passed
the schema.

One field here = one property of the schema (`schemas/`), checked by a test. Durations, sizes and versions stay the
strings people wrote; `spec.variables` and `engine` read them.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from reconciler.model.access import Access
from reconciler.model.form import Struct
from reconciler.model.life import Backup, Deletion, RestoreFrom, Sleep, Suspend, Upgrade


class Metadata(Struct, frozen=True):
    name: str
    labels: dict[str, str] = {}


# ClusterProfile


class Variable(Struct, frozen=True):
    name: str
    type: str = "string"
    description: str = ""
    required: bool = False
    default: Any = UNSET
    enum: tuple[Any, ...] = ()
    pattern: str = ""
    minimum: float | UnsetType = UNSET
    maximum: float | UnsetType = UNSET
    immutable: bool = False
    sensitive: bool = False


class SignerIdentity(Struct, frozen=True):
    """Whom a certificate of sigstore names: `subject`, as `issuer` knows it; `trusted_root`, the file with who may say so."""

    subject: str
    issuer: str
    trusted_root: str


class ChartVerify(Struct, frozen=True):
    """Who must have signed a chart (K4): `cosign_key`, the file of a public key, an `identity` without a key, or `provenance`, the file of
    OpenPGP keys."""

    cosign_key: str = ""
    provenance: str = ""
    identity: SignerIdentity | None = None

    @property
    def file(self) -> str:
        """The file of the keys, or of the trusted root."""
        return self.identity.trusted_root if self.identity else self.cosign_key or self.provenance

    @property
    def at(self) -> str:
        """Where that file is named."""
        return "identity/trustedRoot" if self.identity else "cosignKey" if self.cosign_key else "provenance"

    @property
    def signature(self) -> bool:
        """Whether signatures of cosign are asked for."""
        return bool(self.cosign_key or self.identity)


class ChartRef(Struct, frozen=True):
    path: str = ""
    repo: str = ""
    oci: str = ""
    name: str = ""
    version: str = ""
    digest: str = ""


class PackChart(ChartRef, frozen=True):
    """The chart of a pack."""

    verify: ChartVerify | None = None


class HelmPack(Struct, frozen=True):
    chart: PackChart
    release_name: str = ""
    values: dict[str, Any] = {}
    values_files: tuple[str, ...] = ()
    hooks: str = "Run"
    random: str = "Refuse"


class UrlRef(Struct, frozen=True):
    url: str
    sha256: str = ""


class ManifestsPack(Struct, frozen=True):
    files: tuple[str, ...] = ()
    urls: tuple[UrlRef, ...] = ()
    objects: tuple[dict[str, Any], ...] = ()


class KustomizePack(Struct, frozen=True):
    path: str


class ConditionCheck(Struct, frozen=True):
    kind: str
    name: str
    type: str
    group: str = ""
    namespace: str = ""


class Check(Struct, frozen=True):
    crd: str = ""
    condition: ConditionCheck | None = None


class Ready(Struct, frozen=True):
    timeout: str = "5m"
    checks: tuple[Check, ...] = ()


class IgnoreRule(Struct, frozen=True):
    kind: str
    pointers: tuple[str, ...]
    name: str = ""
    namespace: str = ""


class Excluded(Struct, frozen=True):
    kind: str
    name: str
    namespace: str = ""
    group: str = ""


class SharedSecret(Struct, frozen=True):
    source: str = msgspec.field(name="from")
    to: str = ""
    namespace: str = ""


class Pack(Struct, frozen=True):
    name: str
    namespace: str = ""
    depends_on: tuple[str, ...] | None = None
    manifests: ManifestsPack | None = None
    helm: HelmPack | None = None
    secrets: tuple[SharedSecret, ...] = ()
    kustomize: KustomizePack | None = None
    ready: Ready = Ready()
    drift: str = "correct"
    exclude: tuple[Excluded, ...] = ()
    ignore_differences: tuple[IgnoreRule, ...] = ()
    prune: bool = True


class ProfileSpec(Struct, frozen=True):
    version: str
    packs: tuple[Pack, ...]
    description: str = ""
    variables: tuple[Variable, ...] = ()


class ClusterProfile(Struct, frozen=True):
    api_version: str
    kind: str
    metadata: Metadata
    spec: ProfileSpec


# NestedCluster


class EngineChoice(Struct, frozen=True):
    version: str = ""


class KubernetesChoice(Struct, frozen=True):
    version: str = ""


class Store(Struct, frozen=True):
    type: str = "sqlite"
    members: int | UnsetType = UNSET
    size: str = "5Gi"
    storage_class: str = ""


class Resources(Struct, frozen=True):
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}


class ControlPlane(Struct, frozen=True):
    replicas: int = 1
    store: Store = Store()
    resources: Resources = Resources()


class Gateway(Struct, frozen=True):
    """A Gateway of the host, and one of its listeners by name ("" = any that fits)."""

    name: str
    namespace: str
    section_name: str = ""


class Expose(Struct, frozen=True):
    type: str = "None"
    host: str = ""
    ingress_class_name: str = ""
    gateway: Gateway | None = None
    node_port: int = 0
    source_ranges: tuple[str, ...] = ()
    external_traffic_policy: str = ""
    load_balancer_class: str = ""
    extra_sans: tuple[str, ...] = msgspec.field(default=(), name="extraSANs")
    annotations: dict[str, str] = {}


class Quota(Struct, frozen=True):
    cpu: str = ""
    memory: str = ""
    storage: str = ""
    ephemeral_storage: str = ""
    pods: int | UnsetType = UNSET
    services: int | UnsetType = UNSET
    load_balancers: int | UnsetType = UNSET
    node_ports: int | UnsetType = UNSET
    extended: dict[str, int] = {}


class NamespaceRef(Struct, frozen=True):
    namespace: str


class Isolation(Struct, frozen=True):
    network_policy: bool = True
    ingress_from: tuple[NamespaceRef, ...] = ()
    pod_security: str = "baseline"
    runtime_class: str = ""


class ToHost(Struct, frozen=True):
    ingresses: bool = False
    pod_disruption_budgets: bool = False
    service_accounts: bool = False
    network_policies: bool = False
    ingress_hosts: tuple[str, ...] = ()


class Sync(Struct, frozen=True):
    to_host: ToHost = ToHost()


class Toleration(Struct, frozen=True):
    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


class Scheduling(Struct, frozen=True):
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    priority_class_name: str = ""


class ProfileUse(Struct, frozen=True):
    name: str
    version: str
    variables: dict[str, Any] = {}
    values: dict[str, dict[str, Any]] = {}


class NestedNamespace(Struct, frozen=True):
    name: str
    labels: dict[str, str] = {}
    quota: Quota | None = None


class ClusterSpec(Struct, frozen=True):
    description: str = ""
    host: str = ""
    engine: EngineChoice = EngineChoice()
    kubernetes: KubernetesChoice = KubernetesChoice()
    control_plane: ControlPlane = ControlPlane()
    expose: Expose = Expose()
    quota: Quota | None = None
    isolation: Isolation | None = None
    sync: Sync = Sync()
    scheduling: Scheduling = Scheduling()
    profiles: tuple[ProfileUse, ...] = ()
    namespaces: tuple[NestedNamespace, ...] = ()
    suspend: Suspend | None = None
    sleep: Sleep | None = None
    backup: Backup | None = None
    restore_from: RestoreFrom | None = None
    upgrade: Upgrade = Upgrade()
    access: Access = Access()
    deletion: Deletion = Deletion()


class NestedCluster(Struct, frozen=True):
    api_version: str
    kind: str
    metadata: Metadata
    spec: ClusterSpec = ClusterSpec()
