"""The installation on a real node and how a test looks at it: its pods, who leads, what it tells, the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import yaml

from devhost import hosting, stage
from devhost.api import ApiError, Object
from devhost.hosting import TestHost
from devhost.nested.kubelet import is_ready
from devhost.node import images, place
from tests import installed
from tests.devhost import real_node
from tests.devhost.product import image
from tests.house.documents import ROOT
from tests.waiting import eventually

SYSTEM: Final = "nidus-system"
PODS: Final = f"/api/v1/namespaces/{SYSTEM}/pods"
INTERNAL: Final = 9293
TENANT: Final = "vcluster-tenant"
REPLICAS: Final = 2
_INSTALLED: Final = ("ConfigMap", "PodDisruptionBudget", "NetworkPolicy", "Service", "Deployment")


def installed_in(root: Path) -> TestHost:
    """Start a host in the empty folder `root` and install the controller there, with a repository of two clusters in its image."""
    hosted = hosting.start(root / "host", nodes=1, nested="own", node="real")
    (root / "scratch").mkdir()
    repository = stage.set_up(root / "stage", content(root / "content")).repository.bare
    images.load(hosted.folder, image.NAME, image.entries(root / "scratch", repository), image.config())
    # Pods of a cluster tolerate what its engine does, so nobody needs to here: an engine goes to the roomier node, the fake one.
    hosted.client.patch("v1", "Node", place.NODE, "", {"spec": {"taints": None}})
    stage.install(hosted.client, ROOT / "deploy")
    for one in installed.of(*_INSTALLED):
        hosted.client.apply(_for_this_node(one))
    return hosted


def content(folder: Path) -> Path:
    """A repository with two clusters whose pods ask for the real node: `tenant` with a pod that runs and a quota,
    and `broken`, whose container ends at once."""
    greets = deployment("greeter", "echo hello from inside; sleep infinity")
    documents = [
        *_cluster("tenant", greets, quota={"pods": 1}),
        *_cluster("broken", deployment("ledger", "echo the ledger cannot be opened; exit 3")),
    ]
    folder.mkdir()
    (folder / "clusters.yaml").write_text("\n---\n".join(json.dumps(one, indent=1) for one in documents))
    return folder


def deployment(name: str, script: str) -> Object:
    """A Deployment of one small pod on the real node, which runs `script`."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": small(script)}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": spec,
    }


def small(script: str) -> Object:
    """The spec of a pod of a tenant that asks for the real node and little room there."""
    room = {"cpu": "10m", "memory": "32Mi"}
    command = ["sh", "-c", script]
    container = {"name": "c", "image": images.BASE, "command": command, "resources": {"requests": room, "limits": room}}
    return {"containers": [container], "terminationGracePeriodSeconds": 0, "nodeSelector": {place.LABEL: "real"}}


def _cluster(name: str, workload: Object, **spec: object) -> tuple[Object, Object]:
    """The profile and the nested cluster `name`, with `workload` in namespace shop."""
    shop = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    packs = [{"name": "shop", "manifests": {"objects": [shop, workload]}}]
    body = {"profiles": [{"name": name, "version": "1.0.0"}], "deletion": {"policy": "Delete"}, **spec}
    return (
        _document("ClusterProfile", name, {"version": "1.0.0", "packs": packs}),
        _document("NestedCluster", name, body),
    )


def _document(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": "nidus.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _for_this_node(one: Object) -> Object:
    """An object of the installation with what an operator writes: where the repository is, and on which nodes the controller runs."""
    if one["kind"] == "Deployment":
        one["spec"]["template"]["spec"] |= real_node.on_real_node()
    if one["kind"] == "ConfigMap":
        config = yaml.safe_load(one["data"]["nidus.yaml"])
        url = f"file://{image.REPOSITORY}"
        config["spec"]["sources"] = [{"name": "platform", "url": url, "branch": "main"}]
        one["data"]["nidus.yaml"] = yaml.safe_dump(config)
    return one


def pods(hosted: TestHost) -> dict[str, Object]:
    """The controller's pods that are not going, by name."""
    found = hosted.client.list("v1", "Pod", SYSTEM, labels="app.kubernetes.io/name=nidus")["items"]
    return {one["metadata"]["name"]: one for one in found if not one["metadata"].get("deletionTimestamp")}


def ready(hosted: TestHost) -> set[str]:
    """The names of those that are Ready."""
    return {name for name, one in pods(hosted).items() if is_ready(one)}


def leader(hosted: TestHost) -> str:
    """The pod that leads and does all that a leader does; empty while none does."""
    for name in ready(hosted):
        process = ask(hosted, name, "/api/v1/process")
        if process.get("leader") and process["waits"] == "":
            return name
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


def settled(hosted: TestHost) -> None:
    """Wait until all replicas of the installation are Ready and no others are there, one leads, and the tenant's cluster is Ready."""
    eventually(lambda: len(ready(hosted)) == REPLICAS and len(pods(hosted)) == REPLICAS, 240)
    eventually(lambda: words(hosted).get("tenant") == "Ready", 240)


def engine(hosted: TestHost) -> tuple[str, int]:
    """The tenant's engine as it runs: what a change would change."""
    [found] = hosted.client.list("apps/v1", "StatefulSet", TENANT)["items"]
    return found["metadata"]["uid"], found["metadata"]["generation"]


def tenants(hosted: TestHost, cluster: str = "tenant") -> list[Object]:
    """The pods of a cluster's tenant on the real node."""
    namespace, mine = f"vcluster-{cluster}", f"vcluster.loft.sh/managed-by={cluster}"
    return list(hosted.client.list("v1", "Pod", namespace, labels=mine, fields=f"spec.nodeName={place.NODE}")["items"])


def nidus(hosted: TestHost, *words: str) -> str:
    """What the command prints, as an administrator of the host runs it."""
    command = [sys.executable, "-m", "reconciler", *words, "-n", SYSTEM]
    environment = {**os.environ, "KUBECONFIG": str(hosted.kubeconfig)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def said(hosted: TestHost, pod: str, script: str) -> list[str]:
    """The lines that a script of Python prints in a controller's container."""
    command = [image.interpreter(), "-c", script]
    line = [str(hosted.kubectl), f"--kubeconfig={hosted.kubeconfig}", "-n", SYSTEM, "exec", pod, "--", *command]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
