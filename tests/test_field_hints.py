"""Field cases of `nidus validate`: each refusal says what to write instead, and that works (01, 05, 08, 68, 70, 72)."""

import pytest

from reconciler.errors import Stalled
from reconciler.model import Limits, Violation
from reconciler.packs.objects import collect
from reconciler.spec import scalars, yaml
from tests.documents import cluster, profile
from tests.spec_cases import snapshot


def told(text: str, chart: str = "") -> list[Violation]:
    """The mistakes of a manifest, or of a chart's path, without those of who uses the profile."""
    one = {"name": "base", "manifests": {"files": ["m.yaml"]}}
    if chart:
        one = {"name": "base", "helm": {"chart": {"path": chart}}}
    found = snapshot({"p.yaml": profile(one), "a.yaml": cluster("a"), "m.yaml": text})[0].violations
    return [found for found in found if found.code not in ("NID143",)]


@pytest.mark.parametrize(
    ("text", "number"),
    [("0644", 420), ("0o755", 493), ("-017", -15), ("0b101", 5), ("1_000", 1000), ("-0x1f", -31)],
)
def test_01_a_number_in_another_base_is_told_in_decimals(text: str, number: int) -> None:
    with pytest.raises(scalars.ScalarError) as refused:
        scalars.resolve(text)
    assert refused.value.hint == f'write {number} for the number; write "{text}" for the text'
    assert scalars.resolve(str(number)) == number
    assert yaml.parse(f'a: "{text}"'.encode(), "x", Limits()).documents[0].body == {"a": text}


@pytest.mark.parametrize("text", ["089", "12:30:00", "2024-01-05", "0_", "1_0.5"])
def test_what_is_no_number_in_any_base_is_text(text: str) -> None:
    with pytest.raises(scalars.ScalarError) as refused:
        scalars.resolve(text)
    assert refused.value.hint == f'write "{text}" for the text'


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("{}\n", 1, "an empty document ({})", "remove it"),
        (
            "apiVersion: batch/v1\nkind: Job\nmetadata:\n  generateName: a-\n",
            4,
            "Job has no name",
            "write metadata.name",
        ),
        ("kind: Job\nmetadata: {name: a}\n", 1, "not a Kubernetes object", "add apiVersion"),
        ("a: 1\n", 1, "not a Kubernetes object", "add apiVersion and kind and metadata.name"),
    ],
)
def test_what_is_missing_of_an_object_is_told(text: str, line: int, message: str, hint: str) -> None:
    (found,) = told(text)
    assert (found.code, found.line) == ("NID157", line)
    assert found.message.startswith(message) and found.hint.startswith(hint)


OWNED = (
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  ownerReferences:\n"
    "    - {apiVersion: apps/v1, kind: Deployment, name: b, uid: 1111}\n"
)


def test_68_owner_references_are_refused_in_manifests_and_charts() -> None:
    (found,) = told(OWNED)
    assert (found.code, found.line, found.pointer) == ("NID180", 5, "/metadata/ownerReferences")
    assert "ownerReferences" in found.message and found.hint.startswith("remove ownerReferences")
    owned = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "ownerReferences": [{"uid": "1"}]}}
    with pytest.raises(Stalled, match=r"chart/a\.yaml: ConfigMap a: .*ownerReferences") as refused:
        collect([("chart/a.yaml", owned)], "")
    assert refused.value.reason == "ObjectInvalid"
    owned["metadata"] = {"name": "a", "ownerReferences": []}
    assert collect([("chart/a.yaml", owned)], "")


def test_70_a_chart_outside_of_the_path_is_told_what_to_do() -> None:
    (found,) = told("", chart="../../shared/charts/web")
    assert (found.code, found.pointer) == ("NID150", "/spec/packs/0/helm/chart/path")
    assert "set the source's `path` to a folder above both" in found.hint


def test_a_reference_of_somebody_else_is_told_how_to_write_it_as_text() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ci}\ndata: {a: '%s'}\n"
    (found,) = told(text % "${{ secrets.TOKEN }}")
    assert found.message.endswith("secrets.TOKEN means nothing; write `$${{ secrets.TOKEN }}` for the text")
    assert told(text % "$${{ secrets.TOKEN }}") == []


VCLUSTER = """\
apiVersion: nidus.dev/v1alpha1
kind: NestedCluster
metadata: {name: a}
spec:
  controlPlane: {distro: {k8s: {enabled: true}}, backingStore: {}, statefulSet: {}}
  sync: {fromHost: {nodes: {enabled: true}}, toHost: {ingresses: {enabled: true}, pods: {enabled: true}}}
  exportKubeConfig: {context: x}
  policies: {resourceQuota: {enabled: true}}
  quota: {limits.cpu: "8", requests.memory: 8Gi}
  namespaces: [team]
"""


@pytest.mark.parametrize(
    ("pointer", "hint"),
    [
        ("/spec/controlPlane/distro", "kubernetes.version"),
        ("/spec/controlPlane/backingStore", "controlPlane.store"),
        ("/spec/controlPlane/statefulSet", "controlPlane.resources"),
        ("/spec/sync/fromHost", "toHost says what is copied"),
        ("/spec/sync/toHost/ingresses", "write ingresses: true"),
        ("/spec/sync/toHost/pods", "always copied"),
        ("/spec/exportKubeConfig", "nidus kubeconfig NAME"),
        ("/spec/policies", "write quota"),
        ("/spec/quota/limits.cpu", "write quota: {cpu:"),
        ("/spec/quota/requests.memory", "write memory"),
        ("/spec/namespaces/0", "write {name: team}"),
    ],
)
def test_50_keys_of_vcluster_yaml_have_their_neighbour(pointer: str, hint: str) -> None:
    found = {one.pointer: one.hint for one in snapshot({"a.yaml": VCLUSTER})[0].violations}
    assert hint in found[pointer]


def test_50_charts_from_elsewhere_are_told_the_way() -> None:
    packs = [
        {"name": "app", "helm": {"chart": {"path": "redis"}, "repo": "https://charts.example.com"}},
        {"name": "k", "kustomize": "overlays/prod"},
        {"name": "both", "manifests": {"files": "m/*.yaml"}},
    ]
    found = {one.pointer: one.hint for one in snapshot({"p.yaml": profile(*packs)})[0].violations}
    assert (
        found["/spec/packs/0/helm/repo"]
        == "write it in chart: {repo: https://HOST/FOLDER, name: NAME, version: VERSION}"
    )
    assert found["/spec/packs/1/kustomize"] == "write kustomize: {path: overlays/prod}"
    assert found["/spec/packs/2/manifests/files"] == 'write a list, such as ["m/*.yaml"]'
