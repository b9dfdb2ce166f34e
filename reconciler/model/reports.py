"""What a pass and a sync come to: health, conditions, reports."""

from typing import Literal

from msgspec import Struct

from reconciler.model.access import Kubeconfigs
from reconciler.model.backups import Backups, Restores
from reconciler.model.fleet import Held, Revision, Violation
from reconciler.model.flow import ObjectRef, Plan, Result
from reconciler.model.operations import Ending, Growth, Sleeping

HealthStatus = Literal["Current", "InProgress", "Failed", "Terminating", "NotFound", "Unknown"]


class Health(Struct, frozen=True):
    """kstatus: one of six words, a CamelCase reason and a sentence."""

    status: HealthStatus
    reason: str = ""
    message: str = ""


class Condition(Struct, frozen=True):
    """A Kubernetes condition without its times; `status` is True, False or Unknown."""

    type: str
    status: str
    reason: str
    message: str = ""


class Link(Struct, frozen=True):
    """One object on the way from an object that is not Current down to what keeps it so (U1). `state` is a word or a count,
    such as CrashLoopBackOff or 0/1; `since` is RFC 3339, "" where it is not known; `restarts` and `image` are of a pod's container."""

    kind: str
    namespace: str
    name: str
    state: str = ""
    message: str = ""
    since: str = ""
    restarts: int = 0
    image: str = ""

    @property
    def place(self) -> str:
        """Namespace and name, as kubectl takes them."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class LayerStatus(Struct, frozen=True):
    """One layer in a report: state is Current, InProgress, Failed, Waiting, Held, Unknown.

    `ref` is the object that decides where the layer is not Current, `causes` the chain from it to its cause; `since` when the layer
    got this state (RFC 3339), filled in by the view; `depends_on` names of layers, () where no pass looked since the start; `sleeps`: it
    is looked at when the cluster wakes.
    """

    name: str
    target: str
    state: str
    message: str = ""
    objects: int = 0
    ref: ObjectRef | None = None
    causes: tuple[Link, ...] = ()
    since: str = ""
    depends_on: tuple[str, ...] = ()
    sleeps: bool = False


class Authored(Struct, frozen=True):
    """Who wrote a commit: NAME <ADDRESS>, its first line, and when (seconds since the epoch), as the commit itself says; who signed it,
    where the source verifies that."""

    author: str
    subject: str
    at: float
    signer: str = ""


class Report(Struct, frozen=True):
    """What one pass over one cluster came to. `sleep` None: the pass did not look. `woke`: for a cluster that is Ready again, the
    seconds since it was woken (O5); `ending` where it has an end (O6)."""

    cluster: str
    revision: Revision
    plan: Plan
    results: tuple[Result, ...]
    layers: tuple[LayerStatus, ...]
    conditions: tuple[Condition, ...]
    word: str
    held: Held | None = None
    endpoint: str = ""
    version: str = ""
    next_at: float | None = None
    sleep: Sleeping | None = None
    woke: float = 0.0
    ending: Ending | None = None
    backups: Backups | None = None
    restores: Restores | None = None
    kubeconfigs: Kubeconfigs | None = None
    growth: Growth | None = None


class SourceReport(Struct, frozen=True):
    """What one source came to; `stages` = (name, seconds since the epoch) per commit (T3), `trigger` what woke it; `changing` the
    clusters that its newest commit changed and that are not Ready since."""

    source: str
    revision: Revision | None
    violations: tuple[Violation, ...] = ()
    accepted: int = 0
    rejected: int = 0
    held: Held | None = None
    stages: tuple[tuple[str, float], ...] = ()
    trigger: str = ""
    fetched: float = 0.0
    error: str = ""
    generation: int = 0
    authored: Authored | None = None
    changing: tuple[str, ...] = ()
