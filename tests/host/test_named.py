"""Four more of the main promises as tests, against the real API server, with the shipped account."""

import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.host.field import Field, config_map, namespace, nested_cluster, profile

pytestmark = pytest.mark.host


def _profile(field: Field, version: str, objects: list[dict[str, Any]]) -> None:
    packs = [{"name": "web", "manifests": {"objects": [namespace(), *objects]}}]
    field.write("profiles/web.yaml", profile("web", version, packs))


def _cluster(field: Field, suffix: str = "a", version: str = "1.x") -> str:
    name = field.cluster(suffix)
    field.write(f"clusters/{suffix}.yaml", nested_cluster(name, profiles=[{"name": "web", "version": version}]))
    return name


def test_failed_delete_stays_in_inventory(shared_field: Field) -> None:
    """A delete that the API refuses leaves the entry where it is; once it is allowed, the object goes (I2, kustomize-controller #1664)."""
    field = shared_field
    _profile(field, "1.0.0", [config_map("kept"), config_map("doomed")])
    name = _cluster(field)
    field.push()
    field.start()
    field.wait(name)
    inside = field.inside(name)
    fence = _deny_delete(field, name)
    for body in fence:
        inside.apply(body)
    field.until("the fence stands", lambda: _refused(inside, name))

    _profile(field, "1.0.0", [config_map("kept")])
    field.push("doomed goes")
    controller = field.controller
    assert controller
    field.until("the delete was refused", lambda: any(line["event"] == "Denied" for line in controller.lines()))
    assert "doomed" in {entry.ref.name for entry in field.entries(name)}
    assert inside.get("v1", "ConfigMap", "doomed", f"{name}-web")

    for body in fence:
        inside.delete(body["apiVersion"], body["kind"], body["metadata"]["name"])
    field.until("doomed is gone", lambda: inside.get("v1", "ConfigMap", "doomed", f"{name}-web") is None)
    field.until("its entry too", lambda: "doomed" not in {entry.ref.name for entry in field.entries(name)})


def _deny_delete(field: Field, name: str) -> list[dict[str, Any]]:
    api, title = "admissionregistration.k8s.io/v1", f"{field.account.name}-no-delete"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["configmaps"]}
    about = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": [f"{name}-web"]}]}
    spec = {
        "matchConstraints": {"resourceRules": [rule], "namespaceSelector": about},
        "validations": [{"expression": "oldObject.metadata.name != 'doomed' && oldObject.metadata.name != 'probe'"}],
    }
    binding = {"policyName": title, "validationActions": ["Deny"]}
    return [
        {"apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": title}, "spec": spec},
        {"apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": title}, "spec": binding},
    ]


def _refused(inside: Any, name: str) -> bool:
    """Whether the policy is enforced already: it takes the API server a moment."""
    from devhost.api import ApiError

    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "namespace": f"{name}-web"}}
    inside.apply(body)
    try:
        inside.delete("v1", "ConfigMap", "probe", f"{name}-web")
    except ApiError:
        return True
    return False


def test_one_bad_file_does_not_stop_others(shared_field: Field) -> None:
    """One broken file among twelve stops only its cluster, and every mistake is listed with its place (V3, V4)."""
    field = shared_field
    _profile(field, "1.0.0", [config_map("greeting", text="one")])
    names = [_cluster(field, f"c{number:02}") for number in range(12)]
    head = f"apiVersion: nidus.dev/v1alpha1\nkind: NestedCluster\nmetadata: {{name: {names[7]}}}\n"
    field.write("clusters/c07.yaml", head + "spec:\n  expose: {type: Nowhere}\n  quota: {pods: many}\n")
    commit = field.push()
    controller = field.start()
    field.wait_read(commit)
    field.until("the others are Ready", lambda: list(controller.words().values()).count("Ready") == 11, 180)
    assert controller.words()[names[7]] == "Invalid"
    found = {(one["file"], one["line"]) for one in field.source()["violations"]}
    assert found == {("clusters/c07.yaml", 5), ("clusters/c07.yaml", 6)}
    assert field.admin.get("v1", "Namespace", f"vcluster-{names[7]}") is None


@pytest.mark.timeout(600)
@pytest.mark.parametrize("every", [20, pytest.param(1, marks=pytest.mark.long)])
def test_kill_anywhere_converges(shared_field: Field, every: int) -> None:
    """kill -9 after every n-th write seen in the audit log, until a run needs no more writes: the end is that of an uncrashed run (I5)."""
    field = shared_field
    _profile(field, "1.0.0", [config_map("greeting", text="one"), config_map("second", text="two")])
    name, calm = _cluster(field, "a"), _cluster(field, "b")
    field.remove("clusters/b.yaml")
    field.push()
    field.hurry()
    kills = 0
    while not _killed_after(field, every, name):
        kills += 1
        assert kills < 80
    assert kills >= 1
    assert field.controller
    field.controller.stop()
    field.calm()
    field.start()
    field.write("clusters/b.yaml", nested_cluster(calm, profiles=[{"name": "web", "version": "1.x"}]))
    field.push("the same once more, undisturbed")
    field.wait(calm)
    assert _shape(field, name) == _shape(field, calm)
    assert {entry.state for entry in field.entries(name)} == {"owned"}


def _killed_after(field: Field, writes: int, name: str) -> bool:
    """Run the controller until it has written so often, then kill it; True if the cluster was Ready and quiet before that."""
    audit = field.account.audit.now()
    field.controller = controller = _started(field)
    quiet_since = time.monotonic()
    count = 0
    while True:
        assert time.monotonic() - quiet_since < 60, controller.tail()
        now = len(field.writes(audit))
        if (
            now >= writes or controller.process.poll() is not None
        ):  # on a busy machine it may lose the short Lease, and ends
            controller.kill()
            return False
        if now != count:
            count, quiet_since = now, time.monotonic()
        if time.monotonic() - quiet_since > 8 and field.word(name) == "Ready":
            return True
        time.sleep(0.002)


def _started(field: Field) -> Any:
    from devhost import stage

    return stage.start(field.stage, field.account.kubeconfig, namespace=field.account.namespace)


def _shape(field: Field, name: str) -> set[tuple[str, str]]:
    """What stands on the host and inside, less the cluster's name."""
    found = set()
    for entry in field.entries(name):
        target = "inside" if entry.target.nested else "host"
        found.add((target, str(entry.ref).replace(name, "NAME")))
        client = field.inside(name) if entry.target.nested else field.admin
        api = {"": "v1", "apps": "apps/v1"}.get(entry.ref.group, f"{entry.ref.group}/v1")
        live = client.get(api, entry.ref.kind, entry.ref.name, entry.ref.namespace)
        assert live and live["metadata"]["uid"] == entry.uid, entry.ref
    return found


def test_plan_equals_apply(shared_field: Field) -> None:
    """What `nidus plan` shows is what the sync does: same objects, same actions (P6)."""
    field = shared_field
    _profile(field, "1.0.0", [config_map("changed", text="one"), config_map("doomed"), config_map("same")])
    name = _cluster(field)
    field.push()
    controller = field.start()
    field.wait(name)
    _profile(field, "1.0.0", [config_map("changed", text="two"), config_map("same"), config_map("new")])
    planned = {
        (change["action"], _named(change["object"]))
        for plan in _plan(field)["clusters"]
        for change in plan["changes"]
        if change["action"] not in ("unchanged", "skip")
    }
    commit = field.push("as planned")
    field.wait_applied(name, commit)
    field.quiet()
    done = {
        (_ACTIONS[line["event"]], line["object"])
        for line in controller.lines()
        if line["event"] in _ACTIONS and commit in line["revision"]
    }
    assert planned == done
    assert len(planned) == 3


def _named(ref: dict[str, str]) -> str:
    kind = f"{ref['kind']}.{ref['group']}" if ref["group"] else ref["kind"]
    return "/".join(part for part in (kind, ref["namespace"], ref["name"]) if part)


_ACTIONS = {"Created": "create", "Configured": "configure", "Deleted": "delete", "Replaced": "replace"}


def _plan(field: Field) -> dict[str, Any]:
    words = [
        sys.executable,
        "-m",
        "reconciler",
        "plan",
        str(field.stage.repository.work),
        "--config",
        str(field.stage.config),
    ]
    environment = {
        **os.environ,
        "KUBECONFIG": str(field.account.kubeconfig),
        "NIDUS_SERVICE_ACCOUNT": f"{field.account.namespace}:nidus",
    }
    words += ["-n", field.account.namespace, "-o", "json"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))
