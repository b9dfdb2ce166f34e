"""From specs to bundles: order, substitution, digests that change when they must and only then."""

from typing import Any

import msgspec
import pytest

from reconciler.errors import Stalled
from reconciler.model import Bundle, Content, Layer, Pack, Record, Revision, Specs, Target, Tombstone, replace
from reconciler.spec import order, resolve
from tests.spec_cases import CLUSTER, FACTS, FILES, PROFILE, RULES, edited, snapshot


def bundle(files: dict[str, str] = FILES, name: str = "team-a") -> Bundle:
    found, _ = snapshot(files)
    assert found.violations == ()
    return resolve.bundle(name, found.content, RULES, FACTS)


def layer(whole: Bundle, name: str) -> Layer:
    return next(one for one in whole.layers if one.name == name)


def test_the_layers_of_a_cluster_in_order() -> None:
    found = bundle()
    assert [one.name for one in found.layers] == [
        "namespace",
        "policies",
        "engine",
        "namespaces",
        "web/base",
        "web/front",
    ]
    assert [one.depends_on for one in found.layers[2:]] == [("policies",), ("engine",), ("namespaces",), ("web/base",)]
    assert {one.target for one in found.layers[:3]} == {Target("local")}
    assert {one.target for one in found.layers[3:]} == {Target("local", "team-a")}
    assert found.namespace == "vcluster-team-a" and found.cluster == "team-a"
    assert found.document is not None and found.tombstone is None


def test_a_manifests_layer() -> None:
    found = layer(bundle(), "web/base")
    assert found.kind == "manifests" and found.namespace == "web" and found.spec == {"objects": []}
    assert [path for path, _ in found.files] == ["profiles/web/config.yaml"]
    assert found.context["cluster"]["name"] == "team-a" and found.context["variables"]["domain"] == "a.example.com"


def test_a_helm_layer() -> None:
    found = layer(bundle(), "web/front")
    assert found.kind == "helm"
    assert found.spec == {
        "release": "front",
        "chart": "charts/front",
        "values": {"replicas": 2, "host": "www.a.example.com"},
        "valuesFiles": ["profiles/front.yaml"],
        "overrides": {"debug": True},
        "hooks": "Run",
    }
    assert {path for path, _ in found.files} == {
        "charts/front/Chart.yaml",
        "charts/front/templates/a.yaml",
        "profiles/front.yaml",
    }


def test_the_namespaces_of_a_cluster_carry_labels_and_quota() -> None:
    objects = layer(bundle(), "namespaces").spec["objects"]
    assert objects[0] == {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web", "labels": {"team": "a"}}}
    assert objects[1]["kind"] == "ResourceQuota"
    assert objects[1]["spec"]["hard"] == {"requests.cpu": "2", "pods": "5"}


def test_every_field_of_a_pack_reaches_its_layer() -> None:
    extra = """\
      ready: {timeout: 90s, checks: [{crd: a.example.io}]}
      drift: report
      ignoreDifferences: [{kind: Deployment, pointers: [/spec/replicas]}]
      exclude: [{kind: Secret, name: key}]
      prune: false
      dependsOn: []
"""
    found = layer(bundle({**FILES, "profiles/web.yaml": PROFILE + extra}), "web/front")
    assert (found.timeout, found.drift, found.prune, found.depends_on) == (90.0, "report", False, ("namespaces",))
    assert found.gates[0].crd == "a.example.io" and found.ignore[0].pointers == ("/spec/replicas",)
    assert found.spec["exclude"] == [{"group": "", "kind": "Secret", "namespace": "", "name": "key"}]


OTHER = """\
apiVersion: nidus.dev/v1alpha1
kind: ClusterProfile
metadata: {name: other}
spec:
  version: 1.0.0
  packs:
    - {name: one, manifests: {objects: []}}
    - {name: two, dependsOn: [], manifests: {objects: []}}
    - {name: last, dependsOn: [two], manifests: {objects: []}}
"""


def test_the_first_packs_of_a_profile_wait_for_the_last_of_the_one_before() -> None:
    uses = CLUSTER.replace("  profiles:\n", "  profiles:\n    - {name: other, version: ^1}\n")
    found = bundle({**FILES, "other.yaml": OTHER, "clusters/team-a.yaml": uses})
    waits = {one.name: one.depends_on for one in found.layers}
    assert waits["other/one"] == ("namespaces",)
    assert waits["other/two"] == ("namespaces",)
    assert waits["other/last"] == ("other/two",)
    assert waits["web/base"] == ("other/one", "other/last")


def test_a_layer_stands_after_all_it_waits_for() -> None:
    swapped = PROFILE.replace("    - name: base\n", "    - name: base\n      dependsOn: [front]\n").replace(
        "    - name: front\n", "    - name: front\n      dependsOn: []\n"
    )
    found = bundle({**FILES, "profiles/web.yaml": swapped})
    done: set[str] = set()
    for one in found.layers:
        assert done.issuperset(one.depends_on)
        done.add(one.name)
    assert len(done) == len(found.layers)


@pytest.mark.parametrize("path", sorted(path for path in FILES if "charts" not in path))
def test_comments_and_revisions_change_no_digest(path: str) -> None:
    before, _ = snapshot(FILES)
    after, _ = snapshot({**FILES, path: "# new\n" + FILES[path] + "\n# new\n"})
    other = Content(Revision("main", "other"), after.specs)
    one, two = resolve.bundle("team-a", before.content, RULES, FACTS), resolve.bundle("team-a", other, RULES, FACTS)
    assert one.digest == two.digest
    assert [layer.digest for layer in one.layers] == [layer.digest for layer in two.layers]
    assert one.revision != two.revision


@pytest.mark.parametrize(
    ("path", "old", "new", "changed"),
    [
        ("profiles/web/config.yaml", "cluster:", "other:", {"web/base"}),
        ("charts/front/templates/a.yaml", "not", "no", {"web/front"}),
        ("profiles/front.yaml", "info", "debug", {"web/front"}),
        ("clusters/team-a.yaml", "debug: true", "debug: false", {"web/front"}),
        ("clusters/team-a.yaml", "pods: 5", "pods: 6", {"namespaces"}),
        ("profiles/web.yaml", "default: 2", "default: 3", {"web/base", "web/front"}),
        ("clusters/team-a.yaml", "spec:", "spec:\n  quota: {cpu: '3'}", {"policies"}),
        ("clusters/team-a.yaml", "spec:", "spec:\n  description: new", set()),
        ("clusters/team-a.yaml", "spec:", "spec:\n  deletion: {protect: true}", set()),
    ],
)
def test_a_change_moves_the_digests_it_concerns(path: str, old: str, new: str, changed: set[str]) -> None:
    before, after = bundle(), bundle(edited(path, old, new))
    mine = {one.name: one.digest for one in before.layers}
    assert {one.name for one in after.layers if mine[one.name] != one.digest} == changed
    about = path.startswith("clusters/")  # what is decided about a cluster later is read from its document on record
    assert (before.digest != after.digest) is (about or bool(changed))


def test_suspend_is_part_of_the_bundle() -> None:
    found = bundle(edited("clusters/team-a.yaml", "spec:", "spec:\n  suspend: {reason: migration}"))
    assert found.suspend == "migration" and found.digest != bundle().digest


def test_bundles_can_be_written_as_json() -> None:
    found = bundle()
    assert msgspec.json.decode(msgspec.json.encode([one.spec for one in found.layers]))
    assert all(msgspec.json.decode(msgspec.json.encode(one.context)) == one.context for one in found.layers)


def test_a_profile_that_is_gone_stalls() -> None:
    content = snapshot(FILES)[0].content
    with pytest.raises(Stalled) as caught:
        resolve.bundle("team-a", replace(content, specs=Specs(content.specs.clusters, {})), RULES, FACTS)
    assert caught.value.reason == "NoProfile"


RECORD = Record("platform", "team-a", "local", "clusters/team-a.yaml", "main", "c1", {}, "n", 1.0)
STONE = Tombstone(1.0, 2.0, "Retain", protect=False)


@pytest.mark.parametrize("known", [True, False])
def test_a_tombstone_is_a_bundle_without_layers(known: bool) -> None:
    content = snapshot(FILES)[0].content if known else None
    found = resolve.tombstone(RECORD, content, STONE, RULES)
    assert (found.layers, found.tombstone, found.namespace) == ((), STONE, "vcluster-team-a")
    assert (found.document is not None) is known
    assert found.revision == (Revision("main", "c") if known else Revision("main", "c1"))
    assert found.digest == resolve.tombstone(RECORD, content, replace(STONE, due=9.0), RULES).digest


def packs(*waits: tuple[str, tuple[str, ...] | None]) -> tuple[Pack, ...]:
    return tuple(Pack(name=name, depends_on=others) for name, others in waits)


@pytest.mark.parametrize(
    ("given", "ordered", "circle"),
    [
        ((("a", None), ("b", None)), ["a", "b"], ()),
        ((("a", ("b",)), ("b", ())), ["b", "a"], ()),
        ((("a", ("b",)), ("b", ("a",)), ("c", ())), ["c"], ("a", "b")),
        ((("a", ("a",)),), [], ("a",)),
        ((("a", ("nobody",)),), [], ()),
    ],
)
def test_order_of_packs(given: Any, ordered: list[str], circle: tuple[str, ...]) -> None:
    assert [pack.name for pack, _ in order.ordered(packs(*given))] == ordered
    assert order.circle(order.depends(packs(*given))) == circle


def test_resolving_again_gives_the_same() -> None:
    content = snapshot(FILES)[0].content
    assert len({resolve.bundle("team-a", content, RULES, FACTS).digest for _ in range(20)}) == 1
