"""What the engine's pod looks like from outside: its status and the way to its port. Pure."""

from __future__ import annotations

from typing import Final

from devhost.api import Object
from devhost.nested.contract import ENGINE_PORT

FORWARDS: Final = "ClusterPortForward"
FORWARDS_API: Final = "kwok.x-k8s.io/v1alpha1"


def is_ready(pod: Object) -> bool:
    """Tell whether the pod's Ready condition is True."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def status(pod: Object, *, ready: bool, address: str, now: str, restarts: int = 0) -> Object:
    """The status a kubelet would report of a running pod, `now` in RFC 3339; without `ready` its containers run unready."""
    word = "True" if ready else "False"
    words = {"Initialized": "True", "PodReadyToStartContainers": "True", "ContainersReady": word, "Ready": word}
    started = pod.get("status", {}).get("startTime", now)
    done = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": started, "finishedAt": started}}
    runs = {"running": {"startedAt": now}}
    spec = pod["spec"]
    return {
        "phase": "Running",
        "startTime": started,
        "hostIP": "127.0.0.1",
        "hostIPs": [{"ip": "127.0.0.1"}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": name, "status": word, "lastTransitionTime": now} for name, word in words.items()],
        "initContainerStatuses": [_container(one, done, True, 0) for one in spec.get("initContainers", ())],
        "containerStatuses": [_container(one, runs, ready, restarts) for one in spec["containers"]],
    }


def forward(pod: Object, port: int) -> Object:
    """Tell kwok where port-forwards to this pod's port go."""
    meta = pod["metadata"]
    return {
        "apiVersion": FORWARDS_API,
        "kind": FORWARDS,
        "metadata": {"name": forward_name(pod)},
        "spec": {
            "selector": {"matchNamespaces": [meta["namespace"]], "matchNames": [meta["name"]]},
            "forwards": [_forward(port)],
        },
    }


def forward_all(port: int) -> Object:
    """Tell kwok that the engine's port of every pod is `port`: what the shared plane needs."""
    body = {"apiVersion": FORWARDS_API, "kind": FORWARDS, "metadata": {"name": "shared"}}
    return body | {"spec": {"forwards": [_forward(port)]}}


def forward_name(pod: Object) -> str:
    """The name of the pod's forward()."""
    return f"{pod['metadata']['namespace']}.{pod['metadata']['name']}"


def forwards_definition() -> Object:
    """The definition of kwok's ClusterPortForward, as far as the host uses it."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    plural = f"{FORWARDS.lower()}s"
    names = {"kind": FORWARDS, "listKind": f"{FORWARDS}List", "plural": plural, "singular": FORWARDS.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.kwok.x-k8s.io"},
        "spec": {"group": "kwok.x-k8s.io", "scope": "Cluster", "names": names, "versions": [version]},
    }


def _forward(port: int) -> Object:
    return {"ports": [ENGINE_PORT], "target": {"address": "127.0.0.1", "port": port}}


def _container(container: Object, state: Object, ready: bool, restarts: int) -> Object:
    image = container["image"]
    head = {"name": container["name"], "image": image, "imageID": image, "restartCount": restarts}
    return head | {"state": state, "ready": ready, "started": "running" in state}
