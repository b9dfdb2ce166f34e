"""The controller in its own image, installed by deploy/install.yaml on a real node: it works, hands over, and runs a nested cluster
whose pods run on that node too."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from devhost import hosting, lifecycle, stage
from devhost.api import ApiError, Object
from devhost.hosting import TestHost
from devhost.nested.kubelet import is_ready
from devhost.node import images, place
from tests import installed
from tests.devhost import product_image, real_node
from tests.house.documents import ROOT
from tests.waiting import eventually

pytestmark = [pytest.mark.host, pytest.mark.long, pytest.mark.timeout(600), pytest.mark.xdist_group(real_node.GROUP)]

SYSTEM = "nidus-system"
PODS = f"/api/v1/namespaces/{SYSTEM}/pods"
INTERNAL = 9293
WHO = """
import os
print((os.getuid(), os.getgid()))
for path in ("/opt/nidus/x", "/tmp/x", "/var/lib/nidus/x"):
    try:
        print(open(path, "w") and "written")
    except OSError as error:
        print(error.strerror)
"""
INSTALLED = ("ConfigMap", "PodDisruptionBudget", "NetworkPolicy", "Service", "Deployment")


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHost]:
    """A host with a fake node, for engines, and a real one, on which the controller is installed."""
    real_node.skip_unless_possible()
    root = tmp_path_factory.mktemp("product")
    hosted = hosting.start(root / "host", nodes=1, nested="own", node="real")
    (root / "stage").mkdir()
    (root / "scratch").mkdir()
    repository = stage.set_up(root / "stage", content(root / "content")).repository.bare
    entries = product_image.entries(root / "scratch", repository)
    images.load(hosted.folder, product_image.NAME, entries, product_image.config())
    # Pods of a cluster tolerate what its engine does, so nobody needs to here: an engine goes to the roomier node, the fake one.
    hosted.client.patch("v1", "Node", place.NODE, "", {"spec": {"taints": None}})
    stage.install(hosted.client, ROOT / "deploy")
    for one in installed.of(*INSTALLED):
        hosted.client.apply(for_this_node(one))
    yield hosted
    lifecycle.down(hosted.folder)


def content(folder: Path) -> Path:
    """A repository with one cluster, in which a Deployment of the base image runs on the real node."""
    room = {"cpu": "10m", "memory": "32Mi"}
    command = ["sh", "-c", "echo hello from inside; sleep infinity"]
    container = {"name": "c", "image": images.BASE, "command": command, "resources": {"requests": room, "limits": room}}
    pod: Object = {"containers": [container], "terminationGracePeriodSeconds": 0, "nodeSelector": {place.LABEL: "real"}}
    labels = {"app": "greeter"}
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "greeter", "namespace": "shop"},
            "spec": spec,
        },
    ]
    packs = [{"name": "shop", "manifests": {"objects": objects}}]
    cluster = {"profiles": [{"name": "shop", "version": "1.0.0"}], "deletion": {"policy": "Delete"}}
    documents = [
        document("ClusterProfile", "shop", {"version": "1.0.0", "packs": packs}),
        document("NestedCluster", "tenant", cluster),
    ]
    folder.mkdir()
    (folder / "clusters.yaml").write_text("\n---\n".join(json.dumps(one, indent=1) for one in documents))
    return folder


def document(kind: str, name: str, spec: Object) -> Object:
    """A document of the project."""
    return {"apiVersion": "nidus.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def for_this_node(one: Object) -> Object:
    """An object of the installation with what an operator writes: where the repository is, and on which nodes the controller runs."""
    if one["kind"] == "Deployment":
        one["spec"]["template"]["spec"] |= real_node.on_real_node()
    if one["kind"] == "ConfigMap":
        config = yaml.safe_load(one["data"]["nidus.yaml"])
        url = f"file://{product_image.REPOSITORY}"
        config["spec"]["sources"] = [{"name": "platform", "url": url, "branch": "main"}]
        one["data"]["nidus.yaml"] = yaml.safe_dump(config)
    return one


def pods(hosted: TestHost) -> list[Object]:
    """The controller's pods that are not going."""
    found = hosted.client.list("v1", "Pod", SYSTEM, labels="app.kubernetes.io/name=nidus")["items"]
    return [one for one in found if not one["metadata"].get("deletionTimestamp")]


def leader(hosted: TestHost) -> str:
    """The pod that leads and does all that a leader does; empty while none does."""
    for name in [one["metadata"]["name"] for one in pods(hosted) if is_ready(one)]:
        process = ask(hosted, name, "/api/v1/process")
        if process.get("leader") and process["waits"] == "":
            return str(name)
    return ""


def ask(hosted: TestHost, pod: str, path: str) -> Object:
    """What the internal listener of a pod answers, through the API server; nothing while it is not there."""
    try:
        return hosted.client.request("GET", f"{PODS}/{pod}:{INTERNAL}/proxy{path}")
    except ApiError:
        return {}


def words(hosted: TestHost) -> dict[str, str]:
    """Nested cluster -> its one-word status, as the leader tells."""
    told = ask(hosted, leader(hosted), "/api/v1/clusters")
    return {one["name"]: one["status"] for one in told.get("clusters", ())}


def test_two_replicas_run_as_they_are_shipped_and_one_leads(product: TestHost) -> None:
    eventually(lambda: len([one for one in pods(product) if is_ready(one)]) == 2 and leader(product) != "", 240)
    for pod in pods(product):
        assert pod["spec"]["nodeName"] == place.NODE
        [status] = pod["status"]["containerStatuses"]
        assert status["restartCount"] == 0 and status["started"]
        assert said(product, pod["metadata"]["name"], WHO) == [
            "(65532, 65532)",
            "Read-only file system",
            "written",
            "written",
        ]


def test_pods_of_a_nested_cluster_run_on_the_node(product: TestHost) -> None:
    eventually(lambda: words(product) == {"tenant": "Ready"}, 240)
    found = product.client.list("v1", "Pod", "vcluster-tenant")["items"]
    nodes = {one["spec"]["nodeName"]: one for one in found if one["metadata"]["name"].startswith("greeter-")}
    assert nodes.keys() == {place.NODE}
    name = nodes[place.NODE]["metadata"]["name"]
    log = product.client.request("GET", f"/api/v1/namespaces/vcluster-tenant/pods/{name}/log")
    assert log["text"] == "hello from inside\n"


def test_the_other_takes_over_when_the_leader_is_killed_and_changes_nothing(product: TestHost) -> None:
    eventually(lambda: words(product) == {"tenant": "Ready"}, 240)
    before, first = engine(product), leader(product)
    second = next(one["metadata"]["name"] for one in pods(product) if one["metadata"]["name"] != first)
    product.client.delete("v1", "Pod", first, SYSTEM, grace=0)
    eventually(lambda: leader(product) == second, 120)
    eventually(lambda: words(product) == {"tenant": "Ready"}, 120)
    assert engine(product) == before
    eventually(lambda: len([one for one in pods(product) if is_ready(one)]) == 2, 120)


def engine(hosted: TestHost) -> tuple[str, int]:
    """The engine as it runs: what a change would change."""
    [found] = hosted.client.list("apps/v1", "StatefulSet", "vcluster-tenant")["items"]
    return found["metadata"]["uid"], found["metadata"]["generation"]


def said(hosted: TestHost, pod: str, script: str) -> list[str]:
    """The lines that a script of Python prints in a controller's container."""
    command = [product_image.interpreter(), "-c", script]
    line = [str(hosted.kubectl), f"--kubeconfig={hosted.kubeconfig}", "-n", SYSTEM, "exec", pod, "--", *command]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
