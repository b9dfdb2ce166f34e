"""Two kinds of the Gateway API as far as a cluster's exposure uses them: written here, with the fields that are looked at."""

from typing import Any

GROUP = "gateway.networking.k8s.io"
TEXT = {"type": "string"}


def definitions(*versions: str) -> list[dict[str, Any]]:
    """CRDs of Gateway, and of TLSRoute at these versions (v1 where none is named; the last one is stored)."""
    listener = {
        "name": TEXT,
        "hostname": TEXT,
        "port": {"type": "integer"},
        "protocol": TEXT,
        "tls": _object(mode=TEXT),
    }
    gateway = _object(gatewayClassName=TEXT, listeners=_list(_object(**listener)))
    parent = _object(group=TEXT, kind=TEXT, name=TEXT, namespace=TEXT, sectionName=TEXT)
    backend = _object(group=TEXT, kind=TEXT, name=TEXT, namespace=TEXT, port={"type": "integer"})
    hostnames = {"type": "array", "items": TEXT}
    route = _object(parentRefs=_list(parent), hostnames=hostnames, rules=_list(_object(backendRefs=_list(backend))))
    return [_crd("Gateway", gateway, ("v1",)), _crd("TLSRoute", route, versions or ("v1",))]


def gateway(name: str, namespace: str, *listeners: dict[str, Any]) -> dict[str, Any]:
    """A Gateway of some class."""
    meta = {"name": name, "namespace": namespace}
    spec = {"gatewayClassName": "some", "listeners": list(listeners)}
    return {"apiVersion": f"{GROUP}/v1", "kind": "Gateway", "metadata": meta, "spec": spec}


def listener(mode: str = "Passthrough", hostname: str = "", port: int = 443, name: str = "tls") -> dict[str, Any]:
    """A listener of protocol TLS."""
    found = {"name": name, "port": port, "protocol": "TLS", "tls": {"mode": mode}}
    return found | ({"hostname": hostname} if hostname else {})


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _crd(kind: str, spec: dict[str, Any], versions: tuple[str, ...]) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": free}}}
    served = [
        {"name": one, "served": True, "storage": one == versions[-1], "schema": schema, "subresources": {"status": {}}}
        for one in versions
    ]
    notes = {"api-approved.kubernetes.io": "unapproved, a part of it for tests"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}", "annotations": notes},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": served,
        },
    }
