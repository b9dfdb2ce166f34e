"""The controller's own configuration file (docs/reference/ControllerConfig.md), as typed values."""

import msgspec
from msgspec import UNSET, UnsetType

from reconciler.model.documents import ChartRef, Isolation, Quota, Toleration
from reconciler.model.form import Struct


class WebhookConfig(Struct, frozen=True):
    provider: str
    secret_files: tuple[str, ...]
    suffix: str = ""


class ReviewConfig(Struct, frozen=True):
    comment: bool = True
    status: bool = True
    interval: str = "2m"
    limit: int = 200


class AppConfig(Struct, frozen=True):
    id: str
    installation: int
    key_file: str


class ForgeConfig(Struct, frozen=True):
    provider: str
    api: str
    repository: str
    token_file: str = ""
    app: AppConfig | None = None
    ca_file: str = ""
    review: ReviewConfig = ReviewConfig()


class Credentials(Struct, frozen=True):
    username: str = ""
    token_file: str = ""
    ca_file: str = ""
    ssh_key_file: str = ""
    known_hosts_file: str = ""


class VerifyConfig(Struct, frozen=True):
    """Whose signatures commits need. `mode`: HEAD, the newest commit; Range, also all between it and the one verified before."""

    keys_folder: str
    mode: str = "HEAD"


class DecryptionConfig(Struct, frozen=True):
    """Where the age keys of a source are (K12)."""

    keys_folder: str


class SourceConfig(Struct, frozen=True):
    name: str
    url: str
    branch: str = "main"
    path: str = "."
    interval: str = "60s"
    webhook: WebhookConfig | None = None
    credentials: Credentials = Credentials()
    forge: ForgeConfig | None = None
    verify: VerifyConfig | None = None
    decryption: DecryptionConfig | None = None


class HostConfig(Struct, frozen=True):
    kubeconfig: str = ""
    context: str = ""


class EngineChartRef(ChartRef, frozen=True):
    pass


class EngineVersion(Struct, frozen=True):
    version: str
    chart: EngineChartRef
    image_digest: str = ""


class EngineConfig(Struct, frozen=True):
    versions: tuple[EngineVersion, ...]
    kubernetes_versions: tuple[str, ...] = ("v1.36.0",)


class Defaults(Struct, frozen=True):
    quota: Quota = Quota()
    isolation: Isolation = Isolation()


class Budget(Struct, frozen=True):
    clusters: int = 1
    objects_percent: int = 10
    objects_minimum: int = 3


class DeletionConfig(Struct, frozen=True):
    budget: Budget = Budget()
    grace: str = "24h"


class ReviewerRule(Struct, frozen=True):
    paths: tuple[str, ...]
    approvals: int = 1


class PolicyConfig(Struct, frozen=True):
    profile_versions: str = "Immutable"
    dns_pattern: str = ""
    unreviewed: str = "Allow"
    reviewers: tuple[ReviewerRule, ...] = ()
    max_ttl: str = msgspec.field(default="", name="maxTTL")


class QuotaCeiling(Struct, frozen=True):
    required: bool = False
    maximum: Quota = Quota()


class Ceilings(Struct, frozen=True):
    quota: QuotaCeiling = QuotaCeiling()
    priority_classes: tuple[str, ...] = ()
    runtime_classes: tuple[str, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    node_selectors: dict[str, tuple[str, ...]] = {}
    network_policy_off: bool = False
    annotations: tuple[str, ...] = ()
    sync_to_host: tuple[str, ...] = ()
    replicas: int | UnsetType = UNSET
    storage: str = ""
    backup_endpoints: tuple[str, ...] = ()


class ContentAllow(Struct, frozen=True):
    prefix: str
    via: tuple[str, ...] = ()
    ca_file: str = ""
    username_file: str = ""
    password_file: str = ""
    proxy_file: str = ""
    plain_http: bool = msgspec.field(default=False, name="plainHTTP")


class ContentConfig(Struct, frozen=True):
    allow: tuple[ContentAllow, ...] = ()
    store: str = "1Gi"


class Limits(Struct, frozen=True):
    file: str = "4Mi"
    files: int = 20000
    total: str = "64Mi"
    depth: int = 32
    nodes: int = 100000
    documents: int = 200


class ProxyConfig(Struct, frozen=True):
    addresses: tuple[str, ...]
    user_header: str = "X-Forwarded-User"
    groups_header: str = "X-Forwarded-Groups"


class DashboardConfig(Struct, frozen=True):
    address: str
    auth: str = "none"
    url: str = ""
    proxy: ProxyConfig | None = None


class ServerConfig(Struct, frozen=True):
    webhook: str = "0.0.0.0:9292"
    internal: str = "127.0.0.1:9293"
    dashboard: DashboardConfig | None = None
    hosts: tuple[str, ...] = ()


class LeaseConfig(Struct, frozen=True):
    duration: str = "15s"


class Prices(Struct, frozen=True):
    """Decimal numbers as text, each for an hour."""

    currency: str = "EUR"
    cpu: str = "0"
    memory: str = "0"
    storage: str = "0"
    storage_classes: dict[str, str] = {}
    gpu: str = "0"
    load_balancer: str = "0"
    control_plane: str = "0"


WANTING = (
    "Held", "Degraded", "Invalid", "Expires", "BackupFailed", "RestoreFailed",
    "SourceFailed", "SourceHeld", "SourceInvalid", "ConfigurationRefused", "ConfigurationWaits", "TooManyRequests",
)  # fmt: skip
"""Events that somebody should look at."""


class NotifyConfig(Struct, frozen=True):
    """One channel that is told of events (U10)."""

    name: str
    url: str = ""
    url_file: str = ""
    format: str = "generic"
    secret_file: str = ""
    ca_file: str = ""
    events: tuple[str, ...] = WANTING
    sources: tuple[str, ...] = ()
    labels: dict[str, str] = {}


class TracesConfig(Struct, frozen=True):
    """Where traces go (U12)."""

    endpoint: str
    token_file: str = ""
    ca_file: str = ""


class ControllerSpec(Struct, frozen=True):
    sources: tuple[SourceConfig, ...]
    engine: EngineConfig
    host: HostConfig = HostConfig()
    namespace: str = "nidus-system"
    share_namespace: str = "nidus-shared"
    namespace_pattern: str = "vcluster-{name}"
    files: str = ""
    defaults: Defaults = Defaults()
    deletion: DeletionConfig = DeletionConfig()
    policy: PolicyConfig = PolicyConfig()
    ceilings: Ceilings = Ceilings()
    content: ContentConfig = ContentConfig()
    limits: Limits = Limits()
    server: ServerConfig = ServerConfig()
    prices: Prices | None = None
    notify: tuple[NotifyConfig, ...] = ()
    traces: TracesConfig | None = None
    lease: LeaseConfig = LeaseConfig()
    workers: int = 8

    @property
    def outward(self) -> "Outward":
        """Who is told of what happens."""
        return Outward(self.notify, self.server.dashboard.url if self.server.dashboard else "", self.traces)


class Outward(msgspec.Struct, frozen=True):
    """Who is told of what happens, besides the home cluster: channels, with links to the dashboard at `url`, and where traces go."""

    notify: tuple[NotifyConfig, ...] = ()
    url: str = ""
    traces: TracesConfig | None = None


class ControllerConfig(Struct, frozen=True):
    api_version: str
    kind: str
    spec: ControllerSpec
