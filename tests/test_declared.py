"""What a plan shows of a document that says something else: every property of a cluster is in a layer or in the plan."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from reconciler.model import (
    Change,
    ClusterDocument,
    Content,
    EngineChart,
    NestedCluster,
    ObjectRef,
    Plan,
    ProfileDocument,
    Revision,
    Specs,
    Target,
    replace,
)
from reconciler.plan import declared
from reconciler.spec import resolve
from tests.spec_cases import FACTS, FILES, PROFILE, RULES, snapshot

SCHEMA = json.loads((Path(__file__).parents[1] / "schemas/NestedCluster.schema.json").read_text())
NAMED = {"apiVersion", "kind", "metadata.name"}  # with another one it is another document
OFFERED = replace(RULES, engines=tuple(EngineChart(one, one, (("Chart.yaml", one),)) for one in ("0.36.1", "0.36.2")))
PROFILES = {
    **{
        "later.yaml": PROFILE.replace("1.2.0", "1.3.0").replace(
            'manifests: {files: ["web/*.yaml"]}', "manifests: {objects: []}"
        )
    },
    **{"api.yaml": PROFILE.replace("name: web}", "name: api}")},
}
FULL = """\
apiVersion: nidus.dev/v1alpha1
kind: NestedCluster
metadata: {name: team-a, labels: {team: a}}
spec:
  description: for people
  host: local
  engine: {version: 0.36.1}
  kubernetes: {version: v1.35.0}
  controlPlane:
    replicas: 1
    store: {type: etcd, members: 3, size: 5Gi, storageClass: fast}
    resources: {requests: {cpu: "1"}, limits: {cpu: "2"}}
  expose:
    type: LoadBalancer
    host: a.example.com
    ingressClassName: nginx
    gateway: {name: public, namespace: edge, sectionName: tls}
    nodePort: 30001
    sourceRanges: [10.0.0.0/8]
    externalTrafficPolicy: Local
    loadBalancerClass: cloud
    extraSANs: [b.example.com]
    annotations: {a: b}
  quota: &quota
    {cpu: "2", memory: 2Gi, storage: 9Gi, ephemeralStorage: 9Gi, pods: 9, services: 9,
     loadBalancers: 1, nodePorts: 1, extended: {a.b/gpu: 1}}
  isolation: {networkPolicy: true, ingressFrom: [{namespace: edge}], podSecurity: baseline, runtimeClass: gvisor}
  sync:
    toHost: {ingresses: true, podDisruptionBudgets: true, serviceAccounts: true, networkPolicies: true, ingressHosts: [a.example.com]}
  scheduling:
    nodeSelector: {disk: ssd}
    tolerations: [{key: k, operator: Equal, value: v, effect: NoSchedule}]
    priorityClassName: high
  profiles: [{name: web, version: 1.2.x, variables: {domain: a.example.com}, values: {front: {debug: true}}}]
  namespaces: [{name: web, labels: {team: a}, quota: *quota}]
  suspend: {reason: a day, until: "2030-01-01T00:00:00Z"}
  sleep: {state: Auto, schedule: [{sleep: 0 20 * * *, wake: 0 6 * * *, timezone: UTC}]}
  backup:
    schedule: 0 1 * * *
    timezone: UTC
    location: {type: s3, bucket: b, endpoint: "https://s3.example.com", region: eu, prefix: p}
    credentials: s3
    retention: {keep: 7, period: 7d}
    beforeUpgrade: true
  upgrade: {steps: None}
  restoreFrom: {cluster: b, id: 20260101T000000-a, url: "https://s3.example.com/b/p", region: eu, credentials: s3}
  access:
    rbac: [{role: {kind: ClusterRole, name: view}, namespace: web, subjects: [{kind: ServiceAccount, name: ci, namespace: web}]}]
    kubeconfigs: [{name: ci, role: view, server: internal, ttl: 24h}]
    oidc: {issuer: "https://id.example.com", clientID: nidus, usernameClaim: sub, groupsClaim: groups}
  deletion: {policy: Retain, protect: false, ttl: 7d, grace: 1h}
"""
OTHER: dict[str, Any] = {
    "spec.engine.version": "0.36.2",
    "spec.kubernetes.version": "v1.36.0",
    "spec.controlPlane.store.members": 1,
    "spec.profiles[].name": "api",
    "spec.profiles[].version": "1.3.x",
    "spec.profiles[].variables.*": "b.example.com",
    "spec.profiles[].values.*": {"debug": False},
}
VARIANTS = [("LoadBalancer", "etcd"), ("NodePort", "sqlite"), ("Ingress", "sqlite"), ("TLSRoute", "sqlite")]


def leaves(schema: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every property that holds no others, as `spec.profiles[].values.*`, with its schema."""
    if "$ref" in schema:
        schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
    if "properties" in schema:
        for name, child in schema["properties"].items():
            yield from leaves(child, f"{at}.{name}".lstrip("."))
    elif "items" in schema:
        yield from leaves(schema["items"], f"{at}[]")
    elif isinstance(schema.get("additionalProperties"), dict):
        yield from leaves(schema["additionalProperties"], f"{at}.*")
    else:
        yield at, schema


LEAVES = dict(leaves(SCHEMA))


def other(path: str, value: Any) -> Any:
    """Another value."""
    if path in OTHER:
        return OTHER[path]
    if enum := [one for one in LEAVES[path].get("enum", ()) if one != value]:
        return enum[0]
    if isinstance(value, bool | int):
        return not value if isinstance(value, bool) else value + 1
    return f"{int(value[0]) % 8 + 1}{value[1:]}" if value[0].isdigit() else f"{value}x"


def edited(body: Any, path: str) -> Any:
    """The body with another value at that place."""
    made = {"": copy.deepcopy(body)}
    at, key = made, ""
    for step in re.findall(r"[^.\[\]]+|\[\]", path):
        at = at[key]
        key = 0 if step == "[]" else next(iter(at)) if step == "*" else step
    at[key] = other(path, at[key])
    return made[""]


def document(body: Any) -> ClusterDocument:
    return ClusterDocument(msgspec.convert(body, NestedCluster), "a.yaml", 1, json.dumps(body))


@cache
def profiles() -> Mapping[tuple[str, str], ProfileDocument]:
    found, _ = snapshot({**FILES, **{f"profiles/{name}": text for name, text in PROFILES.items()}})
    return found.content.specs.profiles


def layers(one: ClusterDocument) -> list[str]:
    """The digests of its layers."""
    specs = Specs({"team-a": one}, profiles())
    return [
        layer.digest for layer in resolve.bundle("team-a", Content(Revision("main", "c"), specs), OFFERED, FACTS).layers
    ]


@cache
def bodies() -> tuple[tuple[Any, list[str]], ...]:
    """The document in each variant, with its layers."""
    whole, made = yaml.safe_load(FULL), []
    for expose, store in VARIANTS:
        body = copy.deepcopy(whole)
        body["spec"]["expose"]["type"], body["spec"]["controlPlane"]["store"]["type"] = expose, store
        made.append((body, layers(document(body))))
    return tuple(made)


PLAN = Plan("team-a", Revision("main", "c"), ())
MOVES = replace(
    PLAN, changes=(Change("configure", Target("local"), ObjectRef("", "ConfigMap", "a", "b"), "", "engine"),)
)


@pytest.mark.parametrize("path", sorted(LEAVES.keys() - NAMED))
def test_every_property_that_says_something_else_is_shown(path: str) -> None:
    """By the plan of its document, or where objects change by a layer that is made of it."""
    shown, rendered = [], []
    for body, of_before in bodies():
        before, after = document(body), document(edited(body, path))
        shown.append((declared.unseen(before, after, PLAN), declared.unseen(before, after, MOVES)))
        rendered.append(of_before != layers(after))
    if path == "spec.description":
        assert shown == [((), ())] * len(shown) and not any(rendered)
        return
    assert all(alone for alone, _ in shown)
    assert shown[0][1] or any(rendered)
