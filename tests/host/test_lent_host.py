"""`nidus demo --context` on a cluster that somebody has: the whole story, and after Ctrl-C nothing of it is left."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from devhost import nested
from devhost.api import Client
from devhost.hosting import TestHost
from reconciler.verbs.looks import looks

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
    lent = fresh_host(nested="own", nodes=2)
    kubeconfig = lent.host.kubeconfig
    context = yaml.safe_load(kubeconfig.read_text())["current-context"]
    before = there(lent.client)
    words = ["demo", "--yes", "--context", context, "--kubeconfig", str(kubeconfig), "--chart", str(nested.chart())]
    command = [sys.executable, "-m", "reconciler", *words, "--dir", str(tmp_path / "demo")]
    log = tmp_path / "told"
    with log.open("wb") as output:
        demo = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        for _ in looks(150.0, 0.2):
            if "The controller runs until Ctrl-C." in log.read_text() or demo.poll() is not None:
                break
        made = there(lent.client) - before
        demo.send_signal(signal.SIGINT)
        code = demo.wait(60)
    told = log.read_text()
    assert code == 0, told
    assert "push -> applied in" in told and f"nidus status --kubeconfig {kubeconfig} --context {context}" in told
    assert {"Namespace vcluster-team-b", "ClusterRole nidus", "CustomResourceDefinition requests.nidus.dev"} <= made
    assert there(lent.client) == before
