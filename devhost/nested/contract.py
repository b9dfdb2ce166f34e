"""What an engine leaves on the host and the product reads: names, Secrets, annotations, certificate names.

Pure. Source of the contract: the engine at 0.36.1 (kubeconfig Secret, certificates, annotations of objects the chart owns).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from devhost import certs
from devhost.api import Object
from devhost.certs import Pair
from devhost.components import SERVICE_CIDR

LOCAL_SERVER: Final = "https://localhost:8443"
ENGINE_PORT: Final = 8443
SERVICE_CIDR_KEY: Final = "vcluster.loft.sh/service-cidr"
STORE_KEY: Final = "vcluster.loft.sh/store"
ADMIN: Final = ("kubernetes-super-admin", "system:masters")


@dataclass(frozen=True, slots=True, order=True)
class Engine:
    """One nested cluster as the host knows it: release `name` in `namespace`."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Keys:
    """What Secret NAME-certs keeps over restarts: the authority and the key pair of service-account tokens."""

    ca: Pair
    sa_private: bytes
    sa_public: bytes


def new_keys(engine: Engine) -> Keys:
    """Make the keys of a new nested cluster."""
    private, public = certs.key_pair()
    return Keys(certs.authority(f"{engine.name}-ca"), private, public)


def engine_of(pod: Object) -> Engine | None:
    """Return the engine this host pod runs; None for every other pod, the synced ones of tenants included."""
    labels = pod["metadata"].get("labels", {})
    if labels.get("app") != "vcluster" or "release" not in labels or "vcluster.loft.sh/managed-by" in labels:
        return None
    return Engine(pod["metadata"]["namespace"], labels["release"])


def member_of(pod: Object) -> Engine | None:
    """Return the engine whose store this host pod is a member of; None for every other pod."""
    labels = pod["metadata"].get("labels", {})
    if labels.get("app") != "vcluster-etcd" or "release" not in labels or "vcluster.loft.sh/managed-by" in labels:
        return None
    return Engine(pod["metadata"]["namespace"], labels["release"])


def majority_of(config: Object) -> int:
    """How many members of the store have to be Ready for the engine to answer; 0 where it keeps its data itself."""
    if store_of(config) != "deployed-etcd":
        return 0
    return int(value(config, "controlPlane.backingStore.etcd.deploy.statefulSet.highAvailability.replicas", 1)) // 2 + 1


def config_of(secret: Object) -> Object:
    """Decode the merged chart values of Secret vc-config-NAME."""
    loaded = yaml.safe_load(decoded(secret, "config.yaml"))
    return loaded if isinstance(loaded, dict) else {}


def value(config: Mapping[str, Any], path: str, default: Any = None) -> Any:
    """Return the value at a dotted path, `default` when it or a parent is missing or null."""
    found: Any = config
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return default if found is None else found


def decoded(secret: Object, key: str) -> bytes:
    """Return one value of a Secret."""
    return base64.b64decode(secret["data"][key])


def store_of(config: Object) -> str:
    """The engine's word for where it keeps its data."""
    deployed = value(config, "controlPlane.backingStore.etcd.deploy.enabled", False)
    return "deployed-etcd" if deployed else "embedded-database"


def claim_of(engine: Engine, config: Object) -> str | None:
    """The name of the claim that holds the engine's data; None when the values want none."""
    if store_of(config) == "deployed-etcd":
        path, name = "controlPlane.backingStore.etcd.deploy.statefulSet", f"data-{engine.name}-etcd-0"
    else:
        path, name = "controlPlane.statefulSet", f"data-{engine.name}-0"
    wanted = value(config, f"{path}.persistence.volumeClaim.enabled", True)
    return name if str(wanted).lower() != "false" else None


def certificate_names(engine: Engine, config: Object, service: Object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (DNS names, addresses) of the serving certificate."""
    balancer = service.get("status", {}).get("loadBalancer", {}).get("ingress") or ()
    extra = [str(name) for name in value(config, "controlPlane.proxy.extraSANs", ())]
    hosts = [value(config, "controlPlane.ingress.host", "")] + [entry.get("hostname", "") for entry in balancer]
    addresses = [service["spec"].get("clusterIP", "")] + [entry.get("ip", "") for entry in balancer]
    dns = [engine.name, f"{engine.name}.{engine.namespace}", "localhost", "kubernetes", "kubernetes.default"]
    dns += ["kubernetes.default.svc", "kubernetes.default.svc.cluster.local", *hosts]
    dns += [name for name in extra if not _is_address(name)]
    addresses += ["127.0.0.1", *(name for name in extra if _is_address(name))]
    return tuple(dict.fromkeys(filter(None, dns))), tuple(dict.fromkeys(filter(_is_address, addresses)))


def kubeconfig_secret(engine: Engine, service: Object, ca: bytes, client: Pair) -> Object:
    """Secret vc-NAME: a cluster administrator's kubeconfig, whole and in parts."""
    data = {
        "config": certs.kubeconfig(LOCAL_SERVER, ca, client, context="my-vcluster").encode(),
        "certificate-authority": ca,
        "client-certificate": client.certificate,
        "client-key": client.key,
        "token": b"",
    }
    labels = {"app": "vcluster", "vcluster-name": engine.name}
    return _secret(engine, f"vc-{engine.name}", data, labels, service)


def keys_secret(engine: Engine, service: Object, keys: Keys) -> Object:
    """Secret NAME-certs. Losing it means a new authority, and every kubeconfig is dead."""
    data = {"ca.crt": keys.ca.certificate, "ca.key": keys.ca.key, "sa.key": keys.sa_private, "sa.pub": keys.sa_public}
    return _secret(engine, f"{engine.name}-certs", data, {}, service)


def keys_of(secret: Object) -> Keys:
    """Read Secret NAME-certs."""
    data = {name: base64.b64decode(text) for name, text in secret["data"].items()}
    return Keys(Pair(data["ca.crt"], data["ca.key"]), data["sa.key"], data["sa.pub"])


def owner(engine: Engine, service: Object) -> list[Object]:
    """The owner reference to Service NAME, which every object the engine makes on the host carries."""
    uid = service["metadata"]["uid"]
    return [{"apiVersion": "v1", "kind": "Service", "name": engine.name, "uid": uid, "controller": False}]


def marks(config: Object) -> tuple[Object, Object]:
    """Merge patches of Service NAME and of Secret vc-config-NAME."""
    service = {"metadata": {"annotations": {SERVICE_CIDR_KEY: SERVICE_CIDR}}}
    return service, {"metadata": {"annotations": {STORE_KEY: store_of(config)}}}


def _secret(engine: Engine, name: str, data: Mapping[str, bytes], labels: Mapping[str, str], service: Object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": name,
            "namespace": engine.namespace,
            "labels": dict(labels),
            "ownerReferences": owner(engine, service),
        },
        "data": {key: base64.b64encode(content).decode() for key, content in data.items()},
    }


def _is_address(name: str) -> bool:
    return ":" in name or (name.count(".") == 3 and name.replace(".", "").isdigit())
