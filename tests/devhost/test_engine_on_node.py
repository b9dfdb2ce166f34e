"""The official engine as pods of a real node, several at once, each in a network of its own, made and reached as in production."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
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


def service() -> dict[str, Any]:
    """A Service for the pod of web()."""
    meta = {"name": "web", "namespace": "${{ cluster.name }}-web"}
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


@pytest.fixture(scope="module")
def tenants(field: Field) -> list[str]:
    """Two clusters, each with the same software."""
    whose = config_map("whose", cluster="${{ cluster.name }}")
    objects = [namespace(), web("hello from ${{ cluster.name }}"), service(), whose]
    field.write("profiles/web.yaml", profile("web", "1.0.0", [{"name": "web", "manifests": {"objects": objects}}]))
    names = [field.cluster("a"), field.cluster("b")]
    for name in names:
        field.write(f"clusters/{name}.yaml", nested_cluster(name, profiles=[{"name": "web", "version": "1.0.0"}]))
    field.push()
    field.start()
    for name in names:
        field.wait(name, seconds=SECONDS)
    return names


def test_engines_run_side_by_side_each_in_a_network_of_its_own(
    field: Field, tenants: list[str], tmp_path: Path
) -> None:
    addresses = {address(field, name) for name in tenants}
    assert len(addresses) == 2 and all(one in ipaddress.ip_network(place.POD_CIDR) for one in addresses)
    for name in tenants:
        assert log(field, name) == f"hello from {name}\n"
        with entered(field, name, tmp_path / f"{name}.yaml") as kubectl:
            found = kubectl("get", "configmap", "whose", "-n", f"{name}-web", "-o", "jsonpath={.data.cluster}")
        assert found.stdout == name, found.stderr


def test_each_has_a_dns_of_its_own(field: Field, tenants: list[str]) -> None:
    """A pod finds the Services of its cluster by their names there; neither those of another nor the host's own names of them."""
    for name in tenants:
        own, host = f"web.{name}-web", f"vcluster-{name}"
        field.until(f"{name} finds its own Service", partial(resolved, field, name, own), SECONDS)
        copied = field.admin.get("v1", "Service", f"web-x-{name}-web-x-{name}", host) or {}
        assert resolved(field, name, own).split()[0] == copied["spec"]["clusterIP"]
        for other in {f"web.{one}-web" for one in tenants} - {own}:
            assert resolved(field, name, other) == ""
        assert resolved(field, name, f"{copied['metadata']['name']}.{host}.svc.cluster.local") == ""


def test_a_tenants_pod_reaches_nothing_of_the_machine(field: Field, tenants: list[str]) -> None:
    """No program of the host but its API server, which Service `kubernetes` of the host leads to, no address of the machine, no
    metadata service of a cloud."""
    host = field.account.hosted.host
    mine = subprocess.run(["ip", "-4", "-o", "addr", "show", "up"], capture_output=True, text=True, check=True).stdout
    machine = {line.split()[3].partition("/")[0] for line in mine.splitlines()}
    assert opens(field, tenants[0], place.ADDRESS, host.ports["kube-apiserver"])
    for component, port in host.ports.items():
        for target in {place.ADDRESS, *machine} if component != "kube-apiserver" else machine:
            assert not opens(field, tenants[0], target, port), (component, target)
    for target in ("169.254.169.254", "168.63.129.16", "10.0.0.1"):
        assert not opens(field, tenants[0], target, 80), target


GREEDY: tuple[dict[str, Any], ...] = (
    {"volumes": [{"name": "disk", "hostPath": {"path": "/"}}]},
    {"hostNetwork": True},
    {"hostPID": True},
    {"container": {"securityContext": {"privileged": True}}},
    {"container": {"ports": [{"containerPort": 10250, "hostPort": 10250}]}},
)


def test_a_tenant_gets_nothing_of_the_node(field: Field, tenants: list[str], tmp_path: Path) -> None:
    """Not in a namespace which they say is privileged either."""
    name = tenants[0]
    level = {"pod-security.kubernetes.io/enforce": "privileged"}
    room = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "room", "labels": level}}
    with entered(field, name, tmp_path / "person.yaml") as kubectl:
        assert kubectl("apply", "-f", "-", body=room).returncode == 0
        for number, spec in enumerate(GREEDY):
            pod = real_node.pod(f"greedy-{number}", "sleep", "infinity", nodeSelector={}, tolerations=[], **spec)
            kubectl("-n", "room", "apply", "-f", "-", body=pod)
        calm = real_node.pod("calm", "sleep", "infinity", nodeSelector={}, tolerations=[])
        assert kubectl("-n", "room", "apply", "-f", "-", body=calm).returncode == 0
        done = kubectl("-n", "room", "wait", "pod/calm", "--for=condition=Ready", "--timeout=60s")
        assert done.returncode == 0, done.stderr
    pods = field.admin.list("v1", "Pod", f"vcluster-{name}")["items"]
    assert [one["metadata"]["name"] for one in pods if "-x-room-x-" in one["metadata"]["name"]] == [
        f"calm-x-room-x-{name}"
    ]


def opens(field: Field, cluster: str, address: str, port: int) -> bool:
    """Whether the tenant's pod gets a connection."""
    done = on_host(field, cluster, "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}")
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0


def address(field: Field, cluster: str) -> Any:
    """The address of the engine's pod."""
    found = field.admin.get("v1", "Pod", f"{cluster}-0", f"vcluster-{cluster}") or {}
    return ipaddress.ip_address(found["status"]["podIP"])


def resolved(field: Field, cluster: str, name: str) -> str:
    """What the tenant's pod gets for a name: its address and its full name; empty when there is none."""
    done = on_host(field, cluster, "getent", "hosts", name)
    assert done.returncode in (0, 2), done.stderr  # getent(1): 2 is a name that was not found
    return done.stdout


def on_host(field: Field, cluster: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the tenant's pod."""
    kubectl = [str(field.account.hosted.kubectl), f"--kubeconfig={field.account.hosted.kubeconfig}"]
    into = ["exec", f"--namespace=vcluster-{cluster}", tenants_pod(field, cluster), "--", *command]
    return subprocess.run([*kubectl, *into], capture_output=True, text=True, timeout=90, check=False)


def log(field: Field, cluster: str) -> str:
    """What the tenant's pod says."""
    path = f"/api/v1/namespaces/vcluster-{cluster}/pods/{tenants_pod(field, cluster)}/log"
    return str(field.admin.request("GET", path)["text"])


def tenants_pod(field: Field, cluster: str) -> str:
    """The name on the host of the pod of web()."""
    mine = f"app=web,vcluster.loft.sh/managed-by={cluster}"
    [pod] = field.admin.list("v1", "Pod", f"vcluster-{cluster}", labels=mine)["items"]
    return str(pod["metadata"]["name"])


@contextmanager
def entered(field: Field, cluster: str, file: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """kubectl for a person who came by `nidus connect`; `body` goes to its input."""
    nidus(field, "connect", cluster, "--into", str(file))
    words = [str(field.account.hosted.kubectl), f"--kubeconfig={file}", f"--context=nidus_{cluster}"]

    def kubectl(*asked: str, body: Any = None) -> subprocess.CompletedProcess[str]:
        sent = None if body is None else json.dumps(body)
        command = [*words, *asked]
        return subprocess.run(command, input=sent, capture_output=True, text=True, timeout=90, check=False)

    try:
        yield kubectl
    finally:
        command = [sys.executable, "-m", "reconciler", "disconnect", cluster, "--into", str(file)]
        subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)
