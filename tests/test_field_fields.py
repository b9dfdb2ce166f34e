"""Field case 16 and its kind: fields that a controller of Kubernetes writes are never sent, so nobody fights over them."""

from typing import Any

import pytest

from reconciler.plan.request import request
from tests.server_model import HOST, layer


def meta(**annotations: str) -> dict[str, Any]:
    return {"name": "a", "annotations": {"mine": "1", **annotations}}


@pytest.mark.parametrize(
    ("version", "kind", "theirs"),
    [
        ("apps/v1", "Deployment", "deployment.kubernetes.io/revision"),
        ("apps/v1", "DaemonSet", "deprecated.daemonset.template.generation"),
        ("v1", "Endpoints", "endpoints.kubernetes.io/last-change-trigger-time"),
        ("v1", "PersistentVolumeClaim", "pv.kubernetes.io/bind-completed"),
        ("v1", "PersistentVolumeClaim", "volume.kubernetes.io/selected-node"),
    ],
)
def test_16_what_a_controller_writes_is_not_sent(version: str, kind: str, theirs: str) -> None:
    one = layer("web/base", HOST)
    exported = {"apiVersion": version, "kind": kind, "metadata": meta(**{theirs: "4"})}
    for live in (None, exported):
        assert request(exported, one, live)["metadata"] == meta()
    other = {**exported, "apiVersion": "x.io/v1"}
    assert request(other, one, None) == other


def test_16_aggregated_rules_and_finalizers_of_a_namespace() -> None:
    one = layer("web/base", HOST)
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": meta(), "rules": []}
    assert "rules" not in request({**role, "aggregationRule": {}}, one, None)
    assert request(role, one, None) == role
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": meta(), "spec": {"finalizers": ["kubernetes"]}}
    assert request(space, one, None)["spec"] == {}
