"""What is known of a cluster and of a source, as small frozen values. Status objects, the JSON API, transitions and
metrics are made from them. They keep no Kubernetes object, so memory grows only with what is shown.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from reconciler.model import (
    Authored,
    Change,
    Condition,
    Held,
    LayerStatus,
    Report,
    Result,
    SourceReport,
    Violation,
    replace,
)
from reconciler.report import life
from reconciler.report.life import NOTHING, DeletionView, Life, RemovalView, stamp

MESSAGE = 1024  # characters
SHOWN = 50  # changes and held lines kept
VIOLATIONS = 200
CHANGING = 500  # clusters that one commit changed, by name
TOLD = 1000  # outcomes remembered, so that one that lasts is reported once
_QUIET = frozenset({"unchanged", "skip"})
_FIRST = {"hold": 0, "delete": 1, "replace": 2}


class ConditionView(Struct, frozen=True):
    """A condition, and since when it has this status (RFC 3339)."""

    type: str
    status: str
    reason: str
    message: str
    since: str


class ChangeView(Struct, frozen=True):
    """One change of a plan, without its object."""

    action: str
    target: str
    ref: str
    layer: str
    reason: str


class PlanView(Struct, frozen=True):
    """The last plan: how many changes of each action, the first of them (held and destructive ones before others), what is held."""

    counts: Mapping[str, int] = field(default_factory=dict)
    changes: tuple[ChangeView, ...] = ()
    held: tuple[str, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)


class RunningView(Struct, frozen=True, omit_defaults=True):
    """The versions that run, "" where they are not known, and those of an upgrade of several steps, that which runs first."""

    engine: str = ""
    kubernetes: str = ""
    steps: tuple[str, ...] = ()


NO_VERSIONS = RunningView()


class Place(Struct, frozen=True):
    """What is known of a cluster besides its passes: where it is written, and what it has from its document and its record. `host` is
    "" and `labels` and `deletion` are None where its document could not be read."""

    source: str
    file: str
    host: str = ""
    labels: Mapping[str, str] | None = None
    versions: RunningView = NO_VERSIONS
    profiles: tuple[str, ...] = ()
    deletion: DeletionView | None = None
    removal: RemovalView | None = None


class ClusterView(Struct, frozen=True):
    """What is known of one cluster. `word` is its status in one word; `at` when it was last looked at, in seconds since the epoch.

    `told` are the outcomes that last, each reported once (T2). `authored` is of the commit `attempted`, None where it is not known.
    `seen`: when the layers were as shown (RFC 3339), "" where the last pass looked at them; `since` when it got its word.
    """

    cluster: str
    word: str
    source: str = ""
    file: str = ""
    attempted: str = ""
    applied: str = ""
    conditions: tuple[ConditionView, ...] = ()
    layers: tuple[LayerStatus, ...] = ()
    held: Held | None = None
    plan: PlanView = PlanView()
    endpoint: str = ""
    host: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    versions: RunningView = NO_VERSIONS
    profiles: tuple[str, ...] = ()
    life: Life = NOTHING
    next_at: float | None = None
    at: float = 0.0
    told: frozenset[tuple[str, str, str]] = frozenset()
    authored: Authored | None = None
    seen: str = ""
    since: str = ""


class SourceView(Struct, frozen=True):
    """What is known of one source. `stages` are (name, seconds since the epoch) of the last commit; `fetched` when it
    was last fetched, in seconds since the epoch, 0 where that is not known; `confined` what keeps the render workers of the
    controller from the network, "none" where nothing does, "" where that is not known yet; `changing` the clusters that the newest
    commit changed, until all of them were Ready; `configuration` why the controller's file is not in force as a whole, "" where it is."""

    source: str
    url: str = ""
    branch: str = ""
    path: str = ""
    revision: str = ""
    accepted: int = 0
    rejected: int = 0
    violations: tuple[Violation, ...] = ()
    violation_count: int = 0
    generation: int = 0
    trigger: str = ""
    stages: tuple[tuple[str, float], ...] = ()
    fetched: float = 0.0
    error: str = ""
    held: Held | None = None
    confined: str = ""
    authored: Authored | None = None
    changing: tuple[str, ...] = ()
    configuration: str = ""


def cluster(
    report: Report, before: ClusterView | None, place: Place, now: float, authored: Authored | None = None
) -> ClusterView:
    """The view of a pass. `before` is the last view: a condition or layer whose status did not change keeps its time, and the layers
    stay as they were where the pass did not look at them. `authored` is of the report's revision, None where it is not known."""
    known = before.attempted if before else ""
    revision = str(report.revision) if report.revision.commit else known  # of a pass that could not read them
    return ClusterView(
        cluster=report.cluster,
        word=report.word,
        source=place.source,
        file=place.file,
        host=place.host or (before.host if before else ""),
        labels=place.labels if place.labels is not None else (before.labels if before else {}),
        versions=place.versions,
        profiles=place.profiles,
        life=life.of(report, before.life if before else NOTHING, place.deletion, place.removal),
        attempted=revision,
        applied=revision if report.word == "Ready" else (before.applied if before else ""),
        conditions=_conditions(report.conditions, before.conditions if before else (), now),
        layers=_layers(report.layers, before, now),
        held=_held(report.held),
        plan=_plan(report),
        endpoint=report.endpoint,
        next_at=report.next_at,
        at=now,
        authored=authored or (before.authored if before and before.attempted == revision else None),
        seen="" if report.layers or before is None else before.seen or (stamp(before.at) if before.at else ""),
        since=before.since if before and before.word == report.word and before.since else stamp(now),
        told=frozenset(key for _, key in zip(range(TOLD), map(outcome, filter(lasts, report.results)), strict=False)),
    )


def word(found: ClusterView | None) -> tuple[str, str]:
    """Its status in one word, and why: of what is held, the hold, whatever else is well. "" for a cluster that nobody looked at."""
    if found is None:
        return "", ""
    if found.word == "Held" and found.held is not None:
        return found.word, found.held.message
    return found.word, next((one.message for one in found.conditions if one.type == "Ready"), "")


def source(report: SourceReport, before: SourceView | None, spec: Mapping[str, Any]) -> SourceView:
    """The view of a sync. Where nothing was read anew, and after a restart, the stages of the same commit stay as they were; it was seen
    when that was asked for first."""
    known = before or SourceView(report.source)
    revision = str(report.revision) if report.revision else known.revision
    story = (report.trigger, report.stages)
    if report.trigger == "start" and revision == known.revision and known.stages:
        story = (known.trigger, known.stages)
    elif revision == known.revision and not report.error and "admitted" not in dict(report.stages):
        story = (report.trigger, _first(known.stages, report.stages))
    return SourceView(
        source=report.source,
        url=str(spec.get("url", "")),
        branch=str(spec.get("branch", "")),
        path=str(spec.get("path", "")),
        revision=revision,
        accepted=report.accepted,
        rejected=report.rejected,
        violations=report.violations[:VIOLATIONS],
        violation_count=len(report.violations),
        generation=max(report.generation, known.generation),
        trigger=story[0],
        stages=story[1],
        fetched=report.fetched or known.fetched,
        error=report.error[:MESSAGE],
        held=_held(report.held),
        confined=known.confined,
        configuration=known.configuration,
        authored=report.authored if report.revision else known.authored,
        changing=report.changing[:CHANGING],
    )


def _first(known: tuple[tuple[str, float], ...], more: tuple[tuple[str, float], ...]) -> tuple[tuple[str, float], ...]:
    found = {**dict(more), **dict(known)} if known else dict(more)
    seen = [at for name, at in (*known, *more) if name == "seen"]
    found |= {"seen": min(seen)} if seen else {}
    return tuple(sorted(found.items(), key=lambda one: one[1]))


def staged(known: SourceView, name: str, at: float) -> SourceView:
    """The view with one more stage. A stage of a commit keeps its first time, also after a restart."""
    if name in dict(known.stages):
        return known
    return replace(known, stages=(*known.stages, (name, at)), changing=() if name == "ready" else known.changing)


def lasts(result: Result) -> bool:
    """Whether an outcome may last for many passes and is reported once: a failure, a hold, a deletion, drift that is
    only reported (R2)."""
    return result.outcome in ("failed", "held", "deleting") or (result.outcome == "skipped" and result.reason != "")


def outcome(result: Result) -> tuple[str, str, str]:
    return str(result.change.ref), result.outcome, result.error[:MESSAGE]


def _conditions(found: Sequence[Condition], before: Iterable[ConditionView], now: float) -> tuple[ConditionView, ...]:
    known = {one.type: one for one in before}
    return tuple(_condition(one, known.get(one.type), stamp(now)) for one in found)


def _condition(one: Condition, before: ConditionView | None, now: str) -> ConditionView:
    since = before.since if before is not None and before.status == one.status and before.since else now
    return ConditionView(one.type, one.status, one.reason, one.message[:MESSAGE], since)


def _layers(found: Sequence[LayerStatus], before: ClusterView | None, now: float) -> tuple[LayerStatus, ...]:
    if not found:
        return before.layers if before else ()
    known = {one.name: one for one in before.layers} if before else {}
    return tuple(_layer(one, known.get(one.name), stamp(now)) for one in found)


def _layer(one: LayerStatus, before: LayerStatus | None, now: str) -> LayerStatus:
    since = before.since if before is not None and before.state == one.state and before.since else now
    return replace(one, message=one.message[:MESSAGE], since=since)


def _held(held: Held | None) -> Held | None:
    return Held(held.reason, held.message[:MESSAGE], held.consent, held.items, about=held.about) if held else None


def _plan(report: Report) -> PlanView:
    changes = report.plan.changes
    held = [f"{change.ref}: {change.why}"[:MESSAGE] for change in changes if change.action == "hold"][:SHOWN]
    if report.held and not held:
        held = [report.held.message[:MESSAGE]]  # a removal is held as a whole
    told = sorted((one for one in changes if one.action not in _QUIET), key=lambda one: _FIRST.get(one.action, 3))
    return PlanView(
        counts=dict(sorted(Counter(change.action for change in changes).items())),
        changes=tuple(_change(one) for one in told[:SHOWN]),
        held=tuple(held),
        unknown={name: why[:MESSAGE] for name, why in list(report.plan.unknown.items())[:SHOWN]},
    )


def _change(one: Change) -> ChangeView:
    return ChangeView(one.action, str(one.target), str(one.ref), one.layer, one.why[:MESSAGE])
