"""Documents against their schema (V2): two engines agree, mistakes are explained, values stay out of messages."""

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from reconciler.model import ClusterProfile, ControllerConfig, NestedCluster
from reconciler.spec import explain, schema
from reconciler.spec.codes import Code
from tests.examples import examples

CLUSTER: dict[str, Any] = {
    "apiVersion": "nidus.dev/v1alpha1",
    "kind": "NestedCluster",
    "metadata": {"name": "team-a", "labels": {"team": "a", "example.io/x": ""}},
    "spec": {
        "description": "x",
        "host": "local",
        "engine": {"version": "0.36.1"},
        "kubernetes": {"version": "v1.36.0"},
        "controlPlane": {
            "replicas": 3,
            "store": {"type": "etcd", "size": "5Gi", "storageClass": "fast"},
            "resources": {"requests": {"cpu": "200m"}, "limits": {"memory": "2Gi"}},
        },
        "expose": {
            "type": "LoadBalancer",
            "sourceRanges": ["10.0.0.0/8"],
            "externalTrafficPolicy": "Local",
            "extraSANs": ["a.example.com"],
            "annotations": {"metallb.io/x": "y"},
        },
        "quota": {"cpu": "6", "pods": 50, "extended": {"nvidia.com/gpu": 1}},
        "isolation": {
            "networkPolicy": True,
            "ingressFrom": [{"namespace": "ingress"}],
            "podSecurity": "restricted",
            "runtimeClass": "gvisor",
        },
        "sync": {"toHost": {"ingresses": True}},
        "scheduling": {
            "nodeSelector": {"pool": "x"},
            "tolerations": [{"key": "a", "operator": "Exists"}],
            "priorityClassName": "p",
        },
        "profiles": [{"name": "web", "version": "1.2.x", "variables": {"a": [1]}, "values": {"p": {"b": None}}}],
        "namespaces": [{"name": "web", "labels": {"a": "b"}, "quota": {"cpu": "2"}}],
        "suspend": {"reason": "x", "until": "2026-12-01T00:00:00Z"},
        "backup": {
            "credentials": "keys",
            "location": {"type": "s3", "endpoint": "https://s3.example.org", "bucket": "backups"},
        },
        "deletion": {"policy": "Delete", "protect": True, "grace": "1h30m"},
    },
}
PROFILE: dict[str, Any] = {
    "apiVersion": "nidus.dev/v1alpha1",
    "kind": "ClusterProfile",
    "metadata": {"name": "web"},
    "spec": {
        "version": "1.2.0",
        "variables": [
            {
                "name": "a",
                "type": "integer",
                "default": 2,
                "enum": [1, 2],
                "minimum": 1,
                "maximum": 3,
                "immutable": True,
            }
        ],
        "packs": [
            {"name": "base", "namespace": "web", "manifests": {"files": ["web/*.yaml"], "objects": [{"a": 1}]}},
            {
                "name": "chart",
                "dependsOn": [],
                "helm": {
                    "chart": {"path": "../c"},
                    "releaseName": "r",
                    "values": {"x": [1]},
                    "valuesFiles": ["v.yaml"],
                    "hooks": "Ignore",
                },
                "ready": {
                    "timeout": "5m",
                    "checks": [{"crd": "a.example.io"}, {"condition": {"kind": "Job", "name": "j", "type": "Done"}}],
                },
                "drift": "report",
                "exclude": [{"kind": "Secret", "name": "key"}],
                "ignoreDifferences": [{"kind": "Job", "pointers": ["/spec/x"]}],
                "prune": False,
            },
        ],
    },
}
CONFIG: dict[str, Any] = {
    "apiVersion": "nidus.dev/v1alpha1",
    "kind": "ControllerConfig",
    "spec": {
        "sources": [
            {
                "name": "p",
                "url": "https://git.example.com/p.git",
                "webhook": {"provider": "github", "secretFiles": ["/etc/s"]},
                "interval": "5m",
            }
        ],
        "engine": {
            "versions": [{"version": "0.36.1", "chart": {"path": "/charts/v"}, "imageDigest": "sha256:" + "0" * 64}]
        },
        "limits": {"file": "2Mi", "depth": 40},
        "policy": {"dnsPattern": "*.nested.example.com"},
        "workers": 4,
        "traces": {"endpoint": "https://otel.example.com:4318", "tokenFile": "/etc/o"},
        "notify": [
            {"name": "on-call", "format": "slack", "urlFile": "/etc/slack", "events": ["Held", "Ready"]},
            {
                "name": "tickets",
                "url": "https://t.example.com/x",
                "secretFile": "/etc/s",
                "sources": ["p"],
                "labels": {"a": "b"},
            },
        ],
    },
}
BODIES = {"NestedCluster": CLUSTER, "ClusterProfile": PROFILE, "ControllerConfig": CONFIG}
MODELS: dict[str, Any] = {
    "NestedCluster": NestedCluster,
    "ClusterProfile": ClusterProfile,
    "ControllerConfig": ControllerConfig,
}


def changed(body: dict[str, Any], pointer: str, value: Any) -> dict[str, Any]:
    """A copy with one value set (or, with `...`, removed)."""
    whole = copy.deepcopy(body)
    here: Any = whole
    *path, last = [int(part) if part.isdigit() else part for part in pointer.strip("/").split("/")]
    for part in path:
        here = here[part] if isinstance(here, list) else here.setdefault(part, {})
    if value is ...:
        here.pop(last)
    else:
        here[last] = value
    return whole


@pytest.mark.parametrize("kind", schemas.KINDS)
def test_documents_with_every_kind_of_field_are_sound_and_convert(kind: str) -> None:
    assert schema.check(BODIES[kind]) == []
    assert msgspec.convert(BODIES[kind], MODELS[kind]).kind == kind


@pytest.mark.parametrize(
    ("kind", "pointer", "value", "code", "said"),
    [
        ("NestedCluster", "/spec/quta", {}, Code.UNKNOWN_FIELD, "did you mean quota?"),
        ("NestedCluster", "/metadata/name", ..., Code.MISSING_FIELD, "name is missing"),
        ("NestedCluster", "/spec/quota/cpu", True, Code.WRONG_TYPE, "expected string or number, found boolean"),
        ("NestedCluster", "/spec/profiles/0/version", 1.2, Code.WRONG_TYPE, 'write "1.2"'),
        ("NestedCluster", "/spec/description", 1, Code.WRONG_TYPE, "put it in quotes"),
        ("NestedCluster", "/spec/deletion/protect", "True", Code.WRONG_TYPE, "write true, without quotes"),
        ("NestedCluster", "/spec/deletion/policy", "Retian", Code.WRONG_VALUE, "did you mean Retain?"),
        ("NestedCluster", "/metadata/name", "team-a\n", Code.WRONG_VALUE, "write team-a"),
        ("NestedCluster", "/metadata/name", "a" * 48, Code.WRONG_VALUE, "longer than 47"),
        ("NestedCluster", "/metadata/name", "tеam", Code.WRONG_VALUE, "not a name"),  # a Cyrillic letter
        ("NestedCluster", "/metadata/labels/a b", "x", Code.WRONG_VALUE, "not a label's name"),
        ("NestedCluster", "/spec/expose/annotations/metallb.io~1x", "{{ .Values }}", Code.WRONG_VALUE, ""),
        ("NestedCluster", "/spec/sharedServices", [], Code.UNSUPPORTED, "not supported in this version"),
        ("NestedCluster", "/spec/backup/location/type", "oci", Code.UNSUPPORTED, "not supported in this version"),
        ("NestedCluster", "/spec/controlPlane/store/members", 2, Code.WRONG_VALUE, "1"),
        ("NestedCluster", "/kind", "Cluster", Code.KIND, "did you mean NestedCluster?"),
        ("NestedCluster", "/apiVersion", "nidus.dev/v2", Code.API_VERSION, "nidus.dev/v1alpha1"),
        (
            "ClusterProfile",
            "/spec/packs/0/helm",
            {"chart": {"path": "x"}},
            Code.MISSING_FIELD,
            "exactly one of manifests, helm, secrets, kustomize",
        ),
        ("ClusterProfile", "/spec/packs/0/manifests", {}, Code.MISSING_FIELD, "at least one of files, urls, objects"),
        ("ClusterProfile", "/spec/version", "1.2", Code.WRONG_VALUE, "write 1.2.0"),
        ("ControllerConfig", "/spec/charts", {}, Code.UNSUPPORTED, "not supported in this version"),
    ],
)
def test_mistakes_are_told_with_their_place_and_fix(kind: str, pointer: str, value: Any, code: Code, said: str) -> None:
    found = schema.check(mutated(kind, pointer, value))
    assert [one[3] for one in found] == [code]
    assert said in f"{found[0][1]} {found[0][2]}"
    assert pointer.startswith(found[0][0])


def mutated(kind: str, pointer: str, value: Any) -> dict[str, Any]:
    if "~1" not in pointer:
        return changed(BODIES[kind], pointer, value)
    parent, _, name = pointer.rpartition("/")
    here: Any = BODIES[kind]
    for part in parent.strip("/").split("/"):
        here = here[part]
    return changed(BODIES[kind], parent, {**here, name.replace("~1", "/"): value})


def test_all_mistakes_are_told_at_once_and_sorted() -> None:
    body = changed(changed(changed(CLUSTER, "/spec/x", 1), "/spec/quota/cpu", True), "/metadata/name", "A")
    assert [pointer for pointer, *_ in schema.check(body)] == ["/metadata/name", "/spec/quota/cpu", "/spec/x"]


SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    "pointer", ["/spec/quota/cpu", "/metadata/name", "/spec/controlPlane/replicas", "/spec/sync", "/spec/host"]
)
def test_values_never_appear_in_messages(pointer: str) -> None:
    for value in (SECRET, [SECRET], {"a": SECRET}):
        for where, message, hint, _ in schema.check(changed(CLUSTER, pointer, value)):
            assert SECRET not in where + message + hint


def test_a_hostile_pattern_value_costs_nothing() -> None:
    assert schema.check(changed(CLUSTER, "/metadata/name", "a-" * 200_000 + "!"))[0][3] == Code.WRONG_VALUE


_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70000),
    st.floats(0, 5),
    st.sampled_from(
        ["", "x", "a\n", "5Gi", "1.2.0", "v1.36.0", "Retain", "Ingress", "A", "{{x}}", "1h", "9" * 70, "é"]
    ),
    st.just([]),
    st.just({}),
    st.just({"x": 1}),
    st.just(["a"]),
)


def pointers(node: Any, path: str = "") -> list[str]:
    found = [path] if path else []
    if isinstance(node, dict):
        for name, child in node.items():
            if "/" not in name:
                found += pointers(child, f"{path}/{name}")
    elif isinstance(node, list):
        for index, child in enumerate(node):
            found += pointers(child, f"{path}/{index}")
    return found


@examples(40)
@given(st.sampled_from(schemas.KINDS), st.data())
def test_both_engines_agree(kind: str, data: st.DataObject) -> None:
    """The verdict of jsonschema-rs is that of jsonschema, and what passes both is what the model takes (V2)."""
    body = BODIES[kind]
    for _ in range(data.draw(st.integers(1, 2))):
        left = [one for one in pointers(body) if one not in ("/kind", "/apiVersion")]
        pointer = data.draw(st.sampled_from(left or ["/spec"]))
        body = changed(body, pointer, data.draw(_values | st.just(...) if left else _values))
    accepted = schema.verdict(kind).is_valid(body)
    explained = list(explain.mistakes(kind, body))
    assert accepted == (not explained)
    assert bool(schema.check(body)) == (not accepted)
    if accepted:
        try:
            msgspec.convert(body, MODELS[kind])
        except msgspec.ValidationError as error:
            assert "got `float`" in str(error)  # 1.0 is an integer to JSON Schema only; told as a mistake by the loader


def at(path: tuple[str, ...], value: Any) -> Any:
    """A document with a value at a path; EVERY is an item of a list, or a field of any name."""
    for step in reversed(path):
        value = {"any": value} if step == schema.EVERY else {step: value}
    return value


@pytest.mark.parametrize("kind", ["NestedCluster", "ClusterProfile", "ControllerConfig"])
def test_every_quantity_is_settled_and_nothing_else(kind: str) -> None:
    head = {"apiVersion": "nidus.dev/v1alpha1", "kind": kind}
    for path in schema.quantities(kind):
        written, plain = head | at(path, "4"), head | at((*path[:-1], "other"), 4)
        assert schema.settled(head | at(path, 4)) == written
        assert schema.settled(written) is written
        assert schema.settled(plain) is plain or schema.EVERY in path[-1:]
    several = {
        "spec": {"namespaces": [{"name": "a", "quota": {"cpu": 2}}, {"name": "b"}], "quota": {"cpu": 4, "pods": 5}}
    }
    if kind == "NestedCluster":
        found = schema.settled(head | several)
        assert found["spec"]["quota"] == {"cpu": "4", "pods": 5} and found["spec"]["namespaces"][0]["quota"] == {
            "cpu": "2"
        }
