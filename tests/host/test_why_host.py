"""`nidus why` on the embedded host, with real controllers, a real scheduler and real admission: for every cause the sentence of its layer
and the tree, as they stand in `why/`. `NIDUS_CASES=write` writes these files anew (U1)."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from devhost import faults
from devhost.stages import BEHAVIOUR
from tests.host.field import Field, profile
from tests.host.promises import nidus, standing, write_cluster, write_maps

pytestmark = [pytest.mark.host, pytest.mark.long]
GOLDEN = Path(__file__).parent / "why"
WRITE = os.environ.get("NIDUS_CASES") == "write"
SECONDS = 40.0 if WRITE else 80.0
IMAGE = "ghcr.io/acme/shop:1"


def pods(behaviour: str = "", **spec: Any) -> dict[str, Any]:
    notes = {BEHAVIOUR: behaviour} if behaviour else {}
    containers = [{"name": "app", "image": IMAGE}]
    return {"metadata": {"labels": {"app": "x"}, "annotations": notes}, "spec": {"containers": containers, **spec}}


def workload(name: str, template: dict[str, Any], place: str = "web") -> dict[str, Any]:
    spec = {"selector": {"matchLabels": {"app": "x"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": place}, "spec": spec}


def job(name: str, **notes: str) -> dict[str, Any]:
    spec = {"backoffLimit": 0, "template": pods("failing", restartPolicy="Never")}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "annotations": notes}, "spec": spec}


def space(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def pack(name: str, *objects: dict[str, Any], after: str = "base") -> dict[str, Any]:
    made = {"name": name, "namespace": "web", "manifests": {"objects": list(objects)}, "ready": {"timeout": "1h"}}
    return made | ({"dependsOn": [after]} if after else {})


NO_PODS = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "team", "namespace": "limited"},
    "spec": {"hard": {"pods": "0"}},
}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data", "namespace": "web"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "missing",
        "resources": {"requests": {"storage": "1Gi"}},
    },
}
CHART = {"chart": {"path": "../chart"}, "releaseName": "app"}
PACKS = (
    pack(
        "base",
        *(space(name) for name in ("web", "limited", "strict")),
        NO_PODS,
        after="",
    ),
    pack("crash-loop", workload("crash-loop", pods("crash-looping"))),
    pack("image-pull", workload("image-pull", pods("image-missing"))),
    pack("quota", workload("quota", pods(), "limited")),
    pack("pod-security", workload("pod-security", pods(hostPID=True), "strict")),
    pack("unschedulable", workload("unschedulable", pods(nodeSelector={"disk": "none"}))),
    pack("claim", CLAIM),
    pack("job", job("job")),
    {"name": "hook", "namespace": "web", "helm": CHART, "dependsOn": ["base"]},
    pack("dependency", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}}, after="crash-loop"),
)


def test_every_cause_inside_is_told_down_to_its_end(own_field: Field) -> None:
    field = own_field
    field.write("chart/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n")
    field.write("chart/templates/hook.yaml", job("hook", **{"helm.sh/hook": "pre-install"}))
    field.write("profiles/web.yaml", profile("web", "1.0.0", list(PACKS)))
    name = write_cluster(field)
    field.push()
    field.start()
    field.until("it is known", lambda: field.status(name))
    assert_comes(field, name, "inside")


def test_what_is_held_and_a_server_that_is_away(own_field: Field) -> None:
    field = own_field
    name, _ = standing(field, "one", "two", "three", "four", "five")
    write_maps(field, "one")
    field.push("fewer")
    field.wait(name, "Held")
    assert_comes(field, name, "held")
    with faults.paused(field.account.hosted.host, f"nested/vcluster-{name}/{name}/kube-apiserver"):
        nidus(field, "sync", name)
        assert_comes(field, name, "away")


def assert_comes(field: Field, name: str, golden: str) -> None:
    """Wait until the sentences and the tree are those of the file."""
    file = GOLDEN / f"{golden}.txt"
    try:
        field.until(golden, lambda: not WRITE and told(field, name) == file.read_text(), SECONDS)
    except AssertionError:
        if WRITE:
            file.write_text(told(field, name))
        assert told(field, name) == file.read_text()


def told(field: Field, name: str) -> str:
    """The sentence of each layer that is not Current, then what `nidus why` prints, without what differs from run to run."""
    layers = [one for one in field.status(name).get("layers", []) if one.get("message")]
    sentences = [f"{one['name']}: {one['message']}" for one in layers]
    text = "\n".join([*sentences, "", nidus(field, "why", name)])
    text = text.replace(field.account.name, "team").replace(field.account.namespace, "nidus-system")
    text = re.sub(r"\b[0-9a-f]{40}\b", "COMMIT", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "DIGEST", text)
    text = re.sub(r"controller  \S+ leads", "controller  HOST leads", text)
    text = re.sub(r"(?<=sha1:)[0-9a-f]{7}", "COMMIT", text)
    text = re.sub(r"\(\d+ restarts?\)", "(N restarts)", text)
    text = re.sub(r"\b(crash-loop|image-pull|quota|pod-security|unschedulable)-[a-z0-9]{8,10}\b", r"\1-HASH", text)
    text = re.sub(r"\b((\w+-)+HASH|job|hook)-[bcdfghjklmnpqrstvwxz2456789]{5}\b", r"\1-POD", text)
    text = text.replace("(combined from similar events): ", "")
    return re.sub(r"\b\d+[smhd]\b", "AGE", text)
