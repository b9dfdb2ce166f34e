"""Pods that a level of pod security refuses for certain."""

from typing import Any

import pytest

from reconciler.engine.refusals import refused

SAFE = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod(context: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    container = {"name": "c", **({"securityContext": context} if context is not None else {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container], **spec}}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (pod({"privileged": True}), "container c is privileged"),
        (pod({"capabilities": {"add": ["SYS_ADMIN", "CHOWN", {}]}}), "container c adds capabilities SYS_ADMIN, {}"),
        (pod({"procMount": "Unmasked"}), "container c has procMount Unmasked"),
        (pod({"seccompProfile": {"type": "Unconfined"}}), "container c has seccompProfile Unconfined"),
        (pod(hostNetwork=True), "hostNetwork: true"),
        (pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), "hostPath volume v"),
        (pod(initContainers=[{"name": "i", "ports": [{"hostPort": 80}]}]), "container i has a hostPort"),
        (pod(securityContext={"seccompProfile": {"type": "Unconfined"}}), "seccompProfile Unconfined"),
    ],
)
def test_what_baseline_refuses(body: dict[str, Any], why: str) -> None:
    assert refused(body, "baseline") == (why,)
    assert why in refused(body, "restricted")


def test_what_restricted_refuses_besides() -> None:
    assert refused(pod(), "baseline") == ()
    assert refused(pod(), "restricted") == (
        "container c lacks allowPrivilegeEscalation: false",
        "container c lacks runAsNonRoot: true",
        "container c lacks capabilities.drop: [ALL]",
        "container c lacks seccompProfile: {type: RuntimeDefault}",
    )
    assert refused(pod(SAFE), "restricted") == ()
    level = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    own = {name: value for name, value in SAFE.items() if name not in level}
    assert refused(pod(own | {"runAsNonRoot": None}, securityContext=level), "restricted") == ()
    assert refused(pod(SAFE | {"runAsUser": 0}), "restricted") == ("container c has runAsUser: 0",)
    own_users = {name: value for name, value in SAFE.items() if name != "runAsNonRoot"} | {"procMount": "Unmasked"}
    assert refused(pod(own_users | {"runAsUser": 0}, hostUsers=False), "restricted") == ()
    volumes = [{"name": "v", "nfs": {}}, {"name": "w", "secret": {}}]
    assert refused(pod(SAFE, volumes=volumes), "restricted") == ("volume v is a nfs",)


@pytest.mark.parametrize(
    "body",
    [
        {"apiVersion": "example.io/v1", "kind": "Pod", "spec": {"hostNetwork": True}},
        {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": "x", "volumes": {"a": 1}}},
        {"apiVersion": ["v1"], "kind": {}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": []}},
        pod(hostNetwork="true"),
        None,
    ],
)
def test_what_is_no_pod_as_kubernetes_has_it_is_left_to_the_server(body: Any) -> None:
    assert refused(body, "baseline") == ()


def test_the_pods_of_workloads_are_looked_at() -> None:
    spec = pod({"privileged": True})["spec"]
    template = {"spec": {"template": {"spec": spec}}}
    for version, kind, body in (
        ("apps/v1", "Deployment", template),
        ("apps/v1", "DaemonSet", template),
        ("batch/v1", "Job", template),
        ("batch/v1", "CronJob", {"spec": {"jobTemplate": template}}),
    ):
        assert refused({"apiVersion": version, "kind": kind, **body}, "baseline") == ("container c is privileged",)
