"""Pods behave as their annotation asks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from devhost.stages import BEHAVIOUR, DELAY, READINESS
from tests.devhost.conftest import Kubectl
from tests.devhost.traces import until

pytestmark = [pytest.mark.host, pytest.mark.xdist_group("empty_host")]


def make_pod(kubectl: Kubectl, namespace: str, **annotations: str) -> None:
    keys = {"behaviour": BEHAVIOUR, "delay": DELAY, "readiness": READINESS}
    metadata = {"name": "p", "annotations": {keys[name]: value for name, value in annotations.items()}}
    init = {"name": "i", "image": "i"}
    spec = {"containers": [{"name": "c", "image": "c"}], "initContainers": [init]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=json.dumps(body))


def status(kubectl: Kubectl, namespace: str) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(kubectl("get", "pod/p", "-n", namespace, "-o", "json").stdout)["status"]
    return shown


def is_ready(kubectl: Kubectl, namespace: str) -> str:
    return {one["type"]: one["status"] for one in status(kubectl, namespace)["conditions"]}.get("Ready", "")


def test_plain_pod_is_ready_and_goes(kubectl: Kubectl, namespace: str) -> None:
    make_pod(kubectl, namespace)
    kubectl("wait", "pod/p", "--for=condition=Ready", "-n", namespace, "--timeout=60s")
    seen = status(kubectl, namespace)
    assert seen["podIP"] and seen["initContainerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
    kubectl("delete", "pod/p", "-n", namespace, "--timeout=60s")


def test_slow_pod_is_ready_after_its_delay(kubectl: Kubectl, namespace: str) -> None:
    make_pod(kubectl, namespace, behaviour="slow", delay="2s")
    kubectl("wait", "pod/p", "--for=condition=Ready", "-n", namespace, "--timeout=1s", fails=True)
    kubectl("wait", "pod/p", "--for=condition=Ready", "-n", namespace, "--timeout=60s")


def test_never_ready_pod_runs_only(kubectl: Kubectl, namespace: str) -> None:
    make_pod(kubectl, namespace, behaviour="never-ready")
    kubectl("wait", "pod/p", "--for=jsonpath={.status.phase}=Running", "-n", namespace, "--timeout=60s")
    assert is_ready(kubectl, namespace) == "False"


def test_crash_looping_pod_restarts_again_and_again(kubectl: Kubectl, namespace: str) -> None:
    make_pod(kubectl, namespace, behaviour="crash-looping")
    kubectl("wait", "pod/p", "--for=condition=Ready=False", "-n", namespace, "--timeout=60s")

    def restarted() -> bool:
        container = status(kubectl, namespace)["containerStatuses"][0]
        assert container["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        return bool(container["restartCount"] >= 2)

    assert until(restarted)


def test_a_pod_whose_image_is_missing_waits_for_it(kubectl: Kubectl, namespace: str) -> None:
    make_pod(kubectl, namespace, behaviour="image-missing")
    assert until(lambda: status(kubectl, namespace).get("containerStatuses"))
    waiting = status(kubectl, namespace)["containerStatuses"][0]["state"]["waiting"]
    assert waiting == {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "c"'}


def test_a_failing_pod_ends(kubectl: Kubectl, namespace: str) -> None:
    make_pod(kubectl, namespace, behaviour="failing")
    kubectl("wait", "pod/p", "--for=jsonpath={.status.phase}=Failed", "-n", namespace, "--timeout=60s")
    assert status(kubectl, namespace)["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3


def test_external_pod_is_left_alone_but_for_its_deletion(kubectl: Kubectl, namespace: str) -> None:
    make_pod(kubectl, namespace, readiness="external")
    kubectl("wait", "pod/p", "--for=condition=PodScheduled", "-n", namespace, "--timeout=60s")
    kubectl("wait", "pod/p", "--for=condition=Ready", "-n", namespace, "--timeout=1s", fails=True)
    kubectl("delete", "pod/p", "-n", namespace, "--timeout=60s")


def test_conditions_taken_away_come_back(kubectl: Kubectl, namespace: str) -> None:
    """The engine's syncer copies a pod's status; what it read may be older than what the node wrote meanwhile."""
    make_pod(kubectl, namespace)
    kubectl("wait", "pod/p", "--for=condition=Ready", "-n", namespace, "--timeout=60s")
    scheduled = [one for one in status(kubectl, namespace)["conditions"] if one["type"] == "PodScheduled"]
    body = json.dumps({"status": {"conditions": scheduled}})
    kubectl("patch", "pod/p", "-n", namespace, "--subresource=status", "--type=merge", f"--patch={body}")
    kubectl("wait", "pod/p", "--for=condition=Ready", "-n", namespace, "--timeout=60s")
