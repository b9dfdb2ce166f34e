"""What a pass and a sync come to: health, conditions, reports."""

from dataclasses import dataclass
from typing import Literal

from reconciler.model.fleet import Held, Revision, Violation
from reconciler.model.flow import Plan, Result

HealthStatus = Literal["Current", "InProgress", "Failed", "Terminating", "NotFound", "Unknown"]


@dataclass(frozen=True, slots=True)
class Health:
    """kstatus: one of six words, a CamelCase reason and a sentence."""

    status: HealthStatus
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """A Kubernetes condition without its times; `status` is True, False or Unknown."""

    type: str
    status: str
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class LayerStatus:
    """One layer in a report: state is Current, InProgress, Failed, Waiting, Held, Unknown."""

    name: str
    target: str
    state: str
    message: str = ""
    objects: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What one pass over one cluster came to."""

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


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What one source came to; `stages` = (name, seconds since the epoch) per commit (T3), `trigger` what woke it."""

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
