"""Drift: what is ours is put back, what is somebody else's is left, and nobody is fought for ever (R1-R4, A1)."""

import subprocess
from typing import Any

import pytest

from devhost.api import Client
from tests.host.field import Field, config_map, nested_cluster, profile
from tests.host.field import namespace as inner
from tests.host.promises import nidus, standing, told, write_cluster, write_profile

pytestmark = pytest.mark.host


def test_a_host_field_edited_by_hand_is_put_back(shared_field: Field) -> None:
    """`kubectl edit` of an owned field: corrected by the watch, at once; what the human added stays (A1)."""
    field = shared_field
    name, _ = standing(field, "kept")
    home = f"vcluster-{name}"
    before = field.admin.get("v1", "Service", name, home)
    assert before
    _edit(field, home, f"service/{name}", "s/heritage: Helm/heritage: Hand\\n    theirs: stays/")
    field.until("somebody's label is there", lambda: "theirs" in _labels(field, name, home))
    field.until("our label is back", lambda: _labels(field, name, home).get("heritage") == "Helm")
    after = field.admin.get("v1", "Service", name, home)
    assert after and after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["labels"] == {**before["metadata"]["labels"], "theirs": "stays"}
    assert after["spec"] == before["spec"]
    field.wait(name)


@pytest.mark.long
def test_a_host_object_deleted_by_hand_comes_back(shared_field: Field) -> None:
    field = shared_field
    name, _ = standing(field, "kept")
    home, api, kind = f"vcluster-{name}", "networking.k8s.io/v1", "NetworkPolicy"
    before = {one["metadata"]["name"]: one["metadata"]["uid"] for one in field.admin.list(api, kind, home)["items"]}
    lost = sorted(before)[0]
    field.admin.delete(api, kind, lost, home)
    found = field.until("it is there again", lambda: field.admin.get(api, kind, lost, home))
    assert found["metadata"]["uid"] != before[lost]
    field.until(
        "the inventory knows the new one", lambda: found["metadata"]["uid"] in {e.uid for e in field.entries(name)}
    )


def test_nested_drift_is_found_when_looked_at(shared_field: Field) -> None:
    """No watch stands inside a Ready cluster; the next look (here: `nidus sync`) puts ours back and leaves theirs (R1)."""
    field = shared_field
    name, inside = standing(field, "kept")
    edited = _map(inside, name, "kept")
    edited["data"] = {"text": "by hand", "theirs": "stays"}
    inside.replace(edited)
    nidus(field, "sync")
    field.until("ours is back", lambda: _map(inside, name, "kept")["data"]["text"] == "kept")
    assert _map(inside, name, "kept")["data"] == {"text": "kept", "theirs": "stays"}
    assert _map(inside, name, "kept")["metadata"]["uid"] == edited["metadata"]["uid"]

    inside.delete("v1", "ConfigMap", "kept", f"{name}-web")
    nidus(field, "sync")
    field.until("it is there again", lambda: inside.get("v1", "ConfigMap", "kept", f"{name}-web"))


@pytest.mark.long
def test_replicas_are_left_to_an_autoscaler(shared_field: Field) -> None:
    """A count written through the scale subresource stays while an autoscaler drives the object, whatever else of it changes
    (A1); once that is gone, it is somebody's edit."""
    field = shared_field
    write_profile(field, [_deployment("one")])
    name = write_cluster(field)
    field.push()
    field.start()
    inside = field.until("the engine answers", lambda: _reachable(field, name))
    at = ("apps/v1", "Deployment", "web", f"{name}-web")
    field.until("the Deployment is there", lambda: inside.get(*at))
    inside.apply(_autoscaler(f"{name}-web"))
    inside.patch(*at, {"spec": {"replicas": 3}}, subresource="scale")
    write_profile(field, [_deployment("two")])
    field.push("another text")
    live = field.until("the change is applied", lambda: _with(inside.get(*at), "two"))
    assert live["spec"]["replicas"] == 3
    nidus(field, "sync")
    field.quiet()
    live = inside.get(*at)
    assert live and live["spec"]["replicas"] == 3
    inside.delete("autoscaling/v2", "HorizontalPodAutoscaler", "web", f"{name}-web")
    nidus(field, "sync")
    field.until("ours is back", lambda: (inside.get(*at) or {})["spec"]["replicas"] == 1)


def test_each_pack_says_what_becomes_of_drift(shared_field: Field) -> None:
    """correct puts back, report only says so, ignore is silent, ignoreDifferences leaves the fields it names (R2)."""
    field = shared_field
    rule = {"kind": "ConfigMap", "name": "pointed", "pointers": ["/data/text"]}
    name = _policies(
        field, pointed={"ignoreDifferences": [rule]}, reported={"drift": "report"}, ignored={"drift": "ignore"}
    )
    field.push()
    field.start()
    field.wait(name)
    inside = field.inside(name)
    maps = ("reported", "ignored", "pointed", "corrected")
    for each in maps:
        _by_hand(inside, name, each)
    nidus(field, "sync")
    field.until("the corrected one is back", lambda: _map(inside, name, "corrected")["data"]["text"] == "corrected")
    field.quiet()
    assert {each: _map(inside, name, each)["data"]["text"] for each in maps} == {
        "reported": "by hand",
        "ignored": "by hand",
        "pointed": "by hand",
        "corrected": "corrected",
    }
    said = field.until("drift is reported", lambda: told(field, "DriftReported"))
    assert {line["object"] for line in said} == {f"ConfigMap/{name}-web/reported"}
    assert "devhost" in said[0]["message"]
    field.wait(name)

    _policies(field, {"more": "from Git"}, reported={"drift": "report"}, ignored={"drift": "ignore"})
    field.push("a commit is no drift")
    for each in maps:
        wanted = {"text": each, "more": "from Git"}
        field.until(
            f"what the commit says of {each} is applied", lambda e=each, w=wanted: _map(inside, name, e)["data"] == w
        )


@pytest.mark.long
def test_nobody_is_fought_for_ever(shared_field: Field) -> None:
    """The sixth time within ten minutes we say who keeps changing what, and stop (R3)."""
    field = shared_field
    name, _ = standing(field, "kept")
    home = f"vcluster-{name}"

    def rival() -> None:
        field.admin.patch("v1", "Service", name, home, {"metadata": {"labels": {"heritage": "Rival"}}})

    for _ in range(5):
        rival()
        field.until("it is put back", lambda: _labels(field, name, home)["heritage"] == "Helm")
    rival()
    held = field.until("it is said", lambda: field.status(name).get("plan", {}).get("held"))
    assert held == [f"Service/{home}/{name}: Contended: test keeps changing metadata.labels.heritage"]
    field.quiet()
    assert _labels(field, name, home)["heritage"] == "Rival"
    assert not field.status(name)["plan"].get("digest")


def _labels(field: Field, name: str, home: str) -> dict[str, str]:
    return dict((field.admin.get("v1", "Service", name, home) or {})["metadata"]["labels"])


def _map(inside: Client, name: str, which: str) -> dict[str, Any]:
    found = inside.get("v1", "ConfigMap", which, f"{name}-web")
    assert found
    return found


def _by_hand(inside: Client, name: str, which: str) -> None:
    live = _map(inside, name, which)
    live["data"]["text"] = "by hand"
    inside.replace(live)


def _edit(field: Field, namespace: str, what: str, script: str) -> None:
    """`kubectl edit` with sed for an editor: a plain Update, as humans make it."""
    hosted = field.account.hosted
    words = [str(hosted.kubectl), f"--kubeconfig={hosted.kubeconfig}", "edit", what, "-n", namespace]
    environment = {"KUBE_EDITOR": f"sed -i '{script}'", "PATH": "/usr/bin:/bin", "HOME": str(field.stage.folder)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "edited" in done.stdout, done.stdout + done.stderr


def _policies(field: Field, more: dict[str, str] | None = None, **packs: dict[str, Any]) -> str:
    """A profile of one pack per policy, each with a ConfigMap of the pack's name that says this name, and `more`."""
    made: list[dict[str, Any]] = [{"name": "space", "manifests": {"objects": [inner()]}}]
    for name in ("corrected", "reported", "ignored", "pointed"):
        said = config_map(name, text=name, **(more or {}))
        made.append({"name": name, "manifests": {"objects": [said]}, **packs.get(name, {})})
    field.write("profiles/web.yaml", profile("web", "1.0.0", made))
    name = field.cluster()
    field.write("clusters/a.yaml", nested_cluster(name, profiles=[{"name": "web", "version": "1.x"}]))
    return name


def _reachable(field: Field, name: str) -> Client | None:
    return field.inside(name) if field.admin.get("v1", "Secret", f"vc-{name}", f"vcluster-{name}") else None


def _deployment(text: str) -> dict[str, Any]:
    labels = {"app": "web"}
    container = {"name": "web", "image": "web", "env": [{"name": "TEXT", "value": text}]}
    template = {"metadata": {"labels": dict(labels)}, "spec": {"containers": [container]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": "web", "namespace": "${{ cluster.name }}-web"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def _autoscaler(namespace: str) -> dict[str, Any]:
    spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 5}
    metadata = {"name": "web", "namespace": namespace}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def _with(live: dict[str, Any] | None, text: str) -> dict[str, Any] | None:
    found = live["spec"]["template"]["spec"]["containers"][0]["env"] if live else []
    return live if any(one["value"] == text for one in found) else None
