"""Documents of the tests' repositories: a NestedCluster, a ClusterProfile, its packs and their objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

RESTRICTED: Mapping[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""The securityContext of a container that every pod security level lets in."""


def cluster(name: str = "a", **spec: Any) -> str:
    """A NestedCluster of profile `web`; JSON is YAML."""
    body = {"namespaces": [{"name": "web"}], "profiles": [{"name": "web", "version": "1.x"}], **spec}
    document = {
        "apiVersion": "nidus.dev/v1alpha1",
        "kind": "NestedCluster",
        "metadata": {"name": name},
        "spec": body,
    }
    return msgspec.json.encode(document).decode()


def profile(*packs: Mapping[str, Any], name: str = "web", version: str = "1.0.0") -> str:
    """A ClusterProfile of these packs."""
    document = {
        "apiVersion": "nidus.dev/v1alpha1",
        "kind": "ClusterProfile",
        "metadata": {"name": name},
        "spec": {"version": version, "packs": list(packs)},
    }
    return msgspec.json.encode(document).decode()


def pack(name: str, *objects: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A pack of these objects in namespace `web`."""
    return {"name": name, "namespace": "web", "manifests": {"objects": list(objects)}, **more}


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def crd(scope: str = "Cluster", group: str = "zones.example", kind: str = "Zone") -> dict[str, Any]:
    """A CustomResourceDefinition without a schema to speak of."""
    plural = f"{kind.lower()}s"
    whole = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": whole}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [version],
        },
    }
