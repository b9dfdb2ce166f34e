"""Converts views to status objects and back. Pure: times are in the views."""

import calendar
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import asdict

from reconciler.model import Authored, Held, LayerStatus, Link, Object, ObjectRef, Violation
from reconciler.report import life
from reconciler.report.life import stamp
from reconciler.report.view import (
    MESSAGE,
    NO_VERSIONS,
    SHOWN,
    ClusterView,
    ConditionView,
    PlanView,
    RunningView,
    SourceView,
)

ITEMS = 500  # lines of a consent; a longer one is approved by its digest alone
Body = tuple[dict[str, Any], dict[str, Any]]


def cluster(one: ClusterView) -> Body:
    """(spec, status) of a NestedCluster object."""
    revision = {
        "attempted": one.attempted,
        **({"applied": one.applied} if one.applied else {}),
        **authored(one.authored),
    }
    status: dict[str, Any] = {
        "status": one.word,
        **({"since": one.since} if one.since else {}),
        "revision": revision,
        "layers": [layer(each) for each in one.layers],
        "conditions": [_condition(condition) for condition in one.conditions],
        "plan": {"held": list(one.plan.held), **(_consent(one.held) if one.held else {})},
        **({"endpoint": one.endpoint} if one.endpoint else {}),
        **({"layersSeen": one.seen} if one.seen else {}),
        **({"host": one.host} if one.host else {}),
        **({"labels": dict(one.labels)} if one.labels else {}),
        **({"versions": _plain(one.versions)} if one.versions != NO_VERSIONS else {}),
        **({"profiles": list(one.profiles)} if one.profiles else {}),
        **_plain(one.life),
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
        **({"configuration": one.configuration[:MESSAGE]} if one.configuration else {}),
        **({"commit": authored(one.authored)} if one.authored else {}),
        **({"changing": list(one.changing)} if one.changing else {}),
    }
    if one.held:
        status["held"] = {"reason": one.held.reason, "message": one.held.message, **_consent(one.held)}
    return {"url": one.url, "branch": one.branch, "path": one.path}, status


def read_cluster(item: Object) -> ClusterView:
    """The view in the status object of a cluster, for a process that starts and for verbs. Fields of another form are left out."""
    spec, status = _mapping(item.get("spec")), _mapping(item.get("status"))
    revision, plan = _mapping(status.get("revision")), _mapping(status.get("plan"))
    held = _strings(plan.get("held"))
    return ClusterView(
        cluster=str(item["metadata"]["name"]),
        word=_text(status, "status"),
        since=_text(status, "since"),
        source=_text(spec, "source"),
        file=_text(spec, "file"),
        attempted=_text(revision, "attempted"),
        applied=_text(revision, "applied"),
        conditions=tuple(_read_condition(one) for one in _mappings(status.get("conditions"))),
        layers=tuple(_read_layer(one) for one in _mappings(status.get("layers"))),
        plan=PlanView(held=held),
        held=_read_held(plan, "; ".join(held)) if held else None,
        endpoint=_text(status, "endpoint"),
        host=_text(status, "host"),
        labels={key: text for key, text in _mapping(status.get("labels")).items() if isinstance(text, str)},
        versions=_read_versions(_mapping(status.get("versions"))),
        profiles=_strings(status.get("profiles")),
        life=life.read(status),
        authored=_read_authored(revision),
        seen=_text(status, "layersSeen"),
    )


def read_source(item: Object) -> SourceView:
    """The view in the status object of a source, for a process that starts and for verbs."""
    spec, status = _mapping(item.get("spec")), _mapping(item.get("status"))
    stages = [(name, at) for name, text in _mapping(status.get("stages")).items() if (at := _seconds(text))]
    held = _mapping(status.get("held"))
    return SourceView(
        source=str(item["metadata"]["name"]),
        url=_text(spec, "url"),
        branch=_text(spec, "branch"),
        path=_text(spec, "path"),
        revision=_text(status, "revision"),
        accepted=_number(status, "accepted"),
        rejected=_number(status, "rejected"),
        violations=tuple(_read_violation(one) for one in _mappings(status.get("violations"))),
        violation_count=_number(status, "violationCount"),
        generation=_number(status, "generation"),
        trigger=_text(status, "trigger"),
        stages=tuple(sorted(stages, key=lambda one: one[1])),
        fetched=_seconds(status.get("fetched")) or dict(stages).get("fetched", 0.0),
        error=_text(status, "error"),
        held=_read_held(held, _text(held, "message")) if held else None,
        confined=_text(status, "renderWorkers"),
        configuration=_text(status, "configuration"),
        authored=_read_authored(_mapping(status.get("commit"))),
        changing=_strings(status.get("changing")),
    )


def _link(one: Link) -> dict[str, Any]:
    return {key: value for key, value in asdict(one).items() if value}


def layer(one: LayerStatus) -> dict[str, Any]:
    """One layer, without what is not known."""
    shown = {"name": one.name, "target": one.target, "health": one.state, "objects": one.objects}
    ref, more = one.ref, {"message": one.message, "since": one.since}
    return {
        **shown,
        **{key: value for key, value in more.items() if value},
        **({"object": {key: value for key, value in asdict(ref).items() if value}} if ref else {}),
        **({"causes": [_link(each) for each in one.causes]} if one.causes else {}),
    }


def _read_layer(one: Mapping[str, Any]) -> LayerStatus:
    ref = _mapping(one.get("object"))
    return LayerStatus(
        _text(one, "name"),
        _text(one, "target"),
        _text(one, "health"),
        _text(one, "message"),
        _number(one, "objects"),
        ObjectRef(*(_text(ref, key) for key in ("group", "kind", "namespace", "name"))) if ref else None,
        tuple(_read_link(each) for each in _mappings(one.get("causes"))),
        _text(one, "since"),
    )


def _read_link(one: Mapping[str, Any]) -> Link:
    texts = {key: _text(one, key) for key in ("kind", "namespace", "name", "state", "message", "since", "image")}
    return Link(**texts, restarts=_number(one, "restarts"))


def _read_versions(one: Mapping[str, Any]) -> RunningView:
    return RunningView(_text(one, "engine"), _text(one, "kubernetes"), _strings(one.get("steps")))


def _read_violation(one: Mapping[str, Any]) -> Violation:
    line, column = _number(one, "line"), _number(one, "column")
    return Violation(_text(one, "file"), line, column, _text(one, "code"), _text(one, "message"))


def authored(one: Authored | None) -> dict[str, str]:
    """Who wrote a commit; the fields go beside its name."""
    if one is None:
        return {}
    signed = {"signer": one.signer} if one.signer else {}
    return {"author": one.author, "subject": one.subject, "written": stamp(one.at), **signed}


def _read_authored(one: Mapping[str, Any]) -> Authored | None:
    author = _text(one, "author")
    if not author:
        return None
    return Authored(author, _text(one, "subject"), _seconds(one.get("written")), _text(one, "signer"))


def _condition(one: ConditionView) -> dict[str, str]:
    told = {"type": one.type, "status": one.status, "reason": one.reason, "message": one.message}
    return {**told, "lastTransitionTime": one.since}


def _read_condition(one: Mapping[str, Any]) -> ConditionView:
    kind, status, reason = _text(one, "type"), _text(one, "status"), _text(one, "reason")
    return ConditionView(kind, status, reason, _text(one, "message"), _text(one, "lastTransitionTime"))


def _consent(held: Held) -> dict[str, Any]:
    """What approves a hold: its digest, its items, so that a set that became smaller is still approved (P7), and whom it concerns."""
    items = {"items": list(held.items)} if 0 < len(held.items) <= ITEMS else {}
    return {"digest": held.consent, **items, **({"clusters": list(held.about[:ITEMS])} if held.about else {})}


def _read_held(one: Mapping[str, Any], message: str) -> Held:
    items, about = _strings(one.get("items")), _strings(one.get("clusters"))
    return Held(_text(one, "reason"), message, _text(one, "digest"), items, about=about)


def _plain(one: msgspec.Struct) -> dict[str, Any]:
    """A value as a server gives it back, with lists: what is written is compared with what is there."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(one))
    return plain


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _strings(value: Any) -> tuple[str, ...]:
    return tuple(one for one in _list(value) if isinstance(one, str))


def _number(body: Mapping[str, Any], key: str) -> int:
    value = body.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


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
