"""The status objects on the home cluster: written only when they changed, and only with what was read back (T1)."""

import threading
import time
from collections.abc import Mapping
from typing import Any

from reconciler.errors import ApiError, ErrorClass
from reconciler.kube.client import Client
from reconciler.model import Condition, Held, Object, ObjectRef, Report, SourceReport
from reconciler.report import log
from reconciler.report.transitions import Told

API = "nidus.dev/v1alpha1"
MESSAGE = 1024
ITEMS = 500  # lines of a consent; a longer one is approved by its digest alone
SHOWN = 50  # violations and changes kept in a status object


class Statuses:
    """What stands in the status objects, and the writes that keep it so. One lock a process: writes are rare."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._lock = threading.Lock()
        self._written: dict[tuple[str, str], dict[str, Any]] = {}

    def load(self) -> None:
        """Read what stands there, so that a restart writes nothing that is already said."""
        for kind in ("NestedCluster", "Source"):
            objects, _ = self._client.list("nidus.dev", kind, namespace=self._namespace)
            for item in objects:
                self._written[kind, str(item["metadata"]["name"])] = dict(item.get("status") or {})

    def applied(self, cluster: str) -> str:
        """The applied revision as it was last said."""
        return str(self._written.get(("NestedCluster", cluster), {}).get("revision", {}).get("applied", ""))

    def said(self, cluster: str) -> Mapping[str, Any]:
        """The status of a cluster as it was last written."""
        return self._written.get(("NestedCluster", cluster), {})

    def generation(self, source: str) -> int:
        """The generation of a source that was answered last (W3)."""
        return int(self._written.get(("Source", source), {}).get("generation", 0))

    def told(self, cluster: str) -> Told:
        """What stands there of a cluster."""
        known = self._written.get(("NestedCluster", cluster), {})
        layers = {str(layer["name"]): str(layer.get("health", "")) for layer in known.get("layers", ())}
        return Told(str(known.get("status", "")), layers)

    def cluster(self, report: Report, source: str, path: str, extra: Mapping[str, Any]) -> None:
        """Say what a pass came to. Raises ApiError."""
        previous = self._written.get(("NestedCluster", report.cluster), {})
        status = {**_cluster_status(report, previous), **extra}
        self._put("NestedCluster", report.cluster, {"source": source, "file": path}, status)

    def source(self, report: SourceReport, spec: Mapping[str, Any]) -> None:
        previous = self._written.get(("Source", report.source), {})
        self._put("Source", report.source, spec, _source_status(report, previous))

    def gone(self, cluster: str) -> None:
        """The cluster is over: so is its status object."""
        ref = ObjectRef("nidus.dev", "NestedCluster", self._namespace, cluster)
        found = self._client.get(ref)
        if found is not None:
            self._client.delete(ref, uid=str(found["metadata"]["uid"]))
        self._written.pop(("NestedCluster", cluster), None)

    def _put(self, kind: str, name: str, spec: Mapping[str, Any], status: dict[str, Any]) -> None:
        spec, status = log.shown(spec), log.shown(status)
        with self._lock:
            known = self._written.get((kind, name))
            if known == status:
                return
            try:
                self._write(kind, name, spec if not known else None, status)
            except ApiError as error:
                if error.kind is not ErrorClass.ABSENT or not known:
                    raise
                self._write(
                    kind, name, spec, status
                )  # somebody deleted the object: it is only a report, and comes back
            self._written[kind, name] = status

    def _write(self, kind: str, name: str, spec: Mapping[str, Any] | None, status: dict[str, Any]) -> None:
        """Write the status; the object itself before, where `spec` is given."""
        metadata = {"name": name, "namespace": self._namespace}
        body: Object = {"apiVersion": API, "kind": kind, "metadata": metadata}
        if spec is not None:
            self._client.apply({**body, "spec": dict(spec)}, force=True)
        self._client.patch_status(ObjectRef("nidus.dev", kind, self._namespace, name), {**body, "status": status})


def _cluster_status(report: Report, previous: Mapping[str, Any]) -> dict[str, Any]:
    applied = str(report.revision) if report.word == "Ready" else previous.get("revision", {}).get("applied", "")
    revision = {"attempted": str(report.revision), **({"applied": applied} if applied else {})}
    status: dict[str, Any] = {
        "status": report.word,
        "revision": revision,
        "layers": [_layer(layer) for layer in report.layers],
        "conditions": _conditions(report.conditions, previous.get("conditions", ())),
        "plan": _plan(report),
    }
    if report.endpoint:
        status["endpoint"] = report.endpoint
    return status


def _layer(layer: Any) -> dict[str, Any]:
    shown = {"name": layer.name, "target": layer.target, "health": layer.state, "objects": layer.objects}
    return {**shown, **({"message": layer.message[:MESSAGE]} if layer.message else {})}


def _plan(report: Report) -> dict[str, Any]:
    held = [change for change in report.plan.changes if change.action == "hold"]
    plan: dict[str, Any] = {"held": [f"{change.ref}: {change.reason}"[:MESSAGE] for change in held[:SHOWN]]}
    if report.held:
        plan["held"] = plan["held"] or [report.held.message[:MESSAGE]]  # a removal is held as a whole
        plan.update(_consent(report.held))
    return plan


def _consent(held: Held) -> dict[str, Any]:
    """What approves a hold: its digest, and its items, so that a set that shrank meanwhile is still approved (P7)."""
    return {"digest": held.consent, **({"items": list(held.items)} if 0 < len(held.items) <= ITEMS else {})}


def _conditions(conditions: tuple[Condition, ...], previous: Any) -> list[dict[str, str]]:
    """Conditions with the time each last turned; a condition that did not turn keeps its time."""
    known = {item["type"]: item for item in previous}
    now = stamp(time.time())
    shown = []
    for one in conditions:
        before = known.get(one.type)
        since = before["lastTransitionTime"] if before and before["status"] == one.status else now
        message = one.message[:MESSAGE]
        shown.append(
            {
                "type": one.type,
                "status": one.status,
                "reason": one.reason,
                "message": message,
                "lastTransitionTime": since,
            }
        )
    return shown


def _source_status(report: SourceReport, previous: Mapping[str, Any]) -> dict[str, Any]:
    violations = [
        {"file": one.path, "line": one.line, "column": one.column, "code": one.code, "message": one.message[:MESSAGE]}
        for one in report.violations[:SHOWN]
    ]
    status: dict[str, Any] = {
        "revision": str(report.revision) if report.revision else previous.get("revision", ""),
        "accepted": report.accepted,
        "rejected": report.rejected,
        "violations": violations,
        "violationCount": len(report.violations),
        "generation": max(report.generation, int(previous.get("generation", 0))),
        "error": report.error[:MESSAGE],
        "trigger": report.trigger,
        "stages": {name: stamp(at) for name, at in report.stages},
    }
    if report.trigger == "start" and status["revision"] == previous.get("revision"):
        kept = {name: previous[name] for name in ("trigger", "stages") if name in previous}
        status.update(kept)  # a restart is no news: the story of the commit stays as it was told
    if report.held:
        status["held"] = {
            "reason": report.held.reason,
            "message": report.held.message[:MESSAGE],
            **_consent(report.held),
        }
    return status


def stamp(at: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at * 1000) % 1000:03d}Z"
