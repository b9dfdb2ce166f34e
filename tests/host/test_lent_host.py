"""`nidus demo --context` on a cluster that somebody has: the whole story, and after Ctrl-C nothing of it is left."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from devhost import hosting, lifecycle, nested
from devhost.api import Client
from devhost.hosting import TestHost
from devhost.node import images
from devhost.node.oci import Config, Entry
from reconciler.verbs.looks import looks
from tests.devhost import real_node

KINDS = (
    ("v1", "Namespace"), ("v1", "PersistentVolume"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"), ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"),
)  # fmt: skip


def there(client: Client) -> set[str]:
    """Everything outside namespaces that the demo could leave."""
    return {f"{kind} {one['metadata']['name']}" for api, kind in KINDS for one in client.list(api, kind)["items"]}


@pytest.mark.long
@pytest.mark.host
def test_the_story_on_somebody_elses_cluster(fresh_host: Callable[..., TestHost], tmp_path: Path) -> None:
    told_and_removed(fresh_host(nested="own", nodes=2), nested.chart(), tmp_path, 150.0)


@pytest.mark.long
@pytest.mark.host
@pytest.mark.timeout(1200)
@pytest.mark.xdist_group(real_node.GROUP)
@pytest.mark.skipif(
    not (os.environ.get("NIDUS_VCLUSTER") and os.environ.get("NIDUS_VCLUSTER_CHART")),
    reason="needs the official engine: NIDUS_VCLUSTER names its binary, NIDUS_VCLUSTER_CHART the folder of its chart",
)
def test_the_story_on_a_cluster_whose_pods_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The official engine and its chart; a program of ours serves the page in place of nginx."""
    real_node.skip_unless_possible()
    root = tmp_path_factory.mktemp("lent")  # a test's own folder is too deep for the kubelet's sockets
    lent = hosting.start(root / "host", nodes=0, nested="none", node="real")
    try:
        images.load(lent.folder, WEB, web(lent.kubectl), SERVE)
        told_and_removed(lent, nested.chart(), root, 600.0)
    finally:
        lifecycle.down(lent.folder)


WEB = "nginxinc/nginx-unprivileged:1.27"
PROXY = "kubectl proxy --address=0.0.0.0 --port=8080 --accept-hosts=.* --api-prefix=/none/ --www-prefix=/"
SERVE = Config(entrypoint=(*PROXY.split(), "--www=/usr/share/nginx/html"), user="101")


def web(kubectl: Path) -> Iterator[Entry]:
    """What the sample's charts run, and nginx is not here: kubectl serves a folder too."""
    yield from images.base()
    yield Entry("usr/bin/kubectl", 0o755, kubectl.resolve())


def told_and_removed(lent: TestHost, chart: Path, folder: Path, seconds: float) -> None:
    """The whole story there, then Ctrl-C."""
    kubeconfig = lent.host.kubeconfig
    context = yaml.safe_load(kubeconfig.read_text())["current-context"]
    before = there(lent.client)
    words = ["demo", "--yes", "--context", context, "--kubeconfig", str(kubeconfig), "--chart", str(chart)]
    command = [sys.executable, "-m", "reconciler", *words, "--dir", str(folder / "demo")]
    log = folder / "told"
    with log.open("wb") as output:
        demo = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        for _ in looks(seconds, 0.2):
            if "The controller runs until Ctrl-C." in log.read_text() or demo.poll() is not None:
                break
        made = there(lent.client) - before
        demo.send_signal(signal.SIGINT)
        code = demo.wait(120)
    told = log.read_text()
    assert code == 0, told
    assert "push -> applied in" in told and f"nidus status --kubeconfig {kubeconfig} --context {context}" in told
    assert {"Namespace vcluster-team-b", "ClusterRole nidus", "CustomResourceDefinition requests.nidus.dev"} <= made
    assert there(lent.client) == before
