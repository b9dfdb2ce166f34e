"""Converts views to status objects and back. Pure: times are in the views."""

import calendar
import time
from collections.abc import Mapping
from typing import Any

from reconciler.model import Held, LayerStatus, Object
from reconciler.report.view import MESSAGE, SHOWN, ClusterView, ConditionView, SourceView, stamp

ITEMS = 500  # lines of a consent; a longer one is approved by its digest alone
Body = tuple[dict[str, Any], dict[str, Any]]


def cluster(one: ClusterView) -> Body:
    """(spec, status) of a NestedCluster object."""
    revision = {"attempted": one.attempted, **({"applied": one.applied} if one.applied else {})}
    status: dict[str, Any] = {
        "status": one.word,
        "revision": revision,
        "layers": [_layer(layer) for layer in one.layers],
        "conditions": [_condition(condition) for condition in one.conditions],
        "plan": {"held": list(one.plan.held), **(_consent(one.held) if one.held else {})},
        **({"endpoint": one.endpoint} if one.endpoint else {}),
        **one.extra,
    }
    return {"source": one.source, "file": one.file}, status


def source(one: SourceView) -> Body:
    """(spec, status) of a Source object. The time of the last fetch is written only while the source cannot be fetched;
    otherwise it is less than an interval ago."""
    status: dict[str, Any] = {
        "revision": one.revision,
        "accepted": one.accepted,
        "rejected": one.rejected,
        "violations": [
            {"file": v.path, "line": v.line, "column": v.column, "code": v.code, "message": v.message[:MESSAGE]}
            for v in one.violations[:SHOWN]
        ],
        "violationCount": one.violation_count,
        "generation": one.generation,
        "error": one.error,
        "trigger": one.trigger,
        "stages": {name: stamp(at) for name, at in one.stages},
        **({"fetched": stamp(one.fetched)} if one.error and one.fetched else {}),
        **({"renderWorkers": one.confined} if one.confined else {}),
    }
    if one.held:
        status["held"] = {"reason": one.held.reason, "message": one.held.message, **_consent(one.held)}
    return {"url": one.url, "branch": one.branch, "path": one.path}, status


def read_cluster(item: Object) -> ClusterView:
    """The view in the status object of a cluster, for a process that starts. Fields of another form are left out."""
    spec, status = _mapping(item.get("spec")), _mapping(item.get("status"))
    revision = _mapping(status.get("revision"))
    return ClusterView(
        cluster=str(item["metadata"]["name"]),
        word=_text(status, "status"),
        source=_text(spec, "source"),
        file=_text(spec, "file"),
        attempted=_text(revision, "attempted"),
        applied=_text(revision, "applied"),
        conditions=tuple(_read_condition(one) for one in _mappings(status.get("conditions"))),
        layers=tuple(
            LayerStatus(_text(one, "name"), _text(one, "target"), _text(one, "health"), _text(one, "message"))
            for one in _mappings(status.get("layers"))
        ),
        endpoint=_text(status, "endpoint"),
    )


def read_source(item: Object) -> SourceView:
    """The view in the status object of a source, for a process that starts."""
    status = _mapping(item.get("status"))
    stages = [(name, at) for name, text in _mapping(status.get("stages")).items() if (at := _seconds(text))]
    generation = status.get("generation")
    return SourceView(
        source=str(item["metadata"]["name"]),
        revision=_text(status, "revision"),
        generation=generation if isinstance(generation, int) else 0,
        trigger=_text(status, "trigger"),
        stages=tuple(sorted(stages, key=lambda one: one[1])),
        fetched=_seconds(status.get("fetched")) or dict(stages).get("fetched", 0.0),
        error=_text(status, "error"),
        confined=_text(status, "renderWorkers"),
    )


def _layer(layer: LayerStatus) -> dict[str, Any]:
    shown = {"name": layer.name, "target": layer.target, "health": layer.state, "objects": layer.objects}
    return {**shown, **({"message": layer.message} if layer.message else {})}


def _condition(one: ConditionView) -> dict[str, str]:
    told = {"type": one.type, "status": one.status, "reason": one.reason, "message": one.message}
    return {**told, "lastTransitionTime": one.since}


def _read_condition(one: Mapping[str, Any]) -> ConditionView:
    kind, status, reason = _text(one, "type"), _text(one, "status"), _text(one, "reason")
    return ConditionView(kind, status, reason, _text(one, "message"), _text(one, "lastTransitionTime"))


def _consent(held: Held) -> dict[str, Any]:
    """What approves a hold: its digest and its items, so that a set that became smaller is still approved (P7)."""
    return {"digest": held.consent, **({"items": list(held.items)} if 0 < len(held.items) <= ITEMS else {})}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    return value if isinstance(value, str) else ""


def _seconds(text: Any) -> float:
    """Seconds since the epoch of a stamp of ours; 0 for anything else."""
    try:
        whole, _, rest = str(text).removesuffix("Z").partition(".")
        return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{rest or 0}")
    except ValueError:
        return 0.0
