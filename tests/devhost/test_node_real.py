"""A real node: pods really run on it, beside fake ones, reached through the same API server, and it leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devhost import layout, lifecycle, tools
from devhost.node import place, settings, start
from devhost.state import Host
from tests.devhost import real_node, traces
from tests.devhost.conftest import Command
from tests.devhost.real_node import pod

pytestmark = [pytest.mark.host, pytest.mark.long, pytest.mark.timeout(300), pytest.mark.xdist_group(real_node.GROUP)]

Kubectl = Callable[..., str]


@pytest.fixture(scope="module")
def real_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host with a fake node and a real one."""
    real_node.skip_unless_possible()
    folder = tmp_path_factory.mktemp("real") / "host"
    yield lifecycle.up(folder, nodes=1, nested="none", node="real", tied=True)
    lifecycle.down(folder)


@pytest.fixture(scope="module")
def kubectl(real_host: Host) -> Kubectl:
    """kubectl of the host: kubectl("get", "pods", body=...) returns what it prints; a list or object as `body` goes to its input."""

    def call(*arguments: str, body: Any = None) -> str:
        common = [f"--kubeconfig={real_host.kubeconfig}", f"--cache-dir={real_host.folder / 'kubectl'}"]
        line = [str(tools.find("kubectl")), *common, *arguments]
        sent = None if body is None else json.dumps(body)
        done = subprocess.run(line, input=sent, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


@pytest.fixture
def run(kubectl: Kubectl) -> Iterator[Callable[..., None]]:
    """Make objects; those are deleted after the test."""
    made: list[dict[str, Any]] = []

    def apply(*objects: dict[str, Any]) -> None:
        made.extend(objects)
        kubectl("apply", "-f", "-", body={"apiVersion": "v1", "kind": "List", "items": list(objects)})

    yield apply
    kubectl("delete", "--wait=false", "-f", "-", body={"apiVersion": "v1", "kind": "List", "items": made})


def wait(kubectl: Kubectl, what: str, condition: str) -> None:
    """Wait for a condition as `kubectl wait` writes it."""
    kubectl("wait", what, f"--for={condition}", "--timeout=60s")


def test_both_nodes_are_ready_and_pods_of_the_real_one_have_bounded_memory(kubectl: Kubectl) -> None:
    nodes = {one["metadata"]["name"]: one for one in json.loads(kubectl("get", "nodes", "-o", "json"))["items"]}
    assert nodes.keys() == {"node-0", place.NODE}
    status = nodes[place.NODE]["status"]
    assert status["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://")
    capacity, room = (size(status[name]["memory"]) for name in ("capacity", "allocatable"))
    assert room <= min(capacity // 2, settings.MOST_MEMORY)


def size(quantity: str) -> int:
    """Return the bytes of `quantity`, which ends in Ki or Mi."""
    return int(quantity[:-2]) * {"Ki": 2**10, "Mi": 2**20}[quantity[-2:]]


def test_nobody_comes_to_the_real_node_who_does_not_ask(kubectl: Kubectl, run: Callable[..., None]) -> None:
    run(pod("guest", "sleep", "infinity", nodeSelector={}, tolerations=[]))
    wait(kubectl, "pod/guest", "condition=Ready")
    assert kubectl("get", "pod", "guest", "-o", "jsonpath={.spec.nodeName}") == "node-0"


def test_pod_runs_and_tells(kubectl: Kubectl, run: Callable[..., None]) -> None:
    run(pod("teller", "sh", "-c", "echo told; sleep infinity"))
    wait(kubectl, "pod/teller", "condition=Ready")
    assert kubectl("logs", "teller") == "told\n"
    assert kubectl("exec", "teller", "--", "sh", "-c", "echo $((6 * 7)); pwd") == "42\n/\n"


def test_services_are_found_by_name_from_pods_and_from_the_api_server(
    kubectl: Kubectl, run: Callable[..., None]
) -> None:
    ports = [{"name": "http", "port": 80, "targetPort": 8081}]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "health", "namespace": "kube-system"}}
    ask = "exec 3<>/dev/tcp/health.kube-system/80; printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
    run(
        service | {"spec": {"selector": {"k8s-app": "kube-dns"}, "ports": ports}},
        pod("asker", "bash", "-c", f"until ({ask}); do sleep 0.2; done", restartPolicy="Never"),
    )
    wait(kubectl, "pod/asker", "jsonpath={.status.phase}=Succeeded")
    assert kubectl("logs", "asker").endswith("OK")
    assert kubectl("get", "--raw", "/api/v1/namespaces/kube-system/services/health:http/proxy/health") == "OK"


def test_a_probe_decides_when_a_pod_is_ready(kubectl: Kubectl, run: Callable[..., None]) -> None:
    probe = {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1}
    run(pod("probed", "sleep", "infinity", container={"readinessProbe": probe}))
    wait(kubectl, "pod/probed", "jsonpath={.status.containerStatuses[0].started}=true")
    assert kubectl("get", "pod", "probed", "-o", "jsonpath={.status.containerStatuses[0].ready}") == "false"
    kubectl("exec", "probed", "--", "touch", "/tmp/ready")
    wait(kubectl, "pod/probed", "condition=Ready")


def test_a_job_completes(kubectl: Kubectl, run: Callable[..., None]) -> None:
    spec = pod("job", "sh", "-c", "exit 0", restartPolicy="Never")["spec"]
    body = {"template": {"spec": spec}, "completions": 2, "parallelism": 2}
    run({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "both"}, "spec": body})
    wait(kubectl, "job/both", "condition=Complete")


def test_the_kernel_ends_what_takes_too_much_memory(kubectl: Kubectl, run: Callable[..., None]) -> None:
    limits = {"resources": {"limits": {"memory": "24Mi"}}}
    run(pod("greedy", "tail", "/dev/zero", container=limits, restartPolicy="Never"))
    wait(kubectl, "pod/greedy", "jsonpath={.status.containerStatuses[0].state.terminated.reason}=OOMKilled")


def test_a_pod_has_no_more_processes_than_fit(kubectl: Kubectl, run: Callable[..., None], real_host: Host) -> None:
    run(pod("many", "sleep", "infinity"))
    wait(kubectl, "pod/many", "condition=Ready")
    uid = kubectl("get", "pod", "many", "-o", "jsonpath={.metadata.uid}")
    group = f"{place.cgroup(real_host.folder)}/kubepods/besteffort/pod{uid}"
    most = {one.read_text().strip() for one in Path("/sys/fs/cgroup").glob(f"*/{group}/pids.max")}
    assert most == {str(settings.MOST_PROCESSES)}


def test_a_container_that_ends_is_started_again(kubectl: Kubectl, run: Callable[..., None]) -> None:
    run(pod("broken", "sh", "-c", "exit 3"))
    wait(kubectl, "pod/broken", "jsonpath={.status.containerStatuses[0].state.waiting.reason}=CrashLoopBackOff")
    code = kubectl("get", "pod", "broken", "-o", "jsonpath={..lastState.terminated.exitCode}")
    assert code == "3"


def test_a_locked_down_pod_writes_to_its_claim_and_to_nothing_else(
    kubectl: Kubectl, run: Callable[..., None], real_host: Host
) -> None:
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    locked = {
        "readOnlyRootFilesystem": True,
        "runAsUser": 65534,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    mount = {"securityContext": locked, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    run(
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "kept"}, "spec": claim},
        pod(
            "writer",
            *("sh", "-c", "echo kept > /data/file && ! echo x > /file && ! echo x > /etc/passwd"),
            container=mount,
            restartPolicy="Never",
            volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "kept"}}],
        ),
    )
    wait(kubectl, "pod/writer", "jsonpath={.status.phase}=Succeeded")
    uid = kubectl("get", "pvc", "kept", "-o", "jsonpath={.metadata.uid}")
    assert (layout.claims(real_host.folder) / uid / "file").read_text() == "kept\n"


def test_an_image_of_a_folder_runs(
    kubectl: Kubectl, run: Callable[..., None], real_host: Host, command: Command, tmp_path: Path
) -> None:
    program = tools.find("coredns")
    (tmp_path / "image/opt").mkdir(parents=True)
    shutil.copy(program, tmp_path / "image/opt/dns")
    options = ("--entrypoint", "/opt/dns", "--entrypoint=-version")
    done = command("image", "shop:1", "--from", tmp_path / "image", *options, "--dir", real_host.folder)
    assert done.returncode == 0 and done.stdout.startswith("docker.io/library/shop:1@sha256:"), done.stderr
    for name, image in (("tagged", "shop:1"), ("digested", done.stdout.strip())):
        body = pod(name, container={"image": image}, restartPolicy="Never")
        del body["spec"]["containers"][0]["command"]
        run(body)
        wait(kubectl, f"pod/{name}", "jsonpath={.status.phase}=Succeeded")
        assert kubectl("logs", name).startswith("CoreDNS-")


def test_a_node_whose_namespaces_ended_comes_back_with_its_pods(
    kubectl: Kubectl, run: Callable[..., None], real_host: Host
) -> None:
    run(pod("returning", "sleep", "infinity"))
    wait(kubectl, "pod/returning", "condition=Ready")
    [keeper] = [row.pid for row in lifecycle.status(real_host.folder) if row.component == start.KEEPER]
    os.kill(keeper, signal.SIGKILL)
    assert traces.until(
        lambda: ended(real_host) == {start.KEEPER, "node-connect", "containerd", "kubelet", "kube-proxy"}
    )
    lifecycle.up(real_host.folder)
    assert ended(real_host) == set()
    wait(kubectl, "pod/returning", "jsonpath={.status.containerStatuses[0].restartCount}=1")
    wait(kubectl, "pod/returning", "condition=Ready")


def ended(host: Host) -> set[str]:
    """The processes of the host that do not run."""
    return {row.component for row in lifecycle.status(host.folder) if row.state == "exited"}
