"""Fields that people know from vcluster.yaml and from charts elsewhere, and what has their place here.

Used for failing documents only. Keys: where the field stands, without positions in lists, and its name ("" for the value itself).
"""

from collections.abc import Mapping

_STORE = "controlPlane.store has the place of it, such as store: {size: 10Gi}"
_QUOTA = 'write quota: {cpu: "4", memory: 8Gi}; limits of containers come with it'
_PULL = "write it in chart: {repo: https://HOST/FOLDER, name: NAME, version: VERSION}"
_HERE: Mapping[tuple[str, str], str] = {
    ("spec", "exportKubeConfig"): "remove it: `nidus kubeconfig NAME` prints the kubeconfig",
    ("spec", "policies"): "write quota for resourceQuota and limitRange, isolation for the rest",
    ("spec", "networking"): "write isolation for network policies, expose for addresses from outside",
    ("spec", "rbac"): "remove it: the rights of the engine are fixed",
    ("spec", "experimental"): "remove it: write what it deploys as packs of a profile",
    ("spec", "plugins"): "remove it: plugins of the engine are not run",
    ("spec", "sleepMode"): "remove it: the engine's own sleep is not used",
    ("spec/controlPlane", "distro"): "remove it: kubernetes.version names the version, such as v1.36.0",
    ("spec/controlPlane", "backingStore"): _STORE,
    (
        "spec/controlPlane",
        "statefulSet",
    ): "write controlPlane.resources, .replicas and .store; write scheduling for nodes",
    ("spec/controlPlane", "ingress"): "write expose for addresses from outside",
    ("spec/controlPlane", "service"): "write expose for addresses from outside",
    ("spec/controlPlane", "proxy"): "write expose.extraSANs for further names in the certificate",
    ("spec/sync", "fromHost"): "remove it: nothing is copied from the host by choice; toHost says what is copied to it",
    **{("spec/sync/toHost", name): "remove it: it is always copied" for name in ("pods", "services", "endpoints")},
    **{
        (f"spec/sync/toHost/{name}", ""): f"write {name}: true"
        for name in ("ingresses", "networkPolicies", "podDisruptionBudgets", "serviceAccounts")
    },
    **{("spec/quota", name): _QUOTA for name in ("limits.cpu", "limits.memory", "resourceQuota", "limitRange")},
    ("spec/quota", "requests.cpu"): "write cpu",
    ("spec/quota", "requests.memory"): "write memory",
    ("spec/quota", "requests.storage"): "write storage",
    ("spec/namespaces", ""): "write {name: team}",
    ("spec/packs/manifests/files", ""): 'write a list, such as ["m/*.yaml"]',
    ("spec/packs/helm/chart", ""): "write chart: {path: charts/NAME}",
    ("spec/packs/helm", "repo"): _PULL,
    ("spec/packs/helm", "version"): _PULL,
    ("spec/packs/kustomize", ""): "write kustomize: {path: overlays/prod}",
}


def hint(path: tuple[str | int, ...], name: str = "") -> str:
    """What to write instead of field `name` at `path`, or (no name) instead of a value of the wrong type there; "" where
    nothing is known."""
    place = "/".join(part for part in path if isinstance(part, str))
    return _HERE.get((place, name), "")
