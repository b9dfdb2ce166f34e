"""Small stand-ins of our own for the releases that `examples/tekton` names: the kinds and workloads that its packs wait for."""

from typing import Any

import yaml

BASE = "https://infra.tekton.dev/tekton-releases"
HELD = "tekton-pipelines-webhook"
"""The workload of Pipelines whose ServiceAccount its release does not bring: it has no pod until somebody makes that."""


def releases() -> dict[str, bytes]:
    """The files by their paths below `BASE`."""
    pipelines, resolvers = "tekton-pipelines", "tekton-pipelines-resolvers"
    return {
        "/pipeline/previous/v1.15.0/release.yaml": _file(
            _plain("Namespace", pipelines),
            *(_definition("tekton.dev", "v1", kind) for kind in ("Task", "Pipeline", "PipelineRun")),
            _deployment(pipelines, HELD, serviceAccountName=HELD),
            _deployment(pipelines, "tekton-pipelines-controller"),
            _plain("Namespace", resolvers),
            _deployment(resolvers, "tekton-pipelines-remote-resolvers"),
        ),
        "/triggers/previous/v0.37.0/release.yaml": _file(
            *(
                _definition("triggers.tekton.dev", "v1beta1", kind)
                for kind in ("EventListener", "TriggerBinding", "TriggerTemplate")
            ),
            _definition("triggers.tekton.dev", "v1alpha1", "ClusterInterceptor", scope="Cluster"),
            *(_role(f"tekton-triggers-eventlistener-{one}") for one in ("roles", "clusterroles")),
            _deployment(pipelines, "tekton-triggers-webhook"),
        ),
        "/triggers/previous/v0.37.0/interceptors.yaml": _file(
            _plain("Secret", "tekton-triggers-core-interceptors-certs", pipelines),
            *(_interceptor(name) for name in ("github", "cel")),
            _deployment(pipelines, "tekton-triggers-core-interceptors"),
        ),
        "/chains/previous/v0.29.0/release.yaml": _file(
            _plain("Namespace", "tekton-chains"),
            _plain("Secret", "signing-secrets", "tekton-chains"),
            _plain("ConfigMap", "chains-config", "tekton-chains"),
            _deployment("tekton-chains", "tekton-chains-controller"),
        ),
    }


def _file(*objects: dict[str, Any]) -> bytes:
    return yaml.safe_dump_all(objects).encode()


def _plain(kind: str, name: str, namespace: str = "", version: str = "v1", **more: Any) -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def _definition(group: str, version: str, kind: str, scope: str = "Namespaced") -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    served = {"name": version, "served": True, "storage": True, "schema": schema}
    spec = {"group": group, "scope": scope, "names": {"kind": kind, "plural": plural}, "versions": [served]}
    return _plain("CustomResourceDefinition", f"{plural}.{group}", version="apiextensions.k8s.io/v1", spec=spec)


def _interceptor(name: str) -> dict[str, Any]:
    service = {"name": "tekton-triggers-core-interceptors", "namespace": "tekton-pipelines", "path": name, "port": 8443}
    spec = {"clientConfig": {"service": service}}
    return _plain("ClusterInterceptor", name, version="triggers.tekton.dev/v1alpha1", spec=spec)


def _role(name: str) -> dict[str, Any]:
    rules = [{"apiGroups": ["triggers.tekton.dev"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]
    return _plain("ClusterRole", name, version="rbac.authorization.k8s.io/v1", rules=rules)


def _deployment(namespace: str, name: str, **pod: Any) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": f"{name}:1"}], **pod}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return _plain("Deployment", name, namespace, "apps/v1", spec=spec)
