"""What a restore makes on the host: the pod of the engine's own command, its options, and a claim where there is none (O9). Pure.

The pod is that of `vcluster restore` (vCluster 0.36, pkg/snapshot/pod/pod.go), made from the template of the engine's StatefulSet. The
engine keeps the store of before only until its command ends, and loses it where that is killed, so a container before it copies the
files of the store (pkg/constants: /data/state.db) on the same volume, once for each restore; the way back copies them again.
"""

import base64
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from reconciler.engine.network import RESTORES
from reconciler.errors import one_line
from reconciler.health.reading import rows, section
from reconciler.model import Bundle, Keys, Object, ObjectRef, Record, Restore
from reconciler.operations import backup
from reconciler.plan import mark

OPTIONS, ENV = "options", "VCLUSTER_STORAGE_OPTIONS"
_LOOP = "for f in state.db state.db-wal state.db-shm; do"
KEEP = f"""set -eu
cd "$0"; kept=".nidus-restore/$1"
[ -e "$kept/whole" ] && exit 0
rm -rf .nidus-restore; mkdir -p "$kept"
{_LOOP} if [ -e "$f" ]; then cp -p "$f" "$kept/$f"; fi; done
sync; : > "$kept/whole"; sync"""
BACK = f"""set -eu
cd "$0"; kept=".nidus-restore/$1"
[ -e "$kept/whole" ] || exit 0
{_LOOP} if [ -e "$kept/$f" ]; then cp -p "$kept/$f" "$f.nidus"; sync; mv -f "$f.nidus" "$f"; else rm -f "$f"; fi; done
sync"""
_COPIED = ("nodeSelector", "affinity", "tolerations", "securityContext", "imagePullSecrets", "serviceAccountName")
_CONTAINER = ("image", "imagePullPolicy", "resources", "securityContext", "volumeMounts")


def pod_ref(run: Restore, bundle: Bundle) -> ObjectRef:
    return ObjectRef("", "Pod", bundle.namespace, f"{bundle.cluster}-restore-{run.id}{'-back' if run.back else ''}")


def refs(run: Restore, bundle: Bundle) -> tuple[ObjectRef, ...]:
    """Everything that a restore makes and that goes again: both pods, and the Secret with the options."""
    name = f"{bundle.cluster}-restore-{run.id}"
    pods = [ObjectRef("", "Pod", bundle.namespace, one) for one in (name, f"{name}-back")]
    return (*pods, ObjectRef("", "Secret", bundle.namespace, name))


def names(record: Record, bundle: Bundle) -> tuple[str, ...]:
    """The pods of the restore under way, which are not the tenant's."""
    run = record.restores.running if record.restores is not None else None
    return tuple(one.name for one in refs(run, bundle) if one.kind == "Pod") if run is not None else ()


def claim_ref(bundle: Bundle) -> ObjectRef:
    """The volume claim of the engine's store."""
    return ObjectRef("", "PersistentVolumeClaim", bundle.namespace, f"data-{bundle.cluster}-0")


def secret(run: Restore, bundle: Bundle, keys: Keys) -> Object:
    """The options of the engine's command, which hold the credentials."""
    options = base64.b64encode(msgspec.json.encode(backup.options(run.location, run.key, keys), order="deterministic"))
    name = f"{bundle.cluster}-restore-{run.id}"
    data = {OPTIONS: base64.b64encode(options).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": _meta(name, bundle), "type": "Opaque", "data": data}


class Engine(Struct, frozen=True):
    """The parts of the engine's live StatefulSet that the pod and the claim are made from; `path`: where its volume is mounted."""

    template: Object
    syncer: Object
    path: str
    claim: Object
    labels: Mapping[str, str]


def engine(live: Object | None) -> Engine | str:
    """The parts of a live StatefulSet, or what it lacks of those that the engine's chart makes."""
    template = section(live or {}, "spec", "template", "spec")
    syncer = next((one for one in rows(template, "containers") if one.get("name") == "syncer"), {})
    path = next((one.get("mountPath") for one in rows(syncer, "volumeMounts") if one.get("name") == "data"), "")
    claim = next(iter(rows(section(live or {}, "spec"), "volumeClaimTemplates")), None)
    if live is None:
        return "the engine's StatefulSet is not there"
    if not path or claim is None:
        return "the engine's StatefulSet has no container syncer with a volume data that it claims"
    return Engine(template, syncer, str(path), claim, section(live, "spec", "selector", "matchLabels"))


def pod(run: Restore, bundle: Bundle, engine: Engine) -> Object:
    """The pod that writes the store from the archive, or that copies the one of before back."""
    template, syncer, path = engine.template, engine.syncer, engine.path
    keep = _shell("keep", KEEP, path, run, syncer)
    spec: dict[str, Any] = {key: template[key] for key in _COPIED if key in template}
    spec |= {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "enableServiceLinks": False}
    spec["volumes"] = _volumes(template, bundle)
    if run.back:
        spec["automountServiceAccountToken"] = False
        spec["containers"] = [_shell("back", BACK, path, run, syncer)]
    else:
        first = [] if run.fresh else [keep]
        spec["initContainers"] = [*first, *rows(template, "initContainers")]
        spec["containers"] = [_command(run, bundle, syncer)]
    labels = {"app": RESTORES, "release": bundle.cluster}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _meta(pod_ref(run, bundle).name, bundle, labels),
        "spec": spec,
    }


def claim(bundle: Bundle, engine: Engine) -> Object:
    """The claim as the StatefulSet would make it."""
    ref = claim_ref(bundle)
    labels = {**engine.labels, **section(engine.claim, "metadata", "labels")}
    metadata = {"name": ref.name, "namespace": ref.namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": ref.kind, "metadata": metadata, "spec": section(engine.claim, "spec")}


def verdict(live: Object) -> tuple[str, str]:
    """("", "") while the pod runs, ("done", "") once it ended well, ("failed", why) else."""
    status = section(live, "status")
    phase = status.get("phase")
    if phase == "Succeeded":
        return "done", ""
    if phase != "Failed":
        return "", ""
    states = [*rows(status, "initContainerStatuses"), *rows(status, "containerStatuses")]
    for one in states:
        ended = section(one, "state", "terminated")
        if ended and ended.get("exitCode") != 0:
            told = one_line(ended.get("message") or ended.get("reason") or "", 200)
            return (
                "failed",
                f"container {one_line(one.get('name'), 40)} ended with {ended.get('exitCode')}: {told}".rstrip(": "),
            )
    return "failed", one_line(status.get("message") or status.get("reason") or "its pod failed", 200)


def ours(live: Object) -> bool:
    """Whether we made the pod: no engine may write our labels."""
    return section(live, "metadata", "labels").get(mark.MANAGED_BY) == "nidus"


def waits(live: Object) -> str:
    """Why the pod does not run yet, "" where nothing says so."""
    status = section(live, "status")
    for one in [*rows(status, "initContainerStatuses"), *rows(status, "containerStatuses")]:
        waiting = section(one, "state", "waiting")
        if waiting.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
            return one_line(f"{waiting['reason']}: {waiting.get('message') or ''}", 200).rstrip(": ")
    unmet = [
        one for one in rows(status, "conditions") if one.get("type") == "PodScheduled" and one.get("status") == "False"
    ]
    return one_line(unmet[0].get("message"), 200) if unmet else ""


def untouched(live: Object) -> bool:
    """Whether the pod surely wrote nothing: it kept no copy yet, and that comes first."""
    first = next(iter(rows(section(live, "status"), "initContainerStatuses")), None)
    if first is None:
        return section(live, "status").get("phase") == "Pending"
    ended = section(first, "state", "terminated")
    return first.get("name") == "keep" and (not ended or ended.get("exitCode") != 0)


def _command(run: Restore, bundle: Bundle, syncer: Object) -> Object:
    env = [one for one in rows(syncer, "env") if one.get("name") not in ("POD_NAME", ENV)]
    given = {"secretKeyRef": {"name": f"{bundle.cluster}-restore-{run.id}", "key": OPTIONS}}
    env += [{"name": ENV, "valueFrom": given}, {"name": "POD_NAME", "value": f"{bundle.cluster}-0"}]
    more = {"envFrom": syncer["envFrom"]} if "envFrom" in syncer else {}
    command = ["/vcluster", "restore", *(["--new-vcluster"] if run.clone else [])]
    return {"name": "snapshot", "command": command, "env": env, **more, **_shared(syncer)}


def _shell(name: str, script: str, path: str, run: Restore, syncer: Object) -> Object:
    return {"name": name, "command": ["sh", "-c", script, path, run.id], **_shared(syncer)}


def _shared(syncer: Object) -> dict[str, Any]:
    return {key: syncer[key] for key in _CONTAINER if key in syncer} | {
        "terminationMessagePolicy": "FallbackToLogsOnError"
    }


def _volumes(template: Mapping[str, Any], bundle: Bundle) -> list[Any]:
    own = list(rows(template, "volumes"))
    if any(one.get("name") == "data" for one in own):
        return own
    return [*own, {"name": "data", "persistentVolumeClaim": {"claimName": claim_ref(bundle).name}}]


def _meta(name: str, bundle: Bundle, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    ours = {mark.MANAGED_BY: "nidus", f"{mark.HOST}/cluster": bundle.cluster}
    return {"name": name, "namespace": bundle.namespace, "labels": {**ours, **(labels or {})}}
