"""`nidus demo --context` on a cluster that somebody has: the whole story, and afterwards nothing of it is left."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from devhost import nested
from devhost.api import Client
from devhost.hosting import TestHost
from reconciler.__main__ import main

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
def test_the_story_on_somebody_elses_cluster(
    fresh_host: Callable[..., TestHost], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lent = fresh_host(nested="own", nodes=2)
    kubeconfig = lent.host.kubeconfig
    context = yaml.safe_load(kubeconfig.read_text())["current-context"]
    before = there(lent.client)
    words = ["demo", "--once", "--yes", "--context", context, "--kubeconfig", str(kubeconfig)]
    code = main([*words, "--dir", str(tmp_path / "demo"), "--chart", str(nested.chart())])
    told = capsys.readouterr()
    assert code == 0, told
    assert (
        "push -> applied in" in told.out and f"nidus status --kubeconfig {kubeconfig} --context {context}" in told.out
    )
    assert there(lent.client) - before == set()
    assert before - there(lent.client) == set()
