"""The official engine as pods of a real node, several at once, each in a network of its own, made and reached as in production."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devhost import hosting, lifecycle
from devhost.account import open_account
from devhost.fixtures import RBAC
from devhost.node import images, place
from tests.devhost import real_node
from tests.documents import RESTRICTED
from tests.host.field import Field, config_map, namespace, nested_cluster, opened, profile
from tests.host.promises import nidus
from tests.house.documents import ROOT

pytestmark = [
    pytest.mark.host,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group(real_node.GROUP),
    pytest.mark.skipif(
        not (os.environ.get("NIDUS_VCLUSTER") and os.environ.get("NIDUS_VCLUSTER_CHART")),
        reason="needs the official engine: NIDUS_VCLUSTER names its binary, NIDUS_VCLUSTER_CHART the folder of its chart",
    ),
]

SECONDS = 300.0


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """The controller as a process beside a host whose only node is a real one that has the engine's images."""
    real_node.skip_unless_possible()
    root = tmp_path_factory.mktemp("engines")
    hosted = hosting.start(root / "host", nodes=0, nested="none", node="real")
    account = open_account(hosted, ROOT / RBAC)
    made = opened(account, root / "stage")
    yield made
    made.end()
    account.close()
    lifecycle.down(hosted.folder)


def web(text: str) -> dict[str, Any]:
    """A Deployment of one pod that says `text`."""
    command = ["sh", "-c", f"echo {text}; sleep infinity"]
    container = {"name": "c", "image": images.BASE, "command": command, "securityContext": RESTRICTED}
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    meta = {"name": "web", "namespace": "${{ cluster.name }}-web"}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def test_engines_run_side_by_side_each_in_a_network_of_its_own(field: Field, tmp_path: Path) -> None:
    objects = [namespace(), web("hello from ${{ cluster.name }}"), config_map("whose", cluster="${{ cluster.name }}")]
    field.write("profiles/web.yaml", profile("web", "1.0.0", [{"name": "web", "manifests": {"objects": objects}}]))
    names = [field.cluster("a"), field.cluster("b")]
    for name in names:
        field.write(f"clusters/{name}.yaml", nested_cluster(name, profiles=[{"name": "web", "version": "1.0.0"}]))
    field.push()
    field.start()
    for name in names:
        field.wait(name, seconds=SECONDS)
    addresses = {address(field, name) for name in names}
    assert len(addresses) == 2 and all(one in ipaddress.ip_network(place.POD_CIDR) for one in addresses)
    for name in names:
        assert log(field, name) == f"hello from {name}\n"
        assert inside(field, name, tmp_path / f"{name}.yaml") == name


def address(field: Field, cluster: str) -> Any:
    """The address of the engine's pod."""
    found = field.admin.get("v1", "Pod", f"{cluster}-0", f"vcluster-{cluster}") or {}
    return ipaddress.ip_address(found["status"]["podIP"])


def log(field: Field, cluster: str) -> str:
    """What the tenant's pod says."""
    mine = f"app=web,vcluster.loft.sh/managed-by={cluster}"
    [pod] = field.admin.list("v1", "Pod", f"vcluster-{cluster}", labels=mine)["items"]
    path = f"/api/v1/namespaces/vcluster-{cluster}/pods/{pod['metadata']['name']}/log"
    return str(field.admin.request("GET", path)["text"])


def inside(field: Field, cluster: str, file: Path) -> str:
    """What a person finds inside who came by `nidus connect`."""
    nidus(field, "connect", cluster, "--into", str(file))
    kubectl = [str(field.account.hosted.kubectl), f"--kubeconfig={file}", f"--context=nidus_{cluster}"]
    asked = ["get", "configmap", "whose", "-n", f"{cluster}-web", "-o", "jsonpath={.data.cluster}"]
    try:
        done = subprocess.run([*kubectl, *asked], capture_output=True, text=True, timeout=60, check=False)
    finally:
        command = [sys.executable, "-m", "reconciler", "disconnect", cluster, "--into", str(file)]
        subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout
